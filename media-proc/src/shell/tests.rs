//! A whole session in one thread: a scripted compositor on one side, a scripted rtc on the other.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use lumen_ipc::{
    demand::{Demand, OutputDemand},
    message::{
        frames::{
            BufferAnnounced, BufferMemory, Damage, FrameReady, Picture as Shown, Rect,
            ToCompositor, ToMedia as FromCompositor,
        },
        packets::{ToMedia as FromRtc, ToRtc, VideoPacket},
    },
    ring::{RingReader, RingSpan},
    service::MediaConfig,
    units::{
        Fps, FrameSequence, FrameSize, Kbps, MonotonicMicros, OutputId, OutputSize, Scale,
        SlotIndex, StreamId,
    },
    video::VideoFormat,
};
use lumen_ipc_runtime::channel::Channel;
use lumen_ipc_runtime::shm::{SharedMemory, SharedView};
use openh264::{decoder::Decoder, formats::YUVSource};

use super::{session::Session, *};
use crate::pacing::STILL_AFTER;

const FORMAT: VideoFormat = VideoFormat::H264ConstrainedBaseline;
const WIDTH: u16 = 128;
const HEIGHT: u16 = 96;
const CORNER: Rect = Rect { x: 0, y: 0, width: 16, height: 16 };

type Compositor = Channel<ToCompositor, FromCompositor>;
type Rtc = Channel<ToRtc, FromRtc>;

/// What a hostile neighbour does to a healthy session.
type Attack = Box<dyn Fn(&mut Rig)>;

/// Media between its two neighbours, in virtual time.
struct Rig {
    session: Session,
    compositor: Compositor,
    rtc: Rtc,
    memory: SharedMemory,
    ring: Option<(SharedView, RingReader)>,
    now: Instant,
    sequence: u64,
}

impl Rig {
    /// Both links attached, nothing announced, nobody watching.
    fn new() -> Self {
        let rig = Self::before_rtc();
        rig.watch(0);
        rig
    }

    /// Before rtc has said anything.
    fn before_rtc() -> Self {
        let config =
            MediaConfig { size: size(), max_fps: Fps::clamped(60), bitrate: Kbps::clamped(8000) };
        let outlet = Outlet::new(StreamId::VIDEO).expect("memory for the ring");
        let desk = Desk::new(StreamId::VIDEO).expect("eventfd");
        let now = Instant::now();
        let encoder =
            Encoder::open(FORMAT, config.size, config.max_fps, config.bitrate).expect("x264 opens");
        let mut session = Session::new(&config, encoder, outlet, desk, now);
        let (compositor, frames) = Channel::pair().expect("socketpair");
        session.attach_frames(frames.into());
        let (rtc, packets) = Channel::pair().expect("socketpair");
        session.attach_packets(packets.into());
        let memory = memory_of(size());
        Self { session, compositor, rtc, memory, ring: None, now, sequence: 0 }
    }

    /// One viewer, which has received the first key frame of a grey screen.
    fn watched() -> Self {
        let mut rig = Self::new();
        rig.announce(0, size());
        rig.fill(128);
        rig.watch(1);
        rig.frame(Damage::full(size()));
        let packets = rig.run();
        assert_eq!(packets.len(), 1);
        assert!(packets[0].0.keyframe);
        rig.messages();
        rig
    }

    fn watch(&self, watchers: u16) {
        self.change(|demand| demand.watchers = watchers);
    }

    fn ask_for_a_key(&self) {
        self.change(|demand| demand.keyframes += 1);
    }

    fn want(&self, size: Option<OutputSize>) {
        self.change(|demand| demand.size = size);
    }

    /// Rtc wants something else.
    fn change(&self, change: impl FnOnce(&mut Demand)) {
        let (stream, bitrate) = (StreamId::VIDEO, Kbps::clamped(8000));
        let nothing =
            Demand { stream, watchers: 0, size: None, format: None, bitrate, keyframes: 0 };
        let desk = self.session.desk();
        let mut demand = desk.take().unwrap_or(nothing);
        change(&mut demand);
        desk.put(demand);
    }

