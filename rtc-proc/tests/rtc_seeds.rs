//! The seeds of the fuzz targets, on stable Rust, and the message vectors shared with the page.

use std::{fs, path::Path};

use lumen_ipc::{
    flow::Credit,
    message::transfer::{Chunk, ClipboardPolicy, Failure, OfferId},
};
use lumen_rtc::peer::{
    decode, encode,
    transfer::{self, PageSays},
};
use serde_json::Value;

#[path = "../fuzz/entry.rs"]
mod entry;
#[path = "../../tests/fuzz/seeds.rs"]
mod seeds;

#[test]
fn seeds_and_corpus_make_no_target_fail() {
    seeds::run_all(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz"), entry::TARGETS);
}

fn each_seed(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let seeds = fs::read_dir(folder).expect("seeds").map(|seed| seed.expect("a seed").path());
    let count = seeds.map(|seed| run(&fs::read(seed).expect("readable"))).count();
    assert!(count > 0, "{target} has no seeds");
}

#[test]
fn offer_seeds_and_every_cut_of_them_never_panic() {
    each_seed("offer", |seed| {
        entry::offer(seed);
        for cut in (0..seed.len()).step_by(97) {
            entry::offer(&seed[..cut]);
        }
    });
}

#[test]
fn opening_seeds_and_every_cut_of_them_never_panic() {
    each_seed("opening", |seed| {
        for cut in 0..=seed.len() {
            entry::opening(&seed[..cut]);
        }
    });
}

#[test]
fn relay_seeds_and_every_cut_of_them_never_panic() {
    each_seed("relay", |seed| {
        for cut in 0..=seed.len() {
            entry::relay(&seed[..cut]);
        }
    });
}

fn vectors(json: &str) -> Vec<(String, Vec<u8>, Value)> {
    let vectors: Vec<Value> = serde_json::from_str(json).expect("a list");
    let parse = |vector: Value| {
        let text = |key: &str| vector[key].as_str().expect("a text").to_owned();
        (text("name"), unhex(&text("hex")), vector["message"].clone())
    };
    vectors.into_iter().map(parse).collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex");
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[test]
fn input_vectors_of_the_page_are_decoded_on_their_channel() {
    for (name, bytes, message) in vectors(include_str!("../../web/test/vectors/input.json")) {
        let decoded = match message["type"].as_str().expect("a type") {
            "pointerTo" | "stillHeld" => decode::motion(&bytes).map(|motion| format!("{motion:?}")),
            "pad" | "padUnplugged" => decode::pads(&bytes).map(|news| format!("{news:?}")),
            _ => decode::input(&bytes).map(|action| format!("{action:?}")),
        };
        let decoded = decoded.unwrap_or_else(|error| panic!("{name}: {error}"));
        // Every number in the page's message appears in the decoded one.
        for (key, value) in message.as_object().expect("an object") {
            if matches!(&**key, "width" | "height") {
                continue;
            }
            let one = std::slice::from_ref(value);
            for number in
                value.as_array().map_or(one, Vec::as_slice).iter().filter_map(Value::as_i64)
            {
                assert!(decoded.contains(&number.to_string()), "{name}: {key} in {decoded}");
            }
        }
    }
}

#[test]
fn size_vectors_of_the_page_are_what_a_desktop_makes_of_a_window() {
    use lumen_ipc::units::FrameSize;
    let json = include_str!("../../web/test/vectors/sizes.json");
    let vectors: Vec<Value> = serde_json::from_str(json).expect("a list");
    for vector in vectors {
        let pair = |key: &str| [0, 1].map(|at| vector[key][at].as_u64().expect("a side") as u32);
        let ([width, height], [wide, high]) = (pair("window"), pair("size"));
        let size = FrameSize::nearest(width, height);
        assert_eq!(size.to_string(), format!("{wide}x{high}"), "{}", vector["name"]);
    }
}

#[test]
fn refused_vectors_are_refused() {
    for (name, bytes, _) in vectors(include_str!("../../web/test/vectors/input-refused.json")) {
        assert!(decode::input(&bytes).is_err(), "{name}");
        assert!(decode::motion(&bytes).is_err(), "{name}");
        assert!(decode::pads(&bytes).is_err(), "{name}");
    }
}

#[test]
fn output_vectors_of_the_page_are_what_we_encode() {
    use lumen_ipc::{
        lease::Challenge,
        message::desktop::{Cursor, CursorImage, Statement},
        text::Text,
        units::{FrameSize, OutputSize, PadIndex, Scale},
    };
    for (name, bytes, message) in vectors(include_str!("../../web/test/vectors/output.json")) {
        let text = |key: &str| message[key].as_str().expect("a text").to_owned();
        let number = |key: &str| message[key].as_u64().expect("a number");
        let byte = |key: &str| u8::try_from(number(key)).expect("a byte");
        let side = |key: &str| u16::try_from(number(key)).expect("a side");
        let encoded = match message["type"].as_str().expect("a type") {
            "cursorHidden" => encode::desktop(&Statement::CursorChanged(Cursor::Hidden)),
            "challenged" => {
                let bytes = unhex(&text("challenge"));
                encode::challenged(Challenge(bytes.try_into().expect("its length")))
            }
            "microphone" => encode::microphone(match text("heard").as_str() {
                "nobody" => encode::Heard::Nobody,
                "you" => encode::Heard::You,
                "another" => encode::Heard::Another,
                "forbidden" => encode::Heard::Forbidden,
                other => panic!("{other} is nobody"),
            }),
            "cursorNamed" => {
                let name = Text::new(text("name")).expect("short");
                encode::desktop(&Statement::CursorChanged(Cursor::Named(name)))
            }
            "cursorImage" => {
                let (size, spot) =
                    ((byte("width"), byte("height")), (byte("hotspotX"), byte("hotspotY")));
                let image = CursorImage::new(size, spot, unhex(&text("rgba"))).expect("legal");
                encode::desktop(&Statement::CursorChanged(Cursor::Image(image)))
            }
            "outputResized" => {
                let pixels = FrameSize::new(side("width"), side("height")).expect("legal");
                let size = OutputSize { pixels, scale: Scale::ONE };
                encode::desktop(&Statement::OutputResized(size))
            }
            "titleChanged" => {
                let title = Text::<256>::new(text("title")).expect("short");
                let title = title.try_into().expect("one visible line");
                encode::desktop(&Statement::TitleChanged(title))
            }
            "pictureSent" => encode::picture_sent(number("time")),
            "padsAvailable" => encode::pads_available(message["available"] == true),
            "padRumbled" => {
                let pad = PadIndex::new(number("pad")).expect("legal");
                encode::pad_rumbled(pad, [side("strong"), side("weak")], side("millis"))
            }
            "desktopState" => encode::desktop_state(match &*text("state") {
                "compositorRestarting" => encode::DesktopState::CompositorRestarting,
                "mediaRestarting" => encode::DesktopState::MediaRestarting,
                _ => encode::DesktopState::Running,
            }),
            unknown => panic!("{name}: {unknown}"),
        };
        assert_eq!(encoded, bytes, "{name}");
    }
}

#[test]
fn clipboard_vectors_of_the_page_are_decoded() {
    for (name, bytes, message) in
        vectors(include_str!("../../web/test/vectors/clipboard-page.json"))
    {
        let number = |key: &str| message[key].as_u64().map_or(0, |number| number as u32);
        let transfer = number("transfer");
        let said = match message["type"].as_str().expect("a type") {
            "offered" => PageSays::Offered { offer: number("offer"), bytes: number("bytes") },
            "requested" => PageSays::Requested { transfer, offer: OfferId(number("offer")) },
            "cancelled" => PageSays::Cancelled { transfer },
            "sent" => PageSays::Sent { transfer, chunk: chunk(&message) },
            "ended" => PageSays::Ended { transfer },
            "failed" => PageSays::Failed { transfer },
            unknown => panic!("{name}: {unknown}"),
        };
        assert_eq!(transfer::decode(&bytes), Ok(said), "{name}");
    }
}

#[test]
fn clipboard_vectors_of_the_desktop_are_what_we_encode() {
    let json = include_str!("../../web/test/vectors/clipboard-desktop.json");
    for (name, bytes, message) in vectors(json) {
        let number = |key: &str| message[key].as_u64().map_or(0, |number| number as u32);
        let transfer = number("transfer");
        let credit = || Credit::new(number("credit")).expect("legal");
        let encoded = match message["type"].as_str().expect("a type") {
            "ways" if message["toDesktop"] == true => transfer::ways(ClipboardPolicy::Both),
            "ways" => transfer::ways(ClipboardPolicy::FromDesktop),
            "offered" => transfer::offered(OfferId(number("offer"))),
            "taken" => transfer::taken(number("offer")),
            "lapsed" => transfer::lapsed(number("offer")),
            "requested" => transfer::requested(transfer, number("offer"), credit()),
            "granted" => transfer::granted(transfer, credit()),
            "cancelled" => transfer::cancelled(transfer),
            "sent" => transfer::sent(transfer, &chunk(&message)),
            "ended" => transfer::ended(transfer),
            "failed" => transfer::failed(transfer, Failure::NotText),
            unknown => panic!("{name}: {unknown}"),
        };
        assert_eq!(encoded, bytes, "{name}");
    }
}

fn chunk(message: &Value) -> Chunk {
    Chunk::new(message["text"].as_str().expect("a text").into()).expect("legal")
}
