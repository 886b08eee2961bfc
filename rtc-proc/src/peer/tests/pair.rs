//! A peer and a viewer, joined by a simulated network in virtual time.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use lumen_ipc::{login::Rights, message::packets::FrameStamps, units::Kbps, video::VideoFormat};
use str0m::{
    Input as RtcInput,
    net::{Protocol, Receive},
};

use super::super::{
    Datagram, Input, Output, Peer, PeerEvent, Setup,
    media::{RtpClock, VideoFrame},
    rate::line::{Limit, Line},
    viewer::Viewer,
};

pub(super) const SERVER: &str = "10.0.0.1:5000";
pub(super) const BROWSER: &str = "10.0.0.2:6000";
/// The delay in one direction.
const DELAY: Duration = Duration::from_millis(5);

/// Both ends and the network between them.
pub(super) struct Pair {
    pub(super) now: Instant,
    pub(super) peer: Peer,
    pub(super) viewer: Viewer,
    to_peer: Vec<(Instant, Vec<u8>)>,
    pub(super) to_viewer: Vec<(Instant, Vec<u8>)>,
    pub(super) events: Vec<PeerEvent>,
    /// One datagram in this many to the viewer is lost.
    pub(super) loss: Option<u64>,
    /// What the network does besides.
    pub(super) line: Line,
    chance: u64,
    clock: RtpClock,
    pub(super) wakeups: usize,
    pub(super) datagrams: usize,
    /// What they contain.
    pub(super) bytes: usize,
    /// Frames of sound that were played.
    pub(super) played: u64,
    /// Whether the peer has sent a DTLS handshake message.
    pub(super) handshaking: bool,
}

pub(super) fn address(text: &str) -> SocketAddr {
    text.parse().expect("a constant address")
}

impl Pair {
    pub(super) fn new() -> Self {
        Self::with_rights(Rights { control: true })
    }

    pub(super) fn with_rights(rights: Rights) -> Self {
        Self::of(rights, Viewer::new)
    }

    /// With a viewer that listens, of a desktop that has sound.
    pub(super) fn listening() -> Self {
        Self::of(Rights { control: true }, Viewer::listening).until_connected()
    }

    /// With a viewer that receives H.264 and VP8.
    pub(super) fn of_both() -> Self {
        Self::of(Rights { control: true }, Viewer::of_both).until_connected()
    }

    /// With a viewer without H.264.
    pub(super) fn of_vp8() -> Self {
        Self::of(Rights { control: true }, Viewer::of_vp8).until_connected()
    }

    /// With a viewer that has a microphone, of a desktop that takes what it says.
    pub(super) fn speaking() -> Self {
        Self::of(Rights { control: true }, Viewer::speaking).until_connected()
    }

    fn of(rights: Rights, viewer: fn(Instant, SocketAddr) -> (Viewer, String)) -> Self {
        let now = Instant::now();
        let (mut viewer, offer) = viewer(now, address(BROWSER));
        let encoder = Kbps::new(8000).expect("legal");
        let mut setup = Setup::new(vec![address(SERVER)], encoder).expect("a certificate");
        setup.offer_sound();
        setup.take_speech();
        let (peer, answer) = Peer::accept(now, &setup, rights, &offer, None).expect("an offer");
        viewer.answered(&answer);
        viewer.advance(now);
        Self {
            now,
            peer,
            viewer,
            to_peer: Vec::new(),
            to_viewer: Vec::new(),
            events: Vec::new(),
            loss: None,
            line: Line::new(DELAY, Limit::None),
            chance: 1,
            clock: RtpClock::default(),
            wakeups: 0,
            datagrams: 0,
            bytes: 0,
            played: 0,
            handshaking: false,
        }
    }

    pub(super) fn connected() -> Self {
        Self::new().until_connected()
    }

    fn until_connected(mut self) -> Self {
        self.run_until(Duration::from_secs(5), |pair| {
            pair.viewer.connected && pair.viewer.open_channels == 4
        });
        self
    }

