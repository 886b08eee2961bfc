//! What a virtual gamepad says it is: the exact names, numbers, codes and ranges of a real one on
//! Linux, so that games and their libraries know its layout without being told.
//!
//! INVARIANT: this table is the allow-list. A code that is in no row can neither be declared by a
//! device nor be sent by one.

use lumen_ipc::service::PadIdentity;

/// `BUS_USB` of `linux/input.h`.
const USB: u16 = 0x03;

/// A key or button, as `linux/input-event-codes.h` numbers it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Key(pub u16);

impl Key {
    /// The lower face button; `BTN_A`.
    pub const SOUTH: Self = Self(0x130);
    /// The right face button; `BTN_B`.
    pub const EAST: Self = Self(0x131);
    /// The upper face button. Microsoft's driver says this of its left one; `BTN_X`.
    pub const NORTH: Self = Self(0x133);
    /// The left face button. Microsoft's driver says this of its upper one; `BTN_Y`.
    pub const WEST: Self = Self(0x134);
    /// The capture button of Nintendo's driver; `BTN_Z`.
    pub const Z: Self = Self(0x135);
    /// The left shoulder button; `BTN_TL`.
    pub const LEFT_SHOULDER: Self = Self(0x136);
    /// The right shoulder button; `BTN_TR`.
    pub const RIGHT_SHOULDER: Self = Self(0x137);
    /// The left trigger as a button; `BTN_TL2`.
    pub const LEFT_TRIGGER: Self = Self(0x138);
    /// The right trigger as a button; `BTN_TR2`.
    pub const RIGHT_TRIGGER: Self = Self(0x139);
    /// The left centre button; `BTN_SELECT`.
    pub const SELECT: Self = Self(0x13a);
    /// The right centre button; `BTN_START`.
    pub const START: Self = Self(0x13b);
    /// The button with the maker's sign; `BTN_MODE`.
    pub const MODE: Self = Self(0x13c);
    /// The left stick, pressed; `BTN_THUMBL`.
    pub const LEFT_STICK: Self = Self(0x13d);
    /// The right stick, pressed; `BTN_THUMBR`.
    pub const RIGHT_STICK: Self = Self(0x13e);
}

/// An absolute axis, as `linux/input-event-codes.h` numbers it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Axis(pub u16);

impl Axis {
    /// Left stick, rightward; `ABS_X`.
    pub const X: Self = Self(0x00);
    /// Left stick, downward; `ABS_Y`.
    pub const Y: Self = Self(0x01);
    /// Left trigger; `ABS_Z`.
    pub const Z: Self = Self(0x02);
    /// Right stick, rightward; `ABS_RX`.
    pub const RX: Self = Self(0x03);
    /// Right stick, downward; `ABS_RY`.
    pub const RY: Self = Self(0x04);
    /// Right trigger; `ABS_RZ`.
    pub const RZ: Self = Self(0x05);
    /// Directional pad, rightward; `ABS_HAT0X`.
    pub const HAT_X: Self = Self(0x10);
    /// Directional pad, downward; `ABS_HAT0Y`.
    pub const HAT_Y: Self = Self(0x11);
}

/// The values of an axis.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Range {
    /// Smallest.
    pub minimum: i32,
    /// Largest.
    pub maximum: i32,
    /// Changes below it are noise, which the kernel filters.
    pub fuzz: i32,
    /// Around the centre, values below it mean the centre.
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
    /// As the driver of the real one names it.
    pub name: &'static str,
    /// Bus, vendor, product and version, of which libraries make the identifier they know it by.
    pub numbers: [u16; 4],
    /// Each button: its place in the standard mapping
    /// (<https://www.w3.org/TR/gamepad/#remapping>), and its code.
    pub buttons: &'static [(u8, Key)],
    /// All four axes of the two sticks.
    pub sticks: Range,
    /// Both triggers' axes, if they are axes.
    pub triggers: Option<Range>,
}

/// The sticks' axes, in the order of [`lumen_ipc::message::pads::PadReport::sticks`].
pub const STICKS: [Axis; 4] = [Axis::X, Axis::Y, Axis::RX, Axis::RY];
/// The triggers' axes, the left one first.
pub const TRIGGERS: [Axis; 2] = [Axis::Z, Axis::RZ];

/// Places in the standard mapping that are no buttons here but the directional pad's axes.
pub const UP: u8 = 12;
/// See [`UP`].
pub const DOWN: u8 = 13;
/// See [`UP`].
pub const LEFT: u8 = 14;
/// See [`UP`].
pub const RIGHT: u8 = 15;

