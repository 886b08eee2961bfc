//! `lumen-gamepad`: makes viewers' gamepads appear as input devices through `/dev/uinput`, which no
//! other process has open.
//!
//! Decides which pad has which of the session's slots ([`slots`]), what identity a device has
//! ([`identity`]), which events follow from a pad's state ([`events`]) and what a game's effects
//! mean for a pad's motors ([`rumble`]).
//!
//! Trusts the supervisor, and the kernel's answers about its devices. Does not trust rtc: whatever
//! it sends, only codes of the identity's table leave this process, there are never more devices
//! than slots, and devices are not created faster than [`slots`] allows. Does not trust the
//! programs that play effects: their numbers are clamped, and a flood of requests becomes one
//! message per interval.
//!
//! The flow of data:
//! ```text
//! pads ──▶ shell ──▶ slots ──▶ events ──▶ uinput ──▶ /dev/input/eventN ──▶ game
//! pads ◀── shell ◀── rumble ◀──────────── uinput ◀── effects ◀──────────── game
//! ```
//! The descriptors of the slots lie in a socket of the supervisor's, from which [`uinput::take`]
//! duplicates them. So the devices outlive this process, and a game does not notice its death: the
//! successor finds the devices, brings them to rest, and keeps them until rtc has announced which
//! pads there are.
//!
//! | module | is |
//! |---|---|
//! | [`events`] | a pad's state as input events |
//! | [`identity`] | the table of device identities |
//! | [`policy`] | this process's confinement |
//! | [`rumble`] | effects, and the orders to the motors |
//! | [`shell`] | event loop, link, devices, metrics |
//! | [`slots`] | which pad has which slot |
//! | [`uinput`] | the kernel's interface |

pub mod events;
pub mod identity;
pub mod policy;
pub mod rumble;
pub mod shell;
pub mod slots;
pub mod uinput;

use std::process::ExitCode;

/// Runs the worker until the supervisor ends it.
#[must_use]
pub fn run() -> ExitCode {
    lumen_ipc_runtime::bootstrap::run::<shell::Gamepad>()
}
