//! The inputs and outputs of a peer.

use std::net::SocketAddr;

use lumen_ipc::message::packets::FrameStamps;
use str0m::Input as RtcInput;

use super::{
    alert::FatalAlert,
    channel::{ChannelViolation, Said},
    media::VideoFrame,
    speech::Utterance,
    transfer::PageSays,
};
use crate::sound::SoundFrame;

/// An input of a peer.
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
    /// The page broke a rule that is checked outside this machine.
    Violated(ChannelViolation),
    /// An alert in a datagram that [`Peer::accepts`](super::Peer::accepts).
    Refused(FatalAlert),
    /// Our address at the relay changed, or was lost.
    RelayedAddress(Option<SocketAddr>),
    /// A picture.
    Video(&'a VideoFrame),
    /// A frame of sound.
    Sound(&'a SoundFrame),
    /// Later pictures do not refer to earlier ones: wait for a keyframe.
    VideoInterrupted,
    /// A deadline has passed.
    Timeout,
    /// Close the peer.
    Close,
}

/// An output of a peer.
#[derive(Debug)]
pub enum Output {
    /// A datagram to send.
    Transmit(Datagram),
    /// An event to handle.
    Event(PeerEvent),
}

/// Bytes to send from one of our addresses to one of the browser's.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Our address.
    pub source: SocketAddr,
    /// The browser's address.
    pub destination: SocketAddr,
    /// The header for the relay.
    pub header: Option<[u8; 4]>,
    /// The payload.
    pub contents: Vec<u8>,
}

impl Datagram {
    /// Length with the header.
    #[must_use]
    pub fn length(&self) -> usize {
        self.header.map_or(0, |header| header.len()) + self.contents.len()
    }
}

/// An event for others.
#[derive(Debug, PartialEq)]
pub enum PeerEvent {
    /// A message from the viewer.
    Said(Said),
    /// A message from the page about the clipboard.
    ClipboardSaid(PageSays),
    /// The page's clipboard channel is open.
    ClipboardWanted,
    /// The browser must learn this address of ours, too.
    CandidateFound(String),
    /// Pictures can flow.
    Connected,
    /// The peer has ended.
    Ended(Ending),
    /// The last packet of a frame was sent.
    FrameSent(FrameStamps),
    /// The page's message channel is open.
    MessagesWanted,
    /// The viewer said something.
    Spoke(Utterance),
}

/// Why a peer ended.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Ending {
    /// It was closed on request.
    #[error("closed")]
    Asked,
    /// The browser closed its end.
    #[error("the browser closed the connection")]
    Closed,
    /// WebRTC failed.
    #[error("the connection failed: {0}")]
    Failed(String),
    /// What the browser sent met a bug.
    #[error("what the browser sent met a bug of ours")]
    Broken,
    /// The browser refused to secure the connection.
    #[error("the browser refused the secure connection {0}")]
    Unsecured(FatalAlert),
    /// Nothing was received from the browser for too long.
    #[error("the browser does not respond")]
    Lost,
    /// The page sent an illegal message.
    #[error("the page sent {0}")]
    Violation(#[from] ChannelViolation),
}
