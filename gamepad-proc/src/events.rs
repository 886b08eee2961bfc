//! From a pad's state to the input events that bring a device to it. Pure.
//!
//! INVARIANT: every event's code is one the identity declares, and its value is in the range it
//! declares, whatever the report.

use lumen_ipc::message::pads::PadReport;

use crate::identity::{Axis, DOWN, Identity, LEFT, RIGHT, Range, STICKS, TRIGGERS, UP};

/// One input event, without its time, which the kernel stamps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Event {
    /// `EV_*`.
    pub kind: u16,
    /// The key, axis or marker.
    pub code: u16,
    /// What it is now.
    pub value: i32,
}

/// `EV_SYN` of `linux/input-event-codes.h`: the end of a packet of events.
pub const EV_SYN: u16 = 0x00;
/// `EV_KEY`: keys and buttons.
pub const EV_KEY: u16 = 0x01;
/// `EV_ABS`: absolute axes.
pub const EV_ABS: u16 = 0x03;
/// `EV_FF`: force feedback, from programs to the device.
pub const EV_FF: u16 = 0x15;

/// `SYN_REPORT`: what came before happened together.
const REPORT: Event = Event { kind: EV_SYN, code: 0, value: 0 };

/// The events that bring a device from `before` to `after`; all of them when it is not known how the
/// device is. None when nothing changes, else the last one closes the packet.
#[must_use]
pub fn events(identity: &Identity, before: Option<&PadReport>, after: &PadReport) -> Vec<Event> {
    let changed = |event: &Event, was: Option<Event>| was.as_ref() != Some(event);
    let states = states(identity, after);
    let mut events: Vec<Event> = match before {
        None => states.collect(),
        Some(before) => states
            .zip(self::states(identity, before))
            .filter(|(event, was)| changed(event, Some(*was)))
            .map(|(event, _)| event)
            .collect(),
    };
    if !events.is_empty() {
        events.push(REPORT);
    }
    events
}

/// Every control's state, always in the same order.
fn states(identity: &Identity, report: &PadReport) -> impl Iterator<Item = Event> {
    let PadReport { buttons, sticks, triggers } = *report;
    let pressed =
        move |place: u8| 1_u32.checked_shl(place.into()).is_some_and(|bit| buttons & bit != 0);
    let key = move |&(place, key): &(u8, crate::identity::Key)| Event {
        kind: EV_KEY,
        code: key.0,
        value: pressed(place).into(),
    };
    let axis = |axis: Axis, value| Event { kind: EV_ABS, code: axis.0, value };
    let towards = move |less, more| i32::from(pressed(more)) - i32::from(pressed(less));
    let range = identity.sticks;
    let sticks = STICKS.into_iter().zip(sticks).map(move |(it, at)| axis(it, stick(range, at)));
    let triggers = identity.triggers.into_iter().flat_map(move |range| {
        TRIGGERS.into_iter().zip(triggers).map(move |(it, at)| axis(it, trigger(range, at)))
    });
    let hat = [axis(Axis::HAT_X, towards(LEFT, RIGHT)), axis(Axis::HAT_Y, towards(UP, DOWN))];
    identity.buttons.iter().map(key).chain(sticks).chain(triggers).chain(hat)
}

/// From the full range of an `i16` to the device's. Rest is the centre of both.
fn stick(range: Range, at: i16) -> i32 {
    const FULL: i64 = u16::MAX as i64;
    let above = i64::from(at) - i64::from(i16::MIN);
    let span = i64::from(range.maximum) - i64::from(range.minimum);
    let scaled = (above * span + FULL / 2) / FULL;
    // Within the span, because `above` is within the full range.
    i32::try_from(i64::from(range.minimum) + scaled).unwrap_or(range.maximum)
}

