//! The ends of data links, and their bounded queues.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use lumen_ipc::{
    codec::{Message, ProtocolViolation, Violation},
    link::LinkName,
    message::{
        grants::LossReason,
        packets::{ToMedia, ToRtc, VideoPacket},
        signalling,
    },
    units::StreamId,
    video::VideoFormats,
};
use lumen_ipc_runtime::{
    bootstrap::Grant,
    channel::{NotALink, ReceiveError, Received, SendError},
    link_end::{GiveUp, LinkEnd},
    shm::{MapError, SharedView},
};

use crate::ring::StreamRing;

/// Most answers that wait for a busy gateway: a healthy one reads them faster than browsers make
/// offers.
const MAX_ANSWERS_WAITING: usize = 64;

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Over {
    /// The peer closed its end: it restarts.
    #[error("the other end is closed")]
    Gone,
    /// The peer broke the contract.
    #[error(transparent)]
    Violation(#[from] ProtocolViolation),
    /// The peer does not read.
    #[error("the other side does not read")]
    Deaf,
    /// Something failed on our side.
    #[error("the link failed: {0}")]
    Failed(String),
}

impl Over {
    /// The reason that is reported to the supervisor.
    pub(super) const fn verdict(&self) -> GiveUp {
        match self {
            Self::Gone => GiveUp::Lost(LossReason::Closed),
            Self::Violation(_) => GiveUp::Violated,
            Self::Deaf => GiveUp::Lost(LossReason::Full),
            Self::Failed(_) => GiveUp::Lost(LossReason::Failed),
        }
    }
}

/// Receives one message; `None` when none is waiting.
pub(super) fn receive<In: Message, Out: Message>(
    end: &LinkEnd<In, Out>,
) -> Result<Option<Received<In>>, Over> {
    match end.receive() {
        Ok(received) => Ok(Some(received)),
        Err(ReceiveError::Empty) => Ok(None),
        Err(ReceiveError::Closed) => Err(Over::Gone),
        Err(ReceiveError::Violation(violation)) => Err(violation.into()),
        Err(ReceiveError::Io(error)) => Err(Over::Failed(error.to_string())),
    }
}

/// Sends one message; `false` when the link is full. A closed other end is noticed by reading,
/// after everything it sent before.
pub(super) fn send<In: Message, Out: Message>(
    end: &LinkEnd<In, Out>,
    message: &Out,
) -> Result<bool, Over> {
    match end.send(message, &[]) {
        Ok(()) | Err(SendError::Closed) => Ok(true),
        Err(SendError::Full) => Ok(false),
        Err(error) => Err(Over::Failed(error.to_string())),
    }
}

/// Sends waiting messages, the oldest first, until the link is full.
pub(super) fn send_waiting<In: Message, Out: Message>(
    end: &LinkEnd<In, Out>,
    waiting: &mut VecDeque<Out>,
) -> Result<(), Over> {
    while let Some(message) = waiting.front() {
        if !send(end, message)? {
            break;
        }
        waiting.pop_front();
    }
    Ok(())
}

/// An end of a link whose other side may be absent.
#[derive(Debug)]
pub(super) struct MaybeEnd<In, Out>(Option<LinkEnd<In, Out>>);

impl<In, Out> Default for MaybeEnd<In, Out> {
    fn default() -> Self {
        Self(None)
    }
}

impl<In: Message, Out: Message> MaybeEnd<In, Out> {
    pub(super) fn attach(&mut self, grant: Grant) -> Result<(), NotALink> {
        self.0 = Some(grant.into_link_end()?);
        Ok(())
    }

    /// Closes the end, for the reason `why`.
    pub(super) fn detach(&mut self, why: GiveUp) {
        if let Some(end) = self.0.take() {
            end.give_up(why);
        }
    }

    /// The next message of the other side.
    pub(super) fn next(&self) -> Result<Option<In>, Over> {
        let Some(end) = &self.0 else { return Ok(None) };
        Ok(receive(end)?.map(|received| received.message))
    }

    pub(super) const fn get(&self) -> Option<&LinkEnd<In, Out>> {
        self.0.as_ref()
    }

    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(AsFd::as_fd)
    }
}

/// A message from media.
#[derive(Debug)]
pub(super) enum FromMedia {
    /// It can encode these formats.
    Formats(VideoFormats),
    /// It made a picture.
    Picture(Picture),
}

/// An encoded picture, copied out of the ring.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) packet: VideoPacket,
    pub(super) data: Arc<[u8]>,
}

