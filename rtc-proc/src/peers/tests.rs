//! Peers and their viewers in virtual time, without a network between.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use lumen_ipc::{
    lease::{KEY_BYTES, LeaseId, LeaseRights},
    line::Line,
    login::{Login, LoginId, Rights},
    message::{
        desktop::{self, Cursor, Statement},
        input::{Action, ToCompositor},
        packets::FrameStamps,
        pads::{PadAction, PadReport, ToGamepad},
        signalling::{ToGateway, ToRtc},
        sound::{SoundDemand, Speech},
        transfer::{self, ClipboardPolicy},
    },
    service::{RelayCredentials, ResizePolicy},
    text::{Secret, Text},
    units::{Kbps, OutputId, OutputSize, PadIndex, PeerId, Scale, SessionId},
    video::VideoFormat,
};

use super::{MAX_PEERS, Output, Peers};
use crate::{
    peer::{Datagram, Setup, media::VideoFrame, viewer::Viewer},
    relay::scripted::{Done, PASSWORD, Scripted},
};

mod formats;
mod keyframes;
mod leases;
mod networks;
mod pads;
mod relayed;
mod shown;
mod signalling;
mod sizes;
mod sound;
mod speech;

const SERVER: &str = "10.0.0.1:5000";
const RELAY: &str = "10.0.0.1:3478";
pub(super) const CONTROL: Rights = Rights { control: true };

fn address(text: &str) -> SocketAddr {
    text.parse().expect("a constant address")
}

/// A login with these rights that never ends.
fn login(rights: Rights) -> Login {
    let session = SessionId::SOLE;
    Login { id: LoginId(1), session, rights, expires_in_seconds: None }
}

/// The machine, its viewers, and its outputs.
pub(super) struct House {
    pub(super) now: Instant,
    pub(super) peers: Peers,
    relay: Option<Scripted>,
    pub(super) viewers: Vec<(SocketAddr, Viewer)>,
    /// The ticket of each viewer.
    tickets: Vec<Secret>,
    to_gateway: Vec<ToGateway>,
    input: Vec<ToCompositor>,
    pads: Vec<ToGamepad>,
    pub(super) transfer: Vec<transfer::ToCompositor>,
    /// What was asked of the sound worker.
    sound: Vec<SoundDemand>,
    /// What viewers said, as the sound worker gets it.
    speech: Vec<Speech>,
    keyframes: u64,
    watchers: u16,
    size: Option<OutputSize>,
    format: Option<VideoFormat>,
    /// What the supervisor says of leases.
    rights: Vec<LeaseRights>,
}

impl House {
    pub(super) fn new() -> Self {
        Self::with_relay(None)
    }

    fn with_relay(relay: Option<Scripted>) -> Self {
        let encoder = Kbps::new(8000).expect("legal");
        let setup = Setup::new(vec![address(SERVER)], encoder).expect("a certificate");
        Self {
            now: Instant::now(),
            peers: Peers::new(
                setup,
                encoder,
                relay.as_ref().map(|_| address(RELAY)),
                ClipboardPolicy::Both,
                ResizePolicy::Follow,
            ),
            relay,
            viewers: Vec::new(),
            tickets: Vec::new(),
            to_gateway: Vec::new(),
            input: Vec::new(),
            pads: Vec::new(),
            transfer: Vec::new(),
            sound: Vec::new(),
            speech: Vec::new(),
            keyframes: 0,
            watchers: 0,
            size: None,
            format: None,
            rights: Vec::new(),
        }
    }

    fn signal(&mut self, message: ToRtc) {
        self.peers.signalling(self.now, message).expect("a legal message");
        self.collect();
    }

    /// A viewer joins as the gateway's number `name`; returns its index.
    pub(super) fn join(&mut self, name: u64, rights: Rights) -> usize {
        self.admit(name, rights, Viewer::new)
    }