    fn announce(&self, slot: u64, size: FrameSize) {
        self.announce_memory(&announced(slot, size), self.memory.descriptor());
    }

    fn retire(&self, slot: u64) {
        let (output, slot) = (OutputId::PRIMARY, SlotIndex::new(slot).expect("legal slot"));
        let retired = FromCompositor::BufferRetired { output, slot };
        self.compositor.send(&retired, &[]).expect("media reads");
    }

    fn announce_memory(&self, announced: &BufferAnnounced, descriptor: BorrowedFd<'_>) {
        self.compositor
            .send(&FromCompositor::BufferAnnounced(*announced), &[descriptor])
            .expect("media reads");
    }

    fn fill(&self, level: u8) {
        self.memory.write(0, &vec![level; self.memory.len()]).expect("inside");
    }

    fn frame(&mut self, damage: Damage) {
        self.frame_in(0, damage);
    }

    fn frame_in(&mut self, slot: u64, damage: Damage) {
        self.sequence += 1;
        let ready = FrameReady {
            output: OutputId::PRIMARY,
            picture: Shown::Drawn(SlotIndex::new(slot).expect("legal slot")),
            sequence: FrameSequence(self.sequence),
            damage,
            committed: MonotonicMicros(self.sequence),
            rendered: MonotonicMicros(self.sequence),
        };
        self.compositor.send(&FromCompositor::FrameReady(ready), &[]).expect("media reads");
    }

    /// Runs the session at this instant and returns the packets that rtc received.
    fn run(&mut self) -> Vec<(VideoPacket, Vec<u8>)> {
        while self.session.turn(self.now).expect("x264 works").is_some_and(|at| at <= self.now) {}
        self.packets()
    }

    /// Runs the session, advancing virtual time, until it sleeps without a deadline.
    fn settle(&mut self) -> Vec<(VideoPacket, Vec<u8>)> {
        let mut packets = self.packets();
        while let Some(at) = self.session.turn(self.now).expect("x264 works") {
            self.now = self.now.max(at);
            packets.extend(self.packets());
        }
        packets.extend(self.packets());
        packets
    }

    fn packets(&mut self) -> Vec<(VideoPacket, Vec<u8>)> {
        let mut packets = Vec::new();
        while let Ok(received) = self.rtc.receive() {
            match received.message {
                ToRtc::FormatsOffered { formats, .. } => {
                    assert!(self.ring.is_none() && formats == Encoder::formats());
                }
                ToRtc::RingAnnounced { capacity, .. } => {
                    let descriptor = received.descriptors.into_iter().next().expect("a ring");
                    let bytes = usize::try_from(capacity.bytes()).expect("64 bits");
                    let view = SharedView::map(descriptor, bytes).expect("sealed");
                    self.ring = Some((view, RingReader::new(capacity)));
                }
                ToRtc::RingRetired { .. } => self.ring = None,
                ToRtc::VideoPacket(packet) => packets.push((packet, self.read(packet.span))),
            }
        }
        packets
    }

    fn read(&mut self, span: RingSpan) -> Vec<u8> {
        let (view, reader) = self.ring.as_mut().expect("announced before");
        let offset = usize::try_from(reader.accept(span).expect("legal span")).expect("64 bits");
        let bytes = view.bytes()[offset..offset + span.length as usize].to_vec();
        self.rtc.send(&consumed(reader.position()), &[]).expect("read");
        bytes
    }

    /// The messages that the compositor received.
    fn messages(&self) -> Vec<ToCompositor> {
        std::iter::from_fn(|| self.compositor.receive().ok().map(|received| received.message))
            .collect()
    }

    fn compositor_is_cut_off(&self) -> bool {
        self.session.frames_interest().is_none()
    }

    fn rtc_is_cut_off(&self) -> bool {
        self.session.packets_interest().is_none()
    }
}

