//! What the sound worker may ask of the session's sound server. Pure.
//!
//! The sound server has the rights of the session's user, and makes objects for whoever is connected. One of its
//! factories loads any plugin, from any file, with any settings; plugins have settings that name files which the
//! server then writes to. So a sound worker that was taken over could have it write to the user's files. That is
//! why the worker has no connection of its own: what it says passes here, message by message.
//!
//! A message (<https://docs.pipewire.org/page_native_protocol.html>) has a head of sixteen bytes and a value. Only
//! those to the core, which is object 0, and to registries are looked into: others can make nothing.
//!
//! INVARIANTS
//! - No object but object 0 is a core, and none is a registry unless it is known here: a registry binds nothing but
//!   metadata, and other objects make no such ones.
//! - What is looked into is read by the server as it is read here. It must have the one form that the server's
//!   library writes: its own parser takes others, too.

use std::collections::BTreeSet;

/// Longest message. The library's longest has some kilobytes.
const LONGEST: usize = 256 * 1024;
/// Registries that one connection may have. Ours makes two.
const MOST_REGISTRIES: usize = 16;

/// The length of a message's head.
const HEAD: usize = 16;
/// The object that is there from the start.
const CORE: u32 = 0;

/// What may be made: the factory, and the type of what it makes.
const MADE: [(&str, &str); 3] = [
    // The worker's own stream: its samples come to the worker's memory.
    ("client-node", "PipeWire:Interface:ClientNode"),
    // Links between ports that are there.
    ("link-factory", "PipeWire:Interface:Link"),
    (ADAPTER, "PipeWire:Interface:Node"),
];
/// Makes nodes of plugins: of one, here.
const ADAPTER: &str = "adapter";
/// The setting that names the plugin, and the only one that is let through: a sink that plays nowhere.
const PLUGIN: (&str, &str) = ("factory.name", "support.null-audio-sink");
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

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// A message is longer than any of ours.
    #[error("a message of {0} bytes")]
    TooLong(usize),
    /// A method that is not used.
    #[error("method {method} of object {object}")]
    Method {
        /// The object.
        object: u32,
        /// The method's number.
        method: u8,
    },
    /// A message in another form than the library's.
    #[error("method {method} of object {object} in another form than the library's")]
    Form {
        /// The object.
        object: u32,
        /// The method's number.
        method: u8,
    },
    /// An object that it may not make or bind.
    #[error("an object that it may not have")]
    Object,
}

/// The requests of one connection.
#[derive(Debug, Default)]
pub struct Gate {
    /// The beginning of a message that is not complete.
    pending: Vec<u8>,
    registries: BTreeSet<u32>,
}

impl Gate {
    /// Takes what the worker says next. Returns the messages that are complete and go on to the server.
    ///
    /// # Errors
    /// [`Refusal`] closes the connection, and nothing of the bytes goes on.
    pub fn pass(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
        self.pending.extend(bytes);
        let mut end = 0;
        while let Some(message) = Message::first(self.pending.get(end..).unwrap_or_default())? {
            end += HEAD + message.content.len();
            judge(&mut self.registries, &message)?;
        }
        let rest = self.pending.split_off(end);
        Ok(std::mem::replace(&mut self.pending, rest))
    }
}

struct Message<'bytes> {
    object: u32,
    method: u8,
    descriptors: u32,
    content: &'bytes [u8],
}

impl<'bytes> Message<'bytes> {
    /// The message at the beginning; `None` if it is not complete.
    fn first(bytes: &'bytes [u8]) -> Result<Option<Self>, Refusal> {
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
        let mut words = head.as_chunks().0.iter().map(|word| u32::from_ne_bytes(*word));
        let mut word = || words.next().unwrap_or_default();
        let (object, form, _number, descriptors) = (word(), word(), word(), word());
        // Eight bits of method, 24 of length.
        let ([method, ..], length) = (form.to_be_bytes(), (form & 0xff_ffff) as usize);
        if length > LONGEST {
            return Err(Refusal::TooLong(length));
        }
        let content = rest.get(..length);
        Ok(content.map(|content| Self { object, method, descriptors, content }))
    }

    fn form(&self) -> Refusal {
        Refusal::Form { object: self.object, method: self.method }
    }
}

fn judge(registries: &mut BTreeSet<u32>, message: &Message<'_>) -> Result<(), Refusal> {
    let Message { object, method, .. } = *message;
    let arguments = || Values::of(message.content).ok_or_else(|| message.form());
    match (object, method) {
        // Hello. One that came with descriptors would be taken for one of an older protocol, with shorter heads.
        (CORE, 1) if message.descriptors == 0 => Ok(()),
        // Sync, pong, error.
        (CORE, 2..=4) => Ok(()),
        (CORE, 5) => {
            let made = get_registry(arguments()?).ok_or_else(|| message.form())?;
            registries.insert(made);
            if registries.len() > MOST_REGISTRIES { Err(Refusal::Object) } else { Ok(()) }
        }
        (CORE, 6) => match create(arguments()?).ok_or_else(|| message.form())? {
            true => Ok(()),
            false => Err(Refusal::Object),
        },
        (CORE, 7) => {
            let ended = only_number(arguments()?).ok_or_else(|| message.form())?;
            registries.remove(&ended);
            if ended == CORE { Err(Refusal::Object) } else { Ok(()) }
        }
        (CORE, _) => Err(Refusal::Method { object, method }),
        (registry, _) if registries.contains(&registry) => match method {
            1 => match bind(arguments()?).ok_or_else(|| message.form())? {
                true => Ok(()),
                false => Err(Refusal::Object),
            },
            // Removal of an object.
            2 => Ok(()),
            _ => Err(Refusal::Method { object, method }),
        },
        _ => Ok(()),
    }
}

