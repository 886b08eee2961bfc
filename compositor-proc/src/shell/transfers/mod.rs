//! The `transfer` link: apps' text to pages, pages' text to apps.
//!
//! Decides which transfers exist, and when one ends. `outward` is a transfer from an app, `inward`
//! one to an app.
//!
//! Does not trust apps, which may never write, never read, write bytes that are not text, or pass a
//! descriptor that is not a pipe; nor rtc, which is held to its credit, to the policy and to the
//! numbers of its offers. A page's offer counts only while a viewer has proved to be there, whoever rtc says it is.
//!
//! INVARIANT: nothing here blocks. Pipes are read and filled only as far as possible; blocked ones
//! are watched ([`Transfers::watches`]), and a transfer without progress for [`STALL`] ends. A
//! transfer holds at most a window of bytes and three descriptors, and there are at most
//! [`MAX_TRANSFERS`] in each direction.

mod inward;
mod outward;
mod step;

use std::{
    collections::{BTreeMap, VecDeque},
    os::fd::OwnedFd,
    rc::Rc,
    time::{Duration, Instant},
};

use lumen_ipc::{
    codec::ProtocolViolation,
    flow::Credit,
    message::transfer::{
        Failure, FromReceiver, FromSender, Kind, MAX_TRANSFERS, Offer, OfferId, ToCompositor,
        ToRtc, TransferId,
    },
};
use lumen_ipc_runtime::{channel::SendError, link_end::LinkEnd};
use smithay::wayland::selection::data_device::{
    clear_data_device_selection, request_data_device_client_selection, set_data_device_selection,
};
use tracing::{debug, warn};

use self::{
    inward::Inward,
    outward::Outward,
    step::{Step, bad_flow, illegal},
};
use crate::{
    selections::{Paste, SETTLED_MARK, TEXT_NAMES},
    state::State,
};

/// Our end of the `transfer` link.
pub type TransferLink = LinkEnd<ToCompositor, ToRtc>;

/// How long a transfer may make no progress, because an app does not write or read, or a page does
/// not answer.
pub const STALL: Duration = Duration::from_secs(15);

/// The pause before another attempt to send on a full link.
const RETRY: Duration = Duration::from_millis(10);

/// How long the confirmation of a page's offer waits for nested desktops to have the offer, too. The page
/// itself stops waiting after half a second.
const SETTLING: Duration = Duration::from_millis(200);

/// How long a page's offer waits for its page's proof that a viewer is there: it comes by another link. The page
/// itself stops waiting after half a second.
const PROVING: Duration = Duration::from_millis(400);

/// Most messages that wait for rtc. More accumulate only if rtc requests transfers without reading.
const MAX_WAITING: usize = 256;

/// The pipe that is watched.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum WatchId {
    /// Until the app has read from it.
    Inward(TransferId),
    /// Until the app has written to it.
    Outward(TransferId),
}

/// All transfers.
#[derive(Default)]
pub struct Transfers {
    link: Option<Rc<TransferLink>>,
    outbox: VecDeque<ToRtc>,
    outward: BTreeMap<TransferId, Outward>,
    inward: BTreeMap<TransferId, Inward>,
    /// The newest transfer that rtc requested.
    newest_outward: Option<TransferId>,
    numbered_inward: u32,
    /// A page's offer while nobody has proved to be there, and until when it waits.
    unproved: Option<(Offer, Instant)>,
    /// A page's offer that was not confirmed yet, and when it is confirmed at the latest.
    untaken: Option<(OfferId, Instant)>,
    watches: BTreeMap<WatchId, Rc<OwnedFd>>,
}

impl Transfers {
    /// Attaches a new link end.
    pub fn attach(&mut self, state: &mut State, link: Rc<TransferLink>) {
        self.detach(state);
        self.link = Some(link);
    }

    /// Rtc's link end was closed: all transfers end, and pages' offers, which only rtc could serve,
    /// are withdrawn.
    pub fn detach(&mut self, state: &mut State) {
        *self = Self::default();
        state.selections.forget_rtc();
        if state.selections.forget_page().is_some() {
            clear_data_device_selection(&state.display, &state.seat.wayland);
        }
    }

    /// The pipes to watch: those of [`WatchId::Inward`] for writing, the others for reading.
    #[must_use]
    pub const fn watches(&self) -> &BTreeMap<WatchId, Rc<OwnedFd>> {
        &self.watches
    }

