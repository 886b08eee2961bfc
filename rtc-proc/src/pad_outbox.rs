//! Viewers' gamepads on their way to the gamepad worker, while the link is full.
//!
//! States of a pad that wait are merged into the newest: each says all. Plugging is kept, up to
//! [`MAX_WAITING`] of one peer, and a peer that goes on beyond that is closed, and nobody else. That a
//! peer left is always told.
//!
//! INVARIANT: the order of what one pad did is kept.

use std::collections::VecDeque;

use lumen_ipc::message::pads::{PadAction, ToGamepad};

use crate::outbox::Overflow;

/// Most messages of one peer that wait: each of its pads plugged and unplugged again a few times.
pub const MAX_WAITING: usize = 64;

/// The queue.
#[derive(Debug, Default)]
pub struct PadOutbox {
    waiting: VecDeque<ToGamepad>,
}

impl PadOutbox {
    /// Queues one message.
    ///
    /// # Errors
    /// [`Overflow`] when there is no room and the message cannot be spared.
    pub fn push(&mut self, message: ToGamepad) -> Result<(), Overflow> {
        if let PadAction::Reported(pad, _) = message.action {
            let own = |other: &&mut ToGamepad| other.peer == message.peer;
            let last = self.waiting.iter_mut().rev().filter(own).find(|other| match other.action {
                PadAction::Reported(other, _)
                | PadAction::Plugged(other)
                | PadAction::Unplugged(other) => other == pad,
                PadAction::PeerLeft => true,
            });
            if let Some(ToGamepad { action: last @ PadAction::Reported(..), .. }) = last {
                *last = message.action;
                return Ok(());
            }
        }
        // Farewells are bounded by themselves: one per peer and life.
        let own = self.waiting.iter().filter(|other| other.peer == message.peer).count();
        if own >= MAX_WAITING && message.action != PadAction::PeerLeft {
            return Err(Overflow { peer: message.peer });
        }
        self.waiting.push_back(message);
        Ok(())
    }

    /// The message to send next.
    #[must_use]
    pub fn front(&self) -> Option<&ToGamepad> {
        self.waiting.front()
    }

    /// Removes it, once sent.
    pub fn pop(&mut self) {
        self.waiting.pop_front();
    }

    /// Forgets everything: a new gamepad worker is told all anew.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::{
        message::pads::PadReport,
        units::{PadIndex, PeerId},
    };

    use super::*;

    fn pad(index: u64) -> PadIndex {
        PadIndex::new(index).expect("legal")
    }

    fn from(peer: u64, action: PadAction) -> ToGamepad {
        ToGamepad { peer: PeerId(peer), action }
    }

    fn state(index: u64, buttons: u32) -> PadAction {
        PadAction::Reported(pad(index), PadReport { buttons, ..PadReport::default() })
    }

    #[test]
    fn states_of_one_pad_are_merged_but_not_across_its_plugging() {
        let mut outbox = PadOutbox::default();
        let unplugged = PadAction::Unplugged(pad(0));
        let said = [
            from(1, state(0, 1)),
            from(2, state(0, 2)),
            from(1, state(1, 3)),
            from(1, state(0, 4)),
            from(1, unplugged),
            from(1, state(0, 5)),
        ];
        said.into_iter().for_each(|message| outbox.push(message).expect("room"));
        let kept: Vec<_> = outbox.waiting.into_iter().collect();
        assert_eq!(
            kept,
            [
                from(1, state(0, 4)),
                from(2, state(0, 2)),
                from(1, state(1, 3)),
                from(1, unplugged),
                from(1, state(0, 5)),
            ]
        );
    }

    #[test]
    fn peer_that_fills_its_room_is_refused_plugs_but_no_farewell_and_nobody_else_is() {
        let mut outbox = PadOutbox::default();
        for _ in 0..MAX_WAITING {
            outbox.push(from(1, PadAction::Plugged(pad(0)))).expect("room");
        }
        let overflow = Err(Overflow { peer: PeerId(1) });
        assert_eq!(outbox.push(from(1, PadAction::Plugged(pad(0)))), overflow);
        assert_eq!(outbox.push(from(1, PadAction::PeerLeft)), Ok(()));
        assert_eq!(outbox.push(from(2, PadAction::Plugged(pad(0)))), Ok(()));
    }
}