fn trigger(range: Range, at: u8) -> i32 {
    range.minimum + i32::from(at) * (range.maximum - range.minimum) / i32::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    use lumen_ipc::service::PadIdentity;
    use proptest::prelude::*;

    use super::*;
    use crate::identity::Key;

    fn all(identity: PadIdentity, report: PadReport) -> Vec<Event> {
        events(Identity::of(identity), None, &report)
    }

    fn value(events: &[Event], kind: u16, code: u16) -> Option<i32> {
        events.iter().find(|event| (event.kind, event.code) == (kind, code)).map(|it| it.value)
    }

    #[test]
    fn rest_is_the_centre_of_every_identity() {
        for (identity, centre) in [
            (PadIdentity::Xbox360, 0),
            (PadIdentity::XboxOne, 0),
            (PadIdentity::DualShock4, 128),
            (PadIdentity::SwitchPro, 0),
        ] {
            let events = all(identity, PadReport::default());
            for axis in STICKS {
                assert_eq!(value(&events, EV_ABS, axis.0), Some(centre), "{identity:?}");
            }
            assert_eq!(value(&events, EV_ABS, Axis::HAT_X.0), Some(0));
            assert!(events.iter().filter(|event| event.kind == EV_KEY).all(|key| key.value == 0));
        }
    }

    #[test]
    fn extremes_are_the_ends_of_the_range() {
        let report =
            PadReport { buttons: 0, sticks: [i16::MIN, i16::MAX, -1, 1], triggers: [255, 128] };
        let xbox = all(PadIdentity::Xbox360, report);
        let axis = |events: &[Event], axis: Axis| value(events, EV_ABS, axis.0);
        assert_eq!(STICKS.map(|it| axis(&xbox, it)), [-32768, 32767, -1, 1].map(Some));
        assert_eq!(TRIGGERS.map(|it| axis(&xbox, it)), [255, 128].map(Some));
        let sony = all(PadIdentity::DualShock4, report);
        assert_eq!(STICKS.map(|it| axis(&sony, it)), [0, 255, 127, 128].map(Some));
        let one = all(PadIdentity::XboxOne, report);
        assert_eq!(TRIGGERS.map(|it| axis(&one, it)), [1023, 513].map(Some));
        assert_eq!(axis(&all(PadIdentity::SwitchPro, report), Axis::Z), None);
    }

    #[test]
    fn face_buttons_have_the_codes_of_each_makers_driver() {
        let report = PadReport { buttons: 1 << 2, ..PadReport::default() };
        assert_eq!(value(&all(PadIdentity::Xbox360, report), EV_KEY, Key::NORTH.0), Some(1));
        assert_eq!(value(&all(PadIdentity::DualShock4, report), EV_KEY, Key::WEST.0), Some(1));
    }

    #[test]
    fn directional_pad_is_two_axes_and_opposites_cancel() {
        let pressed = |buttons| PadReport { buttons, ..PadReport::default() };
        let hat = |report| {
            let events = all(PadIdentity::Xbox360, report);
            [Axis::HAT_X, Axis::HAT_Y].map(|axis| value(&events, EV_ABS, axis.0).expect("a hat"))
        };
        assert_eq!(hat(pressed(1 << UP | 1 << LEFT)), [-1, -1]);
        assert_eq!(hat(pressed(1 << DOWN | 1 << RIGHT)), [1, 1]);
        assert_eq!(hat(pressed(1 << UP | 1 << DOWN)), [0, 0]);
    }

    #[test]
    fn nothing_changed_is_no_event_and_a_press_is_two() {
        let identity = Identity::of(PadIdentity::Xbox360);
        let (rest, pressed) =
            (PadReport::default(), PadReport { buttons: 1, ..PadReport::default() });
        assert!(events(identity, Some(&rest), &rest).is_empty());
        let press = Event { kind: EV_KEY, code: Key::SOUTH.0, value: 1 };
        assert_eq!(events(identity, Some(&rest), &pressed), [press, REPORT]);
    }

    fn identity() -> impl Strategy<Value = PadIdentity> {
        prop_oneof![
            Just(PadIdentity::DualShock4),
            Just(PadIdentity::SwitchPro),
            Just(PadIdentity::Xbox360),
            Just(PadIdentity::XboxOne),
        ]
    }

    proptest! {
        #[test]
        fn any_report_stays_within_what_the_identity_declares(
            identity in identity(), buttons: u32, sticks: [i16; 4], triggers: [u8; 2],
        ) {
            let report = PadReport { buttons, sticks, triggers };
            let identity = Identity::of(identity);
            let all = events(identity, None, &report);
            for event in &all {
                match event.kind {
                    EV_KEY => {
                        prop_assert!(identity.buttons.iter().any(|(_, key)| key.0 == event.code));
                        prop_assert!((0..=1).contains(&event.value));
                    }
                    EV_ABS => {
                        let (_, range) = identity
                            .axes()
                            .find(|(axis, _)| axis.0 == event.code)
                            .expect("a declared axis");
                        prop_assert!((range.minimum..=range.maximum).contains(&event.value));
                    }
                    _ => prop_assert_eq!(*event, REPORT),
                }
            }
            prop_assert_eq!(all.last(), Some(&REPORT));
            prop_assert!(events(identity, Some(&report), &report).is_empty());
        }
    }
}
