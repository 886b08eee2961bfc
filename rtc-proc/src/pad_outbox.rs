//! Queues viewers' gamepad messages for the gamepad worker while the link is full.
//!
//! Waiting states of a pad are merged into the newest, because each is complete. Plugging is kept,
//! up to [`MAX_WAITING`] messages of one peer; a peer that exceeds this is closed, and no other.
//! That a peer left is always sent.
//!
//! INVARIANT: the messages about one pad keep their order.

use std::collections::VecDeque;

use lumen_ipc::message::pads::{PadAction, ToGamepad};

use crate::outbox::Overflow;

/// Most waiting messages of one peer: enough to plug and unplug each of its pads a few times.
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
    /// [`Overflow`] when there is no room and the message must not be dropped.
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
        // There is at most one `PeerLeft` per peer, so these need no other bound.
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

    /// Removes it after it was sent.
    pub fn pop(&mut self) {
        self.waiting.pop_front();
    }

    /// Discards everything: a new gamepad worker is told about all pads anew.
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
