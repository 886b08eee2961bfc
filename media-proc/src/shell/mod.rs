//! The worker as the supervisor sees it: the grants it takes at start, and its event loop.
//!
//! The loop sleeps on the links, the tuning desk and the supervisor until the deadline that the
//! session names. All work on waking is done in `session`.

mod drawing;
mod encoders;
mod figures;
mod held;
mod outlet;
mod screen;
mod session;
mod sharing;
mod shown;
mod source;
#[cfg(test)]
mod tests;
mod trial;
mod tuning;
mod watch;

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};

use lumen_ipc::{
    codec::{EncodeError, ProtocolViolation},
    graphics::{EncoderUse, Encoding, Judgement, NodeUse},
    link::LinkName,
    message::grants::{LossReason, ToWorker},
    process::{ExitCode, Worker as WorkerName},
    service::MediaConfig,
    text::Text,
    units::{FrameSize, StreamId},
};
use lumen_ipc_runtime::{
    bootstrap::{Grant, ServeError, StartError, Supervision, SupervisorEvent, Worker},
    channel::{NotALink, ReceiveError, SendError},
    confine::Policy,
    link_end::{GiveUp, LinkGuard},
    metrics::Registry,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::{info, warn};

use self::{
    drawing::{Drawing, NoDrawing},
    outlet::Outlet,
    session::Session,
    trial::Trial,
    tuning::Desk,
};
use crate::{
    convert::{Frame, MacroblockMap, Planes},
    draw::{self, gl::Unusable},
    effort::Effort,
    policy,
    video::{Encoder, Picture, PictureKind, Quantizer, vaapi::Device},
};

/// The media worker.
#[derive(Debug)]
pub struct Media {
    session: Session,
    tuning: Option<(OwnedFd, LinkGuard)>,
    node: Node,
    /// What is tried instead of serving a session.
    trial: Option<Trial>,
    /// The link of packets, until it is known which formats there are.
    packets: Option<Grant>,
}

/// What becomes of a render node.
#[derive(Debug)]
enum Node {
    /// There is none, or it is of no use.
    None,
    /// It was granted, opened once for drawing and perhaps once more for encoding, and is to be tried.
    Granted([Option<Grant>; 2], NodeUse),
    /// Media draws by it.
    Drawing,
}

/// Why a link end is closed.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// The other side closed its end, usually because it restarts.
    #[error("the other side closed the link")]
    Gone,
    /// The other side broke the contract.
    #[error(transparent)]
    Violation(#[from] ProtocolViolation),
    /// The driver that draws has failed; media ends.
    #[error("the graphics processor or its driver failed")]
    Drawing(#[source] Unusable),
    /// An I/O error on the link or on our side of it.
    #[error("the link failed")]
    Io(#[source] io::Error),
    /// A message cannot be sent.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The other side does not read, though it is never sent more than it asked for.
    #[error("the other side does not read what it asked for")]
    Deaf,
    /// The granted descriptor is not a link end.
    #[error(transparent)]
    NotALink(#[from] NotALink),
}

impl Broken {
    /// The reason that is reported to the supervisor.
    fn verdict(&self) -> GiveUp {
        match self {
            Self::Violation(_) => GiveUp::Violated,
            Self::Gone => GiveUp::Lost(LossReason::Closed),
            Self::Deaf => GiveUp::Lost(LossReason::Full),
            Self::Drawing(_) | Self::Io(_) | Self::Encode(_) => GiveUp::Lost(LossReason::Failed),
            Self::NotALink(_) => GiveUp::Lost(LossReason::Unusable),
        }
    }
}

impl From<SendError> for Broken {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Encode(error) => Self::Encode(error),
            SendError::Full => Self::Deaf,
            SendError::Io(error) => Self::Io(error),
            SendError::Closed => Self::Gone,
        }
    }
}

impl From<ReceiveError> for Broken {
    fn from(error: ReceiveError) -> Self {
        match error {
            // Callers treat `Empty` as the end of a round, so it does not reach this point.
            ReceiveError::Empty => Self::Io(io::ErrorKind::WouldBlock.into()),
            ReceiveError::Io(error) => Self::Io(error),
            ReceiveError::Closed => Self::Gone,
            ReceiveError::Violation(violation) => Self::Violation(violation),
        }
    }
}

impl Worker for Media {
    const WORKER: WorkerName = WorkerName::Media;
    type Config = MediaConfig;

    fn acquire(config: MediaConfig, mut grants: Vec<Grant>) -> Result<Self, StartError> {
        let trial = Trial::of(&mut grants, config.node);
        let encoder = encoder(&config)?;
        let formats = Encoder::formats(false);
        let outlet = Outlet::new(StreamId::VIDEO, formats)
            .map_err(|error| StartError::caused("cannot make the packet ring", error))?;
        let desk = Desk::new(StreamId::VIDEO)
            .map_err(|error| StartError::caused("cannot make an eventfd", error))?;
        let session = Session::new(&config, encoder, outlet, desk, Instant::now());
        let mut media = Self { session, tuning: None, node: Node::None, trial, packets: None };
        if config.node.is_some() {
            draw::prepare();
        }
        for grant in grants {
            let what = grant.what;
            if what == ToWorker::RenderNode
                && let Some(told) = config.node
            {
                media.node = match std::mem::replace(&mut media.node, Node::None) {
                    Node::Granted([Some(first), _], told) => {
                        Node::Granted([Some(first), Some(grant)], told)
                    }
                    _ => Node::Granted([Some(grant), None], told),
                };
                continue;
            }
            let of_packets = matches!(what, ToWorker::LinkEnd { link: LinkName::Packets, .. });
            if of_packets && config.node.is_some_and(|told| told.encode != EncoderUse::Never) {
                media.packets = Some(grant);
                continue;
            }
            media
                .accept(grant)
                .map_err(|error| StartError::caused(format!("cannot use grant {what:?}"), error))?;
        }
        Ok(media)
    }

    fn warm(&mut self) {
        if let Some(trial) = &mut self.trial {
            trial.warm();
            return;
        }
        if let Node::Granted(grants, told) = std::mem::replace(&mut self.node, Node::None) {
            self.try_node(grants, told);
        }
        if let Some(grant) = self.packets.take()
            && let Err(error) = self.accept(grant)
        {
            // The supervisor learns of it, and brings another end.
            warn!(%error, "the link of packets cannot be used");
        }
    }

    fn metrics(&self) -> Registry {
        self.session.registry()
    }

    fn policy(&self) -> Policy {
        match (&self.trial, &self.node) {
            (Some(trial), _) => trial.policy(),
            (None, Node::None) => policy::policy(),
            (None, Node::Granted(..) | Node::Drawing) => policy::drawing(),
        }
    }

    fn serve(mut self, supervision: Supervision) -> Result<(), ServeError> {
        if let Some(trial) = self.trial.take() {
            return trial.run();
        }
        loop {
            if let Some((tuning, guard)) = self.tuning.take() {
                self.session.desk().serve(tuning, guard, &supervision.handle());
            }
            let deadline = self.session.turn(Instant::now()).map_err(|error| {
                match error.is_of_graphics() {
                    true => ServeError::coded(ExitCode::GpuLost, "no picture can be made", error),
                    false => ServeError::caused("no picture can be encoded", error),
                }
            })?;
            if let Some(summary) = self.session.new_summary() {
                supervision.set_summary(summary);
            }
            let writable = self
                .wait(&supervision, deadline)
                .map_err(|error| ServeError::caused("cannot wait for events", error))?;
            if writable {
                self.session.packets_writable();
            }
            while let Some(event) = supervision.next() {
                match event {
                    SupervisorEvent::Drain => {
                        self.session.end();
                        return Ok(());
                    }
                    SupervisorEvent::Granted(grant) => {
                        let what = grant.what;
                        if let Err(error) = self.accept(grant) {
                            warn!(?what, %error, "a granted descriptor cannot be used");
                        }
                    }
                }
            }
        }
    }
}

impl Media {
    /// Draws by a node and encodes by it, as far as that is to be and can be, and says what came of it. Each driver has
    /// an opening of the node: in a common one they would have common names for buffers, and give each other's back.
    fn try_node(&mut self, [for_drawing, for_encoding]: [Option<Grant>; 2], told: NodeUse) {
        let Some(grant) = for_drawing else { return };
        let opened = grant.descriptor.try_clone().map_err(NoDrawing::Node);
        match opened.and_then(|node| Drawing::open(node, told.software)) {
            Ok(mut drawing) => {
                let renderer = Text::truncated(drawing.renderer());
                info!(%renderer, "drawing by a graphics processor");
                let encoding = match (told.encode, for_encoding) {
                    (EncoderUse::Never, _) | (_, None) => {
                        Encoding::Processor { reason: Text::default() }
                    }
                    (told, Some(grant)) => self.encode_by(grant.descriptor, &mut drawing, told),
                };
                grant.judge(Judgement::Draws { renderer, encoding });
                self.session.draw_with(drawing);
                self.node = Node::Drawing;
            }
            Err(error) => {
                let reason = Text::truncated(error.to_string());
                grant.judge(Judgement::Declines { reason });
            }
        }
    }

    /// Lets the graphics processor of a node encode, if it can, and says what encodes.
    fn encode_by(&mut self, node: OwnedFd, drawing: &mut Drawing, told: EncoderUse) -> Encoding {
        let opening = drawing.parts().1.opening();
        let opened = Device::open(node).map_err(|error| error.to_string());
        drop(opening);
        let encoding = opened.and_then(|device| {
            let opened = self.session.encode_with(device, drawing, told);
            opened.map_err(|error| error.to_string())
        });
        encoding.unwrap_or_else(|reason| {
            warn!(%reason, "the graphics processor does not encode");
            Encoding::Processor { reason: Text::truncated(reason) }
        })
    }

    /// Takes a link end, replacing the one before.
    fn accept(&mut self, grant: Grant) -> Result<(), Broken> {
        match grant.what {
            ToWorker::LinkEnd { link: LinkName::Frames, .. } => {
                self.session.attach_frames(grant.into_link_end()?);
            }
            ToWorker::LinkEnd { link: LinkName::Packets, .. } => {
                self.session.attach_packets(grant.into_link_end()?);
            }
            ToWorker::LinkEnd { link: LinkName::Tuning, .. } => {
                self.tuning = Some(grant.into_guarded()?)
            }
            what => info!(?what, "closed a grant that media does not use"),
        }
        Ok(())
    }

    /// Sleeps until an event or `deadline`. Returns whether packets can be sent again.
    fn wait(&self, supervision: &Supervision, deadline: Option<Instant>) -> io::Result<bool> {
        let desk = self.session.desk();
        let mut interests = vec![
            PollFd::from_borrowed_fd(supervision.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(desk.as_fd(), PollFlags::IN),
        ];
        let poll_for = |(link, writing)| {
            let flags = if writing { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            PollFd::from_borrowed_fd(link, flags)
        };
        interests.extend(self.session.frames_interest().map(poll_for));
        let packets_at = interests.len();
        interests.extend(self.session.packets_interest().map(poll_for));
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        // Deadlines are at most some seconds away.
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut interests, timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        }
        let packets = interests.get(packets_at);
        Ok(packets.is_some_and(|packets| packets.revents().contains(PollFlags::OUT)))
    }
}

/// An encoder for the desktop's first size that has already encoded one picture, so that neither
/// opening it nor touching its memory for the first time delays a viewer's first picture. It runs
/// before confinement, because x264 and the converter examine the processor.
fn encoder(config: &MediaConfig) -> Result<Encoder, StartError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        StartError::caused("the encoder does not encode", error)
    };
    let best = Encoder::formats(false).iter().next();
    let best = best.ok_or_else(|| StartError::new("nothing can be encoded"))?;
    let mut encoder = Encoder::open(best, config.size, config.max_fps, config.bitrate)
        .map_err(|error| failed(error.into()))?;
    let size = FrameSize::nearest(64, 64);
    let pixels = vec![0; size.frame_bytes()];
    let frame =
        Frame::new(&pixels, size.stride_bytes(), size).map_err(|error| failed(error.into()))?;
    Planes::new(size)
        .update(frame, &MacroblockMap::whole(size))
        .map_err(|error| failed(error.into()))?;

    let picture = Picture {
        planes: &Planes::new(config.size),
        changed: &MacroblockMap::constant(config.size),
        kind: PictureKind::Key,
        quantizer: Quantizer::COARSEST,
        effort: Effort::Thorough,
    };
    encoder.encode(picture).map_err(|error| failed(error.into()))?;
    Ok(encoder)
}
