//! The event loop: sockets in, [`Compositor`] turned, and sleep until something is due.
//!
//! There are no periodic timers: the loop's only deadline is the one the last turn asked for.
//!
//! A link end that closes means that the other worker restarts; a new end comes as a grant. An end that we
//! close says itself why, and a new one comes as well.

mod apps;
mod compositor;
mod gate;
mod kernel;
mod presence;
pub mod transfers;

use std::{
    collections::BTreeMap,
    fmt::Display,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixListener,
    },
    rc::Rc,
    time::{Duration, Instant},
};

use lumen_ipc::{
    codec::Message,
    link::LinkName,
    message::{desktop, grants::ToWorker, presence as presence_messages, voice},
};
use lumen_ipc_runtime::{
    bootstrap::{Grant, ServeError, Supervision, SupervisorEvent},
    channel::{NotALink, ReceiveError},
    link_end::{GiveUp, LinkEnd},
    log::RateLimit,
};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use smithay::reexports::calloop::{
    EventLoop, Interest, LoopHandle, Mode, PostAction, RegistrationToken, generic::Generic,
};
use tracing::{debug, warn};

use self::transfers::WatchId;
pub use self::{
    compositor::{Compositor, CreateError, DesktopLink, InputLink},
    kernel::Os,
    presence::{PresenceLink, VoiceLink},
};

/// Most messages taken from one link in a turn, so that a flood on it starves nobody.
const BATCH: usize = 64;

/// A running compositor.
pub struct Shell {
    events: EventLoop<'static, Turn>,
    turn: Turn,
}

/// What event sources work on.
struct Turn {
    compositor: Compositor,
    handle: LoopHandle<'static, Self>,
    supervision: Option<Rc<Supervision>>,
    sources: Sources,
    draining: bool,
    summary: String,
}

/// Gives the compositor a link's end, or none once it is over.
type Place<In, Out> = fn(&mut Compositor, Option<Rc<LinkEnd<In, Out>>>);

/// The registered sources that a grant can replace.
#[derive(Default)]
struct Sources {
    listener: Option<RegistrationToken>,
    frames: Option<RegistrationToken>,
    input: Option<RegistrationToken>,
    desktop: Option<RegistrationToken>,
    presence: Option<RegistrationToken>,
    voice: Option<RegistrationToken>,
    transfer: Option<RegistrationToken>,
    /// Pipes of apps that a transfer waits for.
    pipes: BTreeMap<WatchId, RegistrationToken>,
    /// Held while descriptors are plenty, given up to refuse an app when there are none left.
    spare: Option<OwnedFd>,
}

