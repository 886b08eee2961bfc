//! Which pad has which slot. Pure: takes rtc's messages and the time, returns actions on devices.
//!
//! A slot has a device while a pad holds it, and for a while afterwards: a reloaded page, a
//! restarted rtc and a loose plug get back the device that a game already uses. A device that is
//! only kept has its controls at rest.
//!
//! When all slots are held, further pads wait in the order of plugging.
//!
//! INVARIANT: a device shows what rtc says of its pad only while a viewer is there ([`Slots::attend`]), and is at
//! rest otherwise. Rtc's last word about each pad is kept, and shown once a viewer is there.
//!
//! INVARIANT: a device is created only when no kept one is available, and after a burst no faster
//! than every [`CREATION_INTERVAL`], so that a storm of plugs creates no storm of devices.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use lumen_ipc::{
    message::pads::{PadAction, PadReport, SLOTS, ToGamepad},
    units::{PadGrace, PadIndex, PeerId},
};

/// How long a device is kept after its pad was unplugged.
pub const UNPLUG_GRACE: Duration = Duration::from_secs(1);
/// The least time between two new devices, once [`CREATION_BURST`] is used up.
pub const CREATION_INTERVAL: Duration = Duration::from_secs(2);
/// How many devices can be created at once.
pub const CREATION_BURST: u32 = 2 * SLOTS as u32;
/// The most pads known at a time: as many as the most peers of rtc can have.
pub const MAX_PADS: usize = 64;

/// A pad's peer and number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct PadName {
    /// The peer.
    pub peer: PeerId,
    /// Its number at that peer.
    pub pad: PadIndex,
}

/// The number of an existing slot.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct SlotNumber(usize);

impl SlotNumber {
    /// The number, from zero.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

/// An action on a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Create it.
    Create(SlotNumber),
    /// Remove it.
    Destroy(SlotNumber),
    /// Bring it to the state of a report.
    Show(SlotNumber, PadReport),
}

/// The result of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Heard {
    /// It was applied.
    Done,
    /// There are already [`MAX_PADS`] pads.
    Refused,
    /// The pad gets its device when the next one may be created.
    Throttled,
    /// The pad waits for a slot.
    Waits,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Slot {
    /// The kernel refused to create its device.
    Broken,
    /// It has no device.
    Empty,
    /// A pad holds it.
    Held(PadName),
    /// Its device is at rest until it is removed.
    Kept { until: Instant, last: Option<PadName> },
}

/// A pad that is plugged in.
#[derive(Clone, Copy, Debug)]
struct Pad {
    name: PadName,
    report: PadReport,
    slot: Option<SlotNumber>,
}

/// All slots and pads.
#[derive(Debug)]
pub struct Slots {
    slots: Vec<Slot>,
    /// Sorted by the order of plugging.
    pads: Vec<Pad>,
    budget: Budget,
    /// How long a device is kept after its peer has left, or the link is lost.
    grace: Duration,
    /// Until when a viewer is there.
    attended: Option<Instant>,
    actions: VecDeque<Action>,
}

impl Slots {
    /// `count` slots without devices, which are kept for `grace` when their peer has left or the
    /// link is lost.
    #[must_use]
    pub fn new(now: Instant, count: usize, grace: PadGrace) -> Self {
        Self {
            grace: Duration::from_secs(grace.value().into()),
            slots: vec![Slot::Empty; count.min(SLOTS)],
            pads: Vec::new(),
            budget: Budget { left: CREATION_BURST, counted: now },
            attended: None,
            actions: VecDeque::new(),
        }
    }

    /// The numbers of all slots.
    pub fn numbers(&self) -> impl Iterator<Item = SlotNumber> + use<> {
        (0..self.slots.len()).map(SlotNumber)
    }

    /// Records a device that a predecessor left in this slot.
    pub fn found(&mut self, now: Instant, slot: SlotNumber) {
        self.keep(slot, now + self.grace, None);
    }

    /// Takes a message from rtc.
    pub fn handle(&mut self, now: Instant, message: ToGamepad) -> Heard {
        let name = |pad| PadName { peer: message.peer, pad };
        match message.action {
            PadAction::Plugged(pad) => self.report(now, name(pad), PadReport::default()),
            PadAction::Reported(pad, report) => self.report(now, name(pad), report),
            PadAction::Unplugged(pad) => {
                self.leave(now + UNPLUG_GRACE, |other| other == name(pad));
                self.place(now)
            }
            PadAction::PeerLeft => {
                self.leave(now + self.grace, |other| other.peer == message.peer);
                self.place(now)
            }
        }
    }

    /// The compositor says for how long from now a viewer is there.
    pub fn attend(&mut self, now: Instant, left: Duration) {
        let until = (!left.is_zero()).then(|| now + left);
        let before = std::mem::replace(&mut self.attended, until);
        // One whose time is over may not have been noticed yet.
        if before.is_some_and(|until| now < until) != until.is_some() || until.is_none() {
            self.show_all(now);
        }
    }

    /// The link is lost: its pads hold nothing from now on.
    pub fn link_lost(&mut self, now: Instant) {
        self.leave(now + self.grace, |_| true);
    }

    /// The device could not be created. Its pad waits for another slot.
    pub fn failed(&mut self, now: Instant, slot: SlotNumber) {
        self.set(slot, Slot::Broken);
        for pad in self.pads.iter_mut().filter(|pad| pad.slot == Some(slot)) {
            pad.slot = None;
        }
        self.place(now);
    }

