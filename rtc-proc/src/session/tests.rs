//! A session and a viewer, joined by a simulated network in virtual time.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use lumen_ipc::{
    level::Level,
    message::{
        input::{Action, OutputPoint, PressState},
        packets::FrameStamps,
        signalling::Rights,
    },
    units::{Kbps, KeyCode},
};
use str0m::{
    Input as RtcInput,
    net::{Protocol, Receive},
};

use super::{
    Datagram, Ending, FatalAlert, Input, Output, Said, Session, SessionEvent, Setup,
    encode::picture_sent,
    media::{RtpClock, VideoFrame},
    viewer::Viewer,
};

const SERVER: &str = "10.0.0.1:5000";
const BROWSER: &str = "10.0.0.2:6000";
/// One way.
const DELAY: Duration = Duration::from_millis(5);

/// Both ends and what is between them.
struct Pair {
    now: Instant,
    session: Session,
    viewer: Viewer,
    to_session: Vec<(Instant, Vec<u8>)>,
    to_viewer: Vec<(Instant, Vec<u8>)>,
    events: Vec<SessionEvent>,
    /// One datagram in this many to the viewer is lost.
    loss: Option<u64>,
    chance: u64,
    clock: RtpClock,
    wakeups: usize,
    datagrams: usize,
    /// Whether the session has said anything of its own in the handshake of DTLS.
    handshaking: bool,
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("a constant address")
}

impl Pair {
    fn new() -> Self {
        Self::with_rights(Rights { control: true })
    }

    fn with_rights(rights: Rights) -> Self {
        let now = Instant::now();
        let (mut viewer, offer) = Viewer::new(now, address(BROWSER));
        let encoder = Kbps::new(8000).expect("legal");
        let setup = Setup::new(vec![address(SERVER)], encoder).expect("a certificate");
        let (session, answer) =
            Session::accept(now, &setup, rights, &offer, None).expect("an offer");
        viewer.answered(&answer);
        viewer.advance(now);
        Self {
            now,
            session,
            viewer,
            to_session: Vec::new(),
            to_viewer: Vec::new(),
            events: Vec::new(),
            loss: None,
            chance: 1,
            clock: RtpClock::default(),
            wakeups: 0,
            datagrams: 0,
            handshaking: false,
        }
    }

    fn connected() -> Self {
        let mut pair = Self::new();
        pair.run_until(Duration::from_secs(5), |pair| {
            pair.viewer.connected && pair.viewer.open_channels == 3
        });
        pair
    }

    /// A linear congruential generator: seeded chance.
    fn is_lost(&mut self) -> bool {
        let Some(one_in) = self.loss else { return false };
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.chance >> 33).is_multiple_of(one_in)
    }

    fn collect(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Transmit(Datagram { source, destination, contents, .. }) => {
                    assert_eq!((source, destination), (address(SERVER), address(BROWSER)));
                    self.datagrams += 1;
                    // The record type of handshakes (RFC 5246, section 6.2.1).
                    self.handshaking |= contents.first() == Some(&22);
                    if !self.is_lost() {
                        self.to_viewer.push((self.now + DELAY, contents));
                    }
                }
                Output::Event(event) => self.events.push(event),
            }
        }
        for sent in std::mem::take(&mut self.viewer.sent) {
            self.to_session.push((self.now + DELAY, sent.contents));
        }
    }

    fn next_instant(&self) -> Instant {
        let arrivals = self.to_session.iter().chain(&self.to_viewer).map(|(at, _)| *at);
        let deadlines = [self.session.deadline(), self.viewer.deadline];
        arrivals.chain(deadlines).min().expect("two deadlines").max(self.now)
    }

    fn step(&mut self) {
        self.collect();
        // The viewer asks for "at once" as a time that has passed; time must go on all the same.
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
        for (_, bytes) in due(&mut self.to_session) {
            self.wakeups += 1;
            self.deliver(&bytes);
        }
        if self.session.deadline() <= now {
            self.wakeups += 1;
            self.session.handle(now, Input::Timeout);
        }
        if self.viewer.deadline <= now {
            self.viewer.advance(now);
        }
    }

    fn deliver(&mut self, bytes: &[u8]) {
        let parsed = Receive::new(Protocol::Udp, address(BROWSER), address(SERVER), bytes);
        let Ok(datagram) = parsed else { return };
        let datagram = RtcInput::Receive(self.now, datagram);
        if self.session.accepts(&datagram) {
            self.session.handle(self.now, Input::Datagram(datagram));
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.next_instant() < end {
            self.step();
        }
        self.collect();
        self.now = self.now.max(end);
    }

    fn run_until(&mut self, patience: Duration, done: impl Fn(&Self) -> bool) {
        let end = self.now + patience;
        while !done(self) {
            assert!(self.now < end, "it takes longer than {patience:?}; events {:?}", self.events);
            self.step();
        }
    }

    fn show(&mut self, keyframe: bool, bytes: usize, seed: u8) -> Vec<u8> {
        let data = access_unit(keyframe, bytes, seed);
        let stamps = FrameStamps::default();
        let frame = VideoFrame {
            data: data.clone().into(),
            keyframe,
            rtp_ticks: self.clock.ticks(&stamps),
            captured: self.now,
            stamps,
        };
        self.session.handle(self.now, Input::Video(&frame));
        self.collect();
        data
    }

    fn request_keyframe(&mut self) {
        let mid = self.viewer.mid.expect("a video section");
        let mut direct = self.viewer.rtc.direct_api();
        let stream = direct.stream_rx_by_mid(mid, None).expect("a stream");
        stream.request_keyframe(str0m::media::KeyframeRequestKind::Pli);
        self.viewer.advance(self.now);
        self.run(Duration::from_millis(100));
    }

    fn count(&self, wanted: &SessionEvent) -> usize {
        self.events.iter().filter(|event| *event == wanted).count()
    }
}

