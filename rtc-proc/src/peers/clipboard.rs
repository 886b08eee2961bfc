//! How peers and the compositor reach the clipboard, and when text is sent to which page.

use std::time::Instant;

use lumen_ipc::{codec::ProtocolViolation, message::transfer::ToRtc, units::PeerId};

use super::{Entry, Output, Peers};
use crate::{
    clipboard::Output as Told,
    peer::{Input, Peer, transfer::PageSays},
};

impl Peers {
    /// Connects another compositor to the clipboard.
    pub fn transfer_replaced(&mut self, now: Instant) {
        self.clipboard.attach();
        self.tell_clipboard(now);
    }

    /// Disconnects the compositor from the clipboard.
    pub fn transfer_lost(&mut self, now: Instant) {
        self.clipboard.detach();
        self.tell_clipboard(now);
    }

    /// Handles a message of the compositor about the clipboard.
    ///
    /// # Errors
    /// [`ProtocolViolation`] when the link to it must be given up.
    pub fn transfer(&mut self, now: Instant, message: ToRtc) -> Result<(), ProtocolViolation> {
        self.clipboard.compositor_says(message)?;
        self.tell_clipboard(now);
        Ok(())
    }

    /// Handles a page whose channel can carry clipboard messages from now on.
    pub(super) fn on_clipboard_wanted(&mut self, now: Instant, number: PeerId) {
        if let Some(entry) = self.peers.get_mut(&number) {
            entry.wants_clipboard = true;
        }
        self.admit_to_clipboard(now, number);
    }

    /// Lets a page take part whose channel is open and whose viewer has the right to control, and no other.
    /// A page without that right is told nothing, and its messages have been dropped before.
    pub(super) fn admit_to_clipboard(&mut self, now: Instant, number: PeerId) {
        let Some(entry) = self.peers.get(&number) else { return };
        match (entry.wants_clipboard && entry.rights.control, self.clipboard.has(number)) {
            (true, false) => self.clipboard.join(number),
            (false, true) => self.clipboard.leave(number),
            (true, true) | (false, false) => return,
        }
        self.tell_clipboard(now);
    }

    pub(super) fn on_clipboard_said(&mut self, now: Instant, number: PeerId, said: PageSays) {
        match self.clipboard.page_says(number, said) {
            Ok(()) => self.tell_clipboard(now),
            Err(violation) => self.feed(now, number, Input::Violated(violation.into())),
        }
    }

    pub(super) fn clipboard_of_peer_gone(&mut self, now: Instant, number: PeerId) {
        self.clipboard.leave(number);
        self.tell_clipboard(now);
    }

    /// Sends all messages of the clipboard, and as much text as there is room for.
    pub(super) fn tell_clipboard(&mut self, now: Instant) {
        while let Some(told) = self.clipboard.poll_output() {
            match told {
                Told::ToCompositor(message) => self.outputs.push_back(Output::Transfer(message)),
                Told::ToPage(peer, message) => self.feed(now, peer, Input::Transfer(&message)),
            }
        }
        self.send_bulk(now);
    }

    /// Sends as much text as there is room for.
    pub(super) fn send_bulk(&mut self, now: Instant) {
        for number in self.clipboard.bulk_waits_for() {
            let takes = |entry: &Entry| entry.peer.as_ref().is_some_and(|it| it.takes_bulk(now));
            while self.peers.get(&number).is_some_and(takes) {
                let Some(message) = self.clipboard.next_bulk(number) else { break };
                self.feed(now, number, Input::Transfer(&message));
            }
        }
        while let Some(told) = self.clipboard.poll_output() {
            if let Told::ToCompositor(message) = told {
                self.outputs.push_back(Output::Transfer(message));
            }
        }
    }

    /// When text may be sent that waits for nothing but time.
    pub(super) fn bulk_due(&self) -> Option<Instant> {
        let waiting = self.clipboard.bulk_waits_for().into_iter();
        let due = |number| self.peers.get(&number)?.peer.as_ref().and_then(Peer::bulk_due);
        waiting.filter_map(due).min()
    }
}