fn size() -> FrameSize {
    FrameSize::new(WIDTH, HEIGHT).expect("legal size")
}

fn memory_of(size: FrameSize) -> SharedMemory {
    SharedMemory::create("test-frames", size.frame_bytes()).expect("memfd")
}

fn announced(slot: u64, size: FrameSize) -> BufferAnnounced {
    BufferAnnounced {
        output: OutputId::PRIMARY,
        slot: SlotIndex::new(slot).expect("legal slot"),
        size,
        memory: BufferMemory::Shared { stride_bytes: u32::from(size.width()) * 4 },
    }
}

fn demand(watched: bool) -> ToCompositor {
    demand_of(watched, None)
}

fn demand_of(watched: bool, size: Option<OutputSize>) -> ToCompositor {
    let demand = OutputDemand { watched, size };
    ToCompositor::DemandChanged { output: OutputId::PRIMARY, demand }
}

fn consumed(position: u64) -> FromRtc {
    FromRtc::RingConsumed { stream: StreamId::VIDEO, position }
}

fn corner() -> Damage {
    Damage::new(vec![CORNER]).expect("legal damage")
}

#[test]
fn frame_is_released_before_anybody_watches_and_not_encoded() {
    let mut rig = Rig::new();
    rig.announce(0, size());
    rig.frame(Damage::full(size()));
    assert!(rig.run().is_empty());
    let messages = rig.messages();
    assert_eq!(messages[0], demand(false));
    assert!(matches!(&messages[1], ToCompositor::FrameReleased(released)
        if released.sequence == FrameSequence(1)));
}

#[test]
fn viewer_of_a_still_screen_gets_the_newest_picture_at_once() {
    let mut rig = Rig::new();
    rig.announce(0, size());
    rig.fill(200);
    rig.frame(Damage::full(size()));
    rig.run();
    rig.messages();
    rig.watch(1);
    let packets = rig.run();
    assert_eq!(rig.messages(), [demand(true)]);
    assert_eq!(packets.len(), 1);
    assert!(packets[0].0.keyframe);
    let mut decoder = Decoder::new().expect("openh264 opens");
    let picture = decoder.decode(&packets[0].1).expect("legal stream").expect("one picture");
    // Grey 200 in BT.709 limited range: 16 + 219 × 200 ÷ 255.
    assert!(picture.y()[0].abs_diff(188) <= 2, "{}", picture.y()[0]);
}

#[test]
fn frame_carries_its_stamps_in_order() {
    let mut rig = Rig::watched();
    rig.frame(corner());
    let (packet, _) = rig.run().remove(0);
    let stamps = packet.stamps;
    assert_eq!((packet.sequence, stamps.committed), (FrameSequence(2), MonotonicMicros(2)));
    assert!(stamps.rendered <= stamps.taken && stamps.taken <= stamps.converted);
    assert!(stamps.converted <= stamps.encoded);
    assert_eq!(packet.format, FORMAT);
    assert!(!packet.keyframe);
}

#[test]
fn still_screen_is_refined_and_then_costs_nothing() {
    let mut rig = Rig::watched();
    let start = rig.now;
    let packets = rig.settle();
    assert!((1..=4).contains(&packets.len()), "{} refinements", packets.len());
    assert!(rig.now >= start + STILL_AFTER);
    assert_eq!(rig.session.turn(rig.now + Duration::from_secs(3600)).expect("works"), None);
    assert!(rig.packets().is_empty());
}

#[test]
fn key_asked_on_a_still_screen_comes_once_for_many() {
    let mut rig = Rig::watched();
    rig.settle();
    for _ in 0..5 {
        rig.ask_for_a_key();
    }
    let keys = |packets: Vec<(VideoPacket, Vec<u8>)>| {
        packets.iter().filter(|(packet, _)| packet.keyframe).count()
    };
    assert_eq!(keys(rig.run()), 1);
    // The same demand sent again, as to a new link end, asks for nothing.
    rig.watch(1);
    assert_eq!(keys(rig.settle()), 0);
}