/// An access unit in Annex B form that no byte of is a start code by accident: parameter sets and
/// one slice.
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

#[test]
fn session_connects_and_opens_every_channel() {
    let pair = Pair::connected();
    assert_eq!(pair.count(&SessionEvent::Connected), 1);
    assert_eq!(pair.count(&SessionEvent::MessagesWanted), 1);
    assert!(pair.session.awaits_keyframe());
}

#[test]
fn frames_before_the_first_keyframe_are_held_back_and_then_all_arrive() {
    let mut pair = Pair::connected();
    pair.show(false, 500, 1);
    let mut shown = Vec::new();
    for index in 0..20 {
        shown.push(pair.show(index == 0, 3000, index));
        pair.run(Duration::from_millis(16));
    }
    pair.run(Duration::from_millis(200));
    assert_eq!(pair.viewer.frames, shown);
    assert_eq!(pair.count(&SessionEvent::FrameSent(FrameStamps::default())), 20);
}

#[test]
fn large_keyframe_leaves_quickly_on_a_local_network() {
    let mut pair = Pair::connected();
    // 300 kB, a detailed 1080p desktop.
    let shown = pair.show(true, 300_000, 7);
    let before = pair.now;
    pair.run_until(Duration::from_secs(1), |pair| !pair.viewer.frames.is_empty());
    assert_eq!(pair.viewer.frames, [shown]);
    assert!(pair.now - before < Duration::from_millis(100), "took {:?}", pair.now - before);
}

#[test]
fn lost_packets_are_sent_again() {
    let mut pair = Pair::connected();
    // One in twenty.
    pair.loss = Some(20);
    let mut shown = Vec::new();
    for index in 0..60 {
        shown.push(pair.show(index == 0, 4000, index));
        pair.run(Duration::from_millis(16));
    }
    pair.loss = None;
    pair.show(false, 100, 0);
    pair.run(Duration::from_secs(1));
    pair.viewer.frames.truncate(60);
    assert_eq!(pair.viewer.frames, shown);
}

#[test]
fn interrupted_video_waits_for_a_keyframe() {
    let mut pair = Pair::connected();
    let first = pair.show(true, 100, 1);
    pair.run(Duration::from_millis(50));
    pair.session.handle(pair.now, Input::VideoInterrupted);
    pair.show(false, 100, 2);
    let second = pair.show(true, 100, 3);
    pair.run(Duration::from_millis(500));
    assert_eq!(pair.viewer.frames, [first, second]);
}

#[test]
fn keyframe_request_of_the_viewer_is_told() {
    let mut pair = Pair::connected();
    pair.show(true, 100, 1);
    pair.run(Duration::from_millis(100));
    pair.request_keyframe();
    assert_eq!(pair.count(&SessionEvent::KeyframeWanted), 1);
}