    /// Decides losses by a linear congruential generator with a fixed seed.
    fn is_lost(&mut self) -> bool {
        let Some(one_in) = self.loss else { return false };
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.chance >> 33).is_multiple_of(one_in)
    }

    pub(super) fn collect(&mut self) {
        while let Some(output) = self.peer.poll_output() {
            match output {
                Output::Transmit(Datagram { source, destination, contents, .. }) => {
                    assert_eq!((source, destination), (address(SERVER), address(BROWSER)));
                    self.datagrams += 1;
                    self.bytes += contents.len();
                    // The record type of handshakes (RFC 5246, section 6.2.1).
                    self.handshaking |= contents.first() == Some(&22);
                    if !self.is_lost()
                        && let Some(arrival) = self.line.carry(self.now, contents.len() as u64)
                    {
                        self.to_viewer.push((arrival, contents));
                    }
                }
                Output::Event(event) => self.events.push(event),
            }
        }
        for sent in std::mem::take(&mut self.viewer.sent) {
            self.to_peer.push((self.now + DELAY, sent.contents));
        }
    }

    fn next_instant(&self) -> Instant {
        let arrivals = self.to_peer.iter().chain(&self.to_viewer).map(|(at, _)| *at);
        let deadlines = [self.peer.deadline(), self.viewer.deadline];
        arrivals.chain(deadlines).min().expect("two deadlines").max(self.now)
    }

    fn step(&mut self) {
        self.collect();
        // The viewer asks for "at once" with a time in the past; time must advance nevertheless.
        self.now = self.next_instant().max(self.now + Duration::from_micros(10));
        let now = self.now;
        let due = |queue: &mut Vec<(Instant, Vec<u8>)>| {
            let (due, later) = std::mem::take(queue).into_iter().partition(|(at, _)| *at <= now);
            *queue = later;
            let due: Vec<(Instant, Vec<u8>)> = due;
            due
        };
        for (_, bytes) in due(&mut self.to_viewer) {
            self.viewer.receive(now, address(SERVER), address(BROWSER), &bytes);
        }
        for (_, bytes) in due(&mut self.to_peer) {
            self.wakeups += 1;
            self.deliver(&bytes);
        }
        if self.peer.deadline() <= now {
            self.wakeups += 1;
            self.peer.handle(now, Input::Timeout);
        }
        if self.viewer.deadline <= now {
            self.viewer.advance(now);
        }
    }

    pub(super) fn deliver(&mut self, bytes: &[u8]) {
        let parsed = Receive::new(Protocol::Udp, address(BROWSER), address(SERVER), bytes);
        let Ok(datagram) = parsed else { return };
        let datagram = RtcInput::Receive(self.now, datagram);
        if self.peer.accepts(&datagram) {
            self.peer.handle(self.now, Input::Datagram(datagram));
        }
    }

    /// Delivers all that is on its way to the peer at once.
    pub(super) fn deliver_all(&mut self) {
        for (_, datagram) in std::mem::take(&mut self.to_peer) {
            self.deliver(&datagram);
        }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.collect();
        while self.next_instant() < end {
            self.step();
            self.collect();
        }
        self.now = self.now.max(end);
    }

    /// As [`Pair::run`]; nothing that the viewer sends arrives.
    pub(super) fn run_unheard(&mut self, time: Duration) {
        let end = self.now + time;
        self.collect();
        self.to_peer.clear();
        while self.next_instant() < end {
            self.step();
            self.collect();
            self.to_peer.clear();
        }
        self.now = self.now.max(end);
    }

    pub(super) fn run_until(&mut self, patience: Duration, done: impl Fn(&Self) -> bool) {
        let end = self.now + patience;
        while !done(self) {
            assert!(self.now < end, "it takes longer than {patience:?}; events {:?}", self.events);
            self.step();
        }
    }

    pub(super) fn show(&mut self, keyframe: bool, bytes: usize, seed: u8) -> Vec<u8> {
        let data = access_unit(keyframe, bytes, seed);
        self.show_as(VideoFormat::H264ConstrainedBaseline, keyframe, data.clone());
        data
    }

    pub(super) fn show_as(&mut self, format: VideoFormat, keyframe: bool, data: Vec<u8>) {
        let stamps = FrameStamps::default();
        let frame = VideoFrame {
            data: data.into(),
            format,
            keyframe,
            rtp_ticks: self.clock.ticks(&stamps),
            captured: self.now,
            stamps,
        };
        self.peer.handle(self.now, Input::Video(&frame));
        self.collect();
    }

    pub(super) fn request_keyframe(&mut self) {
        let mid = self.viewer.mid.expect("a video section");
        let mut direct = self.viewer.rtc.direct_api();
        let stream = direct.stream_rx_by_mid(mid, None).expect("a stream");
        stream.request_keyframe(str0m::media::KeyframeRequestKind::Pli);
        self.viewer.advance(self.now);
        self.run(Duration::from_millis(100));
    }

    pub(super) fn count(&self, wanted: &PeerEvent) -> usize {
        self.events.iter().filter(|event| *event == wanted).count()
    }
}

/// An access unit in Annex B form without accidental start codes: parameter sets and one slice.
fn access_unit(keyframe: bool, bytes: usize, seed: u8) -> Vec<u8> {
    let start = [0, 0, 0, 1];
    let mut unit = Vec::new();
    if keyframe {
        // Types 7 (SPS) and 8 (PPS) of H.264, table 7-1.
        unit.extend([&start[..], &[0x67, 0x42, 0xe0, 0x1f, 1, 2, 3]].concat());
        unit.extend([&start[..], &[0x68, 0xce, 4, 5]].concat());
    }
    unit.extend(start);
    // Types 5 (IDR slice) and 1 (other slice).
    unit.push(if keyframe { 0x65 } else { 0x41 });
    unit.extend((0..bytes).map(|index| (index as u8).wrapping_mul(31).wrapping_add(seed) | 1));
    unit
}