    fn admit(
        &mut self,
        name: u64,
        rights: Rights,
        make: impl FnOnce(Instant, SocketAddr) -> (Viewer, String),
    ) -> usize {
        let port = 6000 + self.viewers.len();
        let at = address(&format!("10.0.0.2:{port}"));
        let (mut viewer, offer) = make(self.now, at);
        let peer = PeerId(name);
        self.signal(ToRtc::PeerJoined { peer, login: login(rights), relay: None });
        self.signal(ToRtc::OfferMade { peer, sdp: Text::new(offer).expect("short") });
        let Some(ToGateway::AnswerMade { sdp, ticket, .. }) = self.to_gateway.pop() else {
            panic!("an answer is expected");
        };
        self.tickets.push(ticket);
        viewer.answered(sdp.as_str());
        viewer.advance(self.now);
        self.viewers.push((at, viewer));
        self.run(Duration::from_secs(2));
        assert!(self.viewers.last().expect("just pushed").1.connected);
        let viewer = self.viewers.len() - 1;
        let lease = LeaseId(name);
        self.rights.push(LeaseRights { lease, rights });
        self.peers.set_rights(self.now, &self.rights);
        self.prove(viewer, lease);
        // What follows is about what the viewer does then.
        self.input.clear();
        viewer
    }

    /// A viewer's page proves that it is there.
    fn prove(&mut self, viewer: usize, lease: LeaseId) {
        let message = [&[0x0d][..], &lease.0.to_be_bytes(), &[0; KEY_BYTES]].concat();
        self.send(viewer, &message);
    }

    /// Sends a statement of the compositor.
    fn state(&mut self, statement: Statement) {
        let message = desktop::ToRtc { output: OutputId::PRIMARY, statement };
        self.peers.desktop(self.now, &message).expect("an output there is");
    }

    pub(super) fn collect(&mut self) {
        while let Some(output) = self.peers.poll_output() {
            match output {
                Output::Transmit(datagram) if datagram.destination == address(RELAY) => {
                    self.relay(&datagram);
                }
                Output::Transmit(datagram) => {
                    let to = datagram.destination;
                    let viewer = self.viewers.iter_mut().find(|(at, _)| *at == to);
                    if let Some((at, viewer)) = viewer {
                        viewer.receive(self.now, datagram.source, *at, &datagram.contents);
                    }
                }
                Output::ToGateway(message) => self.to_gateway.push(message),
                Output::Pad(message) => self.pads.push(message),
                Output::Transfer(message) => self.transfer.push(message),
                Output::Input(message) => self.input.push(message),
                Output::Demand(demand) => {
                    (self.keyframes, self.watchers) = (demand.keyframes, demand.watchers);
                    (self.size, self.format) = (demand.size, demand.format);
                }
                Output::SoundDemand(demand) => self.sound.push(demand),
                Output::Speech(speech) => self.speech.push(speech),
                Output::Ended { .. } | Output::FrameSent(_) => {}
            }
        }
    }

    /// Delivers a viewer's datagram, through the relay if it is for our address there.
    fn pass(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        match &self.relay {
            Some(relay) if to != address(SERVER) => {
                if relay.allocation == Some(to) && relay.permitted {
                    let bytes = relay.wrap(self.now, from, bytes);
                    self.peers.datagram(self.now, address(RELAY), address(SERVER), &bytes);
                }
            }
            _ => drop(self.peers.datagram(self.now, from, to, bytes)),
        }
    }

