//! What passes, what is refused, and in which form.

use proptest::prelude::*;

use super::{
    values::{ID, INT, LONG, NONE, OBJECT, STRING, STRUCT},
    *,
};

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

const PLUGIN: (&str, &str) = ("factory.name", "support.null-audio-sink");
const SINK: [(&str, &str); 3] =
    [PLUGIN, ("media.class", "Audio/Sink"), ("node.name", "lumen_capture")];
const ADAPTER: &str = "adapter";
const STREAM: &str = "client-node";
const EAR: [(&str, &str); 2] = [("media.class", "Stream/Input/Audio"), ("node.name", "lumen_ear")];

/// What the stream with number 9 says of itself: a parameter, its properties, and which parameters it has.
fn told(properties: &[(&str, &str)]) -> Vec<u8> {
    let count = u32::try_from(properties.len()).expect("few");
    let long = || value(LONG, &[0; 8]);
    let mut info = vec![number(1), number(1), long(), long(), number(count)];
    info.extend(properties.iter().flat_map(|(name, value)| [text(name), text(value)]));
    info.extend([number(1), value(ID, &[0; 4]), number(6)]);
    let info = value(STRUCT, &info.concat());
    message(9, 2, &[number(3), number(1), value(OBJECT, &[0; 12]), info])
}

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
        made(STREAM, "ClientNode", &EAR),
        told(&EAR),
        message(CORE, 7, &[number(9)]),
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
        &[PLUGIN, SINK[1], SINK[2], log],
        &[PLUGIN, SINK[1], SINK[2], library],
        &[PLUGIN, SINK[1], SINK[2], plugin],
        &[plugin, PLUGIN, SINK[1], SINK[2]],
        &[PLUGIN, SINK[1], SINK[2], PLUGIN],
        &[SINK[1], SINK[2]],
        &[],
    ] {
        assert_eq!(of(ADAPTER, "Node", settings), Err(Refusal::Object), "{settings:?}");
    }
}

#[test]
fn sink_is_made_as_a_sink_under_its_name_only() {
    let of = |settings: &[_]| passes(&[made(ADAPTER, "Node", settings)]);
    assert_eq!(of(&SINK), Ok(()));
    for settings in [
        [PLUGIN, ("media.class", "Audio/Source/Virtual"), SINK[2]].as_slice(),
        &[PLUGIN, SINK[1], ("node.name", "alsa_output.usb")],
        &[PLUGIN, SINK[1], SINK[2], ("node.nick", "USB")],
        &[PLUGIN, SINK[1]],
        &[PLUGIN, SINK[2]],
    ] {
        assert_eq!(of(settings), Err(Refusal::Object), "{settings:?}");
    }
}

#[test]
fn stream_is_made_as_one_that_hears_under_its_name_only() {
    let of = |settings: &[_]| passes(&[made(STREAM, "ClientNode", settings)]);
    assert_eq!(of(&EAR), Ok(()));
    assert_eq!(of(&[("node.latency", "480/48000")]), Ok(()));
    for settings in [
        [("media.class", "Audio/Source"), EAR[1]].as_slice(),
        &[EAR[0], ("node.name", "alsa_input.usb")],
        &[EAR[0], EAR[1], ("media.class", "Audio/Source")],
        &[EAR[0], EAR[0]],
    ] {
        assert_eq!(of(settings), Err(Refusal::Object), "{settings:?}");
    }
}

#[test]
fn microphone_is_made_as_itself_only_and_only_where_there_may_be_one() {
    let of = |microphone, settings: &[_]| {
        Gate::new(microphone).pass(&made(STREAM, "ClientNode", settings)).map(drop)
    };
    let source = [("media.class", "Audio/Source"), ("node.name", "lumen_microphone")];
    let known = [("media.type", "Audio"), ("node.description", "Lumen microphone")];
    let own = [&source[..], &known].concat();
    assert_eq!(of(true, &[&own[..], &[("node.latency", "480/48000")]].concat()), Ok(()));
    assert_eq!(of(true, &EAR), Ok(()));
    assert_eq!(of(false, &own), Err(Refusal::Object));
    for settings in [
        source.to_vec(),
        own[1..].to_vec(),
        [&own[..], &[("node.nick", "USB")]].concat(),
        [&own[..], &[("media.class", "Stream/Input/Audio")]].concat(),
        [&[source[0], ("node.name", "alsa_input.usb")], &known[..]].concat(),
        [&[source[0], EAR[1]], &known[..]].concat(),
        [&[EAR[0], source[1]], &known[..]].concat(),
        [&[("media.class", "Audio/Sink"), source[1]], &known[..]].concat(),
        [&source[..], &[known[0], ("node.description", "USB")]].concat(),
        [&source[..], &[("media.type", "Video"), known[1]]].concat(),
    ] {
        assert_eq!(of(true, &settings), Err(Refusal::Object), "{settings:?}");
    }
    let told = |properties: &[_]| {
        let messages = [made(STREAM, "ClientNode", &own), told(properties)].concat();
        Gate::new(true).pass(&messages).map(drop)
    };
    assert_eq!(told(&own), Ok(()));
    assert_eq!(told(&[("node.name", "alsa_input.usb")]), Err(Refusal::Identity(9)));
    assert_eq!(told(&[("node.nick", "USB")]), Err(Refusal::Identity(9)));
}

