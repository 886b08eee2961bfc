//! The identities of virtual gamepads: the exact names, numbers, codes and ranges of real ones on
//! Linux, from which games and their libraries know the layout.
//!
//! Codes are the kernel's, named as in `linux/input-event-codes.h`. The left face button is
//! `BTN_WEST` and the upper one `BTN_NORTH`, except in Microsoft's driver, which swaps them.
//!
//! INVARIANT: this table is the allow-list. A device can neither declare nor send a code that is
//! missing from its row.

use evdev::{AbsoluteAxisCode as Axis, BusType, KeyCode as Key};
use lumen_ipc::service::PadIdentity;

/// The values of an axis.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Range {
    /// Smallest value.
    pub minimum: i32,
    /// Largest value.
    pub maximum: i32,
    /// The kernel filters changes below this as noise.
    pub fuzz: i32,
    /// Values this close to the centre count as the centre.
    pub flat: i32,
}

impl Range {
    const fn new(minimum: i32, maximum: i32, fuzz: i32, flat: i32) -> Self {
        Self { minimum, maximum, fuzz, flat }
    }
}

/// The range of both axes of a directional pad, which is two three-way switches.
pub const HAT: Range = Range::new(-1, 1, 0, 0);

/// A kind of gamepad.
#[derive(Debug)]
pub struct Identity {
    /// The name that the real one's driver gives it.
    pub name: &'static str,
    /// Bus, vendor, product and version, from which libraries derive the identifier of the model.
    pub numbers: [u16; 4],
    /// Each button: its index in the standard mapping (<https://www.w3.org/TR/gamepad/#remapping>)
    /// and its code.
    pub buttons: &'static [(u8, Key)],
    /// The range of all four axes of the two sticks.
    pub sticks: Range,
    /// The range of both triggers' axes, if they are axes.
    pub triggers: Option<Range>,
}

/// The sticks' axes, in the order of [`lumen_ipc::message::pads::PadReport::sticks`].
pub const STICKS: [Axis; 4] = [Axis::ABS_X, Axis::ABS_Y, Axis::ABS_RX, Axis::ABS_RY];
/// The triggers' axes, the left one first.
pub const TRIGGERS: [Axis; 2] = [Axis::ABS_Z, Axis::ABS_RZ];

/// Indices in the standard mapping that are not buttons here but axes of the directional pad.
pub const UP: u8 = 12;
/// See [`UP`].
pub const DOWN: u8 = 13;
/// See [`UP`].
pub const LEFT: u8 = 14;
/// See [`UP`].
pub const RIGHT: u8 = 15;

/// The kernel's `xpad` driver calls the left face button X and the upper one Y, and gives them the
/// codes of those letters.
const MICROSOFT: &[(u8, Key)] = &[
    (0, Key::BTN_SOUTH),
    (1, Key::BTN_EAST),
    (2, Key::BTN_NORTH),
    (3, Key::BTN_WEST),
    (4, Key::BTN_TL),
    (5, Key::BTN_TR),
    (8, Key::BTN_SELECT),
    (9, Key::BTN_START),
    (10, Key::BTN_THUMBL),
    (11, Key::BTN_THUMBR),
    (16, Key::BTN_MODE),
];

/// `hid-playstation`: codes by position; each trigger is both a button and an axis.
const SONY: &[(u8, Key)] = &[
    (0, Key::BTN_SOUTH),
    (1, Key::BTN_EAST),
    (2, Key::BTN_WEST),
    (3, Key::BTN_NORTH),
    (4, Key::BTN_TL),
    (5, Key::BTN_TR),
    (6, Key::BTN_TL2),
    (7, Key::BTN_TR2),
    (8, Key::BTN_SELECT),
    (9, Key::BTN_START),
    (10, Key::BTN_THUMBL),
    (11, Key::BTN_THUMBR),
    (16, Key::BTN_MODE),
];

/// `hid-nintendo`: codes by position, triggers that are only buttons, and a button to capture the
/// screen, which Chromium numbers after the standard ones.
const NINTENDO: &[(u8, Key)] = &[
    (0, Key::BTN_SOUTH),
    (1, Key::BTN_EAST),
    (2, Key::BTN_WEST),
    (3, Key::BTN_NORTH),
    (4, Key::BTN_TL),
    (5, Key::BTN_TR),
    (6, Key::BTN_TL2),
    (7, Key::BTN_TR2),
    (8, Key::BTN_SELECT),
    (9, Key::BTN_START),
    (10, Key::BTN_THUMBL),
    (11, Key::BTN_THUMBR),
    (16, Key::BTN_MODE),
    (17, Key::BTN_Z),
];

