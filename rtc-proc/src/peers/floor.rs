//! Whose microphone the desktop hears: one viewer's at a time. Pure.
//!
//! Who speaks first has it until nothing has come for a while ([`PAUSE`]), or it leaves or may not control any
//! more. What others say meanwhile is dropped, and every page is told, so that nobody speaks to nobody.

use std::time::{Duration, Instant};

use lumen_ipc::units::PeerId;

use crate::peer::encode::Heard;

/// Nothing comes for so long from a microphone that was switched off: browsers send fifty packets a second of one
/// that is on, whether anybody speaks or not.
const PAUSE: Duration = Duration::from_secs(2);

/// Who has it, and when something came last.
#[derive(Debug, Default)]
pub(super) struct Floor {
    holder: Option<(PeerId, Instant)>,
}

impl Floor {
    /// A viewer says something; returns whether it is heard.
    pub(super) fn speak(&mut self, now: Instant, peer: PeerId) -> bool {
        self.rest(now);
        let heard = self.holder.is_none_or(|(holder, _)| holder == peer);
        if heard {
            self.holder = Some((peer, now));
        }
        heard
    }

    /// A viewer is gone, or may not speak any more.
    pub(super) fn leave(&mut self, peer: PeerId) {
        self.holder = self.holder.filter(|(holder, _)| *holder != peer);
    }

    /// Nobody has it once nothing has come for a while.
    pub(super) fn rest(&mut self, now: Instant) {
        self.holder = self.holder.filter(|(_, last)| now < *last + PAUSE);
    }

    /// When it rests, if nothing comes.
    pub(super) fn due(&self) -> Option<Instant> {
        self.holder.map(|(_, last)| last + PAUSE)
    }

    /// Who has it.
    pub(super) fn holder(&self) -> Option<PeerId> {
        self.holder.map(|(holder, _)| holder)
    }

    /// What the page of a viewer is told.
    pub(super) fn as_seen_by(&self, peer: PeerId) -> Heard {
        match self.holder() {
            None => Heard::Nobody,
            Some(holder) if holder == peer => Heard::You,
            Some(_) => Heard::Another,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: PeerId = PeerId(1);
    const BOB: PeerId = PeerId(2);

    #[test]
    fn second_viewer_is_heard_once_the_first_has_been_silent_for_a_while() {
        let (mut floor, now) = (Floor::default(), Instant::now());
        assert!(floor.speak(now, ALICE) && !floor.speak(now, BOB));
        assert_eq!((floor.as_seen_by(ALICE), floor.as_seen_by(BOB)), (Heard::You, Heard::Another));
        let later = now + PAUSE - Duration::from_millis(1);
        assert!(floor.speak(later, ALICE) && !floor.speak(later + Duration::from_secs(1), BOB));
        assert_eq!(floor.due(), Some(later + PAUSE));
        assert!(floor.speak(later + PAUSE, BOB));
        assert_eq!(floor.as_seen_by(ALICE), Heard::Another);
    }

    #[test]
    fn viewer_who_leaves_is_heard_no_longer_and_another_s_leaving_changes_nothing() {
        let (mut floor, now) = (Floor::default(), Instant::now());
        floor.speak(now, ALICE);
        floor.leave(BOB);
        assert_eq!(floor.holder(), Some(ALICE));
        floor.leave(ALICE);
        assert_eq!(floor.as_seen_by(ALICE), Heard::Nobody);
        assert!(floor.speak(now, BOB));
    }
}
