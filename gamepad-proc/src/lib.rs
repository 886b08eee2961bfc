//! `lumen-gamepad`: makes viewers' gamepads appear as input devices, by `/dev/uinput`, which no
//! other process has open.
//!
//! Decides which pad has which of the session's slots ([`slots`]), what a device says it is
//! ([`identity`]), which events a pad's state becomes ([`events`]) and what a game's effects mean
//! for a pad's motors ([`rumble`]).
//!
//! Trusts: the supervisor, and the kernel's answers on its devices. Not rtc: whatever it says, no
//! code leaves this process that is not in the identity's table, no more than the slots there are
//! become devices, and devices are not made faster than [`slots`] allows. Not the programs that
//! play effects: their numbers are clamped, their floods become one message per interval.
//!
//! The data's way:
//! ```text
//! pads ──▶ shell ──▶ slots ──▶ events ──▶ uinput ──▶ /dev/input/eventN ──▶ game
//! pads ◀── shell ◀── rumble ◀──────────── uinput ◀── effects ◀──────────── game
//! ```
//! The descriptors of the slots lie in a socket of the supervisor's, from which [`uinput::take`]
//! duplicates them. So the devices outlive this process, and a game notices nothing of its death:
//! the successor finds the devices, brings them to rest, and keeps them until rtc has said whose
//! they are.
//!
//! | module | is |
//! |---|---|
//! | [`events`] | a pad's state as input events |
//! | [`identity`] | the table of what a device can be |
//! | [`policy`] | this process's confinement |
//! | [`rumble`] | effects, and what the motors do |
//! | [`shell`] | event loop, link, devices, metrics |
//! | [`slots`] | whose pad has which slot |
//! | [`uinput`] | the kernel's interface |

pub mod events;
pub mod identity;
pub mod policy;
pub mod rumble;
pub mod shell;
pub mod slots;
pub mod uinput;

use std::process::ExitCode;

/// Lives the worker's life.
#[must_use]
pub fn run() -> ExitCode {
    lumen_ipc_runtime::bootstrap::run::<shell::Gamepad>()
}