    /// Lets the relay handle a packet of ours.
    fn relay(&mut self, datagram: &Datagram) {
        let relay = self.relay.as_mut().expect("a relay");
        let header = datagram.header.as_ref().map_or(&[][..], |header| header);
        match relay.take(self.now, &[header, &datagram.contents].concat()) {
            Done::Answered(answer) => {
                self.peers.datagram(self.now, address(RELAY), address(SERVER), &answer);
            }
            Done::Forwarded { to, data, .. } => {
                let from = relay.allocation.expect("an allocation");
                if let Some((at, viewer)) = self.viewers.iter_mut().find(|(at, _)| *at == to) {
                    viewer.receive(self.now, from, *at, &data);
                }
            }
            Done::Dropped => {}
        }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(1);
            for index in 0..self.viewers.len() {
                let (at, viewer) = &mut self.viewers[index];
                let at = *at;
                if viewer.deadline <= self.now {
                    viewer.advance(self.now);
                }
                for sent in std::mem::take(&mut viewer.sent) {
                    self.pass(at, sent.destination, &sent.contents);
                }
            }
            if self.peers.deadline().is_some_and(|at| at <= self.now) {
                self.peers.timeout(self.now);
            }
            self.collect();
        }
    }

    fn send(&mut self, viewer: usize, bytes: &[u8]) {
        let now = self.now;
        let viewer = &mut self.viewers[viewer].1;
        viewer.send(now, viewer.input, true, bytes);
        self.run(Duration::from_millis(20));
    }

    fn send_on_pads(&mut self, viewer: usize, bytes: &[u8]) {
        let now = self.now;
        let viewer = &mut self.viewers[viewer].1;
        viewer.send(now, viewer.pads, true, bytes);
        self.run(Duration::from_millis(20));
    }

    /// The actions that gamepad received since the last call.
    fn pad_actions(&mut self) -> Vec<PadAction> {
        std::mem::take(&mut self.pads).into_iter().map(|message| message.action).collect()
    }

    fn show(&mut self, keyframe: bool) {
        self.show_as(VideoFormat::H264ConstrainedBaseline, keyframe);
    }

    fn show_as(&mut self, format: VideoFormat, keyframe: bool) {
        let kind = if keyframe { 0x65 } else { 0x41 };
        let frame = VideoFrame {
            data: vec![0, 0, 0, 1, kind, 1, 2, 3].into(),
            format,
            keyframe,
            rtp_ticks: (self.now.elapsed().as_millis() as u64 + 1) * 90,
            captured: self.now,
            stamps: FrameStamps::default(),
        };
        self.peers.video(self.now, &frame);
        self.collect();
    }

    fn closed(&self) -> Vec<(u64, bool, &str)> {
        let closed = self.to_gateway.iter().filter_map(|message| match message {
            ToGateway::PeerClosed { peer, reason, retry } => {
                Some((peer.0, *retry, reason.as_str()))
            }
            ToGateway::AnswerMade { .. } | ToGateway::CandidateFound { .. } => None,
        });
        closed.collect()
    }
}

#[test]
fn joining_viewers_are_watched_and_each_gets_a_keyframe() {
    let mut house = House::new();
    house.join(1, CONTROL);
    assert_eq!((house.watchers, house.keyframes), (1, 1));
    house.join(2, CONTROL);
    assert_eq!((house.watchers, house.keyframes), (2, 2));
    house.signal(ToRtc::PeerGone { peer: PeerId(1) });
    assert_eq!(house.watchers, 1);
    assert!(house.closed().is_empty(), "the gateway knows already");
}

#[test]
fn viewer_that_leaves_releases_what_it_held_exactly_once() {
    let mut house = House::new();
    let viewer = house.join(1, CONTROL);
    house.send(viewer, &[1, 0, 30, 1]);
    house.signal(ToRtc::PeerGone { peer: PeerId(1) });
    house.run(Duration::from_secs(1));
    let left = house.input.iter().filter(|message| message.action == Action::PeerLeft);
    assert_eq!(left.count(), 1);
    assert_eq!(house.input.last().map(|message| message.action), Some(Action::PeerLeft));
}

#[test]
fn misbehaving_viewer_is_closed_for_good_and_nobody_else_notices() {
    let mut house = House::new();
    let bad = house.join(1, CONTROL);
    let good = house.join(2, CONTROL);
    house.send(bad, &[0xee]);
    assert!(matches!(house.closed()[..], [(1, false, reason)] if reason.contains("0xee")));
    house.send(good, &[7]);
    let released = |message: &&ToCompositor| message.action == Action::ReleaseAll;
    assert_eq!(house.input.iter().filter(released).count(), 1);
    assert_eq!(house.watchers, 1);
}

#[test]
fn viewer_without_control_moves_nothing() {
    let mut house = House::new();
    let viewer = house.join(1, Rights { control: false });
    house.send(viewer, &[1, 0, 30, 1]);
    assert!(house.input.is_empty());
    assert!(house.closed().is_empty());
}

#[test]
fn viewers_outlive_the_gateway_and_its_successors_numbers() {
    let mut house = House::new();
    let old = house.join(1, CONTROL);
    house.peers.signalling_replaced();
    let new = house.join(1, CONTROL);
    house.send(old, &[1, 0, 30, 1]);
    house.send(new, &[1, 0, 31, 1]);
    let numbers: Vec<_> = house.input.iter().map(|message| message.peer).collect();
    assert_eq!(house.input.len(), 2);
    assert_ne!(numbers[0], numbers[1]);
    house.signal(ToRtc::PeerGone { peer: PeerId(1) });
    assert_eq!(house.watchers, 1);
    house.send(old, &[7]);
    assert_eq!(house.input.last().map(|message| message.action), Some(Action::ReleaseAll));
}

