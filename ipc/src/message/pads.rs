//! `pads`: rtc → gamepad, the state of viewers' gamepads; back, whether pads are supported, and
//! rumble.
//!
//! A pad is named by its peer and its number there. The gamepad worker gives it a slot, which is a
//! device; with all [`SLOTS`] taken, further pads wait for a free one. Peers and pads are announced
//! again on every new link end, so the worker need not remember them.

use serde::{Deserialize, Serialize};

use crate::{
    codec::Message,
    link::LinkName,
    units::{PadIndex, PeerId},
};

/// The most pads of a session, over all its viewers.
pub const SLOTS: usize = 4;

/// Rtc → gamepad.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ToGamepad {
    /// The viewer's peer.
    pub peer: PeerId,
    /// What happened.
    pub action: PadAction,
}

/// An event of a viewer's pads.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum PadAction {
    /// The pad was plugged in, at rest.
    Plugged(PadIndex),
    /// The pad has this state.
    Reported(PadIndex, PadReport),
    /// The pad was unplugged.
    Unplugged(PadIndex),
    /// The peer has left with all its pads.
    PeerLeft,
}

/// The state of a pad in the W3C standard mapping. Every value is legal.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct PadReport {
    /// Pressed buttons: bit `n` is `Gamepad.buttons[n]` of the standard mapping. Other bits are
    /// ignored.
    pub buttons: u32,
    /// Left stick right and down, right stick right and down.
    pub sticks: [i16; 4],
    /// How far the left and the right trigger are pulled.
    pub triggers: [u8; 2],
}

/// Gamepad → rtc.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum ToRtc {
    /// Whether pads are supported on this machine; sent once on each new link end.
    Available(bool),
    /// The motors of a pad run like this until the next order or until `millis` have passed. Both
    /// zero: stop.
    Rumbled {
        /// The viewer's peer.
        peer: PeerId,
        /// The number of the pad there.
        pad: PadIndex,
        /// The heavy, slow motor.
        strong: u16,
        /// The light, fast motor.
        weak: u16,
        /// The longest duration.
        millis: u16,
    },
}

impl Message for ToGamepad {
    const LINK: LinkName = LinkName::Pads;
}

impl Message for ToRtc {
    const LINK: LinkName = LinkName::Pads;
}
