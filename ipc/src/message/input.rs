//! `input`: rtc → compositor, viewers' input and their proofs of presence; back come the challenges for
//! the next proofs.
//!
//! The compositor records what each peer holds down: [`Action::PeerLeft`] and the end of the link
//! both release it. Input counts only from a peer whose viewer has proved that it is there
//! ([`crate::lease`]); of others only releases do. The compositor ignores repeated presses and stray releases. A peer that holds
//! something and is silent for [`HOLD_PATIENCE`] counts as having released it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    codec::Message,
    lease::{Challenge, LeaseId, Proof},
    link::LinkName,
    units::{ButtonCode, KeyCode, OutputId, OutputSize, PeerId},
};

/// How long a peer may be silent while it holds a key or button; meanwhile it sends
/// [`Action::StillHeld`] several times. Apps repeat a held key by themselves, 25 times a second, so
/// this bounds how much a viewer with a frozen browser or network deletes with Backspace.
pub const HOLD_PATIENCE: Duration = Duration::from_millis(450);

/// Rtc → compositor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToCompositor {
    /// Who did it.
    pub peer: PeerId,
    /// The output that the viewer was looking at: positions refer to it.
    pub output: OutputId,
    /// What was done.
    pub action: Action,
}

/// Compositor → rtc: what the next proof of a lease answers. Sent when the last one was answered, and for
/// every lease on a new link end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToRtc {
    /// Whose.
    pub lease: LeaseId,
    /// What the next proof answers.
    pub challenge: Challenge,
}

/// What a viewer does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// A key went down or up. The viewer's auto-repeat is not sent: apps repeat keys themselves.
    Key {
        /// Which, by physical position.
        key: KeyCode,
        /// Down or up.
        state: PressState,
        /// The lock keys of the viewer's keyboard at that moment, if the viewer's system tells.
        locks: Option<Locks>,
    },
    /// The pointer moved to a place on the output.
    PointerTo(OutputPoint),
    /// The pointer moved by an amount, while a viewer has it locked.
    PointerBy(PointerDelta),
    /// A mouse button went down or up at a place on the output. The place is part of the message
    /// because motion is sent unreliably and the last one may be missing.
    Button {
        /// Which.
        button: ButtonCode,
        /// Down or up.
        state: PressState,
        /// Where.
        at: OutputPoint,
    },
    /// A wheel turned, in steps of which 120 are one notch (`wl_pointer.axis_value120`).
    Wheel {
        /// Rightward.
        right_v120: i16,
        /// Downward.
        down_v120: i16,
    },
    /// A finger or another smooth device scrolled, in sixteenths of a pixel of the frame. Both zero:
    /// the fingers were lifted.
    Scroll {
        /// Rightward.
        right_sixteenths: i16,
        /// Downward.
        down_sixteenths: i16,
    },
    /// The viewer's window lost focus: release all it holds.
    ReleaseAll,
    /// The peer is gone: release all it holds and forget it.
    PeerLeft,
    /// A sign of life: the viewer is there and still holds what it holds. It presses nothing.
    StillHeld,
    /// The viewer proves that it is there.
    Proved(Proof),
}

/// Down or up.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum PressState {
    /// Down.
    Pressed,
    /// Up.
    Released,
}

/// Which lock keys of a viewer's keyboard are on. ScrollLock is not among them: XKB's keymaps keep
/// no state for it, so it is a key like any other.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct Locks {
    /// Caps Lock.
    pub caps: bool,
    /// Num Lock.
    pub num: bool,
}

/// A place on the output as a fraction of its size: 0 is the left or top edge, 65535 the right or
/// bottom edge. Independent of the output's size at the moment it is used.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct OutputPoint {
    /// Horizontal.
    pub x: u16,
    /// Vertical.
    pub y: u16,
}

/// A relative motion in sixteenths of an output pixel: pixels of the frame, whatever the scale.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct PointerDelta {
    /// Rightward.
    pub dx: i16,
    /// Downward.
    pub dy: i16,
}

impl OutputPoint {
    /// The place in an app's pixels on an output of `size`.
    #[must_use]
    pub fn on(self, size: OutputSize) -> (f64, f64) {
        let place = |fraction: u16, side: u16| {
            f64::from(fraction) * f64::from(side) / f64::from(u16::MAX) / size.scale.factor()
        };
        (place(self.x, size.pixels.width()), place(self.y, size.pixels.height()))
    }
}

impl Message for ToCompositor {
    const LINK: LinkName = LinkName::Input;
}

impl Message for ToRtc {
    const LINK: LinkName = LinkName::Input;
}