#[test]
fn statement_on_another_output_is_a_violation_that_nobody_is_told() {
    let mut house = House::new();
    let viewer = house.join(1, CONTROL);
    let before = house.viewers[viewer].1.messages.len();
    let statement = Statement::CursorChanged(Cursor::Hidden);
    let message = desktop::ToRtc { output: OutputId::MAX, statement };
    assert!(house.peers.desktop(house.now, &message).is_err());
    house.collect();
    assert_eq!(house.viewers[viewer].1.messages.len(), before);
}

#[test]
fn desktop_is_told_to_those_who_join_later() {
    let mut house = House::new();
    let size = OutputSize::nearest(1280, 720, Scale::ONE);
    house.state(Statement::OutputResized(size));
    house.state(Statement::TitleChanged(Line::of("x")));
    let viewer = house.join(1, CONTROL);
    let told = &house.viewers[viewer].1.messages;
    assert_eq!(*told, [vec![0x84, 5, 0, 2, 0xd0], vec![0x85, 0, 1, b'x'], vec![0x86, 0]]);
}

#[test]
fn interrupted_video_starts_with_a_keyframe_and_is_told() {
    let mut house = House::new();
    let viewer = house.join(1, CONTROL);
    house.show(true);
    house.peers.video_interrupted(house.now);
    house.collect();
    house.run(Duration::from_secs(1));
    let asked = house.keyframes;
    house.show(false);
    assert_eq!(house.keyframes, asked + 1, "a viewer starves");
    house.peers.video_resumed(house.now);
    house.show(true);
    house.run(Duration::from_millis(500));
    let viewer = &house.viewers[viewer].1;
    assert_eq!(viewer.frames.len(), 2);
    // It is also told which pictures were sent (0x89).
    let states = viewer.messages.iter().filter(|message| message[0] == 0x86);
    assert_eq!(states.collect::<Vec<_>>(), [&[0x86, 0], &[0x86, 2], &[0x86, 0]]);
}

#[test]
fn seventeenth_viewer_is_refused_with_the_reason() {
    let mut house = House::new();
    for name in 0..=MAX_PEERS as u64 {
        house.signal(ToRtc::PeerJoined { peer: PeerId(name), login: login(CONTROL), relay: None });
    }
    assert!(matches!(house.closed()[..], [(16, true, reason)] if reason.contains("16 viewers")));
    // Browsers that never connect do not keep their places.
    house.run(Duration::from_secs(21));
    assert_eq!(house.peers.count(), 0);
}

#[test]
fn bad_offer_and_bad_signalling_are_refused() {
    let mut house = House::new();
    let peer = PeerId(1);
    house.signal(ToRtc::PeerJoined { peer, login: login(CONTROL), relay: None });
    let twice = ToRtc::PeerJoined { peer, login: login(CONTROL), relay: None };
    assert!(house.peers.signalling(house.now, twice).is_err());
    house.signal(ToRtc::OfferMade { peer, sdp: Text::truncated("v=0\r\nx") });
    assert!(matches!(house.closed()[..], [(1, false, _)]));
    assert_eq!(house.peers.count(), 0);
}

#[test]
fn datagram_of_nobody_is_nobodys() {
    let mut house = House::new();
    house.join(1, CONTROL);
    let stranger = address("203.0.113.9:9");
    for bytes in [&[][..], &[0; 20], &[22; 60], &[0x80; 60], &[255; 4]] {
        assert!(!house.peers.datagram(house.now, stranger, address(SERVER), bytes));
    }
    house.collect();
    assert_eq!(house.watchers, 1);
}

#[test]
fn overflowing_viewer_is_closed_and_may_try_again() {
    let mut house = House::new();
    let viewer = house.join(1, CONTROL);
    house.send(viewer, &[7]);
    let number = house.input[0].peer;
    house.peers.overflowed(house.now, number);
    house.collect();
    assert!(matches!(house.closed()[..], [(1, true, _)]));
    assert_eq!(house.input.last().map(|message| message.action), Some(Action::PeerLeft));
}
