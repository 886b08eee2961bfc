//! What goes into a peer, and what comes out of it.

use std::net::SocketAddr;

use lumen_ipc::message::packets::FrameStamps;
use str0m::Input as RtcInput;

use super::{
    alert::FatalAlert,
    channel::{ChannelViolation, Said},
    media::VideoFrame,
    transfer::PageSays,
};

/// What happens to a peer.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "lives on the stack for one call, never stored")]
pub enum Input<'a> {
    /// A datagram that [`Peer::accepts`](super::Peer::accepts).
    Datagram(RtcInput<'a>),
    /// One of the browser's addresses.
    Candidate(&'a str),
    /// A message for the browser's page, encoded by [`encode`](super::encode).
    Message(&'a [u8]),
    /// A message of the `transfer` channel, encoded by [`transfer`](super::transfer).
    Transfer(&'a [u8]),
    /// The page broke a rule that is not this machine's.
    Violated(ChannelViolation),
    /// An alert in a datagram that [`Peer::accepts`](super::Peer::accepts).
    Refused(FatalAlert),
    /// Our address at the relay is another one, or there is none any more.
    RelayedAddress(Option<SocketAddr>),
    /// A picture.
    Video(&'a VideoFrame),
    /// Pictures that follow do not build on those before: wait for a keyframe.
    VideoInterrupted,
    /// Time has come.
    Timeout,
    /// It must end.
    Close,
}

/// What a peer wants.
#[derive(Debug)]
pub enum Output {
    /// To send.
    Transmit(Datagram),
    /// To tell.
    Event(PeerEvent),
}

/// Bytes to send from one of our addresses to one of the browser's.
#[derive(Debug)]
pub struct Datagram {
    /// Ours.
    pub source: SocketAddr,
    /// The browser's.
    pub destination: SocketAddr,
    /// What the relay wants in front of it.
    pub header: Option<[u8; 4]>,
    /// What.
    pub contents: Vec<u8>,
}

impl Datagram {
    /// Bytes in all.
    #[must_use]
    pub fn length(&self) -> usize {
        self.header.map_or(0, |header| header.len()) + self.contents.len()
    }
}

/// Something others must know.
#[derive(Debug, PartialEq)]
pub enum PeerEvent {
    /// The viewer did something.
    Said(Said),
    /// The page said something about the clipboard.
    ClipboardSaid(PageSays),
    /// The page can be told about the clipboard from now on.
    ClipboardWanted,
    /// The browser must know this address of ours, too.
    CandidateFound(String),
    /// Pictures can flow.
    Connected,
    /// It is over.
    Ended(Ending),
    /// The network is believed to carry another amount.
    EstimateChanged {
        /// In bit/s.
        bps: u64,
    },
    /// The last packet of a frame left.
    FrameSent(FrameStamps),
    /// The page can be told things from now on.
    MessagesWanted,
}

/// Why a peer is over.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Ending {
    /// We were asked to.
    #[error("closed")]
    Asked,
    /// The browser closed its end.
    #[error("the browser closed the connection")]
    Closed,
    /// WebRTC broke.
    #[error("the connection failed: {0}")]
    Failed(String),
    /// The browser will not secure the connection.
    #[error("the browser refused to secure it, {0}")]
    Unsecured(FatalAlert),
    /// Nothing was heard of the browser.
    #[error("the browser is out of reach")]
    Lost,
    /// The page sent what it must not.
    #[error("the page sent {0}")]
    Violation(#[from] ChannelViolation),
}