/// The end of `packets`, with the ring of encoded pictures.
#[derive(Debug)]
pub(super) struct Packets {
    end: LinkEnd<ToRtc, ToMedia>,
    video: StreamRing<SharedView>,
    unreported: bool,
}

impl Packets {
    pub(super) fn new(grant: Grant) -> Result<Self, NotALink> {
        let (end, video) = (grant.into_link_end()?, StreamRing::new(StreamId::VIDEO));
        Ok(Self { end, video, unreported: false })
    }

    pub(super) fn give_up(&self, why: GiveUp) {
        self.end.give_up(why);
    }

    /// The next message of media; a picture's bytes are copied once.
    pub(super) fn next(&mut self) -> Result<Option<FromMedia>, Over> {
        while let Some(received) = receive(&self.end)? {
            match received.message {
                ToRtc::FormatsOffered { stream, formats } => {
                    self.video.check(stream).map_err(violation)?;
                    return Ok(Some(FromMedia::Formats(formats)));
                }
                ToRtc::RingAnnounced { stream, capacity } => {
                    let descriptor = received.descriptors.into_iter().next();
                    let descriptor = descriptor.ok_or_else(|| illegal("a ring without memory"))?;
                    let bytes = usize::try_from(capacity.bytes()).unwrap_or(usize::MAX);
                    let view = SharedView::map(descriptor, bytes).map_err(unusable)?;
                    self.video.announce(stream, capacity, view).map_err(violation)?;
                }
                ToRtc::RingRetired { stream } => {
                    self.video.retire(stream).map_err(violation)?;
                    self.unreported = false;
                }
                ToRtc::VideoPacket(packet) => {
                    let data = self.copy(&packet)?;
                    self.report()?;
                    return Ok(Some(FromMedia::Picture(Picture { packet, data })));
                }
            }
        }
        Ok(None)
    }

    /// Reports the read position to media, unless it was reported.
    pub(super) fn report(&mut self) -> Result<(), Over> {
        let Some(position) = self.video.position() else { return Ok(()) };
        let message = ToMedia::RingConsumed { stream: self.video.stream(), position };
        self.unreported = !send(&self.end, &message)?;
        Ok(())
    }

    pub(super) const fn wants_to_send(&self) -> bool {
        self.unreported
    }

    fn copy(&mut self, packet: &VideoPacket) -> Result<Arc<[u8]>, Over> {
        let (view, offset) = self.video.accept(packet.stream, packet.span).map_err(violation)?;
        let start = usize::try_from(offset).map_err(|_| illegal("a span outside the ring"))?;
        let end = start.saturating_add(packet.span.length as usize);
        let bytes =
            view.bytes().get(start..end).ok_or_else(|| illegal("a span outside the ring"))?;
        Ok(Arc::from(bytes))
    }
}

impl AsFd for Packets {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }
}

/// A violation by media, or an error of ours in mapping correct memory.
fn unusable(error: MapError) -> Over {
    if error.is_our_own() {
        return Over::Failed(error.to_string());
    }
    illegal("a ring that is not the announced sealed memory")
}

fn illegal(what: &'static str) -> Over {
    violation(Violation::Illegal(what))
}

fn violation(what: Violation) -> Over {
    ProtocolViolation { link: LinkName::Packets, what }.into()
}

/// The end of `signalling`, and its queue of answers.
#[derive(Debug)]
pub(super) struct Signalling {
    end: LinkEnd<signalling::ToRtc, signalling::ToGateway>,
    waiting: VecDeque<signalling::ToGateway>,
}

impl Signalling {
    pub(super) fn new(grant: Grant) -> Result<Self, NotALink> {
        Ok(Self { end: grant.into_link_end()?, waiting: VecDeque::new() })
    }

    pub(super) fn give_up(&self, why: GiveUp) {
        self.end.give_up(why);
    }

    pub(super) fn next(&self) -> Result<Option<signalling::ToRtc>, Over> {
        Ok(receive(&self.end)?.map(|received| received.message))
    }

    pub(super) fn push(&mut self, message: signalling::ToGateway) -> Result<(), Over> {
        if self.waiting.len() >= MAX_ANSWERS_WAITING {
            return Err(Over::Deaf);
        }
        self.waiting.push_back(message);
        self.flush()
    }

    pub(super) fn flush(&mut self) -> Result<(), Over> {
        send_waiting(&self.end, &mut self.waiting)
    }

    pub(super) fn wants_to_send(&self) -> bool {
        !self.waiting.is_empty()
    }
}

impl AsFd for Signalling {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }
}