#[test]
fn stream_of_the_older_kind_whose_messages_mean_something_else_is_not_made() {
    let of = |version| {
        let kind = text("PipeWire:Interface:ClientNode");
        let none = value(STRUCT, &number(0));
        passes(&[message(CORE, 6, &[text(STREAM), kind, number(version), none, number(9)])])
    };
    assert_eq!(of(3), Ok(()));
    for version in [0, 2, u32::MAX] {
        assert_eq!(of(version), Err(Refusal::Object), "{version}");
    }
}

#[test]
fn stream_that_says_who_it_is_may_only_repeat_what_it_was_made_as() {
    let of = |properties: &[_]| {
        passes(&[made(STREAM, "ClientNode", &EAR[1..]), told(&EAR[1..]), told(properties)])
    };
    assert_eq!(of(&[EAR[1], ("node.latency", "480/48000")]), Ok(()));
    assert_eq!(of(&[]), Ok(()));
    for properties in [
        [("media.class", "Audio/Source")].as_slice(),
        &[("node.name", "alsa_input.usb")],
        &[EAR[1], ("node.name", "alsa_input.usb")],
        &[("node.name", "alsa_input.usb"), EAR[1]],
        &[("node.description", "USB")],
        &[("node.nick", "USB")],
        &[("object.path", "alsa:usb")],
        // Nor what it may be made as, and was not.
        &EAR,
    ] {
        assert_eq!(of(properties), Err(Refusal::Identity(9)), "{properties:?}");
    }
}

#[test]
fn stream_that_speaks_of_itself_in_another_form_than_the_library_is_refused() {
    let stream = made(STREAM, "ClientNode", &EAR);
    let of = |arguments: &[Vec<u8>]| passes(&[stream.clone(), message(9, 2, arguments)]);
    let form = Err(Refusal::Form { object: 9, method: 2 });
    let long = || value(LONG, &[0; 8]);
    let info = |items: &[Vec<u8>]| {
        let head = [number(1), number(1), long(), long()];
        value(STRUCT, &[&head, items].concat().concat())
    };
    let (none, empty) = (value(NONE, &[]), info(&[number(0), number(0)]));
    assert_eq!(of(&[number(3), number(0), none.clone()]), Ok(()));
    assert_eq!(of(&[number(3), number(0), empty.clone()]), Ok(()));
    for arguments in [
        vec![],
        vec![number(3), number(0)],
        vec![number(3), number(u32::MAX), empty.clone()],
        vec![number(3), number(1), empty.clone()],
        vec![number(3), number(1), none.clone(), empty.clone()],
        vec![number(3), number(0), none, empty.clone()],
        vec![number(3), number(0), value(NONE, &[0; 8])],
        vec![number(3), number(0), empty.clone(), empty],
        vec![number(3), number(0), info(&[number(2), text("a"), text("b"), number(0)])],
        vec![number(3), number(0), info(&[number(u32::MAX), number(0)])],
        vec![number(3), number(0), info(&[number(1), text("a"), value(NONE, &[]), number(0)])],
        vec![number(3), number(0), info(&[number(0), number(1)])],
        vec![number(3), number(0), info(&[number(0), number(0), number(0)])],
        vec![number(3), number(0), info(&[number(0)])],
    ] {
        assert_eq!(of(&arguments), form, "{arguments:?}");
    }
}

#[test]
fn number_of_a_stream_or_a_registry_stands_for_nothing_else_until_it_is_gone() {
    let stream = || made(STREAM, "ClientNode", &EAR);
    let registry = || message(CORE, 5, &[number(3), number(9)]);
    let link = || made("link-factory", "Link", &[]);
    let ended = || message(CORE, 7, &[number(9)]);
    let bound = |number_| {
        let kind = text("PipeWire:Interface:Metadata");
        message(2, 1, &[number(40), kind, number(3), number(number_)])
    };
    for (first, second) in [
        (stream(), registry()),
        (registry(), stream()),
        (stream(), stream()),
        (registry(), link()),
        (stream(), link()),
    ] {
        assert_eq!(passes(&[first.clone(), second.clone()]), Err(Refusal::Object));
        assert_eq!(passes(&[first, ended(), second]), Ok(()));
    }
    let other = message(CORE, 5, &[number(3), number(2)]);
    assert_eq!(passes(&[other.clone(), stream(), bound(9)]), Err(Refusal::Object));
    assert_eq!(passes(&[other.clone(), bound(2)]), Err(Refusal::Object));
    assert_eq!(passes(&[other, bound(CORE)]), Err(Refusal::Object));
}

#[test]
fn streams_are_remembered_up_to_a_limit() {
    let kind = || text("PipeWire:Interface:ClientNode");
    let stream = |number_: usize| {
        let number_ = number(u32::try_from(number_).expect("few"));
        let none = value(STRUCT, &number(0));
        message(CORE, 6, &[text(STREAM), kind(), number(4), none, number_])
    };
    let all: Vec<_> = (1..=MOST_STREAMS).map(stream).collect();
    assert_eq!(passes(&all), Ok(()));
    assert_eq!(passes(&[all, vec![stream(MOST_STREAMS + 1)]].concat()), Err(Refusal::Object));
}

#[test]
fn form_that_the_servers_parser_takes_and_the_library_never_writes_is_refused() {
    const CHOICE: u32 = 19;
    let form = Err(Refusal::Form { object: CORE, method: 6 });
    let (kind, last) =
        (text("PipeWire:Interface:ClientNode"), [number(3), value(STRUCT, &number(0)), number(9)]);
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
