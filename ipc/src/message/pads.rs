//! `pads`: rtc → gamepad, what viewers' gamepads do; back, whether there are pads at all, and rumble.
//!
//! A pad is named by its peer and its number there. The gamepad worker gives it a slot, which is a
//! device; with all [`SLOTS`] taken a further pad waits for one to become free. Peer and pad are
//! announced anew on every new link end, so the worker never needs to remember.

use serde::{Deserialize, Serialize};

use crate::{
    codec::Message,
    link::LinkName,
    units::{PadIndex, PeerId},
};

/// Most pads of a session, over all its viewers.
pub const SLOTS: usize = 4;

/// Rtc → gamepad.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ToGamepad {
    /// Whose pad.
    pub peer: PeerId,
    /// What became of it.
    pub action: PadAction,
}

/// What a viewer does with its pads.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum PadAction {
    /// It is there, at rest.
    Plugged(PadIndex),
    /// It is as described, all of it.
    Reported(PadIndex, PadReport),
    /// It is gone.
    Unplugged(PadIndex),
    /// The peer is gone, and all its pads.
    PeerLeft,
}

/// The state of a pad in the W3C standard mapping. Every value is legal.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct PadReport {
    /// Pressed buttons: bit `n` is `Gamepad.buttons[n]` of the standard mapping. Bits of no button
    /// mean nothing.
    pub buttons: u32,
    /// Left stick right and down, right stick right and down.
    pub sticks: [i16; 4],
    /// How far the left and the right trigger are pulled.
    pub triggers: [u8; 2],
}

/// Gamepad → rtc.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum ToRtc {
    /// Whether pads can be had on this machine; sent once on each new link end.
    Available(bool),
    /// A pad shall shake from now on, until told otherwise or `millis` have passed. Both zero: stop.
    Rumbled {
        /// Whose pad.
        peer: PeerId,
        /// Which.
        pad: PadIndex,
        /// The heavy, slow motor.
        strong: u16,
        /// The light, fast motor.
        weak: u16,
        /// For how long at most.
        millis: u16,
    },
}

impl Message for ToGamepad {
    const LINK: LinkName = LinkName::Pads;
}

impl Message for ToRtc {
    const LINK: LinkName = LinkName::Pads;
}