    /// A watched pipe is ready.
    pub fn ready(&mut self, now: Instant, watch: WatchId) {
        self.watches.remove(&watch);
        match watch {
            WatchId::Inward(transfer) => self.step_inward(now, transfer),
            WatchId::Outward(transfer) => self.step_outward(now, transfer),
        }
    }

    /// Handles a message from rtc.
    ///
    /// # Errors
    /// [`ProtocolViolation`] when the link must be closed.
    pub fn apply(
        &mut self,
        state: &mut State,
        message: ToCompositor,
    ) -> Result<(), ProtocolViolation> {
        if self.outbox.len() > MAX_WAITING {
            return Err(illegal("rtc makes requests but does not read the answers"));
        }
        match message {
            ToCompositor::Offered(offer) => self.hear_offer(state, offer),
            ToCompositor::Withdrawn { offer } => {
                self.unproved.take_if(|(unproved, _)| unproved.offer == offer);
                withdraw(state, offer);
            }
            ToCompositor::Receiver(FromReceiver::Requested { transfer, offer, kind, credit }) => {
                return self.begin_outward(state, transfer, (offer, kind), credit);
            }
            ToCompositor::Receiver(FromReceiver::Granted { transfer, credit }) => {
                self.check_outward(transfer)?;
                if let Some(outward) = self.outward.get_mut(&transfer) {
                    outward.grant(credit).map_err(bad_flow)?;
                    self.step_outward(state.now(), transfer);
                }
            }
            ToCompositor::Receiver(FromReceiver::Cancelled { transfer }) => {
                self.check_outward(transfer)?;
                self.end_outward(transfer);
            }
            ToCompositor::Sender(message) => return self.receive(state.now(), message),
        }
        Ok(())
    }

    /// Starts what apps have asked for, and ends transfers without progress. Returns when to call
    /// again.
    pub fn settle(&mut self, state: &mut State) -> Option<Instant> {
        if self.link.is_none() {
            // Without rtc, an app that pastes gets an end of file at once.
            state.selections.forget_rtc();
            return None;
        }
        let proving = self.consider_offer(state);
        let lapsed = state.selections.take_lapsed();
        self.outbox.extend(lapsed.into_iter().map(|offer| ToRtc::Lapsed { offer }));
        for paste in state.selections.take_pastes() {
            self.begin_inward(state, paste);
        }
        self.outbox.extend(state.selections.take_untold().map(ToRtc::Offered));
        let now = state.now();
        self.expire(now);
        self.resume(now);
        let settled = self.tell_taken(state, now);
        let retry = if self.flush() { None } else { Some(now + RETRY) };
        if self.link.is_none() {
            self.detach(state);
            return None;
        }
        self.stalls().map(|(_, at)| at).chain(retry).chain(settled).chain(proving).min()
    }

    /// Rtc's word for a page is not enough: an offer becomes the clipboard only while a viewer is there.
    fn hear_offer(&mut self, state: &mut State, offer: Offer) {
        let until = state.now() + PROVING;
        if let Some((before, _)) = self.unproved.replace((offer, until)) {
            self.outbox.push_back(ToRtc::Lapsed { offer: before.offer });
        }
        self.consider_offer(state);
    }

    /// Takes the offer that waits for a proof, if there is one by now, or gives it up. Returns when to look again.
    fn consider_offer(&mut self, state: &mut State) -> Option<Instant> {
        let (offer, until) = self.unproved?;
        let now = state.now();
        if state.seat.leases.last(now).is_some() {
            self.unproved = None;
            self.take_offer(state, offer);
        } else if until <= now {
            self.unproved = None;
            self.outbox.push_back(ToRtc::Lapsed { offer: offer.offer });
        }
        self.unproved.map(|(_, until)| until)
    }

    fn take_offer(&mut self, state: &mut State, Offer { offer, kind: Kind::Text, .. }: Offer) {
        if state.selections.policy().to_desktop() {
            let bridged = has_bridge(state);
            let names = TEXT_NAMES.into_iter().chain(bridged.then_some(SETTLED_MARK));
            let names = names.map(str::to_owned).collect();
            state.selections.set_page(offer);
            set_data_device_selection(&state.display, &state.seat.wayland, names, offer);
            let wait = if bridged { SETTLING } else { Duration::ZERO };
            self.untaken = Some((offer, state.now() + wait));
        } else {
            self.outbox.push_back(ToRtc::Lapsed { offer });
        }
    }