    /// Handles deadlines that have passed.
    pub fn timeout(&mut self, now: Instant) {
        if self.attended.take_if(|until| *until <= now).is_some() {
            self.show_all(now);
        }
        for number in self.numbers() {
            if matches!(self.slot(number), Slot::Kept { until, .. } if until <= now) {
                self.set(number, Slot::Empty);
                self.actions.push_back(Action::Destroy(number));
            }
        }
        self.place(now);
    }

    /// When to call [`Slots::timeout`].
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let kept = self.slots.iter().filter_map(|slot| match slot {
            Slot::Kept { until, .. } => Some(*until),
            _ => None,
        });
        let waits = self.waiting() > 0 && self.slots.contains(&Slot::Empty);
        // Without a pad nothing changes when the viewer is gone.
        let attended = self.attended.filter(|_| self.held() > 0);
        kept.chain(waits.then(|| self.budget.next())).chain(attended).min()
    }

    /// The next action, oldest first.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The pad that holds this slot.
    #[must_use]
    pub fn holder(&self, slot: SlotNumber) -> Option<PadName> {
        match self.slot(slot) {
            Slot::Held(name) => Some(name),
            _ => None,
        }
    }

    /// Number of pads that have a slot.
    #[must_use]
    pub fn held(&self) -> usize {
        self.slots.iter().filter(|slot| matches!(slot, Slot::Held(_))).count()
    }

    /// Number of pads that wait for a slot.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.pads.iter().filter(|pad| pad.slot.is_none()).count()
    }

    fn report(&mut self, now: Instant, name: PadName, report: PadReport) -> Heard {
        if let Some(pad) = self.pads.iter_mut().find(|pad| pad.name == name) {
            pad.report = report;
            if let Some(slot) = pad.slot {
                self.show(now, slot, report);
            }
            return Heard::Done;
        }
        if self.pads.len() >= MAX_PADS {
            return Heard::Refused;
        }
        self.pads.push(Pad { name, report, slot: None });
        self.place(now)
    }

    fn is_attended(&self, now: Instant) -> bool {
        self.attended.is_some_and(|until| now < until)
    }

    /// Brings a pad's device to this state, if a viewer is there, and otherwise to rest.
    fn show(&mut self, now: Instant, slot: SlotNumber, report: PadReport) {
        let report = if self.is_attended(now) { report } else { PadReport::default() };
        self.actions.push_back(Action::Show(slot, report));
    }

    fn show_all(&mut self, now: Instant) {
        let held = self.pads.iter().filter_map(|pad| Some((pad.slot?, pad.report)));
        for (slot, report) in held.collect::<Vec<_>>() {
            self.show(now, slot, report);
        }
    }

    /// Removes the pads that `whose` selects.
    fn leave(&mut self, until: Instant, whose: impl Fn(PadName) -> bool) {
        for number in self.numbers() {
            if let Some(name) = self.holder(number).filter(|name| whose(*name)) {
                self.keep(number, until, Some(name));
            }
        }
        self.pads.retain(|pad| !whose(pad.name));
    }

    fn keep(&mut self, slot: SlotNumber, until: Instant, last: Option<PadName>) {
        self.set(slot, Slot::Kept { until, last });
        self.actions.push_back(Action::Show(slot, PadReport::default()));
    }

    /// Gives slots to waiting pads. Returns the result for the last of them.
    fn place(&mut self, now: Instant) -> Heard {
        for index in 0..self.pads.len() {
            let Some(Pad { name, report, slot: None }) = self.pads.get(index).copied() else {
                continue;
            };
            let slot = match self.choose(name) {
                None => return Heard::Waits,
                Some(slot) if self.slot(slot) != Slot::Empty => slot,
                Some(slot) => {
                    if !self.budget.take(now) {
                        return Heard::Throttled;
                    }
                    self.actions.push_back(Action::Create(slot));
                    slot
                }
            };
            self.set(slot, Slot::Held(name));
            self.show(now, slot, report);
            if let Some(pad) = self.pads.get_mut(index) {
                pad.slot = Some(slot);
            }
        }
        Heard::Done
    }

    /// The device that this pad had before, else a kept one, else a new one.
    fn choose(&self, name: PadName) -> Option<SlotNumber> {
        let find = |wanted: &dyn Fn(Slot) -> bool| {
            self.numbers().find(|number| wanted(self.slot(*number)))
        };
        find(&|slot| matches!(slot, Slot::Kept { last: Some(last), .. } if last == name))
            .or_else(|| find(&|slot| matches!(slot, Slot::Kept { .. })))
            .or_else(|| find(&|slot| slot == Slot::Empty))
    }

    fn slot(&self, number: SlotNumber) -> Slot {
        self.slots.get(number.0).copied().unwrap_or(Slot::Broken)
    }

    fn set(&mut self, number: SlotNumber, slot: Slot) {
        if let Some(place) = self.slots.get_mut(number.0) {
            *place = slot;
        }
    }
}

/// How many devices may be created.
#[derive(Debug)]
struct Budget {
    left: u32,
    counted: Instant,
}

impl Budget {
    fn take(&mut self, now: Instant) -> bool {
        while self.left < CREATION_BURST && self.next() <= now {
            self.left += 1;
            self.counted += CREATION_INTERVAL;
        }
        if self.left == CREATION_BURST {
            self.counted = now;
        }
        let taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        taken
    }

    fn next(&self) -> Instant {
        self.counted + CREATION_INTERVAL
    }
}

#[cfg(test)]
#[path = "slots_tests.rs"]
mod tests;
