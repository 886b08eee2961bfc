//! The worker as the supervisor sees it: the grants it takes at start, and its event loop.
//!
//! One thread sleeps on the link, the devices and the supervisor until the next deadline. Without
//! pads there is no deadline, so a session without them costs nothing.
//!
//! A closed end of `pads` means that rtc restarts: devices are kept at rest for pads that come back. A closed end
//! of `presence` means that nobody is there as far as anyone knows.

mod figures;
mod seat;

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use lumen_ipc::{
    link::LinkName,
    message::{
        grants::ToWorker,
        pads::{ToGamepad, ToRtc},
        presence,
    },
    process::Worker as WorkerName,
    service::GamepadConfig,
    text::counted,
};
use lumen_ipc_runtime::{
    bootstrap::{Grant, ServeError, StartError, Supervision, SupervisorEvent, Worker},
    channel::{NotALink, ReceiveError, SendError},
    confine::Policy,
    link_end::LinkEnd,
    log::RateLimit,
    metrics::Registry,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::{debug, info, warn};

use self::{figures::Figures, seat::Seat};
use crate::{
    identity::Identity,
    policy,
    slots::{Action, Heard, SlotNumber, Slots},
    uinput::{self, Device},
};

type PadsEnd = LinkEnd<ToGamepad, ToRtc>;
type PresenceEnd = LinkEnd<presence::ToGamepad, presence::ToCompositor>;

/// Messages read from the link in one round, so that a flood on it starves nobody.
const BATCH: usize = 64;

/// The gamepad worker.
#[derive(Debug)]
pub struct Gamepad {
    config: GamepadConfig,
    seats: Vec<Seat>,
    slots: Slots,
    link: Option<PadsEnd>,
    presence: Option<PresenceEnd>,
    figures: Figures,
    summary: String,
}

impl Worker for Gamepad {
    const WORKER: WorkerName = WorkerName::Gamepad;
    type Config = GamepadConfig;

    fn acquire(config: GamepadConfig, grants: Vec<Grant>) -> Result<Self, StartError> {
        let now = Instant::now();
        let mut devices = Vec::new();
        let mut rest = Vec::new();
        for grant in grants {
            match grant.what {
                ToWorker::PadDevices => devices = devices_in(&grant.descriptor)?,
                _ => rest.push(grant),
            }
        }
        if devices.is_empty() {
            info!("no access to /dev/uinput, so gamepads are off; see `lumen doctor`");
        }
        let mut slots = Slots::new(now, devices.len(), config.grace);
        for (slot, _) in slots.numbers().zip(&devices).filter(|(_, device)| device.exists()) {
            slots.found(now, slot);
        }
        let seats = devices.into_iter().map(|device| Seat::new(device, now)).collect();
        let (figures, summary) = (Figures::new(), String::new());
        let (link, presence) = (None, None);
        let mut gamepad = Self { config, seats, slots, link, presence, figures, summary };
        for grant in rest {
            let what = grant.what;
            gamepad
                .take(grant)
                .map_err(|error| StartError::caused(format!("cannot use grant {what:?}"), error))?;
        }
        Ok(gamepad)
    }

    fn metrics(&self) -> Registry {
        self.figures.registry.clone()
    }

    fn policy(&self) -> Policy {
        policy::policy()
    }

    fn serve(mut self, supervision: Supervision) -> Result<(), ServeError> {
        self.announce();
        loop {
            let now = Instant::now();
            if self.slots.deadline().is_some_and(|at| at <= now) {
                self.slots.timeout(now);
            }
            self.act(now);
            self.pass_on_rumble(now);
            self.summarise(&supervision);
            self.wait(&supervision, self.deadline(now))
                .map_err(|error| ServeError::caused("cannot wait for events", error))?;
            if !self.heed(&supervision) {
                self.slots.link_lost(Instant::now());
                self.act(Instant::now());
                return Ok(());
            }
            // First whether a viewer is there, on which the state of pads depends.
            self.read_presence();
            self.read_link();
            self.read_devices();
        }
    }
}

/// The devices in the supervisor's deposit, including those that a predecessor left.
fn devices_in(deposit: &OwnedFd) -> Result<Vec<Device>, StartError> {
    let unusable = |error| StartError::caused("the deposit of devices is unusable", error);
    let descriptors = uinput::take(deposit.as_fd()).map_err(unusable)?;
    let adopt = |descriptor| {
        Device::adopt(descriptor).map_err(|error| {
            StartError::caused("a deposited descriptor does not belong to uinput", error)
        })
    };
    descriptors.into_iter().map(adopt).collect()
}

impl Gamepad {
    /// Takes a link end, replacing the one before.
    fn take(&mut self, grant: Grant) -> Result<(), NotALink> {
        match grant.what {
            ToWorker::LinkEnd { link: LinkName::Pads, .. } => {
                self.link = Some(grant.into_link_end()?);
                self.slots.link_lost(Instant::now());
            }
            ToWorker::LinkEnd { link: LinkName::Presence, .. } => {
                self.presence = Some(grant.into_link_end()?);
                self.nobody_is_there();
            }
            what => info!(?what, "closed a grant that gamepad does not use"),
        }
        Ok(())
    }

    /// Reports on a new link end whether pads are supported at all.
    fn announce(&self) {
        let available = ToRtc::Available(!self.seats.is_empty());
        self.send(&available);
    }

    /// Handles the supervisor's events; `false` when the worker is to end.
    fn heed(&mut self, supervision: &Supervision) -> bool {
        while let Some(event) = supervision.next() {
            match event {
                SupervisorEvent::Drain => return false,
                SupervisorEvent::Granted(grant) => {
                    let what = grant.what;
                    match self.take(grant) {
                        Ok(()) => self.announce(),
                        Err(error) => warn!(?what, %error, "a granted descriptor cannot be used"),
                    }
                }
            }
        }
        true
    }

    /// Until the compositor says otherwise.
    fn nobody_is_there(&mut self) {
        self.slots.attend(Instant::now(), Duration::ZERO);
    }

    fn read_presence(&mut self) {
        for _ in 0..BATCH {
            let Some(link) = &self.presence else { return };
            let over = match link.receive() {
                Ok(received) => {
                    self.slots.attend(Instant::now(), received.message.0.left());
                    continue;
                }
                Err(ReceiveError::Empty) => return,
                Err(over) => over,
            };
            match &over {
                ReceiveError::Closed => info!("the compositor is restarting"),
                ReceiveError::Violation(violation) => {
                    self.figures.link_violations.increment();
                    warn!(%violation, "closed the link, because the compositor broke the contract");
                }
                error => warn!(%error, "the link to the compositor failed"),
            }
            self.presence = None;
            self.nobody_is_there();
        }
    }

    fn read_link(&mut self) {
        for _ in 0..BATCH {
            let Some(link) = &self.link else { return };
            let over = match link.receive() {
                Ok(received) => {
                    self.hear(received.message);
                    continue;
                }
                Err(ReceiveError::Empty) => return,
                Err(over) => over,
            };
            match &over {
                ReceiveError::Closed => info!("rtc is restarting"),
                ReceiveError::Violation(violation) => {
                    self.figures.link_violations.increment();
                    warn!(%violation, "closed the link, because rtc broke the contract");
                }
                error => warn!(%error, "the link failed"),
            }
            self.link = None;
            self.slots.link_lost(Instant::now());
        }
    }

    fn hear(&mut self, message: ToGamepad) {
        static LIMIT: RateLimit = RateLimit::per_second(1);
        self.figures.messages.increment();
        let now = Instant::now();
        let heard = self.slots.handle(now, message);
        // Acts at once and after each message: later messages may depend on it, and a game should
        // feel it now.
        self.act(now);
        let what = match heard {
            Heard::Done => return,
            Heard::Refused => "ignored a pad, because the session has the most it can have",
            Heard::Throttled => {
                "a pad waits, because pads are plugged in faster than devices are created"
            }
            Heard::Waits if self.seats.is_empty() => return,
            Heard::Waits => "a pad waits for a slot, because all are taken",
        };
        self.figures.pads_turned_away.increment();
        if LIMIT.allows() {
            info!(peer = %message.peer, suppressed = LIMIT.suppressed(), "{what}");
        }
    }

    /// Applies all actions of the slots to the devices.
    fn act(&mut self, now: Instant) {
        let identity = Identity::of(self.config.identity);
        while let Some(action) = self.slots.poll_action() {
            let (Action::Create(slot) | Action::Destroy(slot) | Action::Show(slot, _)) = action;
            let Some(seat) = self.seats.get_mut(slot.index()) else { continue };
            let done = match action {
                Action::Create(_) => {
                    self.figures.devices_created.increment();
                    // The udev rule reads from it whose device it is.
                    let phys = format!("lumen-{}/{}", self.config.owner, slot.index());
                    seat.create(now, identity, &phys)
                }
                Action::Destroy(_) => {
                    self.figures.devices_destroyed.increment();
                    seat.destroy()
                }
                Action::Show(_, report) => seat.show(identity, report).map(|events| {
                    self.figures.events.add(events);
                }),
            };
            if let Err(error) = done {
                self.give_up(now, slot, &error);
            }
        }
        self.figures.devices.set(i64::try_from(self.devices().count()).unwrap_or(i64::MAX));
    }

    /// Gives up the slot of a device that does not work.
    fn give_up(&mut self, now: Instant, slot: SlotNumber, error: &io::Error) {
        warn!(slot = slot.index(), %error, "gave up a slot, because its device does not work");
        if let Some(seat) = self.seats.get_mut(slot.index()) {
            // The device may be half created, or already gone.
            let _ = seat.destroy();
        }
        self.slots.failed(now, slot);
    }

    fn read_devices(&mut self) {
        let now = Instant::now();
        for slot in self.slots.numbers() {
            let Some(seat) = self.seats.get_mut(slot.index()) else { continue };
            if let Err(error) = seat.heed_programs(now) {
                self.give_up(now, slot, &error);
            }
        }
        self.act(now);
    }

    fn pass_on_rumble(&mut self, now: Instant) {
        for slot in self.slots.numbers() {
            let holder = self.slots.holder(slot);
            let Some(seat) = self.seats.get_mut(slot.index()) else { continue };
            let Some((pad, order)) = seat.poll_order(now, holder) else { continue };
            self.figures.rumbles.increment();
            self.send(&ToRtc::Rumbled {
                peer: pad.peer,
                pad: pad.pad,
                strong: order.strong,
                weak: order.weak,
                millis: order.millis,
            });
        }
    }

    fn send(&self, message: &ToRtc) {
        let Some(link) = &self.link else { return };
        match link.send(message, &[]) {
            Ok(()) => {}
            // The end of the link is noticed when it is read.
            Err(SendError::Closed) => {}
            Err(error) => {
                static LIMIT: RateLimit = RateLimit::per_second(1);
                if LIMIT.allows() {
                    warn!(%error, "cannot send a message to rtc");
                }
            }
        }
    }

    fn devices(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.seats.iter().filter_map(Seat::readable)
    }

    fn deadline(&self, now: Instant) -> Option<Instant> {
        let numbered = self.slots.numbers().zip(&self.seats);
        let rumbles = numbered
            .filter(|(slot, _)| self.slots.holder(*slot).is_some())
            .filter_map(|(_, seat)| seat.deadline(now));
        rumbles.chain(self.slots.deadline()).min()
    }

    /// Sleeps until an event or `deadline`.
    fn wait(&self, supervision: &Supervision, deadline: Option<Instant>) -> io::Result<()> {
        let readable = |source| PollFd::from_borrowed_fd(source, PollFlags::IN);
        let mut interests = vec![readable(supervision.as_fd())];
        interests.extend(self.link.as_ref().map(|link| readable(link.as_fd())));
        interests.extend(self.presence.as_ref().map(|link| readable(link.as_fd())));
        interests.extend(self.devices().map(readable));
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        // Deadlines are at most some seconds away.
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut interests, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn summarise(&mut self, supervision: &Supervision) {
        let summary = match (self.seats.len(), self.slots.held(), self.slots.waiting()) {
            (0, _, _) => "no access to /dev/uinput".to_owned(),
            (_, 0, 0) => "no pad".to_owned(),
            (_, held, 0) => counted(held, "pad"),
            (_, held, waiting) => format!("{}, {waiting} waiting", counted(held, "pad")),
        };
        if summary != self.summary {
            debug!(summary, "pads");
            supervision.set_summary(summary.clone());
            self.summary = summary;
        }
    }
}