    /// Tells a page that its offer is what apps paste, once the desktops inside have it, too: the key that
    /// pastes may follow at once. Returns when to do so in any case.
    fn tell_taken(&mut self, state: &State, now: Instant) -> Option<Instant> {
        let (offer, at) = self.untaken?;
        let stands = state.selections.page() == Some(offer);
        if stands && !state.selections.is_settled(offer) && now < at {
            return Some(at);
        }
        self.untaken = None;
        if stands {
            self.outbox.push_back(ToRtc::Taken { offer });
        }
        None
    }

    fn begin_outward(
        &mut self,
        state: &State,
        transfer: TransferId,
        (offer, Kind::Text): (OfferId, Kind),
        credit: Credit,
    ) -> Result<(), ProtocolViolation> {
        if self.newest_outward.is_some_and(|newest| transfer <= newest) {
            return Err(illegal("the number of a transfer was used before"));
        }
        self.newest_outward = Some(transfer);
        let begun = if self.outward.len() < MAX_TRANSFERS {
            ask_app(state, offer).map(|pipe| Outward::new(state.now(), pipe, credit))
        } else {
            Err(Failure::Busy)
        };
        match begun {
            Ok(outward) => {
                self.outward.insert(transfer, outward);
                self.step_outward(state.now(), transfer);
            }
            Err(failure) => self.say_failed(transfer, failure),
        }
        Ok(())
    }

    fn begin_inward(&mut self, state: &State, Paste { offer, target }: Paste) {
        if state.selections.page() != Some(offer) || self.inward.len() >= MAX_TRANSFERS {
            debug!("an app pastes an offer that is gone, or too many at once");
            return;
        }
        match Inward::new(state.now(), target) {
            Ok(inward) => {
                self.numbered_inward = self.numbered_inward.wrapping_add(1);
                let transfer = TransferId(self.numbered_inward);
                self.inward.insert(transfer, inward);
                self.outbox.push_back(ToRtc::Receiver(FromReceiver::Requested {
                    transfer,
                    offer,
                    kind: Kind::Text,
                    credit: Credit::default(),
                }));
            }
            Err(error) => debug!(%error, "cannot send an app what it pastes"),
        }
    }

    fn receive(&mut self, now: Instant, message: FromSender) -> Result<(), ProtocolViolation> {
        let transfer = message.transfer();
        if transfer.0 > self.numbered_inward {
            return Err(illegal("a transfer that was not requested"));
        }
        // Bytes of an ended transfer were in flight when it ended.
        let Some(inward) = self.inward.get_mut(&transfer) else { return Ok(()) };
        match message {
            FromSender::Sent { chunk, .. } => inward.take(now, chunk.bytes())?,
            FromSender::Ended { .. } => inward.end()?,
            FromSender::Failed { failure, .. } => {
                debug!(?failure, "a page cannot send what an app pastes");
                self.end_inward(transfer);
                return Ok(());
            }
        }
        if !self.watches.contains_key(&WatchId::Inward(transfer)) {
            self.step_inward(now, transfer);
        }
        Ok(())
    }

    fn check_outward(&self, transfer: TransferId) -> Result<(), ProtocolViolation> {
        match self.newest_outward {
            Some(newest) if transfer <= newest => Ok(()),
            _ => Err(illegal("a transfer that was never requested")),
        }
    }

    /// Continues transfers that waited for room on the link.
    fn resume(&mut self, now: Instant) {
        let watched = |transfer| self.watches.contains_key(&WatchId::Outward(transfer));
        let waiting = self.outward.keys().copied().filter(|transfer| !watched(*transfer));
        for transfer in waiting.collect::<Vec<_>>() {
            self.step_outward(now, transfer);
        }
    }

    fn step_outward(&mut self, now: Instant, transfer: TransferId) {
        while self.flush() {
            let Some(outward) = self.outward.get_mut(&transfer) else { return };
            let (message, step) = outward.step(now, transfer);
            self.outbox.extend(message.map(ToRtc::Sender));
            match step {
                Some(Step::Over) => return self.end_outward(transfer),
                Some(Step::Blocked) => {
                    let pipe = outward.pipe();
                    self.watches.insert(WatchId::Outward(transfer), pipe);
                    return;
                }
                Some(Step::Idle) => return,
                None => {}
            }
        }
    }

