//! A connected viewer and the workers behind rtc, who say whatever they like in whatever order.
//!
//! A connection costs a handshake, so one serves many inputs: what fails may need those before it.

use std::{
    cell::RefCell,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use lumen_ipc::{
    codec::{self, Message},
    message::{desktop, packets::FrameStamps, pads, signalling, transfer},
    units::PeerId,
    video::VideoFormat,
};
use lumen_rtc::{
    peer::{encode::DesktopState, media::VideoFrame},
    peers::{Output, Peers},
};

use self::viewer::Viewer;
use super::{BROWSER, SERVER, join, peers};

#[allow(dead_code, reason = "the unit tests use more of it")]
#[path = "../src/peer/viewer.rs"]
mod viewer;

/// Inputs that one connection serves.
const INPUTS: usize = 32;
/// Turns of both ends that a handshake takes at most.
const HANDSHAKE: usize = 2000;

struct Session {
    now: Instant,
    peers: Peers,
    viewer: Viewer,
    inputs: usize,
    frames: u64,
}

/// Commands: a byte of kind, one of length, and the content.
pub(crate) fn session(bytes: &[u8]) {
    thread_local! {
        static SESSION: RefCell<Option<Session>> = const { RefCell::new(None) };
    }
    SESSION.with_borrow_mut(|kept| {
        let session = kept.take().filter(|kept| kept.inputs < INPUTS && !kept.viewer.closed);
        let mut session = session.unwrap_or_else(Session::connect);
        session.inputs += 1;
        session.follow(bytes);
        *kept = (session.peers.count() > 0).then_some(session);
    });
}

impl Session {
    fn connect() -> Self {
        let now = Instant::now();
        let mut peers = peers();
        let (viewer, offer) = Viewer::new(now, BROWSER.into());
        let answer = join(&mut peers, now, &offer).expect("an answer");
        let mut session = Self { now, peers, viewer, inputs: 0, frames: 0 };
        session.viewer.answered(&answer);
        for _ in 0..HANDSHAKE {
            if session.viewer.connected && session.viewer.open_channels == 4 {
                return session;
            }
            session.turn();
        }
        panic!("no connection after {HANDSHAKE} turns");
    }

    /// Passes on what both sides have sent, and lets a millisecond pass.
    fn turn(&mut self) {
        self.now += Duration::from_millis(1);
        self.viewer.advance(self.now);
        for sent in std::mem::take(&mut self.viewer.sent) {
            self.peers.datagram(self.now, BROWSER.into(), SERVER.into(), &sent.contents);
        }
        if self.peers.deadline().is_some_and(|due| due <= self.now) {
            self.peers.timeout(self.now);
        }
        while let Some(output) = self.peers.poll_output() {
            if let Output::Transmit(datagram) = output {
                assert!(!datagram.contents.is_empty());
                if datagram.destination == SocketAddr::from(BROWSER) {
                    let from = SERVER.into();
                    self.viewer.receive(self.now, from, BROWSER.into(), &datagram.contents);
                }
            }
        }
    }

    fn follow(&mut self, mut bytes: &[u8]) {
        while let Some((&[kind, length], rest)) = bytes.split_first_chunk::<2>() {
            let (content, rest) = rest.split_at(usize::from(length).min(rest.len()));
            bytes = rest;
            self.command(kind % 16, content);
            self.turn();
        }
        // The last words arrive, too.
        self.turn();
        self.viewer.messages.clear();
        self.viewer.transfers.clear();
        self.viewer.frames.clear();
    }

    fn command(&mut self, kind: u8, content: &[u8]) {
        let now = self.now;
        match kind {
            0..=4 => self.send(kind, content),
            5 => self.wait(content),
            6 => drop(read::<transfer::ToRtc>(content).map(|said| self.peers.transfer(now, said))),
            7 => drop(read::<pads::ToRtc>(content).map(|said| self.peers.pads_said(now, said))),
            8 => drop(read::<desktop::ToRtc>(content).map(|said| self.peers.desktop(now, &said))),
            9 => drop(
                read::<signalling::ToRtc>(content).map(|said| self.peers.signalling(now, said)),
            ),
            10 => self.show(content),
            11 => drop(self.peers.datagram(now, BROWSER.into(), SERVER.into(), content)),
            12 => self.ask_for_keyframe(),
            13 => self.peers.transfer_lost(now),
            14 => self.peers.desktop_state(now, DesktopState::CompositorRestarting),
            _ => self.peers.overflowed(now, PeerId(content.first().copied().unwrap_or(0).into())),
        }
    }

    /// A message of the viewer on one of its channels; the last kind is text where bytes are expected.
    fn send(&mut self, kind: u8, content: &[u8]) {
        let viewer = &self.viewer;
        let channels = [viewer.input, viewer.motion, viewer.pads, viewer.transfer, viewer.input];
        let channel = channels[usize::from(kind)];
        if let Some(mut channel) = self.viewer.rtc.channel(channel) {
            let _ = channel.write(kind != 4, content);
        }
    }

    fn wait(&mut self, content: &[u8]) {
        let millis = content.first().copied().unwrap_or(0);
        self.now += Duration::from_millis(u64::from(millis) * 8);
    }

    fn show(&mut self, content: &[u8]) {
        self.frames += 1;
        let frame = VideoFrame {
            data: Arc::from(content),
            format: VideoFormat::H264ConstrainedBaseline,
            keyframe: content.first().is_some_and(|byte| byte % 2 == 1),
            rtp_ticks: self.frames * 3000,
            captured: self.now,
            stamps: FrameStamps::default(),
        };
        self.peers.video(self.now, &frame);
    }

    fn ask_for_keyframe(&mut self) {
        let mut direct = self.viewer.rtc.direct_api();
        let mid = self.viewer.mid.expect("a video section");
        if let Some(stream) = direct.stream_rx_by_mid(mid, None) {
            stream.request_keyframe(str0m::media::KeyframeRequestKind::Pli);
        }
    }
}

/// A message of another worker, if the bytes are one that has no descriptors.
fn read<M: Message>(bytes: &[u8]) -> Option<M> {
    codec::decode::<M>(bytes, 0).ok()
}
