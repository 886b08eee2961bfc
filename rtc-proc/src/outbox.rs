//! Viewers' input to the compositor, queued while the link is full.
//!
//! The compositor may be busy for a moment. Every viewer has room of its own, so that no viewer is
//! closed because of another. Of motion only the end matters: it is merged with the viewer's last,
//! and when too much of it waits, the oldest is dropped; so are signs of life. A lost key or button
//! would stay down: these are kept, up to [`MAX_WAITING`] of one viewer, and a viewer that sends
//! more is closed. The message that a peer left is always kept.
//!
//! INVARIANT: the order of each peer's messages is kept.

use std::collections::VecDeque;

use lumen_ipc::{
    message::input::{Action, PointerDelta, ToCompositor},
    units::PeerId,
};

/// Most messages of one viewer that wait and must not be lost: half a minute of furious typing.
pub const MAX_WAITING: usize = 512;
/// Most motions of one viewer that wait between those.
const MAX_MOTIONS: usize = 32;

/// A peer that sent more than the compositor could take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Overflow {
    /// Which.
    pub peer: PeerId,
}

/// The queue.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<ToCompositor>,
}

impl Outbox {
    /// Queues one message.
    ///
    /// # Errors
    /// [`Overflow`] when its sender has no room left and it must not be lost.
    pub fn push(&mut self, message: ToCompositor) -> Result<(), Overflow> {
        let own = |other: &ToCompositor| other.peer == message.peer;
        if let Some(last) = self.waiting.iter_mut().rev().find(|other| own(other))
            && last.output == message.output
            && let Some(merged) = merge(last.action, message.action)
        {
            last.action = merged;
            return Ok(());
        }
        match message.action {
            // Bounded already: one per peer.
            Action::PeerLeft => {}
            action if is_motion(action) => {
                let motions = |other: &ToCompositor| own(other) && is_motion(other.action);
                if self.waiting.iter().filter(|other| motions(other)).count() >= MAX_MOTIONS {
                    let oldest = self.waiting.iter().position(motions);
                    oldest.and_then(|oldest| self.waiting.remove(oldest));
                }
            }
            _ => {
                let kept = |other: &&ToCompositor| own(other) && !is_motion(other.action);
                if self.waiting.iter().filter(kept).count() >= MAX_WAITING {
                    return Err(Overflow { peer: message.peer });
                }
            }
        }
        self.waiting.push_back(message);
        Ok(())
    }

    /// The message to send next.
    #[must_use]
    pub fn front(&self) -> Option<&ToCompositor> {
        self.waiting.front()
    }

    /// Removes the front message, once it is sent.
    pub fn pop(&mut self) {
        self.waiting.pop_front();
    }

    /// Removes everything: a new compositor knows no held keys.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}

/// Whether a later one makes it useless.
const fn is_motion(action: Action) -> bool {
    matches!(action, Action::PointerTo(_) | Action::PointerBy(_) | Action::StillHeld)
}

/// Merges two consecutive motions or signs of life.
fn merge(earlier: Action, later: Action) -> Option<Action> {
    match (earlier, later) {
        (Action::PointerTo(_), Action::PointerTo(_)) | (Action::StillHeld, Action::StillHeld) => {
            Some(later)
        }
        (Action::PointerBy(a), Action::PointerBy(b)) => {
            let dx = a.dx.checked_add(b.dx)?;
            let dy = a.dy.checked_add(b.dy)?;
            Some(Action::PointerBy(PointerDelta { dx, dy }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lumen_ipc::{message::input::OutputPoint, units::OutputId};

    fn from(peer: u64, action: Action) -> ToCompositor {
        ToCompositor { peer: PeerId(peer), output: OutputId::PRIMARY, action }
    }

    fn to(x: u16) -> Action {
        Action::PointerTo(OutputPoint { x, y: 0 })
    }

    fn drain(outbox: &mut Outbox) -> Vec<ToCompositor> {
        let drained = outbox.waiting.iter().copied().collect();
        outbox.clear();
        drained
    }

    /// A message that must not be lost.
    fn key(peer: u64) -> ToCompositor {
        from(peer, Action::ReleaseAll)
    }

    fn by(dx: i16) -> Action {
        Action::PointerBy(PointerDelta { dx, dy: 1 })
    }

    #[test]
    fn motion_of_one_peer_is_merged_across_others_but_not_across_its_own_input() {
        let mut outbox = Outbox::default();
        for message in [from(1, to(1)), from(1, to(2)), from(2, to(3)), from(1, to(4))] {
            outbox.push(message).expect("room");
        }
        outbox.push(key(1)).expect("room");
        outbox.push(from(1, by(5))).expect("room");
        outbox.push(from(1, by(6))).expect("room");
        let sum = Action::PointerBy(PointerDelta { dx: 11, dy: 2 });
        assert_eq!(drain(&mut outbox), [from(1, to(4)), from(2, to(3)), key(1), from(1, sum)]);
    }

    #[test]
    fn viewer_that_fills_its_room_is_refused_and_takes_nobody_elses() {
        let mut outbox = Outbox::default();
        for _ in 0..MAX_WAITING {
            outbox.push(key(1)).expect("room");
        }
        assert_eq!(outbox.push(key(1)), Err(Overflow { peer: PeerId(1) }));
        for _ in 0..MAX_WAITING {
            assert_eq!(outbox.push(key(2)), Ok(()));
        }
        assert_eq!(outbox.push(from(1, Action::PeerLeft)), Ok(()));
        assert_eq!(drain(&mut outbox).last(), Some(&from(1, Action::PeerLeft)));
    }

    #[test]
    fn motion_that_has_no_room_takes_that_of_its_viewers_oldest() {
        let mut outbox = Outbox::default();
        outbox.push(from(2, to(7))).expect("room");
        for x in 0..1000 {
            outbox.push(from(1, to(x))).expect("room");
            // A motion after a key or a button is not merged with one before.
            if x < 500 {
                outbox.push(key(1)).expect("room");
            }
        }
        let waiting = drain(&mut outbox);
        let of = |peer| waiting.iter().filter(move |message| message.peer == PeerId(peer));
        assert_eq!(of(2).count(), 1);
        assert_eq!(of(1).next_back(), Some(&from(1, to(999))), "the newest is what counts");
        let motions: Vec<_> = of(1).filter(|message| is_motion(message.action)).collect();
        assert_eq!(motions.len(), MAX_MOTIONS);
        assert_eq!(of(1).filter(|message| **message == key(1)).count(), 500);
    }

    #[test]
    fn merged_deltas_never_overflow() {
        let mut outbox = Outbox::default();
        let by = |dx| from(1, Action::PointerBy(PointerDelta { dx, dy: 0 }));
        outbox.push(by(i16::MAX)).expect("room");
        outbox.push(by(1)).expect("room");
        assert_eq!(drain(&mut outbox), [by(i16::MAX), by(1)]);
    }
}
