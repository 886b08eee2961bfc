//! One slot's device, the state it shows, and the orders to its motors.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::Instant,
};

use lumen_ipc::message::pads::PadReport;

use crate::{
    events,
    identity::Identity,
    rumble::{Order, Rumble},
    slots::PadName,
    uinput::Device,
};

/// A slot.
#[derive(Debug)]
pub(super) struct Seat {
    device: Device,
    /// The report shown last; unknown (`None`) if a predecessor showed it.
    shown: Option<PadReport>,
    rumble: Rumble,
    /// The pad that received the last order.
    told: Option<PadName>,
}

impl Seat {
    pub(super) const fn new(device: Device, now: Instant) -> Self {
        Self { device, shown: None, rumble: Rumble::new(now), told: None }
    }

    pub(super) fn create(
        &mut self,
        now: Instant,
        identity: &Identity,
        phys: &str,
    ) -> io::Result<()> {
        self.rumble = Rumble::new(now);
        (self.shown, self.told) = (None, None);
        self.device.create(identity, phys)
    }

    pub(super) fn destroy(&mut self) -> io::Result<()> {
        self.device.destroy()
    }

    /// Brings the device to the state of `report`; returns how many events that took.
    pub(super) fn show(&mut self, identity: &Identity, report: PadReport) -> io::Result<u64> {
        let events = events::events(identity, self.shown.as_ref(), &report);
        self.device.emit(&events)?;
        self.shown = Some(report);
        Ok(events.len().try_into().unwrap_or(u64::MAX))
    }

    /// Its descriptor, to be polled for reading.
    pub(super) fn readable(&self) -> Option<BorrowedFd<'_>> {
        self.device.exists().then(|| self.device.as_fd())
    }

    /// Reads the programs' requests.
    pub(super) fn heed_programs(&mut self, now: Instant) -> io::Result<()> {
        if self.device.exists() {
            for request in self.device.requests()? {
                self.rumble.handle(now, request);
            }
        }
        Ok(())
    }

    /// The order for the pad that holds the slot, if any.
    pub(super) fn poll_order(
        &mut self,
        now: Instant,
        holder: Option<PadName>,
    ) -> Option<(PadName, Order)> {
        let holder = holder?;
        if self.told.replace(holder) != Some(holder) {
            self.rumble.pad_changed();
        }
        self.rumble.poll_order(now).map(|order| (holder, order))
    }

    /// When to call [`Seat::poll_order`].
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.rumble.deadline(now)
    }
}
