//! An input device, read as a game would.

use std::{fs::File, io::Read, os::fd::AsFd};

use anyhow::{Context, Result, ensure};
use lumen_tests::patience::patience;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Bytes of a `struct input_event` and of its time (`linux/input.h`, 64 bits).
const EVENT: usize = 24;
const TIME: usize = 16;
/// `EV_KEY` and `BTN_SOUTH`.
const KEY: u16 = 1;
const SOUTH: u16 = 0x130;

pub(crate) struct Device {
    file: File,
}

impl Device {
    pub(crate) fn open(node: &str) -> Result<Self> {
        Ok(Self { file: File::open(node).with_context(|| node.to_owned())? })
    }

    /// Waits for the event that the lower face button is down, or up.
    pub(crate) fn wait_for_south(&mut self, pressed: bool) -> Result<()> {
        loop {
            let mut waits = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
            let patience = PollTimeout::try_from(patience()).unwrap_or(PollTimeout::MAX);
            ensure!(poll(&mut waits, patience)? > 0, "the device says nothing");
            let mut event = [0; EVENT];
            self.file.read_exact(&mut event)?;
            let Some([k0, k1, c0, c1, v0, v1, v2, v3]) = event.get(TIME..) else { continue };
            let (kind, code) = (u16::from_ne_bytes([*k0, *k1]), u16::from_ne_bytes([*c0, *c1]));
            let value = i32::from_ne_bytes([*v0, *v1, *v2, *v3]);
            if (kind, code, value) == (KEY, SOUTH, pressed.into()) {
                return Ok(());
            }
        }
    }
}