#[test]
fn compositor_that_returns_is_encoded_anew_from_its_first_frame() {
    let mut rig = Rig::watched();
    let (compositor, frames) = Channel::pair().expect("socketpair");
    rig.compositor = compositor;
    rig.session.attach_frames(frames.into());
    rig.announce(0, size());
    // The message marks only a corner as changed, but all of the frame is new to media.
    rig.fill(30);
    rig.frame(corner());
    let (packet, bytes) = rig.run().remove(0);
    assert!(packet.keyframe);
    let mut decoder = Decoder::new().expect("openh264 opens");
    let picture = decoder.decode(&bytes).expect("legal stream").expect("one picture");
    let (stride, last) = (picture.strides().0, usize::from(HEIGHT) - 1);
    assert!(picture.y()[last * stride + usize::from(WIDTH) - 1].abs_diff(42) <= 2);
    assert_eq!(rig.messages()[0], demand(true));
}

#[test]
fn rtc_that_returns_gets_the_ring_and_a_key_picture() {
    let mut rig = Rig::watched();
    rig.settle();
    let (rtc, packets) = Channel::pair().expect("socketpair");
    rig.rtc = rtc;
    rig.ring = None;
    rig.session.attach_packets(packets.into());
    let packets = rig.run();
    assert!(packets[0].0.keyframe);
    assert_eq!(packets[0].0.span.position, 0);
}

#[test]
fn format_that_is_made_already_is_no_reason_for_a_key_picture() {
    let mut rig = Rig::watched();
    rig.settle();
    rig.change(|demand| demand.format = Some(FORMAT));
    assert!(rig.settle().is_empty());
    rig.frame(corner());
    let (packet, _) = rig.run().remove(0);
    assert_eq!((packet.keyframe, packet.format), (false, FORMAT));
}

#[test]
fn media_that_ends_retires_its_stream() {
    let mut rig = Rig::watched();
    rig.settle();
    rig.session.end();
    rig.packets();
    assert!(rig.ring.is_none() && rig.rtc_is_cut_off());
}

#[test]
fn buffer_of_another_size_in_the_slot_of_a_retired_one_starts_with_a_key_picture() {
    let mut rig = Rig::watched();
    let larger = FrameSize::new(200, 120).expect("legal size");
    rig.memory = memory_of(larger);
    rig.retire(0);
    rig.announce(0, larger);
    rig.frame(Damage::full(larger));
    let (packet, _) = rig.run().remove(0);
    assert!(packet.keyframe);
    assert_eq!(packet.size, larger);
}

#[test]
fn watchers_gone_stops_encoding_and_tells_the_compositor() {
    let mut rig = Rig::watched();
    rig.watch(0);
    rig.frame(corner());
    assert!(rig.settle().is_empty());
    let messages = rig.messages();
    assert_eq!(messages[0], demand(false));
    assert!(matches!(messages[1], ToCompositor::FrameReleased(_)));
}

#[test]
fn compositor_is_told_nothing_before_rtc_has_said_what_is_wanted() {
    let mut rig = Rig::before_rtc();
    rig.run();
    assert_eq!(rig.messages(), []);
    let size = Some(OutputSize::nearest(800, 600, Scale::nearest(1.25)));
    rig.want(size);
    rig.run();
    assert_eq!(rig.messages(), [demand_of(false, size)]);
}

#[test]
fn size_is_told_on_and_to_each_compositor_again() {
    let mut rig = Rig::watched();
    let size = Some(OutputSize::nearest(800, 600, Scale::nearest(1.25)));
    rig.want(size);
    rig.want(size);
    rig.run();
    rig.run();
    assert_eq!(rig.messages(), [demand_of(true, size)]);
    for _ in 0..2 {
        let (compositor, frames) = Channel::pair().expect("socketpair");
        rig.compositor = compositor;
        rig.session.attach_frames(frames.into());
        rig.run();
        assert_eq!(rig.messages(), [demand_of(true, size)]);
    }
}

