//! Viewers' input on its way to the compositor, while the link is full.
//!
//! The compositor may be busy for a moment. Motion is worth nothing then but its end: it is merged,
//! and so are signs of life.
//! A key or button that is lost would stay down: it is kept, up to [`MAX_WAITING`], and a peer that
//! goes on beyond that is closed. That a peer left is always told.
//!
//! INVARIANT: the order of what one peer did is kept.

use std::collections::VecDeque;

use lumen_ipc::{
    message::input::{Action, PointerDelta, ToCompositor},
    units::PeerId,
};

/// Most messages that wait: half a minute of furious typing.
pub const MAX_WAITING: usize = 512;

/// A peer that did more than the compositor could take.
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
    /// [`Overflow`] when there is no room and the message cannot be spared.
    pub fn push(&mut self, message: ToCompositor) -> Result<(), Overflow> {
        if let Some(last) = self.waiting.back_mut()
            && (last.peer, last.output) == (message.peer, message.output)
            && let Some(merged) = merge(last.action, message.action)
        {
            last.action = merged;
            return Ok(());
        }
        let full = self.waiting.len() >= MAX_WAITING;
        match message.action {
            Action::PointerTo(_) | Action::PointerBy(_) | Action::StillHeld if full => Ok(()),
            // Bounded by themselves: one per peer and life.
            Action::PeerLeft => {
                self.waiting.push_back(message);
                Ok(())
            }
            _ if full => Err(Overflow { peer: message.peer }),
            _ => {
                self.waiting.push_back(message);
                Ok(())
            }
        }
    }

    /// The message to send next.
    #[must_use]
    pub fn front(&self) -> Option<&ToCompositor> {
        self.waiting.front()
    }

    /// Removes it, once sent.
    pub fn pop(&mut self) {
        self.waiting.pop_front();
    }

    /// Forgets everything: a new compositor knows of nobody's keys.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}

/// Two motions or signs of life in a row, as one.
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

    #[test]
    fn motion_of_one_peer_is_merged_but_not_across_other_input() {
        let mut outbox = Outbox::default();
        for message in [from(1, to(1)), from(1, to(2)), from(2, to(3)), from(1, to(4))] {
            outbox.push(message).expect("room");
        }
        let by = |dx| Action::PointerBy(PointerDelta { dx, dy: 1 });
        outbox.push(from(1, by(5))).expect("room");
        outbox.push(from(1, by(6))).expect("room");
        let sum = Action::PointerBy(PointerDelta { dx: 11, dy: 2 });
        assert_eq!(
            drain(&mut outbox),
            [from(1, to(2)), from(2, to(3)), from(1, to(4)), from(1, sum)]
        );
    }

    #[test]
    fn full_queue_spares_motion_and_refuses_keys_but_not_farewells() {
        let mut outbox = Outbox::default();
        for _ in 0..MAX_WAITING {
            outbox.push(from(1, Action::ReleaseAll)).expect("room");
        }
        assert_eq!(outbox.push(from(2, to(1))), Ok(()));
        let overflow = Err(Overflow { peer: PeerId(1) });
        assert_eq!(outbox.push(from(1, Action::ReleaseAll)), overflow);
        assert_eq!(outbox.push(from(1, Action::PeerLeft)), Ok(()));
        assert_eq!(drain(&mut outbox).last(), Some(&from(1, Action::PeerLeft)));
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
