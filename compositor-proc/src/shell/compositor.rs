//! One turn of the compositor: after anything has happened, what follows from it.
//!
//! The shell feeds it (requests of apps, messages of links) and then asks it to settle: sizes,
//! focus, the pointer, frames, callbacks, what rtc must know. Settling says until when nothing
//! more is to be done; when nothing has changed, that is for ever.

use std::{
    io,
    os::{
        fd::{BorrowedFd, RawFd},
        unix::net::UnixStream,
    },
    rc::Rc,
    time::{Duration, Instant},
};

use lumen_ipc::{
    codec::{ProtocolViolation, Violation},
    lease::{Challenge, Lease, LeaseId},
    link::LinkName,
    message::{desktop, frames, input, presence, transfer, voice},
    service::CompositorConfig,
    text::counted,
    units::{OutputId, SlotIndex},
};
use lumen_ipc_runtime::{channel::SendError, clock::Anchor, link_end::LinkEnd};
use smithay::{
    backend::renderer::pixman::PixmanError,
    desktop::layer_map_for_output,
    reexports::wayland_server::{Display, Resource, backend::DisconnectReason},
    wayland::selection::data_device::clear_data_device_selection,
};
use tracing::{info, warn};

use super::{
    apps::{self, Apps},
    kernel::Os,
    presence::{PresenceLink, Teller, VoiceLink},
    transfers::{TransferLink, Transfers, WatchId},
};
use crate::{
    capture::{FramesLink, Step},
    cursor, handlers,
    render::Cpu,
    state::{SetupError, State},
};

/// Our end of the `input` link.
pub type InputLink = LinkEnd<input::ToCompositor, input::ToRtc>;
/// Our end of the `desktop` link.
pub type DesktopLink = LinkEnd<desktop::ToCompositor, desktop::ToRtc>;

/// When to try again to tell rtc something while its link is full.
const RETRY: Duration = Duration::from_millis(50);

/// The steps that can follow from one another within a turn; more is a bug, which must not become
/// a busy loop.
const STEPS_PER_TURN: usize = 8;

/// The compositor without its event loop.
pub struct Compositor {
    display: Display<State>,
    /// The desktop.
    pub state: State,
    input_link: Option<Rc<InputLink>>,
    presence: Teller<presence::ToCompositor, presence::ToGamepad>,
    voice: Teller<voice::ToCompositor, voice::ToSound>,
    desktop_link: Option<Rc<DesktopLink>>,
    transfers: Transfers,
    apps: Apps,
}

