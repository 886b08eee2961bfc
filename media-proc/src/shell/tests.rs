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

mod demand;
mod formats;
mod hostile;
mod keys;
mod ladder;
mod layers;
mod rest;

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
        let config = MediaConfig {
            size: size(),
            max_fps: Fps::clamped(60),
            bitrate: Kbps::clamped(8000),
            node: None,
        };
        let outlet =
            Outlet::new(StreamId::VIDEO, Encoder::formats(false)).expect("memory for the ring");
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

    /// One viewer, which has received the first keyframe of a grey screen.
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
        let mut demand = desk.take().map_or(nothing, |told| told.demand);
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
                    assert!(self.ring.is_none() && formats == Encoder::formats(false));
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

    /// The messages that the compositor received, without the offer with which every link begins.
    fn messages(&self) -> Vec<ToCompositor> {
        let mut messages = self.all_messages();
        messages.retain(|message| !matches!(message, ToCompositor::RendererOffered { .. }));
        messages
    }

    fn all_messages(&self) -> Vec<ToCompositor> {
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
        size: size.into(),
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
fn compositor_is_told_that_nothing_is_drawn_for_it_before_it_is_asked_for_frames() {
    let mut rig = Rig::new();
    rig.run();
    let none = ToCompositor::RendererOffered { output: OutputId::PRIMARY, renderer: None };
    assert_eq!(rig.all_messages(), [none.clone(), demand(false)]);
    let (compositor, frames) = Channel::pair().expect("socketpair");
    rig.compositor = compositor;
    rig.session.attach_frames(frames.into());
    rig.run();
    assert_eq!(rig.all_messages(), [none, demand(false)]);
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
    // Grey 200 in limited range: 16 + 219 × 200 ÷ 255.
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
fn media_that_ends_retires_its_stream() {
    let mut rig = Rig::watched();
    rig.settle();
    rig.session.end();
    rig.packets();
    assert!(rig.ring.is_none() && rig.rtc_is_cut_off());
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
    // Only a full link moves the first, a motion beyond the network the second, a picture beyond what was
    // foreseen the third, bits that stay short the fourth, and layers the last; `rtc_that_reads_nothing…`,
    // `motion_beyond_the_network…`, `picture_that_turns_out_too_large…`, `motion_for_which_bits…` and
    // `frames_of_layers…` cover them.
    let elsewhere = [
        "packets_dropped_total",
        "ladder_rung_number",
        "pictures_encoded_again_total",
        "effort_level",
        "frames_drawn_total",
    ];
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
