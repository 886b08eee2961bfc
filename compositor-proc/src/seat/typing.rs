//! When the keyboard may move without a request of the user. Pure.
//!
//! A window that appears while somebody types would get the rest of the line, perhaps a password.
//! So the keyboard stays where it is until no key is held and none was pressed for a moment.

use std::time::{Duration, Instant};

/// When a key was last pressed or released.
#[derive(Debug, Default)]
pub struct Typing {
    last: Option<Instant>,
}

/// When the keyboard may move.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    /// At this time, unless more is typed.
    At(Instant),
    /// Now.
    Now,
    /// Not before a key is released.
    Released,
}

impl Typing {
    /// How long after a key the next one may belong to the same burst. Slow typists take up to 300
    /// ms for a key; seeing a new window and deciding to type in it takes longer than this.
    pub const GRACE: Duration = Duration::from_millis(500);

    /// Records that a key went down or up.
    pub const fn note(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// When the keyboard may move, given whether a key is held.
    #[must_use]
    pub fn turn(&self, now: Instant, is_held: bool) -> Turn {
        if is_held {
            return Turn::Released;
        }
        match self.last.map(|last| last + Self::GRACE) {
            Some(end) if end > now => Turn::At(end),
            _ => Turn::Now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turn_without_keys_is_now() {
        assert_eq!(Typing::default().turn(Instant::now(), false), Turn::Now);
    }

    #[test]
    fn turn_in_a_burst_is_at_its_end_which_each_key_puts_off() {
        let (mut typing, start) = (Typing::default(), Instant::now());
        let mut now = start;
        for _ in 0..5 {
            typing.note(now);
            now += Duration::from_millis(300);
            let end = now - Duration::from_millis(300) + Typing::GRACE;
            assert_eq!(typing.turn(now, false), Turn::At(end));
        }
        let end = now - Duration::from_millis(300) + Typing::GRACE;
        assert_eq!(typing.turn(end, false), Turn::Now);
    }

    #[test]
    fn turn_while_a_key_is_held_is_when_it_is_let_go() {
        let (mut typing, now) = (Typing::default(), Instant::now());
        typing.note(now);
        let later = now + 10 * Typing::GRACE;
        assert_eq!(typing.turn(later, true), Turn::Released);
        typing.note(later);
        assert_eq!(typing.turn(later, false), Turn::At(later + Typing::GRACE));
    }
}