#[test]
fn compositor_that_is_busy_while_rtc_changes_its_mind_is_told_the_last_word() {
    let mut rig = Rig::watched();
    let size = |width| Some(OutputSize::nearest(width, 600, Scale::ONE));
    for width in 0..5_000 {
        rig.want(size(width));
        rig.run();
    }
    assert!(!rig.compositor_is_cut_off());
    assert!(rig.session.frames_interest().is_some_and(|(_, writing)| writing), "it waits");
    rig.frame(corner());
    rig.run();
    rig.messages();
    rig.run();
    let messages = rig.messages();
    assert!(matches!(messages[0], ToCompositor::FrameReleased(_)), "{messages:?}");
    assert_eq!(messages[1..], [demand_of(true, size(4_999))]);
    assert!(rig.session.frames_interest().is_some_and(|(_, writing)| !writing));
}

#[test]
fn rtc_that_reads_nothing_is_dropped_for_and_then_gets_a_key_picture() {
    let mut rig = Rig::watched();
    // rtc reads nothing until the ring or the socket is full; after that nothing is encoded.
    let dropped = rig.session.registry().counter("packets_dropped_total");
    let encoded = rig.session.registry().counter("pictures_encoded_total");
    for round in 0_u32..5_000 {
        rig.now += Duration::from_millis(20);
        rig.frame(corner());
        let _ = rig.session.turn(rig.now).expect("x264 works");
        let _ = rig.session.turn(rig.now).expect("x264 works");
        rig.messages();
        assert!(round < 4_999, "nothing was ever dropped");
        if dropped.value() > 0 {
            break;
        }
    }
    let before = encoded.value();
    rig.frame(corner());
    while rig.session.turn(rig.now).expect("x264 works").is_some_and(|at| at <= rig.now) {}
    assert_eq!(encoded.value(), before);
    rig.packets();
    rig.session.packets_writable();
    assert!(rig.run().first().expect("a packet").0.keyframe);
}

#[test]
fn target_lowered_makes_motion_smaller() {
    let noisy = |target: Option<Kbps>| -> usize {
        let mut rig = Rig::watched();
        if let Some(target) = target {
            rig.change(|demand| demand.bitrate = target);
        }
        let mut state = 1_u32;
        let mut bytes = 0;
        for _ in 0..30 {
            let noise: Vec<u8> = (0..rig.memory.len())
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            rig.memory.write(0, &noise).expect("inside");
            rig.frame(Damage::full(size()));
            rig.now += Duration::from_millis(17);
            bytes += rig.run().iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        }
        bytes
    };
    let (rich, poor) = (noisy(None), noisy(Some(Kbps::clamped(500))));
    assert!(poor * 4 < rich, "{poor} and {rich} bytes");
}

