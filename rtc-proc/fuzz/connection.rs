//! A viewer that is connected, over a handshake that costs nothing ([`plain`](super::plain)).

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use lumen_rtc::{
    peer::Ending,
    peers::{Output, Peers},
};

use super::{BROWSER, SERVER, join, plain, plain_peers, viewer::Viewer};

/// Turns of both ends that a handshake takes at most.
const HANDSHAKE: usize = 2000;

/// Both ends of a connection.
pub(crate) struct Connection {
    pub(crate) now: Instant,
    pub(crate) peers: Peers,
    pub(crate) viewer: Viewer,
    /// What rtc answered to the offer.
    pub(crate) answer: String,
    /// What each end has sent in the last turn: the viewer first.
    pub(crate) said: [Vec<Vec<u8>>; 2],
}

impl Connection {
    /// A viewer whose connection and channels are open.
    pub(crate) fn new() -> Self {
        Self::of(Viewer::new)
    }

    /// One that is sent sound, too.
    pub(crate) fn listening() -> Self {
        Self::of(Viewer::listening)
    }

    fn of(viewer: fn(Instant, SocketAddr) -> (Viewer, String)) -> Self {
        let now = Instant::now();
        // For the viewer; rtc is told by its setup.
        plain::provider().install_process_default();
        let mut peers = plain_peers();
        let (viewer, offer) = viewer(now, BROWSER.into());
        let answer = join(&mut peers, now, &offer).expect("an answer");
        let mut connection = Self { now, peers, viewer, answer, said: [const { Vec::new() }; 2] };
        connection.viewer.answered(&connection.answer);
        for _ in 0..HANDSHAKE {
            if connection.viewer.connected && connection.viewer.open_channels == 4 {
                return connection;
            }
            connection.turn();
        }
        panic!("no connection after {HANDSHAKE} turns");
    }

    /// Whether rtc still has the peer.
    pub(crate) fn is_open(&self) -> bool {
        self.peers.count() > 0 && !self.viewer.closed
    }

    /// Passes on what both sides have sent, and lets a millisecond pass.
    pub(crate) fn turn(&mut self) {
        self.now += Duration::from_millis(1);
        self.said = [const { Vec::new() }; 2];
        self.viewer.advance(self.now);
        for sent in std::mem::take(&mut self.viewer.sent) {
            self.deliver(&sent.contents);
            self.said[0].push(sent.contents);
        }
        if self.peers.deadline().is_some_and(|due| due <= self.now) {
            self.peers.timeout(self.now);
        }
        while let Some(output) = self.peers.poll_output() {
            match output {
                Output::Transmit(datagram) => {
                    assert!(!datagram.contents.is_empty());
                    if datagram.destination == SocketAddr::from(BROWSER) {
                        let from = SERVER.into();
                        self.viewer.receive(self.now, from, BROWSER.into(), &datagram.contents);
                        self.said[1].push(datagram.contents);
                    }
                }
                // A panic that cost one connection only.
                Output::Ended { ending, .. } => assert_ne!(ending, Ending::Broken),
                _ => {}
            }
        }
    }

    /// A datagram from the viewer's address.
    pub(crate) fn deliver(&mut self, datagram: &[u8]) {
        self.peers.datagram(self.now, BROWSER.into(), SERVER.into(), datagram);
    }

    /// Lets so many times eight milliseconds pass.
    pub(crate) fn wait(&mut self, content: &[u8]) {
        let millis = content.first().copied().unwrap_or(0);
        self.now += Duration::from_millis(u64::from(millis) * 8);
    }
}