/// The number of the new registry.
fn get_registry(mut arguments: Values<'_>) -> Option<u32> {
    let _version = arguments.number()?;
    only_number(arguments)
}

fn only_number(mut arguments: Values<'_>) -> Option<u32> {
    let number = arguments.number()?;
    arguments.end()?;
    Some(number.cast_unsigned())
}

/// Whether this object may be made.
fn create(mut arguments: Values<'_>) -> Option<bool> {
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
fn bind(mut arguments: Values<'_>) -> Option<bool> {
    let _object = arguments.number()?;
    let kind = arguments.text()?;
    let (_version, _new) = (arguments.number()?, arguments.number()?);
    arguments.end()?;
    Some(kind == BOUND)
}

/// The values of a struct, each behind its length and its type, and padded to eight bytes
/// (<https://docs.pipewire.org/page_spa_pod.html>).
struct Values<'bytes>(&'bytes [u8]);

const INT: u32 = 4;
const STRING: u32 = 8;
const STRUCT: u32 = 14;

impl<'bytes> Values<'bytes> {
    /// Those of the struct at the beginning of a message's value. What may follow it is not for the method.
    fn of(content: &'bytes [u8]) -> Option<Self> {
        Self(content).values()
    }

    fn next(&mut self, kind: u32) -> Option<&'bytes [u8]> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        let mut words = head.as_chunks().0.iter().map(|word| u32::from_ne_bytes(*word));
        let (length, found) = (usize::try_from(words.next()?).ok()?, words.next()?);
        let body = rest.get(..length).filter(|_| found == kind)?;
        self.0 = rest.get(length.checked_next_multiple_of(8)?..).unwrap_or_default();
        Some(body)
    }

    fn number(&mut self) -> Option<i32> {
        self.next(INT)?.try_into().ok().map(i32::from_ne_bytes)
    }

    /// A text, in which the server sees no other end than ours.
    fn text(&mut self) -> Option<&'bytes str> {
        let text = self.next(STRING)?.strip_suffix(&[0])?;
        std::str::from_utf8(text).ok().filter(|text| !text.contains('\0'))
    }

    fn values(&mut self) -> Option<Self> {
        self.next(STRUCT).map(Self)
    }

    fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A value behind its length and its type, padded.
    fn value(kind: u32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).expect("short");
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn number(number: u32) -> Vec<u8> {
        value(INT, &number.to_ne_bytes())
    }

    fn text(text: &str) -> Vec<u8> {
        value(STRING, &[text.as_bytes(), &[0]].concat())
    }

    fn message_with(descriptors: u32, object: u32, method: u32, arguments: &[Vec<u8>]) -> Vec<u8> {
        let content = value(STRUCT, &arguments.concat());
        let form = method << 24 | u32::try_from(content.len()).expect("short");
        let head = [object, form, 7, descriptors].map(u32::to_ne_bytes).concat();
        [head, content].concat()
    }

    fn message(object: u32, method: u32, arguments: &[Vec<u8>]) -> Vec<u8> {
        message_with(0, object, method, arguments)
    }

    fn made(factory: &str, kind: &str, settings: &[(&str, &str)]) -> Vec<u8> {
        let count = u32::try_from(settings.len()).expect("few");
        let settings = settings.iter().flat_map(|(name, value)| [text(name), text(value)]);
        let settings: Vec<_> = std::iter::once(number(count)).chain(settings).collect();
        let kind = format!("PipeWire:Interface:{kind}");
        let settings = value(STRUCT, &settings.concat());
        message(CORE, 6, &[text(factory), text(&kind), number(3), settings, number(9)])
    }

    fn passes(messages: &[Vec<u8>]) -> Result<(), Refusal> {
        let bytes = messages.concat();
        assert_eq!(Gate::default().pass(&bytes)?, bytes);
        Ok(())
    }

    const SINK: [(&str, &str); 3] =
        [PLUGIN, ("media.class", "Audio/Sink"), ("node.name", "lumen_capture")];

    #[test]
    fn what_the_worker_does_passes() {
        let hello = message(CORE, 1, &[number(3)]);
        let registry = message(CORE, 5, &[number(3), number(2)]);
        let kind = text("PipeWire:Interface:Metadata");
        let metadata = message(2, 1, &[number(40), kind, number(3), number(5)]);
        let all = [
            hello,
            message(CORE, 2, &[number(0), number(1)]),
            registry,
            metadata,
            message(5, 1, &[number(0), text("key"), text("type"), text("value")]),
            made(ADAPTER, "Node", &SINK),
            made("client-node", "ClientNode", &[("node.name", "lumen_ear")]),
            made("link-factory", "Link", &[("link.passive", "true")]),
            message(2, 2, &[number(40)]),
            message(CORE, 7, &[number(9)]),
        ];
        assert_eq!(passes(&all), Ok(()));
    }

    #[test]
    fn plugin_of_any_file_with_any_settings_is_not_made() {
        let log = ("log.file", "/home/alice/.profile");
        let library = ("library.name", "../../../home/alice/plugin");
        let plugin = (PLUGIN.0, "support.log");
        let of = |factory, kind: &str, settings: &[_]| passes(&[made(factory, kind, settings)]);
        for (factory, kind) in [
            ("spa-node-factory", "Node"),
            ("spa-device-factory", "Device"),
            ("metadata", "Metadata"),
            (ADAPTER, "Device"),
            ("client-node", "Node"),
        ] {
            assert_eq!(of(factory, kind, &SINK), Err(Refusal::Object), "{factory}");
        }
        for settings in [
            [plugin, SINK[1]].as_slice(),
            &[PLUGIN, log],
            &[PLUGIN, library],
            &[PLUGIN, plugin],
            &[plugin, PLUGIN],
            &[PLUGIN, PLUGIN],
            &[SINK[1]],
            &[],
        ] {
            assert_eq!(of(ADAPTER, "Node", settings), Err(Refusal::Object), "{settings:?}");
        }
    }

    #[test]
    fn form_that_the_servers_parser_takes_and_the_library_never_writes_is_refused() {
        const CHOICE: u32 = 19;
        let form = Err(Refusal::Form { object: CORE, method: 6 });
        let (kind, last) = (
            text("PipeWire:Interface:ClientNode"),
            [number(3), value(STRUCT, &number(0)), number(9)],
        );
        let with = |factory: Vec<u8>, more: &[Vec<u8>]| {
            let arguments = [&[factory, kind.clone()], &last[..], more].concat();
            passes(&[message(CORE, 6, &arguments)])
        };
        let name = b"client-node\0";
        let wrapped = [[0; 8].as_slice(), &[12, 0, 0, 0, 8, 0, 0, 0], name].concat();
        let early_end = value(STRING, b"spa-node-factory\0client-node\0");
        assert_eq!(with(text("client-node"), &[]), Ok(()));
        assert_eq!(with(value(CHOICE, &wrapped), &[]), form);
        assert_eq!(with(early_end, &[]), form);
        assert_eq!(with(value(STRING, b"client-node"), &[]), form);
        assert_eq!(with(text("client-node"), &[number(1)]), form);
        assert_eq!(with(value(1, &[]), &[]), form);
    }

    #[test]
    fn no_second_core_and_no_older_protocol_is_to_be_had() {
        let registry = message(CORE, 5, &[number(3), number(2)]);
        let bind = |kind: &str| {
            let kind = text(&format!("PipeWire:Interface:{kind}"));
            passes(&[registry.clone(), message(2, 1, &[number(0), kind, number(3), number(5)])])
        };
        assert_eq!(bind("Metadata"), Ok(()));
        for kind in ["Core", "Registry", "Node", "Client", "Module"] {
            assert_eq!(bind(kind), Err(Refusal::Object), "{kind}");
        }
        let old = message_with(4, CORE, 1, &[number(3)]);
        assert_eq!(passes(&[old]), Err(Refusal::Method { object: CORE, method: 1 }));
        for method in [0, 8, 255] {
            let unknown = Err(Refusal::Method { object: CORE, method });
            assert_eq!(passes(&[message(CORE, method.into(), &[])]), unknown);
        }
        assert_eq!(passes(&[message(CORE, 7, &[number(CORE)])]), Err(Refusal::Object));
    }

    #[test]
    fn message_in_pieces_goes_on_when_it_is_whole() {
        let whole = [made("client-node", "ClientNode", &[]), message(3, 9, &[])].concat();
        let (mut gate, mut passed) = (Gate::default(), Vec::new());
        for (at, byte) in whole.iter().enumerate() {
            let now = gate.pass(&[*byte]).expect("legal");
            assert!(now.is_empty() || at + 1 == passed.len() + now.len());
            passed.extend(now);
        }
        assert_eq!(passed, whole);
        let long = [3, 1 << 24 | 0xff_ffff, 0, 0_u32].map(u32::to_ne_bytes).concat();
        assert_eq!(Gate::default().pass(&long), Err(Refusal::TooLong(0xff_ffff)));
    }

    proptest! {
        #[test]
        fn no_bytes_are_lost_or_made_up(
            bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0..200_usize,
        ) {
            let cut = cut.min(bytes.len());
            let (first, last) = bytes.split_at(cut);
            let mut gate = Gate::default();
            let parts = gate.pass(first).and_then(|one| Ok([one, gate.pass(last)?].concat()));
            let whole = Gate::default().pass(&bytes);
            prop_assert_eq!(&parts, &whole);
            if let Ok(passed) = whole {
                prop_assert!(bytes.starts_with(&passed));
            }
        }
    }
}