/// The kernel's `xpad` driver: names the left face button X and the upper one Y, and gives them the
/// codes of those letters.
const MICROSOFT: &[(u8, Key)] = &[
    (0, Key::SOUTH),
    (1, Key::EAST),
    (2, Key::NORTH),
    (3, Key::WEST),
    (4, Key::LEFT_SHOULDER),
    (5, Key::RIGHT_SHOULDER),
    (8, Key::SELECT),
    (9, Key::START),
    (10, Key::LEFT_STICK),
    (11, Key::RIGHT_STICK),
    (16, Key::MODE),
];

/// `hid-playstation`: codes by place, and each trigger is a button besides being an axis.
const SONY: &[(u8, Key)] = &[
    (0, Key::SOUTH),
    (1, Key::EAST),
    (2, Key::WEST),
    (3, Key::NORTH),
    (4, Key::LEFT_SHOULDER),
    (5, Key::RIGHT_SHOULDER),
    (6, Key::LEFT_TRIGGER),
    (7, Key::RIGHT_TRIGGER),
    (8, Key::SELECT),
    (9, Key::START),
    (10, Key::LEFT_STICK),
    (11, Key::RIGHT_STICK),
    (16, Key::MODE),
];

/// `hid-nintendo`: codes by place, triggers that are buttons only, and one to capture the screen,
/// which Chromium numbers after the standard ones.
const NINTENDO: &[(u8, Key)] = &[
    (0, Key::SOUTH),
    (1, Key::EAST),
    (2, Key::WEST),
    (3, Key::NORTH),
    (4, Key::LEFT_SHOULDER),
    (5, Key::RIGHT_SHOULDER),
    (6, Key::LEFT_TRIGGER),
    (7, Key::RIGHT_TRIGGER),
    (8, Key::SELECT),
    (9, Key::START),
    (10, Key::LEFT_STICK),
    (11, Key::RIGHT_STICK),
    (16, Key::MODE),
    (17, Key::Z),
];

static XBOX_360: Identity = Identity {
    name: "Microsoft X-Box 360 pad",
    numbers: [USB, 0x045e, 0x028e, 0x0114],
    buttons: MICROSOFT,
    sticks: Range::new(-32768, 32767, 16, 128),
    triggers: Some(Range::new(0, 255, 0, 0)),
};

static XBOX_ONE: Identity = Identity {
    name: "Microsoft X-Box One S pad",
    numbers: [USB, 0x045e, 0x02ea, 0x0301],
    buttons: MICROSOFT,
    sticks: Range::new(-32768, 32767, 16, 128),
    triggers: Some(Range::new(0, 1023, 0, 0)),
};

static DUAL_SHOCK_4: Identity = Identity {
    name: "Sony Interactive Entertainment Wireless Controller",
    numbers: [USB, 0x054c, 0x09cc, 0x8111],
    buttons: SONY,
    sticks: Range::new(0, 255, 0, 0),
    triggers: Some(Range::new(0, 255, 0, 0)),
};

static SWITCH_PRO: Identity = Identity {
    name: "Nintendo Switch Pro Controller",
    numbers: [USB, 0x057e, 0x2009, 0x8111],
    buttons: NINTENDO,
    sticks: Range::new(-32767, 32767, 250, 500),
    triggers: None,
};

impl Identity {
    /// The row of the table.
    #[must_use]
    pub const fn of(identity: PadIdentity) -> &'static Self {
        match identity {
            PadIdentity::DualShock4 => &DUAL_SHOCK_4,
            PadIdentity::SwitchPro => &SWITCH_PRO,
            PadIdentity::Xbox360 => &XBOX_360,
            PadIdentity::XboxOne => &XBOX_ONE,
        }
    }

    /// Every axis it has.
    pub fn axes(&self) -> impl Iterator<Item = (Axis, Range)> {
        let sticks = STICKS.into_iter().map(|axis| (axis, self.sticks));
        let triggers = self.triggers.into_iter();
        let triggers = triggers.flat_map(|range| TRIGGERS.map(|axis| (axis, range)));
        sticks.chain(triggers).chain([(Axis::HAT_X, HAT), (Axis::HAT_Y, HAT)])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
            let codes: BTreeSet<_> = identity.buttons.iter().map(|(_, key)| key).collect();
            let places: BTreeSet<_> = identity.buttons.iter().map(|(place, _)| place).collect();
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