static XBOX_360: Identity = Identity {
    name: "Microsoft X-Box 360 pad",
    numbers: [BusType::BUS_USB.0, 0x045e, 0x028e, 0x0114],
    buttons: MICROSOFT,
    sticks: Range::new(-32768, 32767, 16, 128),
    triggers: Some(Range::new(0, 255, 0, 0)),
};

static XBOX_ONE: Identity = Identity {
    name: "Microsoft X-Box One S pad",
    numbers: [BusType::BUS_USB.0, 0x045e, 0x02ea, 0x0301],
    buttons: MICROSOFT,
    sticks: Range::new(-32768, 32767, 16, 128),
    triggers: Some(Range::new(0, 1023, 0, 0)),
};

static DUAL_SHOCK_4: Identity = Identity {
    name: "Sony Interactive Entertainment Wireless Controller",
    numbers: [BusType::BUS_USB.0, 0x054c, 0x09cc, 0x8111],
    buttons: SONY,
    sticks: Range::new(0, 255, 0, 0),
    triggers: Some(Range::new(0, 255, 0, 0)),
};

static SWITCH_PRO: Identity = Identity {
    name: "Nintendo Switch Pro Controller",
    numbers: [BusType::BUS_USB.0, 0x057e, 0x2009, 0x8111],
    buttons: NINTENDO,
    sticks: Range::new(-32767, 32767, 250, 500),
    triggers: None,
};

impl Identity {
    /// The row of `identity`.
    #[must_use]
    pub const fn of(identity: PadIdentity) -> &'static Self {
        match identity {
            PadIdentity::DualShock4 => &DUAL_SHOCK_4,
            PadIdentity::SwitchPro => &SWITCH_PRO,
            PadIdentity::Xbox360 => &XBOX_360,
            PadIdentity::XboxOne => &XBOX_ONE,
        }
    }

    /// Every axis of the identity.
    pub fn axes(&self) -> impl Iterator<Item = (Axis, Range)> {
        let sticks = STICKS.into_iter().map(|axis| (axis, self.sticks));
        let triggers = self.triggers.into_iter();
        let triggers = triggers.flat_map(|range| TRIGGERS.map(|axis| (axis, range)));
        sticks.chain(triggers).chain([(Axis::ABS_HAT0X, HAT), (Axis::ABS_HAT0Y, HAT)])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const ALL: [PadIdentity; 4] = [
        PadIdentity::DualShock4,
        PadIdentity::SwitchPro,
        PadIdentity::Xbox360,
        PadIdentity::XboxOne,
    ];

    #[test]
    fn every_button_is_a_gamepads_and_stands_once() {
        for identity in ALL.map(Identity::of) {
            // BTN_GAMEPAD to BTN_THUMBR of linux/input-event-codes.h.
            assert!(identity.buttons.iter().all(|(_, key)| (0x130..=0x13e).contains(&key.0)));
            let codes: HashSet<_> = identity.buttons.iter().map(|(_, key)| key).collect();
            let places: HashSet<_> = identity.buttons.iter().map(|(place, _)| place).collect();
            assert_eq!(codes.len(), identity.buttons.len(), "{}", identity.name);
            assert_eq!(places.len(), identity.buttons.len(), "{}", identity.name);
            assert!(places.iter().all(|place| !(UP..=RIGHT).contains(*place)));
        }
    }

    #[test]
    fn every_standard_control_is_a_button_or_an_axis() {
        for identity in ALL.map(Identity::of) {
            let has = |place| identity.buttons.iter().any(|(other, _)| *other == place);
            for place in (0..17).filter(|place| !(UP..=RIGHT).contains(place)) {
                let trigger_axis = matches!(place, 6 | 7) && identity.triggers.is_some();
                assert!(has(place) || trigger_axis, "{}: {place}", identity.name);
            }
        }
    }

    #[test]
    fn names_fit_the_kernels_field() {
        // UINPUT_MAX_NAME_SIZE, the final zero included.
        assert!(ALL.map(Identity::of).iter().all(|identity| identity.name.len() < 80));
    }
}
