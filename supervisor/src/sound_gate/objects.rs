//! Which objects may be made and bound, and as what a stream may show itself to others. Pure.
//!
//! Programs find devices and streams by their class and their names. A stream has them from its creation, and its
//! owner may say them anew, with all other properties, whenever it likes. So they are remembered, and a later word may
//! only repeat them.

use std::collections::{BTreeMap, BTreeSet};

use super::values::{ID, INT, LONG, OBJECT, Values};

/// What may be made: the factory, and the type of what it makes.
const MADE: [(&str, &str); 3] = [
    // The worker's own stream: its samples come to the worker's memory.
    (STREAM, "PipeWire:Interface:ClientNode"),
    // Links between ports that are there.
    ("link-factory", "PipeWire:Interface:Link"),
    (ADAPTER, "PipeWire:Interface:Node"),
];
/// Makes nodes of plugins: of one, here.
const ADAPTER: &str = "adapter";
/// The setting that names the plugin, and the only one that is let through: a sink that plays nowhere.
const PLUGIN: (&str, &str) = ("factory.name", "support.null-audio-sink");
/// What the plugin is to others. It could as well be a source, or a device of the user's by its name.
const SINK: [(&str, &str); 2] = [(CLASS, "Audio/Sink"), (NAME, "lumen_capture")];
/// The other settings of the sink.
const SETTINGS: [&str; 6] = [
    "audio.position",
    "monitor.channel-volumes",
    "node.description",
    "node.virtual",
    "priority.driver",
    "priority.session",
];
/// Makes streams.
const STREAM: &str = "client-node";
/// The oldest version of streams in which messages have the form that is read here. In another, older one their
/// numbers mean something else.
const OLDEST: i32 = 3;
/// What a stream is to others: one that hears, and nothing else, under one name.
const LISTENER: [(&str, &str); 2] = [(CLASS, "Stream/Input/Audio"), (NAME, "lumen_ear")];
/// Or, where there may be one, the microphone: a device, and so under no name or description but these, which it has
/// from the start. It has no other properties by which it is known.
const MICROPHONE: [(&str, &str); 4] = [
    (CLASS, "Audio/Source"),
    ("media.type", "Audio"),
    ("node.description", "Lumen microphone"),
    (NAME, "lumen_microphone"),
];
const CLASS: &str = "media.class";
const NAME: &str = "node.name";
/// The properties by which others know a stream.
const IDENTITY: [&str; 7] =
    ["media.category", CLASS, "media.type", "node.description", NAME, "node.nick", "object.path"];

/// What may be bound.
const BOUND: &str = "PipeWire:Interface:Metadata";

/// What a message that makes or binds an object asks for.
pub(super) enum Asked {
    /// An object by which nothing else is made, under this number.
    Object(u32),
    /// A stream under this number.
    Stream(u32, Identity),
    /// What it may not have.
    Forbidden,
}

/// The properties by which others know a stream, as they were when it was made.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Identity(BTreeMap<&'static str, String>);

impl Identity {
    /// Notes a property. Returns whether it is the first of its name.
    fn note(&mut self, name: &str, value: &str) -> bool {
        let own = IDENTITY.iter().find(|own| **own == name);
        own.is_none_or(|own| self.0.insert(own, value.to_owned()).is_none())
    }

    /// Whether a stream may be known by this, where there may be a `microphone` or not.
    fn is_permitted(&self, microphone: bool) -> bool {
        let is = |(name, value): &(&str, &str)| self.0.get(name).is_some_and(|own| own == value);
        let is_microphone = MICROPHONE.iter().all(is) && self.0.len() == MICROPHONE.len();
        let hears = |own: &(&str, &str)| is(own) || !self.0.contains_key(own.0);
        LISTENER.iter().all(hears) || (microphone && is_microphone)
    }

    /// Whether this property is none of these, or is as it was.
    fn is_kept_by(&self, name: &str, value: &str) -> bool {
        !IDENTITY.contains(&name) || self.0.get(name).is_some_and(|own| own == value)
    }

    /// Whether what a stream says of itself leaves this as it is; `None` if it is said in another form than the
    /// library's.
    pub(super) fn is_kept(&self, mut arguments: Values<'_>) -> Option<bool> {
        let _changes = arguments.number()?;
        let parameters = arguments.count()?;
        arguments.skip(parameters, &[OBJECT])?;
        if arguments.is_nothing() {
            arguments.end()?;
            return Some(true);
        }
        let mut info = arguments.values()?;
        arguments.end()?;
        // Most inputs and outputs, what changes, and flags.
        info.skip(1, &[INT, INT, LONG, LONG])?;
        let mut is_kept = true;
        for _ in 0..info.count()? {
            is_kept &= self.is_kept_by(info.text()?, info.text()?);
        }
        let parameters = info.count()?;
        info.skip(parameters, &[ID, INT])?;
        info.end()?;
        Some(is_kept)
    }
}

/// The number of the new registry.
pub(super) fn get_registry(mut arguments: Values<'_>) -> Option<u32> {
    let _version = arguments.number()?;
    only_number(arguments)
}

pub(super) fn only_number(mut arguments: Values<'_>) -> Option<u32> {
    let number = arguments.number()?;
    arguments.end()?;
    Some(number.cast_unsigned())
}

/// What is to be made, where there may be a `microphone` or not.
pub(super) fn create(mut arguments: Values<'_>, microphone: bool) -> Option<Asked> {
    let (factory, kind) = (arguments.text()?, arguments.text()?);
    let version = arguments.number()?;
    let mut settings = arguments.values()?;
    let number = arguments.number()?.cast_unsigned();
    arguments.end()?;
    let mut seen = BTreeSet::new();
    let (mut are_the_sinks, mut identity, mut is_clear) = (true, Identity::default(), true);
    for _ in 0..settings.count()? {
        let (name, value) = (settings.text()?, settings.text()?);
        let is_fixed = (name, value) == PLUGIN || SINK.contains(&(name, value));
        are_the_sinks &= seen.insert(name) && (is_fixed || SETTINGS.contains(&name));
        is_clear &= identity.note(name, value);
    }
    settings.end()?;
    let are_all = || [PLUGIN, SINK[0], SINK[1]].iter().all(|(name, _)| seen.contains(name));
    Some(match factory {
        _ if !MADE.contains(&(factory, kind)) => Asked::Forbidden,
        ADAPTER if !are_the_sinks || !are_all() => Asked::Forbidden,
        STREAM if version < OLDEST || !is_clear => Asked::Forbidden,
        STREAM if !identity.is_permitted(microphone) => Asked::Forbidden,
        STREAM => Asked::Stream(number, identity),
        _ => Asked::Object(number),
    })
}

/// What is to be bound.
pub(super) fn bind(mut arguments: Values<'_>) -> Option<Asked> {
    let _object = arguments.number()?;
    let kind = arguments.text()?;
    let (_version, number) = (arguments.number()?, arguments.number()?);
    arguments.end()?;
    Some(if kind == BOUND { Asked::Object(number.cast_unsigned()) } else { Asked::Forbidden })
}