/// A compositor that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The Wayland side.
    #[error("libwayland's counterpart cannot start")]
    Display(#[from] smithay::reexports::wayland_server::backend::InitError),
    /// What watches the apps.
    #[error("apps cannot be waited for")]
    Apps(#[source] io::Error),
    /// The renderer.
    #[error("Pixman cannot start")]
    Renderer(#[from] PixmanError),
    /// The configuration.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

impl Compositor {
    /// An empty desktop.
    ///
    /// # Errors
    /// [`CreateError`] says what is missing.
    pub fn new(config: &CompositorConfig) -> Result<Self, CreateError> {
        let display = Display::new()?;
        let handle = display.handle();
        let protocols = handlers::announce(&handle);
        let state = State::new(
            &handle,
            protocols,
            config,
            Cpu::new()?,
            (Rc::new(Os), Anchor::new(), Instant::now()),
        )?;
        Ok(Self {
            display,
            state,
            input_link: None,
            presence: Teller::default(),
            voice: Teller::default(),
            desktop_link: None,
            transfers: Transfers::default(),
            apps: Apps::new(Instant::now()).map_err(CreateError::Apps)?,
        })
    }

    /// Readable when apps have asked for something.
    #[must_use]
    pub fn interest(&self) -> BorrowedFd<'_> {
        self.apps.gate.interest()
    }

    /// From which number on descriptors are not for apps' files, for tests.
    pub const fn reserve_descriptors_from(&mut self, number: RawFd) {
        self.apps.reserve = number;
    }

    /// An app connected.
    pub fn accept(&mut self, stream: UnixStream) {
        self.apps.accept(&self.display, &self.state, stream);
    }

    /// The clipboard's bridge is the client at the other end of `stream` from now on.
    pub fn accept_bridge(&mut self, stream: UnixStream) {
        match self.apps.accept_bridge(&self.display, stream) {
            Ok(bridge) => {
                if self.state.selections.set_bridge(bridge) {
                    clear_data_device_selection(&self.state.display, &self.state.seat.wayland);
                }
            }
            Err(error) => warn!(%error, "the clipboard's bridge could not be taken on"),
        }
    }

    /// Carries out what apps have asked for, as much of it as a turn has time for.
    pub fn dispatch_clients(&mut self) {
        self.state.set_now(Instant::now());
        self.apps.dispatch(&mut self.display, &mut self.state);
    }

    /// Media has a new link end.
    pub fn attach_media(&mut self, link: Rc<FramesLink>) {
        info!("media attached");
        self.state.set_now(Instant::now());
        // Its predecessor may not have been missed yet.
        self.state.imports.media_is_gone();
        self.state.capture.attach(self.state.now(), link);
    }

    /// Media's link end is closed.
    pub fn detach_media(&mut self) {
        info!("media is gone; frames wait for its successor");
        self.state.capture.detach();
        self.state.imports.media_is_gone();
    }

    /// Media takes an announced buffer, or refuses it.
    fn apply_answer(
        &mut self,
        output: OutputId,
        slot: SlotIndex,
        accepted: bool,
    ) -> Result<(), ProtocolViolation> {
        if output != self.state.output.id {
            let what = Violation::Illegal("an answer about an output that there is not");
            return Err(ProtocolViolation { link: LinkName::Frames, what });
        }
        if let Some(dmabuf) = self.state.capture.answered(slot)? {
            self.state.import_answered(&dmabuf, accepted);
        }
        Ok(())
    }

    /// Media says something.
    ///
    /// # Errors
    /// [`ProtocolViolation`] when it must not be listened to any more.
    pub fn apply_media(&mut self, message: frames::ToCompositor) -> Result<(), ProtocolViolation> {
        self.state.set_now(Instant::now());
        let violation = |what| {
            let what = Violation::Illegal(what);
            Err(ProtocolViolation { link: LinkName::Frames, what })
        };
        match message {
            frames::ToCompositor::FrameReleased(released) => self.state.capture.released(released),
            frames::ToCompositor::BufferAccepted { output, slot } => {
                self.apply_answer(output, slot, true)
            }
            frames::ToCompositor::BufferRefused { output, slot } => {
                self.apply_answer(output, slot, false)
            }
            frames::ToCompositor::RendererOffered { output, renderer } => {
                if output != self.state.output.id {
                    return violation("a renderer for an output that there is not");
                }
                info!(offered = renderer.is_some(), "media has said what it draws with");
                self.state.renderer_offered(renderer);
                Ok(())
            }
            frames::ToCompositor::DemandChanged { output, demand } => {
                if output != self.state.output.id {
                    return violation("an output that there is not");
                }
                info!(watched = demand.watched, "demand changed");
                self.state.output.resizing.want(demand.size);
                let now = self.state.now();
                self.state.capture.schedule.set_watching(now, demand.watched);
                Ok(())
            }
        }
    }

    /// These are the session's leases from now on.
    pub fn set_leases(&mut self, leases: &[Lease]) {
        self.state.set_now(Instant::now());
        let changes = self.state.seat.leases.set(leases);
        changes.ended.into_iter().for_each(|peer| self.state.release_peer(peer));
        for (lease, challenge) in changes.begun {
            self.tell_challenge(lease, challenge);
        }
        self.tell_presence();
    }

    /// Gamepad has a new end of the `presence` link, or none.
    pub fn set_presence_link(&mut self, link: Option<Rc<PresenceLink>>) {
        self.state.set_now(Instant::now());
        self.presence.attach(link);
        self.tell_presence();
    }

    /// Sound has a new end of the `voice` link, or none.
    pub fn set_voice_link(&mut self, link: Option<Rc<VoiceLink>>) {
        self.state.set_now(Instant::now());
        self.voice.attach(link);
        self.tell_presence();
    }

    fn tell_presence(&mut self) {
        let (now, leases) = (self.state.now(), &self.state.seat.leases);
        self.presence.tell(now, leases.last(now), presence::ToGamepad);
        self.voice.tell(now, leases.last_speaking(now), voice::ToSound);
    }

    /// Rtc has a new end of the `input` link, or none. Whoever held something held it over the old end.
    pub fn set_input_link(&mut self, link: Option<Rc<InputLink>>) {
        self.release_input();
        self.input_link = link;
        self.tell_challenges();
    }

    fn tell_challenges(&self) {
        for (lease, challenge) in self.state.seat.leases.challenges() {
            self.tell_challenge(lease, challenge);
        }
    }

    /// A challenge that rtc does not read in time is lost with the end of the link, and told on the next.
    fn tell_challenge(&self, lease: LeaseId, challenge: Challenge) {
        let Some(link) = &self.input_link else { return };
        if let Err(error) = link.send(&input::ToRtc { lease, challenge }, &[])
            && !matches!(error, SendError::Closed)
        {
            warn!(%error, "a viewer cannot be asked whether it is still there");
        }
    }

    /// A viewer did something, or proves that it is there.
    ///
    /// # Errors
    /// [`ProtocolViolation`] for an output that there is not.
    pub fn apply_input(&mut self, message: input::ToCompositor) -> Result<(), ProtocolViolation> {
        if message.output != self.state.output.id {
            let what = Violation::Illegal("input on an output that there is not");
            return Err(ProtocolViolation { link: LinkName::Input, what });
        }
        self.state.set_now(Instant::now());
        let input::Action::Proved(proof) = message.action else {
            let leaves = message.action == input::Action::PeerLeft;
            self.state.apply_input(message);
            if leaves {
                self.tell_presence();
            }
            return Ok(());
        };
        let now = self.state.now();
        // A page's first proof names its lease; others come of a viewer who acts.
        let acts = self.state.seat.leases.permits(now, message.peer);
        match self.state.seat.leases.prove(now, message.peer, &proof) {
            Some(challenge) => {
                self.tell_challenge(proof.lease, challenge);
                if acts {
                    self.state.seat.doings.note();
                }
            }
            None => self.state.metrics.proofs_refused.increment(),
        }
        self.tell_presence();
        Ok(())
    }

    /// Whether the supervisor is to be told now that a viewer acts.
    pub fn take_doings(&mut self) -> bool {
        self.state.seat.doings.take(self.state.now())
    }

    /// Every viewer is gone.
    pub fn release_input(&mut self) {
        self.state.set_now(Instant::now());
        self.state.release_everything();
        self.tell_presence();
    }

    /// Lets go of what is held by viewers of whom nothing was heard for too long at `asked`: a moment
    /// since which the `input` link has been read, so that nobody's word is still unread because we
    /// were late ourselves.
    pub fn release_lapsed(&mut self, asked: Instant) {
        self.state.set_now(Instant::now());
        self.state.release_lapsed(asked);
    }

    /// Rtc has a new link end, or none.
    pub fn set_desktop_link(&mut self, link: Option<Rc<DesktopLink>>) {
        self.desktop_link = link;
        self.state.desktop.forget_told();
    }

    /// Rtc has a new end of the `transfer` link, or none.
    pub fn set_transfer_link(&mut self, link: Option<Rc<TransferLink>>) {
        self.state.set_now(Instant::now());
        match link {
            Some(link) => self.transfers.attach(&mut self.state, link),
            None => self.transfers.detach(&mut self.state),
        }
    }

    /// Rtc says something about the clipboard.
    ///
    /// # Errors
    /// [`ProtocolViolation`] when it must not be listened to any more.
    pub fn apply_transfer(
        &mut self,
        message: transfer::ToCompositor,
    ) -> Result<(), ProtocolViolation> {
        self.state.set_now(Instant::now());
        self.transfers.apply(&mut self.state, message)
    }

    /// All transfers: for the pipes they wait for.
    #[must_use]
    pub const fn transfers(&self) -> &Transfers {
        &self.transfers
    }

    /// Ends the transfers that have stood still for too long at `now`.
    pub fn expire_transfers(&mut self, now: Instant) {
        self.transfers.expire(now);
    }

    /// A pipe that a transfer waits for goes on.
    pub fn transfer_ready(&mut self, watch: WatchId) {
        self.transfers.ready(Instant::now(), watch);
    }

    /// A few words for `lumen status`.
    #[must_use]
    pub fn summary(&self) -> String {
        let (size, apps) = (self.state.output.size, self.apps.count.value());
        let windows = self.state.tree.windows.stack.mapped().count();
        let pace = if self.state.capture.schedule.is_watched() { "watched" } else { "unwatched" };
        let (pixels, scale) = (size.pixels, size.scale.factor());
        let (windows, apps) = (counted(windows, "window"), counted(apps, "app"));
        format!("{pixels} at scale {scale}, {windows} of {apps}, {pace}")
    }

    /// Does everything that is due and returns when to be called again; `None` when only an event
    /// can bring more.
    pub fn settle(&mut self) -> Option<Instant> {
        self.state.set_now(Instant::now());
        self.resize();
        self.tidy();
        self.state.ask_about_imports();
        let next_step = self.run_schedule();
        self.disconnect_faulty();
        self.refresh_cursor();
        let retry = self.tell_desktop();
        let transfers = self.transfers.settle(&mut self.state);
        self.flush();
        let resize = self.state.output.resizing.due(self.state.now());
        let (lapse, focus) = (self.state.lapse_due(), self.state.focus_due());
        [lapse, focus, next_step, retry, resize, transfers].into_iter().flatten().min()
    }

    /// Sends apps what they are to be told.
    pub fn flush(&mut self) {
        self.apps.flush(&mut self.display, &mut self.state);
    }

    fn resize(&mut self) {
        let (now, current) = (self.state.now(), self.state.output.size);
        if let Some(size) = self.state.output.resizing.take(now, current) {
            info!(size = %size.pixels, scale = size.scale.factor(), "output resized");
            self.state.metrics.output_resizes.increment();
            self.state.output.set_size(size);
            self.state.capture.schedule.set_rate(self.state.output.rate());
            self.state.advise_surfaces();
            self.state.seat.cursor_changed = true;
            layer_map_for_output(&self.state.output.wayland).arrange();
            self.state.refresh_screen();
            self.state.configure_all();
            self.state.desktop.set_size(size);
            self.state.rearranged();
        }
    }

    /// Forgets what is dead and looks again at what lies under the pointer.
    fn tidy(&mut self) {
        self.state.tree.popups.cleanup();
        self.state.seat.forget_dead_cursor();
        self.state.pursue_focus();
        if std::mem::take(&mut self.state.seat.pointer_stale) {
            self.state.refresh_pointer();
        }
    }

    fn run_schedule(&mut self) -> Option<Instant> {
        for _ in 0..STEPS_PER_TURN {
            let now = Instant::now();
            self.state.set_now(now);
            match self.state.capture.schedule.next(now) {
                Step::Draw => self.state.draw(),
                Step::CallBack => self.state.call_back(),
                Step::Rest => self.state.rest(),
                Step::Wait(at) => return Some(at),
                Step::Idle => return None,
            }
        }
        Some(self.state.now() + self.state.capture.schedule.interval())
    }

    /// Ends apps whose memory could not be read: they cut it short while we drew it.
    fn disconnect_faulty(&mut self) {
        for surface in std::mem::take(&mut self.state.capture.faulty) {
            let Some(client) = surface.client() else { continue };
            warn!(client = ?client.id(), "an app's memory cannot be read; it is disconnected");
            self.state.metrics.clients_faulty.increment();
            let backend = self.display.handle().backend_handle();
            backend.kill_client(client.id(), DisconnectReason::ConnectionClosed);
            apps::read(&mut self.display, &mut self.state, &client.id(), 0);
        }
    }

    fn refresh_cursor(&mut self) {
        if std::mem::take(&mut self.state.seat.cursor_changed) {
            let scale = self.state.output.scale();
            let cursor =
                cursor::describe(self.state.capture.renderer(), &self.state.seat.cursor, scale);
            self.state.desktop.set_cursor(cursor);
        }
    }

    fn tell_desktop(&mut self) -> Option<Instant> {
        let link = self.desktop_link.clone()?;
        let output = self.state.output.id;
        while let Some(statement) = self.state.desktop.untold() {
            let message = desktop::ToRtc { output, statement };
            match link.send(&message, &[]) {
                Ok(()) => self.state.desktop.told(&message.statement),
                Err(SendError::Full) => return Some(self.state.now() + RETRY),
                Err(error) => {
                    if !matches!(error, SendError::Closed) {
                        warn!(%error, "rtc cannot be told about the desktop");
                    }
                    self.set_desktop_link(None);
                    return None;
                }
            }
        }
        None
    }
}
