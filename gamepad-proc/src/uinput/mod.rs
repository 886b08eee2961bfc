//! The kernel's interface to virtual input devices: descriptors of `/dev/uinput`, one for each
//! slot, on which a device can be created, driven and removed any number of times.
//!
//! Documented in <https://docs.kernel.org/input/uinput.html> and `linux/uinput.h`. Codes and events
//! come from the crate `evdev`. Creating devices is our own code, because the crate opens
//! `/dev/uinput` by its path while a worker holds descriptors. So is reading effects: the crate's
//! conversion panics at an unknown kind, and the kind comes from a program.
//!
//! Trusts the kernel, but not programs: the number and the kind of an effect are checked.

mod deposit;
mod feedback;
mod ffi;

use std::{
    ffi::CString,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

pub use deposit::{DepositError, take};
use evdev::{EventType, FFEffectCode, InputEvent};
pub use ffi::{REQUESTS, SET_KEY, SET_KIND};

use crate::{
    identity::{Identity, Range},
    rumble::{EFFECTS, Request},
};

/// Force-feedback effects that two motors can follow, the same as the kernel's own emulation
/// declares.
const FEEDBACK: [FFEffectCode; 6] = [
    FFEffectCode::FF_RUMBLE,
    FFEffectCode::FF_PERIODIC,
    FFEffectCode::FF_SQUARE,
    FFEffectCode::FF_TRIANGLE,
    FFEffectCode::FF_SINE,
    FFEffectCode::FF_GAIN,
];

/// Kinds of events that a device has. Relative axes would be those of a mouse.
pub const KINDS: [EventType; 3] = [EventType::KEY, EventType::ABSOLUTE, EventType::FORCEFEEDBACK];

/// One descriptor, with or without a device.
#[derive(Debug)]
pub struct Device {
    descriptor: OwnedFd,
    exists: bool,
}

impl Device {
    /// Adopts a device on this descriptor, if a predecessor left one. Requests that the predecessor
    /// did not answer are answered, so that no program hangs.
    ///
    /// # Errors
    /// The kernel's error if the descriptor does not belong to uinput.
    pub fn adopt(descriptor: OwnedFd) -> io::Result<Self> {
        let exists = ffi::has_device(descriptor.as_fd())?;
        let device = Self { descriptor, exists };
        if exists {
            feedback::settle_all(device.as_fd());
        }
        Ok(device)
    }

    /// Whether there is a device.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.exists
    }

    /// Creates the device.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn create(&mut self, identity: &Identity, phys: &str) -> io::Result<()> {
        let device = self.descriptor.as_fd();
        ffi::declare_kinds(device, &KINDS)?;
        identity.buttons.iter().try_for_each(|(_, key)| ffi::declare_key(device, *key))?;
        for (axis, range) in identity.axes() {
            let Range { minimum, maximum, fuzz, flat } = range;
            ffi::declare_axis(device, axis, [minimum, maximum, fuzz, flat])?;
        }
        FEEDBACK.iter().try_for_each(|effect| ffi::declare_feedback(device, *effect))?;
        ffi::declare_phys(device, &CString::new(phys)?)?;
        // Fits: it is a small constant.
        ffi::set_up(device, identity.numbers, identity.name, EFFECTS as u32)?;
        ffi::create(device)?;
        self.exists = true;
        Ok(())
    }

    /// Removes the device.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn destroy(&mut self) -> io::Result<()> {
        self.exists = false;
        ffi::destroy(self.descriptor.as_fd())
    }

    /// Sends events, all of them or none.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn emit(&self, events: &[InputEvent]) -> io::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let bytes: Vec<u8> = events.iter().flat_map(ffi::event_to_bytes).collect();
        match rustix::io::write(&self.descriptor, &bytes)? {
            written if written == bytes.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    /// The requests of programs, to be read each time the descriptor is readable. Answers those
    /// that wait.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn requests(&self) -> io::Result<Vec<Request>> {
        feedback::read(self.as_fd())
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
