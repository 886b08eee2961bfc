//! Runs the fuzz targets' seeds, and deterministic mutations of them, through every decoder;
//! encodes and decodes every kind of message.
//!
//! `LUMEN_WRITE_SEEDS=1` writes [`samples::samples`] as new seeds, after a change of the contract.

#[path = "../../../fuzz/entry.rs"]
mod entry;
mod layers;
mod samples;
#[path = "../../../../tests/fuzz/seeds.rs"]
mod seeds;

use std::{env, fs, path::PathBuf};

use lumen_ipc::{
    codec::{self, Message},
    demand::OutputDemand,
    line::Line,
    link::MAX_DESCRIPTORS,
    message::{
        desktop::{self, Cursor, CursorImage, Statement},
        frames::{
            self, BufferAnnounced, BufferMemory, Damage, FrameReady, FrameReleased, Picture, Rect,
        },
        grants,
        input::{self, Action, Locks, OutputPoint, PointerDelta, PressState},
        packets::{self, FrameStamps, VideoPacket},
        signalling,
    },
    ring::RingSpan,
    text::Text,
    units::{
        ButtonCode, FrameSequence, FrameSize, KeyCode, MonotonicMicros, OutputId, OutputSize,
        PeerId, Scale, SlotIndex, StreamId,
    },
    video::{VideoFormat, VideoFormats},
};
use lumen_ipc_runtime::decoders::{self, DECODERS};
use proptest::prelude::*;
use samples::{encode_all, grants_samples, samples};

/// Mutations of each seed; a few seconds for all decoders in a debug build.
const MUTATIONS: u64 = 2_000;

fn seeds_of(target: &str) -> Vec<Vec<u8>> {
    let folder = seed_folder().join(target);
    fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| fs::read(entry.expect("an entry").path()).expect("a seed"))
        .collect()
}

fn seed_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds")
}

/// Steele and Vigna's SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>): the same on every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

fn mutate(seed: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len() + 1);
        match chance.below(4) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, chance.next() as u8),
            // Decoders tend to fail at varints that claim large values.
            2 => drop(bytes.splice(at..at, [0xff; 9])),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << chance.below(8);
                }
            }
        }
    }
    bytes
}

#[test]
fn seeds_and_their_mutations_make_no_decoder_panic() {
    for (target, decode) in DECODERS {
        let seeds = seeds_of(target);
        assert!(!seeds.is_empty(), "{target} has no seeds");
        let mut chance = Chance(1);
        for seed in &seeds {
            decode(seed);
            (0..MUTATIONS / seeds.len() as u64).for_each(|_| decode(&mutate(seed, &mut chance)));
        }
    }
}

#[test]
fn seeds_are_the_samples() {
    let samples = samples();
    for (target, number, bytes) in &samples {
        let path = seed_folder().join(target).join(format!("{number:02}"));
        if env::var_os("LUMEN_WRITE_SEEDS").is_some() {
            fs::create_dir_all(path.parent().expect("a folder")).expect("creatable");
            fs::write(&path, bytes).expect("writable");
        }
        let seed = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(&seed, bytes, "{}", path.display());
    }
}

#[test]
fn seeds_and_corpus_make_no_target_fail() {
    let folder = seed_folder().join("..");
    let targets = [entry::TARGETS, DECODERS].concat();
    seeds::run_all(&folder.display().to_string(), &targets);
}

fn there_and_back<M: Message + PartialEq + std::fmt::Debug>(message: &M) {
    encode_all(std::slice::from_ref(message));
}

fn any_peer() -> impl Strategy<Value = PeerId> {
    any::<u64>().prop_map(PeerId)
}

fn any_output() -> impl Strategy<Value = OutputId> {
    any::<u64>().prop_map(OutputId::clamped)
}

fn any_size() -> impl Strategy<Value = FrameSize> {
    any::<(u32, u32)>().prop_map(|(width, height)| FrameSize::nearest(width, height))
}

fn any_action() -> impl Strategy<Value = Action> {
    let state = || prop_oneof![Just(PressState::Pressed), Just(PressState::Released)];
    let point = || any::<(u16, u16)>().prop_map(|(x, y)| OutputPoint { x, y });
    prop_oneof![
        (any::<u64>(), state(), any::<Option<(bool, bool)>>()).prop_map(|(key, state, locks)| {
            let locks = locks.map(|(caps, num)| Locks { caps, num });
            Action::Key { key: KeyCode::clamped(key), state, locks }
        }),
        point().prop_map(Action::PointerTo),
        any::<(i16, i16)>().prop_map(|(dx, dy)| Action::PointerBy(PointerDelta { dx, dy })),
        (any::<u64>(), state(), point()).prop_map(|(button, state, at)| Action::Button {
            button: ButtonCode::clamped(button),
            state,
            at
        }),
        any::<(i16, i16)>()
            .prop_map(|(right_v120, down_v120)| Action::Wheel { right_v120, down_v120 }),
        Just(Action::StillHeld),
    ]
}

fn any_damage() -> impl Strategy<Value = Damage> {
    let rect = (0_u16..4000, 0_u16..4000, 1_u16..5000, 1_u16..5000)
        .prop_map(|(x, y, width, height)| Rect { x, y, width, height });
    prop::collection::vec(rect, 0..=Damage::MAX_RECTS)
        .prop_map(|rects| Damage::new(rects).expect("legal"))
}

