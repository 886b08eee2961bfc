//! The recent input of each app: it must name one of these events to grab pointer and keyboard.
//! Pure.
//!
//! A request that takes input away from others names, by its serial, the event that made the user
//! want it. Serials are easily guessed, so a serial counts only if this very event was sent to this
//! very app, not long ago, and no other app has got the keyboard since.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use smithay::utils::Serial;

/// How long an event proves what its user wants.
const LIFE: Duration = Duration::from_secs(10);

/// Most events remembered. A hand makes some dozens in [`LIFE`].
const MOST: usize = 256;

/// A kind of event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Input {
    /// The app got the keyboard.
    Focus,
    /// A key or button went down or up.
    Press,
}

/// The events that count. `Id` identifies an app.
#[derive(Debug)]
pub struct Given<Id>(VecDeque<Event<Id>>);

#[derive(Debug)]
struct Event<Id> {
    serial: Serial,
    input: Input,
    to: Id,
    at: Instant,
}

impl<Id> Default for Given<Id> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<Id: PartialEq> Given<Id> {
    /// Records an event.
    pub fn note(&mut self, now: Instant, serial: Serial, input: Input, to: Id) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(Event { serial, input, to, at: now });
    }

    /// Moves the keyboard to `to`: events of others do not count any more.
    pub fn move_focus(&mut self, to: Option<&Id>) {
        self.0.retain(|event| Some(&event.to) == to);
    }

    /// Whether an event with this serial counts for `from`.
    #[must_use]
    pub fn is_proof(&self, now: Instant, serial: Serial, from: &Id) -> bool {
        self.find(now, serial, from).is_some()
    }

    /// Whether it counts and was a key or a button.
    #[must_use]
    pub fn is_press(&self, now: Instant, serial: Serial, from: &Id) -> bool {
        self.find(now, serial, from).is_some_and(|event| event.input == Input::Press)
    }

    fn find(&self, now: Instant, serial: Serial, from: &Id) -> Option<&Event<Id>> {
        let fresh = |event: &&Event<Id>| now.saturating_duration_since(event.at) < LIFE;
        self.0
            .iter()
            .rev()
            .take_while(fresh)
            .find(|event| event.serial == serial && event.to == *from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: u8 = 1;
    const BOB: u8 = 2;

    fn serial(value: u32) -> Serial {
        Serial::from(value)
    }

    #[test]
    fn press_is_proof_for_whom_it_was_sent_to_and_for_nobody_else() {
        let (mut given, now) = (Given::default(), Instant::now());
        given.note(now, serial(7), Input::Press, ALICE);
        assert!(given.is_press(now, serial(7), &ALICE));
        assert!(!given.is_press(now, serial(7), &BOB));
        for guess in [0, 6, 8, u32::MAX] {
            assert!(!given.is_proof(now, serial(guess), &ALICE), "{guess}");
        }
    }

    #[test]
    fn focus_is_proof_but_no_press() {
        let (mut given, now) = (Given::default(), Instant::now());
        given.note(now, serial(7), Input::Focus, ALICE);
        assert!(given.is_proof(now, serial(7), &ALICE) && !given.is_press(now, serial(7), &ALICE));
    }

    #[test]
    fn proof_ends_with_time_and_when_another_gets_the_keyboard() {
        let (mut given, now) = (Given::default(), Instant::now());
        given.note(now, serial(7), Input::Press, ALICE);
        given.note(now, serial(8), Input::Press, BOB);
        let last = now + LIFE - Duration::from_millis(1);
        assert!(given.is_press(last, serial(7), &ALICE));
        assert!(!given.is_press(now + LIFE, serial(7), &ALICE));
        given.move_focus(Some(&BOB));
        assert!(!given.is_press(now, serial(7), &ALICE));
        assert!(given.is_press(now, serial(8), &BOB));
        given.move_focus(None);
        assert!(!given.is_press(now, serial(8), &BOB));
    }

    #[test]
    fn events_beyond_the_most_push_out_the_oldest() {
        let (mut given, now) = (Given::default(), Instant::now());
        let count = u32::try_from(MOST).expect("few") + 1;
        (0..count).for_each(|value| given.note(now, serial(value), Input::Press, ALICE));
        assert!(!given.is_proof(now, serial(0), &ALICE));
        assert!(given.is_proof(now, serial(1), &ALICE));
        assert_eq!(given.0.len(), MOST);
    }
}
