//! `presence`: compositor → gamepad, for how long pads count. No message goes back.
//!
//! The compositor alone knows whether a viewer is there ([`crate::lease`]), and rtc alone passes on what pads
//! do. So that an rtc that was taken over presses no button while nobody is there, gamepad takes a pad's state
//! from rtc only for as long as the compositor says. That is said again with each proof, and nothing else need
//! happen for it to end.

use serde::{Deserialize, Serialize};

use crate::{codec::Message, lease::Stay, link::LinkName};

/// Compositor → gamepad: pads count for so long from now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ToGamepad(pub Stay);

/// Gamepad → compositor. There are no such messages.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToCompositor {}

impl Message for ToGamepad {
    const LINK: LinkName = LinkName::Presence;
}

impl Message for ToCompositor {
    const LINK: LinkName = LinkName::Presence;
}