proptest! {
    #[test]
    fn input_there_and_back_is_the_same(
        peer in any_peer(),
        output in any_output(),
        action in any_action(),
    ) {
        there_and_back(&input::ToCompositor { peer, output, action });
    }

    #[test]
    fn frame_there_and_back_is_the_same(
        numbers in any::<(u32, u32, u64, u64, u64)>(),
        names in any::<(u64, u64)>(),
        demanded in any::<(bool, Option<(u32, u32, u64)>)>(),
        damage in any_damage(),
        size in any_size(),
    ) {
        let (offset_bytes, stride_bytes, sequence, committed, rendered) = numbers;
        let (output, slot) = (OutputId::clamped(names.0), SlotIndex::clamped(names.1));
        let sequence = FrameSequence(sequence);
        there_and_back(&frames::ToMedia::FrameReady(FrameReady {
            output,
            picture: Picture::Drawn(slot),
            sequence,
            damage,
            committed: MonotonicMicros(committed),
            rendered: MonotonicMicros(rendered),
        }));
        let app = BufferMemory::App { offset_bytes, stride_bytes };
        for memory in [app, BufferMemory::Shared { stride_bytes }] {
            let buffer = BufferAnnounced { output, slot, size: size.into(), memory };
            there_and_back(&frames::ToMedia::BufferAnnounced(buffer));
        }
        there_and_back(&frames::ToMedia::BufferRetired { output, slot });
        there_and_back(&frames::ToCompositor::FrameReleased(FrameReleased { output, sequence }));
        let (watched, size) = demanded;
        let size = size.map(|(width, height, scale)| {
            OutputSize::nearest(width, height, Scale::clamped(scale))
        });
        let demand = OutputDemand { watched, size };
        there_and_back(&frames::ToCompositor::DemandChanged { output, demand });
    }

    #[test]
    fn any_count_of_descriptors_but_one_for_each_plane_is_refused(count in 0..=MAX_DESCRIPTORS) {
        for message in samples::frames_samples() {
            let mut buffer = [0; 256];
            let bytes = codec::encode(&message, &mut buffer).expect("it fits");
            let decoded = codec::decode::<frames::ToMedia>(bytes, count);
            let planes = match &message {
                frames::ToMedia::BufferAnnounced(buffer) => buffer.memory.planes(),
                _ => 0,
            };
            prop_assert_eq!(decoded.is_ok(), count == planes);
        }
    }

    #[test]
    fn packet_there_and_back_is_the_same(
        numbers in any::<(u64, u32, bool, u64)>(),
        times in any::<[u64; 5]>(),
        size in any_size(),
        stream in any::<u64>().prop_map(StreamId::clamped),
    ) {
        let (position, length, keyframe, sequence) = numbers;
        let [committed, rendered, taken, converted, encoded] = times.map(MonotonicMicros);
        there_and_back(&packets::ToRtc::VideoPacket(VideoPacket {
            stream,
            format: VideoFormat::H264ConstrainedBaseline,
            span: RingSpan { position, length },
            keyframe,
            sequence: FrameSequence(sequence),
            size,
            stamps: FrameStamps { committed, rendered, taken, converted, encoded },
        }));
        there_and_back(&packets::ToRtc::RingRetired { stream });
        let formats = VideoFormats::all();
        there_and_back(&packets::ToRtc::FormatsOffered { stream, formats });
        there_and_back(&packets::ToMedia::RingConsumed { stream, position });
    }

    #[test]
    fn texts_there_and_back_are_the_same(peer in any_peer(), text in ".{0,300}", flag: bool) {
        let statement = Statement::TitleChanged(Line::of(&text));
        there_and_back(&desktop::ToRtc { output: OutputId::PRIMARY, statement });
        there_and_back(&signalling::ToRtc::OfferMade { peer, sdp: Text::truncated(text.clone()) });
        there_and_back(&signalling::ToGateway::PeerClosed {
            peer,
            reason: Text::truncated(text),
            retry: flag,
        });
    }

    #[test]
    fn cursor_image_there_and_back_is_the_same(
        width in 1_u8..=CursorImage::MAX_SIDE,
        height in 1_u8..=CursorImage::MAX_SIDE,
        shade: u8,
        output in any_output(),
    ) {
        let rgba = vec![shade; usize::from(width) * usize::from(height) * 4];
        let image = CursorImage::new((width, height), (width - 1, height - 1), rgba);
        let cursor = Cursor::Image(image.expect("legal"));
        let statement = Statement::CursorChanged(cursor);
        there_and_back(&desktop::ToRtc { output, statement });
    }

    #[test]
    fn any_bytes_make_no_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        for (target, _) in DECODERS {
            decoders::run(target, &bytes);
        }
    }

    #[test]
    fn any_count_of_descriptors_but_the_stated_one_is_refused(count in 0..=MAX_DESCRIPTORS) {
        for message in grants_samples() {
            let mut buffer = [0; 64];
            let bytes = codec::encode(&message, &mut buffer).expect("it fits");
            let decoded = codec::decode::<grants::ToWorker>(bytes, count);
            prop_assert_eq!(decoded.is_ok(), count == 1);
        }
    }
}