#[test]
fn hostile_compositor_is_cut_off_and_rtc_still_served() {
    let unsealed = memfd::MemfdOptions::default().create("test-unsealed").expect("memfd");
    unsealed.as_file().set_len(1 << 20).expect("length");
    let small = memory_of(FrameSize::nearest(16, 16));
    let outside = Rect { x: WIDTH - 1, y: 0, width: 2, height: 1 };
    let attacks: [(&str, Attack); 11] = [
        ("slot twice", Box::new(|rig| rig.announce(0, size()))),
        ("retired slot", Box::new(|rig| rig.retire(1))),
        (
            "frame in a retired slot",
            Box::new(|rig| {
                rig.retire(0);
                rig.frame(corner());
            }),
        ),
        (
            "unsealed memory",
            Box::new(move |rig| {
                rig.announce_memory(&announced(1, size()), unsealed.as_file().as_fd());
            }),
        ),
        (
            "too small memory",
            Box::new(move |rig| {
                rig.announce_memory(&announced(1, size()), small.descriptor());
            }),
        ),
        (
            "no memory",
            Box::new(|rig| {
                rig.announce_memory(&announced(1, size()), io::stdin().as_fd());
            }),
        ),
        (
            "short rows",
            Box::new(|rig| {
                let memory = BufferMemory::Shared { stride_bytes: 4 };
                let short = BufferAnnounced { memory, ..announced(1, size()) };
                rig.announce_memory(&short, rig.memory.descriptor());
            }),
        ),
        (
            "an app's memory that is no memory",
            Box::new(|rig| {
                let stride_bytes = u32::from(WIDTH) * 4;
                let memory = BufferMemory::App { offset_bytes: 0, stride_bytes };
                let buffer = BufferAnnounced { memory, ..announced(1, size()) };
                rig.announce_memory(&buffer, io::stdin().as_fd());
            }),
        ),
        ("unannounced slot", Box::new(|rig| rig.frame_in(1, corner()))),
        (
            "another output",
            Box::new(|rig| {
                let buffer = BufferAnnounced { output: OutputId::MAX, ..announced(1, size()) };
                rig.announce_memory(&buffer, rig.memory.descriptor());
            }),
        ),
        (
            "damage outside",
            Box::new(move |rig| {
                rig.frame(Damage::new(vec![outside]).expect("legal by itself"));
            }),
        ),
    ];
    for (name, attack) in attacks {
        let mut rig = Rig::watched();
        attack(&mut rig);
        rig.run();
        assert!(rig.compositor_is_cut_off(), "{name}");
        let violations = rig.session.registry().counter("link_violations_total");
        assert_eq!(violations.value(), 1, "{name}");
        rig.ask_for_a_key();
        assert!(rig.run()[0].0.keyframe, "{name}");
    }
}

#[test]
fn hostile_rtc_is_cut_off_and_the_compositor_still_served() {
    let elsewhere = FromRtc::RingConsumed { stream: StreamId::MAX, position: 0 };
    for report in [consumed(u64::MAX), consumed(1 << 40), elsewhere] {
        let mut rig = Rig::watched();
        rig.rtc.send(&report, &[]).expect("media reads");
        rig.run();
        assert!(rig.rtc_is_cut_off());
        rig.frame(corner());
        rig.run();
        assert!(matches!(rig.messages()[..], [ToCompositor::FrameReleased(_)]));
    }
}

#[test]
fn peer_that_closes_its_end_is_no_violation() {
    let mut rig = Rig::watched();
    let (compositor, _) = Channel::pair().expect("socketpair");
    rig.compositor = compositor;
    rig.run();
    assert!(rig.compositor_is_cut_off());
    assert_eq!(rig.session.registry().counter("link_violations_total").value(), 0);
}

#[test]
fn figures_all_move() {
    let mut rig = Rig::watched();
    rig.settle();
    // A change of one flat colour into another is coded without x264.
    rig.fill(200);
    rig.frame(Damage::full(size()));
    rig.settle();
    // A buffer of an app, whose file is empty.
    let stride_bytes = u32::from(WIDTH) * 4;
    let memory = BufferMemory::App { offset_bytes: 1 << 20, stride_bytes };
    let buffer = BufferAnnounced { memory, ..announced(1, size()) };
    rig.announce_memory(&buffer, rig.memory.descriptor());
    rig.frame_in(1, Damage::full(size()));
    rig.settle();
    rig.rtc.send(&consumed(u64::MAX), &[]).expect("media reads");
    rig.run();
    // Only a full link moves this one; `rtc_that_reads_nothing…` covers it.
    let elsewhere = ["packets_dropped_total"];
    for metric in rig.session.registry().snapshot() {
        let moved = match &metric.value {
            lumen_ipc::service::MetricValue::Counter(value) => *value > 0,
            lumen_ipc::service::MetricValue::Gauge(value) => *value != 0,
            lumen_ipc::service::MetricValue::Histogram(histogram) => {
                histogram.counts.iter().sum::<u64>() > 0
            }
        };
        assert!(moved || elsewhere.contains(&metric.name.as_str()), "{} stands still", metric.name);
    }
}