#[test]
fn channels_carry_messages_both_ways() {
    let mut pair = Pair::connected();
    // KEY_A = 30 goes down.
    pair.viewer.send(pair.now, pair.viewer.input, true, &[1, 0, 30, 1]);
    pair.session.handle(pair.now, Input::Message(&[0x81]));
    pair.run(Duration::from_millis(100));
    let key = KeyCode::new(30).expect("a key");
    let action = Action::Key { key, state: PressState::Pressed, locks: None };
    assert_eq!(pair.count(&SessionEvent::Said(Said::Acted(action))), 1);
    assert_eq!(pair.viewer.messages, [vec![0x81]]);
}

#[test]
fn motion_travels_on_its_own_channel() {
    let mut pair = Pair::connected();
    pair.viewer.send(pair.now, pair.viewer.motion, true, &[2, 0, 1, 0, 5, 0, 6]);
    pair.run(Duration::from_millis(100));
    let action = Action::PointerTo(OutputPoint { x: 5, y: 6 });
    assert_eq!(pair.count(&SessionEvent::Said(Said::Acted(action))), 1);
}

#[test]
fn message_that_is_none_ends_the_session_and_the_viewer_hears() {
    let mut pair = Pair::connected();
    pair.viewer.send(pair.now, pair.viewer.input, true, &[0xee]);
    pair.run(Duration::from_millis(200));
    assert!(matches!(
        pair.events.last(),
        Some(SessionEvent::Ended(Ending::Violation(violation)))
            if violation.to_string().contains("unknown message 0xee")
    ));
    assert!(pair.viewer.closed);
}

#[test]
fn silent_viewer_is_lost() {
    let mut pair = Pair::connected();
    pair.loss = Some(1);
    pair.viewer.deadline = pair.now + Duration::from_secs(3600);
    pair.to_viewer.clear();
    pair.run(Duration::from_secs(60));
    assert!(matches!(pair.events.last(), Some(SessionEvent::Ended(Ending::Lost))));
}

#[test]
fn still_screen_costs_few_wakeups_and_bytes() {
    let mut pair = Pair::connected();
    for index in 0..30 {
        pair.show(index == 0, 2000, index);
        pair.run(Duration::from_millis(16));
    }
    pair.run(Duration::from_secs(5));
    (pair.wakeups, pair.datagrams) = (0, 0);
    pair.run(Duration::from_secs(30));
    // Ten a second is what all processes together may cost.
    assert!(pair.wakeups < 30 * 4, "{} wake-ups in 30 s", pair.wakeups);
    assert!(pair.datagrams < 30 * 2, "{} datagrams in 30 s", pair.datagrams);
}

#[test]
fn bored_viewer_gets_no_keyframe_but_one_that_insists_does() {
    let mut pair = Pair::connected();
    pair.show(true, 100, 1);
    pair.run(Duration::from_secs(4));
    pair.request_keyframe();
    assert_eq!(pair.count(&SessionEvent::KeyframeWanted), 0);
    pair.run(Duration::from_secs(1));
    pair.request_keyframe();
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.count(&SessionEvent::KeyframeWanted), 1);
}

#[test]
fn frame_after_stillness_leaves_at_once() {
    let mut pair = Pair::connected();
    pair.show(true, 2000, 1);
    pair.run(Duration::from_secs(10));
    let before = pair.datagrams;
    // Sixty packets.
    pair.show(false, 60_000, 2);
    assert!(pair.datagrams - before > 50, "{} datagrams at once", pair.datagrams - before);
}

#[test]
fn frame_after_a_message_that_ended_stillness_leaves_at_once_too() {
    let mut pair = Pair::connected();
    pair.show(true, 2000, 1);
    pair.run(Duration::from_secs(10));
    // The cursor changes, or media restarts and the page is told: then the picture follows.
    pair.session.handle(pair.now, Input::Message(&[0x86, 0]));
    pair.run(Duration::from_millis(100));
    let before = pair.datagrams;
    pair.show(false, 60_000, 2);
    assert!(pair.datagrams - before > 50, "{} datagrams at once", pair.datagrams - before);
}

