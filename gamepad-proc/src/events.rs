//! Turns a pad's state into the input events that bring a device to it. Pure.
//!
//! INVARIANT: whatever the report, the identity declares every event's code, and every value is in
//! the declared range.

use evdev::{AbsoluteAxisCode as Axis, EventType, InputEvent, KeyCode as Key, SynchronizationCode};
use lumen_ipc::message::pads::PadReport;

use crate::identity::{DOWN, Identity, LEFT, RIGHT, Range, STICKS, TRIGGERS, UP};

/// The end of a packet: the events before it happened together.
fn report() -> InputEvent {
    InputEvent::new(EventType::SYNCHRONIZATION.0, SynchronizationCode::SYN_REPORT.0, 0)
}

/// The events that bring a device from `before` to `after`; all of them when the device's state is
/// unknown. No events when nothing changes; otherwise the last one ends the packet.
#[must_use]
pub fn events(
    identity: &Identity,
    before: Option<&PadReport>,
    after: &PadReport,
) -> Vec<InputEvent> {
    let changed = |event: &InputEvent, was: Option<InputEvent>| was.as_ref() != Some(event);
    let states = states(identity, after);
    let mut events: Vec<InputEvent> = match before {
        None => states.collect(),
        Some(before) => states
            .zip(self::states(identity, before))
            .filter(|(event, was)| changed(event, Some(*was)))
            .map(|(event, _)| event)
            .collect(),
    };
    if !events.is_empty() {
        events.push(report());
    }
    events
}

/// Every control's state, always in the same order.
fn states(identity: &Identity, pad: &PadReport) -> impl Iterator<Item = InputEvent> {
    let PadReport { buttons, sticks, triggers } = *pad;
    let pressed =
        move |place: u8| 1_u32.checked_shl(place.into()).is_some_and(|bit| buttons & bit != 0);
    let key = move |&(place, key): &(u8, Key)| {
        InputEvent::new(EventType::KEY.0, key.0, pressed(place).into())
    };
    let axis = |axis: Axis, value| InputEvent::new(EventType::ABSOLUTE.0, axis.0, value);
    let towards = move |less, more| i32::from(pressed(more)) - i32::from(pressed(less));
    let range = identity.sticks;
    let sticks = STICKS.into_iter().zip(sticks).map(move |(it, at)| axis(it, stick(range, at)));
    let triggers = identity.triggers.into_iter().flat_map(move |range| {
        TRIGGERS.into_iter().zip(triggers).map(move |(it, at)| axis(it, trigger(range, at)))
    });
    let hat =
        [axis(Axis::ABS_HAT0X, towards(LEFT, RIGHT)), axis(Axis::ABS_HAT0Y, towards(UP, DOWN))];
    identity.buttons.iter().map(key).chain(sticks).chain(triggers).chain(hat)
}

/// Scales the full range of an `i16` to the device's range. Rest is the centre of both.
fn stick(range: Range, at: i16) -> i32 {
    const FULL: i64 = u16::MAX as i64;
    let above = i64::from(at) - i64::from(i16::MIN);
    let span = i64::from(range.maximum) - i64::from(range.minimum);
    let scaled = (above * span + FULL / 2) / FULL;
    // Within the range, because `above` is within the full range.
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

    fn all(identity: PadIdentity, report: PadReport) -> Vec<InputEvent> {
        events(Identity::of(identity), None, &report)
    }

    fn value(events: &[InputEvent], kind: EventType, code: u16) -> Option<i32> {
        let it = events.iter().find(|event| (event.event_type(), event.code()) == (kind, code));
        it.map(InputEvent::value)
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
                assert_eq!(
                    value(&events, EventType::ABSOLUTE, axis.0),
                    Some(centre),
                    "{identity:?}"
                );
            }
            assert_eq!(value(&events, EventType::ABSOLUTE, Axis::ABS_HAT0X.0), Some(0));
            let mut keys = events.iter().filter(|event| event.event_type() == EventType::KEY);
            assert!(keys.all(|key| key.value() == 0));
        }
    }

    #[test]
    fn extremes_are_the_ends_of_the_range() {
        let report =
            PadReport { buttons: 0, sticks: [i16::MIN, i16::MAX, -1, 1], triggers: [255, 128] };
        let xbox = all(PadIdentity::Xbox360, report);
        let axis = |events: &[InputEvent], axis: Axis| value(events, EventType::ABSOLUTE, axis.0);
        assert_eq!(STICKS.map(|it| axis(&xbox, it)), [-32768, 32767, -1, 1].map(Some));
        assert_eq!(TRIGGERS.map(|it| axis(&xbox, it)), [255, 128].map(Some));
        let sony = all(PadIdentity::DualShock4, report);
        assert_eq!(STICKS.map(|it| axis(&sony, it)), [0, 255, 127, 128].map(Some));
        let one = all(PadIdentity::XboxOne, report);
        assert_eq!(TRIGGERS.map(|it| axis(&one, it)), [1023, 513].map(Some));
        assert_eq!(axis(&all(PadIdentity::SwitchPro, report), Axis::ABS_Z), None);
    }

    #[test]
    fn face_buttons_have_the_codes_of_each_makers_driver() {
        let report = PadReport { buttons: 1 << 2, ..PadReport::default() };
        assert_eq!(
            value(&all(PadIdentity::Xbox360, report), EventType::KEY, Key::BTN_NORTH.0),
            Some(1)
        );
        assert_eq!(
            value(&all(PadIdentity::DualShock4, report), EventType::KEY, Key::BTN_WEST.0),
            Some(1)
        );
    }

    #[test]
    fn directional_pad_is_two_axes_and_opposites_cancel() {
        let pressed = |buttons| PadReport { buttons, ..PadReport::default() };
        let hat = |report| {
            let events = all(PadIdentity::Xbox360, report);
            [Axis::ABS_HAT0X, Axis::ABS_HAT0Y]
                .map(|axis| value(&events, EventType::ABSOLUTE, axis.0).expect("a hat"))
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
        let press = InputEvent::new(EventType::KEY.0, Key::BTN_SOUTH.0, 1);
        assert_eq!(events(identity, Some(&rest), &pressed), [press, report()]);
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
                match event.event_type() {
                    EventType::KEY => {
                        prop_assert!(identity.buttons.iter().any(|(_, key)| key.0 == event.code()));
                        prop_assert!((0..=1).contains(&event.value()));
                    }
                    EventType::ABSOLUTE => {
                        let (_, range) = identity
                            .axes()
                            .find(|(axis, _)| axis.0 == event.code())
                            .expect("a declared axis");
                        prop_assert!((range.minimum..=range.maximum).contains(&event.value()));
                    }
                    _ => prop_assert_eq!(*event, super::report()),
                }
            }
            prop_assert_eq!(all.last(), Some(&super::report()));
            prop_assert!(events(identity, Some(&report), &report).is_empty());
        }
    }
}