/// A shell that cannot be set up, or a grant that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The event loop.
    #[error("cannot watch a descriptor")]
    Watch(#[from] smithay::reexports::calloop::Error),
    /// A descriptor.
    #[error("cannot prepare a descriptor")]
    Descriptor(#[from] io::Error),
    /// A link end.
    #[error("the descriptor granted as the end of link {0} is none")]
    NotALink(LinkName, #[source] NotALink),
    /// A grant that is not the compositor's.
    #[error("a compositor has no use for {0:?}")]
    Useless(ToWorker),
}

impl Shell {
    /// A shell around `compositor` that listens to nobody but connected apps.
    ///
    /// # Errors
    /// [`ShellError`] when the kernel refuses.
    pub fn new(compositor: Compositor) -> Result<Self, ShellError> {
        let events = EventLoop::try_new()?;
        let apps = compositor.interest().try_clone_to_owned()?;
        let source = Generic::new(apps, Interest::READ, Mode::Level);
        insert(&events.handle(), source, |turn: &mut Turn, _| {
            turn.compositor.dispatch_clients();
            Ok(PostAction::Continue)
        })?;
        let turn = Turn {
            compositor,
            handle: events.handle(),
            supervision: None,
            sources: Sources::default(),
            draining: false,
            summary: String::new(),
        };
        Ok(Self { events, turn })
    }

    /// Takes a descriptor into use, in place of the one of its name.
    ///
    /// # Errors
    /// [`ShellError`] when it is not what it is said to be.
    pub fn grant(&mut self, grant: Grant) -> Result<(), ShellError> {
        self.turn.grant(grant)
    }

    /// Waits for the next event, or for `patience` to pass, and does what follows from it.
    ///
    /// # Errors
    /// [`ShellError`] when the event loop itself fails.
    pub fn turn(&mut self, patience: Option<Duration>) -> Result<(), ShellError> {
        let due = self.turn.compositor.settle();
        self.turn.watch_pipes();
        let asked = Instant::now();
        let due = due.map(|due| due.saturating_duration_since(asked));
        let wait = [due, patience].into_iter().flatten().min();
        self.events.dispatch(wait, &mut self.turn)?;
        self.turn.compositor.release_lapsed(asked);
        Ok(())
    }

    /// The compositor, for tests and benches.
    pub const fn compositor(&mut self) -> &mut Compositor {
        &mut self.turn.compositor
    }

    /// Serves until the supervisor asks to drain.
    ///
    /// # Errors
    /// [`ServeError`] when the event loop itself fails.
    pub fn serve(mut self, supervision: Supervision) -> Result<(), ServeError> {
        let failed = |error: ShellError| ServeError::caused("the event loop failed", error);
        let supervision = Rc::new(supervision);
        self.turn.supervision = Some(Rc::clone(&supervision));
        let source = Generic::new(supervision, Interest::READ, Mode::Level);
        insert(&self.events.handle(), source, |turn: &mut Turn, supervision| {
            turn.take_leases();
            while let Some(event) = supervision.next() {
                turn.obey(event);
            }
            Ok(PostAction::Continue)
        })
        .map_err(failed)?;
        while !self.turn.draining {
            self.turn.summarise();
            self.turn(None).map_err(failed)?;
        }
        self.turn.compositor.flush();
        Ok(())
    }
}

impl Turn {
    fn obey(&mut self, event: SupervisorEvent) {
        match event {
            SupervisorEvent::Drain => self.draining = true,
            SupervisorEvent::Granted(grant) => {
                if let Err(error) = self.grant(grant) {
                    warn!(error = &error as &dyn std::error::Error, "a grant is useless");
                }
            }
        }
    }

    fn take_leases(&mut self) {
        let leases = self.supervision.as_ref().and_then(|supervision| supervision.new_leases());
        if let Some(leases) = leases {
            self.compositor.set_leases(&leases);
        }
    }

    fn grant(&mut self, grant: Grant) -> Result<(), ShellError> {
        match grant.what {
            ToWorker::BridgeClient => {
                self.compositor.accept_bridge(grant.descriptor.into());
                Ok(())
            }
            ToWorker::WaylandListener => self.listen(grant.descriptor),
            ToWorker::LinkEnd { link: link @ LinkName::Frames, .. } => self.attach(
                (link, grant),
                |sources| &mut sources.frames,
                |compositor, message| {
                    compositor.apply_media(message).map_err(|violation| violation.to_string())
                },
                |compositor, link| match link {
                    Some(link) => compositor.attach_media(link),
                    None => compositor.detach_media(),
                },
            ),
            ToWorker::LinkEnd { link: LinkName::Input, .. } => self.attach_input(grant),
            ToWorker::LinkEnd { link: link @ LinkName::Desktop, .. } => self.attach(
                (link, grant),
                |sources| &mut sources.desktop,
                |_, nothing: desktop::ToCompositor| match nothing {},
                Compositor::set_desktop_link,
            ),
            ToWorker::LinkEnd { link: link @ LinkName::Presence, .. } => self.attach(
                (link, grant),
                |sources| &mut sources.presence,
                |_, nothing: presence_messages::ToCompositor| match nothing {},
                Compositor::set_presence_link,
            ),
            ToWorker::LinkEnd { link: link @ LinkName::Transfer, .. } => self.attach(
                (link, grant),
                |sources| &mut sources.transfer,
                |compositor, message| {
                    compositor.apply_transfer(message).map_err(|violation| violation.to_string())
                },
                Compositor::set_transfer_link,
            ),
            ToWorker::LinkEnd { link: link @ LinkName::Voice, .. } => self.attach(
                (link, grant),
                |sources| &mut sources.voice,
                |_, nothing: voice::ToCompositor| match nothing {},
                Compositor::set_voice_link,
            ),
            other => Err(ShellError::Useless(other)),
        }
    }

    fn listen(&mut self, descriptor: OwnedFd) -> Result<(), ShellError> {
        fcntl(&descriptor, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(io::Error::from)?;
        self.sources.spare = Some(descriptor.try_clone()?);
        let source = Generic::new(UnixListener::from(descriptor), Interest::READ, Mode::Level);
        let token = insert(&self.handle, source, |turn: &mut Self, listener| {
            turn.accept_all(listener);
            Ok(PostAction::Continue)
        })?;
        self.replace(|sources| &mut sources.listener, token);
        Ok(())
    }

    fn accept_all(&mut self, listener: &UnixListener) {
        static LIMIT: RateLimit = RateLimit::per_second(1);
        for _ in 0..BATCH {
            match listener.accept() {
                Ok((stream, _)) => self.compositor.accept(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    if LIMIT.allows() {
                        warn!(suppressed = LIMIT.suppressed(), %error, "an app is refused");
                    }
                    return self.refuse_one(listener);
                }
            }
        }
    }

    /// With no descriptor left, a waiting app would wake the loop for ever: takes it in with the
    /// spare one and drops it.
    fn refuse_one(&mut self, listener: &UnixListener) {
        self.compositor.state.metrics.clients_refused.increment();
        if self.sources.spare.take().is_some() {
            drop(listener.accept());
        }
        self.sources.spare = listener.as_fd().try_clone_to_owned().ok();
    }

    /// Takes a link's end, which goes to `place`; its messages go to `apply`.
    fn attach<In: Message + 'static, Out: Message + 'static>(
        &mut self,
        (link, grant): (LinkName, Grant),
        slot: fn(&mut Sources) -> &mut Option<RegistrationToken>,
        apply: fn(&mut Compositor, In) -> Result<(), String>,
        place: Place<In, Out>,
    ) -> Result<(), ShellError> {
        let link: Rc<LinkEnd<In, Out>> = Rc::new(open(link, grant)?);
        let source = Generic::new(Rc::clone(&link), Interest::READ, Mode::Level);
        let token = insert(&self.handle, source, move |turn: &mut Self, link| {
            let open = turn.read(link, apply);
            Ok(turn.go_on(open, |compositor| place(compositor, None)))
        })?;
        self.replace(slot, token);
        place(&mut self.compositor, Some(link));
        Ok(())
    }

    fn attach_input(&mut self, grant: Grant) -> Result<(), ShellError> {
        let link: Rc<InputLink> = Rc::new(open(LinkName::Input, grant)?);
        let source = Generic::new(Rc::clone(&link), Interest::READ, Mode::Level);
        let token = insert(&self.handle, source, |turn: &mut Self, link| {
            // A viewer's proof follows the word of its lease.
            turn.take_leases();
            let open = turn.read(link, |compositor, message| {
                compositor.apply_input(message).map_err(|violation| violation.to_string())
            });
            turn.tell_doings();
            Ok(turn.go_on(open, |compositor| compositor.set_input_link(None)))
        })?;
        self.replace(|sources| &mut sources.input, token);
        self.compositor.set_input_link(Some(link));
        Ok(())
    }

    fn tell_doings(&mut self) {
        if self.compositor.take_doings()
            && let Some(supervision) = &self.supervision
        {
            supervision.tell_viewer_acts();
        }
    }

    /// Waits for exactly the pipes that transfers wait for. One that goes on is watched anew if its
    /// transfer wants that: so a pipe whose transfer is over is closed at once.
    fn watch_pipes(&mut self) {
        let wanted = self.compositor.transfers().watches();
        if wanted.is_empty() && self.sources.pipes.is_empty() {
            return;
        }
        let handle = &self.handle;
        self.sources.pipes.retain(|watch, token| {
            let keep = wanted.contains_key(watch);
            if !keep {
                handle.remove(*token);
            }
            keep
        });
        let missing = wanted.iter().filter(|(watch, _)| !self.sources.pipes.contains_key(watch));
        let missing: Vec<_> = missing.map(|(watch, pipe)| (*watch, Rc::clone(pipe))).collect();
        for (watch, pipe) in missing {
            let interest = match watch {
                WatchId::Inward(_) => Interest::WRITE,
                WatchId::Outward(_) => Interest::READ,
            };
            let source = Generic::new(pipe, interest, Mode::Level);
            let inserted = insert(&self.handle, source, move |turn: &mut Self, _| {
                turn.sources.pipes.remove(&watch);
                turn.compositor.transfer_ready(watch);
                Ok(PostAction::Remove)
            });
            match inserted {
                Ok(token) => drop(self.sources.pipes.insert(watch, token)),
                // Its transfer stands still, and is ended for that.
                Err(error) => debug!(%error, "a pipe cannot be watched"),
            }
        }
    }

    /// Takes what waits on a link. Returns whether the link is still open.
    fn read<In: Message, Out: Message>(
        &mut self,
        link: &LinkEnd<In, Out>,
        mut apply: impl FnMut(&mut Compositor, In) -> Result<(), String>,
    ) -> bool {
        for _ in 0..BATCH {
            let complaint = match link.receive() {
                Ok(received) => match apply(&mut self.compositor, received.message) {
                    Ok(()) => continue,
                    Err(complaint) => {
                        link.give_up(GiveUp::Violated);
                        complaint
                    }
                },
                Err(ReceiveError::Empty) => return true,
                Err(ReceiveError::Closed) => {
                    debug!(link = %In::LINK, "the other side closed the link");
                    return false;
                }
                Err(error @ ReceiveError::Io(_)) => {
                    warn!(link = %In::LINK, %error, "the link end is closed");
                    return false;
                }
                Err(ReceiveError::Violation(violation)) => violation.to_string(),
            };
            self.note_violation(In::LINK, &complaint);
            return false;
        }
        true
    }

    fn note_violation(&self, link: LinkName, complaint: &dyn Display) {
        warn!(%link, %complaint, "closed the link, because the other side broke the contract");
        self.compositor.state.metrics.link_violations.increment();
    }

    fn go_on(&mut self, is_open: bool, close: impl FnOnce(&mut Compositor)) -> PostAction {
        if is_open {
            return PostAction::Continue;
        }
        close(&mut self.compositor);
        PostAction::Remove
    }

    fn replace(
        &mut self,
        slot: impl FnOnce(&mut Sources) -> &mut Option<RegistrationToken>,
        token: RegistrationToken,
    ) {
        if let Some(old) = slot(&mut self.sources).replace(token) {
            // A token of a source that has removed itself removes nothing.
            self.handle.remove(old);
        }
    }

    fn summarise(&mut self) {
        let summary = self.compositor.summary();
        if summary != self.summary
            && let Some(supervision) = &self.supervision
        {
            supervision.set_summary(summary.clone());
            self.summary = summary;
        }
    }
}

fn open<In: Message, Out: Message>(
    link: LinkName,
    grant: Grant,
) -> Result<LinkEnd<In, Out>, ShellError> {
    grant.into_link_end().map_err(|error| ShellError::NotALink(link, error))
}

/// Registers a source whose callback gets the turn and the descriptor.
fn insert<F: AsFd + 'static>(
    handle: &LoopHandle<'static, Turn>,
    source: Generic<F>,
    mut callback: impl FnMut(&mut Turn, &F) -> io::Result<PostAction> + 'static,
) -> Result<RegistrationToken, ShellError> {
    handle
        .insert_source(source, move |_, descriptor, turn| callback(turn, descriptor))
        .map_err(|error| ShellError::Watch(error.error))
}
