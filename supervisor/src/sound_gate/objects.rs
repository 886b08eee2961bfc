//! Which objects may be made and bound. Pure.

use std::collections::BTreeSet;

use super::values::Values;

/// What may be made: the factory, and the type of what it makes.
const MADE: [(&str, &str); 3] = [
    // The worker's own stream: its samples come to the worker's memory.
    ("client-node", "PipeWire:Interface:ClientNode"),
    // Links between ports that are there.
    ("link-factory", "PipeWire:Interface:Link"),
    (ADAPTER, "PipeWire:Interface:Node"),
];
/// Makes nodes of plugins: of one, here.
pub(super) const ADAPTER: &str = "adapter";
/// The setting that names the plugin, and the only one that is let through: a sink that plays nowhere.
pub(super) const PLUGIN: (&str, &str) = ("factory.name", "support.null-audio-sink");
/// The other settings of the sink.
const SETTINGS: [&str; 8] = [
    "audio.position",
    "media.class",
    "monitor.channel-volumes",
    "node.description",
    "node.name",
    "node.virtual",
    "priority.driver",
    "priority.session",
];
/// What may be bound.
const BOUND: &str = "PipeWire:Interface:Metadata";

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

/// Whether this object may be made.
pub(super) fn create(mut arguments: Values<'_>) -> Option<bool> {
    let (factory, kind) = (arguments.text()?, arguments.text()?);
    let _version = arguments.number()?;
    let mut settings = arguments.values()?;
    let _new = arguments.number()?;
    arguments.end()?;
    let count = settings.number()?;
    let mut seen = BTreeSet::new();
    let mut are_the_sinks = true;
    for _ in 0..count {
        let (name, value) = (settings.text()?, settings.text()?);
        are_the_sinks &= (name, value) == PLUGIN || SETTINGS.contains(&name);
        are_the_sinks &= seen.insert(name);
    }
    settings.end()?;
    let is_sink = are_the_sinks && seen.contains(PLUGIN.0);
    Some(MADE.contains(&(factory, kind)) && (factory != ADAPTER || is_sink))
}

/// Whether this object may be bound.
pub(super) fn bind(mut arguments: Values<'_>) -> Option<bool> {
    let _object = arguments.number()?;
    let kind = arguments.text()?;
    let (_version, _new) = (arguments.number()?, arguments.number()?);
    arguments.end()?;
    Some(kind == BOUND)
}