#[test]
fn malformed_and_foreign_datagrams_change_nothing() {
    let mut pair = Pair::connected();
    let mut bytes = vec![0_u8; 200];
    for round in 0..20_000_u64 {
        let mut chance = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for byte in &mut bytes {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            *byte = chance as u8;
        }
        // Each kind of datagram by its first byte: STUN, DTLS, RTP (RFC 7983).
        bytes[0] = [0, 22, 128, 255][(round % 4) as usize];
        let length = (round % 200) as usize;
        pair.deliver(&bytes[..length]);
    }
    let shown = pair.show(true, 5000, 9);
    pair.run(Duration::from_millis(300));
    assert_eq!(pair.viewer.frames, [shown]);
}

#[test]
fn handshake_that_the_browser_refuses_ends_with_the_reason_and_a_later_alert_does_not() {
    // A fatal alert, handshake_failure, in the clear.
    let datagram = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    let alert = FatalAlert::in_clear(&datagram).expect("an alert");
    let mut pair = Pair::new();
    pair.run_until(Duration::from_secs(5), |pair| pair.handshaking);
    pair.session.handle(pair.now, Input::Refused(alert));
    pair.collect();
    assert_eq!(pair.events.last(), Some(&SessionEvent::Ended(Ending::Unsecured(alert))));

    let mut pair = Pair::connected();
    pair.session.handle(pair.now, Input::Refused(alert));
    let shown = pair.show(true, 100, 1);
    pair.run(Duration::from_millis(300));
    assert_eq!(pair.viewer.frames, [shown]);
}

#[test]
fn page_is_told_of_the_newest_picture_that_left_and_then_nothing_more() {
    let mut pair = Pair::connected();
    for index in 0..60 {
        pair.show(index == 0, 3000, index);
        pair.run(Duration::from_millis(16));
    }
    // Without stamps the clock counts milliseconds.
    let newest = 59 * 90;
    pair.run(Duration::from_secs(2));
    let told: Vec<_> = pair.viewer.messages.iter().filter(|message| message[0] == 0x89).collect();
    assert!((2..=4).contains(&told.len()), "{} messages for a second of pictures", told.len());
    assert_eq!(told.last(), Some(&&picture_sent(newest)));
    pair.run(Duration::from_secs(30));
    assert!(pair.viewer.messages.len() <= 4, "a still screen needs no words");
}

#[test]
fn page_that_has_closed_its_channel_costs_no_wakeups_for_what_it_is_not_told() {
    let mut pair = Pair::connected();
    let input = pair.viewer.input;
    pair.viewer.rtc.direct_api().close_data_channel(input);
    pair.viewer.advance(pair.now);
    pair.run(Duration::from_millis(500));
    let shown = pair.show(true, 3000, 1);
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.viewer.frames, [shown], "pictures go on");
    pair.wakeups = 0;
    pair.run(Duration::from_secs(10));
    assert!(pair.wakeups < 100, "{} wake-ups in ten still seconds", pair.wakeups);
}

#[test]
fn keyframe_asked_for_by_the_page_is_told() {
    let mut pair = Pair::connected();
    pair.viewer.send(pair.now, pair.viewer.input, true, &[0x0b]);
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.count(&SessionEvent::KeyframeWanted), 1);
}

#[test]
fn answer_names_the_highest_level_whatever_level_was_offered() {
    let now = Instant::now();
    let setup = Setup::new(vec![address(SERVER)], Kbps::new(8000).expect("legal")).expect("keys");
    let (_, offer) = Viewer::new(now, address(BROWSER));
    for level in ["1f", "0d", "34"] {
        let offer = offer.replace("42e01f", &format!("42e0{level}"));
        let control = Rights { control: true };
        let (_, answer) = Session::accept(now, &setup, control, &offer, None).expect("an offer");
        let highest = format!("profile-level-id=42e0{:02x}", Level::HIGHEST.number());
        assert!(answer.contains(&highest), "{answer}");
    }
}

#[test]
fn bad_offers_are_refused_with_the_reason() {
    let now = Instant::now();
    let setup = Setup::new(vec![address(SERVER)], Kbps::new(8000).expect("legal")).expect("keys");
    let refused = |offer: &str| {
        Session::accept(now, &setup, Rights { control: true }, offer, None)
            .map(|_| ())
            .expect_err("refused")
            .to_string()
    };
    assert!(refused("").contains("offer"));
    assert!(refused("v=0\r\nnonsense").contains("no session description"));
    let (_, offer) = Viewer::new(now, address(BROWSER));
    assert!(refused(&offer.replace("H264", "VP8")).contains("no video section"));
    assert!(refused(&offer.replace("fingerprint", "fingertip")).contains("fingerprint"));
}