    fn step_inward(&mut self, now: Instant, transfer: TransferId) {
        let Some(inward) = self.inward.get_mut(&transfer) else { return };
        let (credit, step) = inward.step(now);
        let granted = credit.map(|credit| FromReceiver::Granted { transfer, credit });
        match step {
            Step::Over if inward.is_complete() => self.end_inward(transfer),
            Step::Over => self.cancel_inward(transfer),
            Step::Blocked => {
                let target = inward.target();
                self.watches.insert(WatchId::Inward(transfer), target);
                self.outbox.extend(granted.map(ToRtc::Receiver));
            }
            Step::Idle => self.outbox.extend(granted.map(ToRtc::Receiver)),
        }
    }

    /// Ends transfers without progress for [`STALL`] at `now`.
    pub fn expire(&mut self, now: Instant) {
        let due = self.stalls().filter(|(_, at)| *at <= now).map(|(watch, _)| watch);
        for watch in due.collect::<Vec<_>>() {
            debug!("ended a transfer that makes no progress");
            match watch {
                WatchId::Inward(transfer) => self.cancel_inward(transfer),
                WatchId::Outward(transfer) => {
                    self.end_outward(transfer);
                    self.say_failed(transfer, Failure::Stalled);
                }
            }
        }
    }

    fn stalls(&self) -> impl Iterator<Item = (WatchId, Instant)> {
        let outward = self.outward.iter();
        let outward = outward.map(|(id, it)| (WatchId::Outward(*id), it.progressed() + STALL));
        let inward = self.inward.iter();
        outward.chain(inward.map(|(id, it)| (WatchId::Inward(*id), it.progressed() + STALL)))
    }

    fn say_failed(&mut self, transfer: TransferId, failure: Failure) {
        self.outbox.push_back(ToRtc::Sender(FromSender::Failed { transfer, failure }));
    }

    fn end_outward(&mut self, transfer: TransferId) {
        self.outward.remove(&transfer);
        self.watches.remove(&WatchId::Outward(transfer));
    }

    fn end_inward(&mut self, transfer: TransferId) {
        self.inward.remove(&transfer);
        self.watches.remove(&WatchId::Inward(transfer));
    }

    fn cancel_inward(&mut self, transfer: TransferId) {
        self.end_inward(transfer);
        self.outbox.push_back(ToRtc::Receiver(FromReceiver::Cancelled { transfer }));
    }

    /// Sends waiting messages. Returns whether all were sent.
    fn flush(&mut self) -> bool {
        let Some(link) = &self.link else { return false };
        while let Some(message) = self.outbox.front() {
            match link.send(message, &[]) {
                Ok(()) => drop(self.outbox.pop_front()),
                Err(SendError::Full) => return false,
                Err(error) => {
                    if !matches!(error, SendError::Closed) {
                        warn!(%error, "cannot send rtc a message about the clipboard");
                    }
                    self.link = None;
                    return false;
                }
            }
        }
        true
    }
}

fn has_bridge(state: &State) -> bool {
    let backend = state.display.backend_handle();
    let bridge = state.selections.bridge().cloned();
    bridge.is_some_and(|bridge| backend.get_client_data(bridge).is_ok())
}

fn withdraw(state: &mut State, offer: OfferId) {
    if state.selections.page() == Some(offer) {
        state.selections.forget_page();
        clear_data_device_selection(&state.display, &state.seat.wayland);
    }
}

/// Asks the app that has `offer` to write it into a pipe; returns the end to read from.
fn ask_app(state: &State, offer: OfferId) -> Result<OwnedFd, Failure> {
    let copied = state.selections.copied(offer).ok_or(Failure::Gone)?;
    // The seat still offers what a dead app had; its pipe would end at once, like an empty text.
    let backend = state.display.backend_handle();
    backend.get_client_data(copied.owner.clone()).map_err(|_| Failure::Gone)?;
    let (read, write) = outward::pipe().map_err(|_| Failure::Busy)?;
    request_data_device_client_selection(&state.seat.wayland, copied.name.to_owned(), write)
        .map_err(|_| Failure::Gone)?;
    Ok(read)
}
