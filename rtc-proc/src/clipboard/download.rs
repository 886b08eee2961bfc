//! Text of an app on its way to a page, waiting for room on the network.

use std::collections::VecDeque;

use lumen_ipc::{
    codec::ProtocolViolation,
    flow::{Credit, Inflow},
    message::transfer::{
        Chunk, Failure, FromReceiver, FromSender, Kind, OfferId, ToCompositor, TransferId,
    },
    units::PeerId,
};

use super::{Clipboard, illegal};
use crate::peer::transfer;

/// One such text.
#[derive(Debug)]
pub(super) struct Download {
    pub(super) peer: PeerId,
    /// The page's number for this transfer.
    pub(super) theirs: u32,
    flow: Inflow,
    waiting: VecDeque<Chunk>,
    complete: bool,
}

impl Clipboard {
    /// Pages for which text is waiting.
    #[must_use]
    pub fn bulk_waits_for(&self) -> Vec<PeerId> {
        let ready = |download: &&Download| download.complete || !download.waiting.is_empty();
        self.downloads.values().filter(ready).map(|download| download.peer).collect()
    }

    /// The next message of a text for this page; call it when the page's channel has room.
    pub fn next_bulk(&mut self, peer: PeerId) -> Option<Vec<u8>> {
        let (id, download) = self.downloads.iter_mut().find(|(_, it)| it.peer == peer)?;
        let (id, theirs) = (*id, download.theirs);
        match download.waiting.pop_front() {
            Some(chunk) => {
                let credit = download.flow.release(chunk.bytes().len());
                // A complete text needs no more credit.
                if let Some(credit) = credit.filter(|_| !download.complete) {
                    let granted = FromReceiver::Granted { transfer: id, credit };
                    self.say(ToCompositor::Receiver(granted));
                }
                Some(transfer::sent(theirs, &chunk))
            }
            None if download.complete => {
                self.downloads.remove(&id);
                Some(transfer::ended(theirs))
            }
            None => None,
        }
    }

    /// A page receives one text at a time: a new request cancels the one before.
    pub(super) fn begin_download(&mut self, peer: PeerId, theirs: u32, offer: OfferId) {
        self.cancel_downloads(peer);
        if !self.attached || !self.policy.from_desktop() {
            return self.tell(peer, transfer::failed(theirs, Failure::Gone));
        }
        self.numbered_downloads = self.numbered_downloads.wrapping_add(1);
        let transfer = TransferId(self.numbered_downloads);
        let (flow, waiting) = (Inflow::default(), VecDeque::new());
        let download = Download { peer, theirs, flow, waiting, complete: false };
        self.downloads.insert(transfer, download);
        let (kind, credit) = (Kind::Text, Credit::default());
        let requested = FromReceiver::Requested { transfer, offer, kind, credit };
        self.say(ToCompositor::Receiver(requested));
    }

    pub(super) fn cancel_downloads(&mut self, peer: PeerId) {
        let cancelled: Vec<_> =
            self.downloads.extract_if(.., |_, download| download.peer == peer).collect();
        for (transfer, download) in cancelled {
            if !download.complete {
                self.say(ToCompositor::Receiver(FromReceiver::Cancelled { transfer }));
            }
        }
    }

    pub(super) fn receive(&mut self, message: FromSender) -> Result<(), ProtocolViolation> {
        let id = message.transfer();
        if id.0 > self.numbered_downloads {
            return Err(illegal("a transfer that nobody asked for"));
        }
        // These bytes were already on their way when the transfer ended.
        let Some(download) = self.downloads.get_mut(&id) else { return Ok(()) };
        if download.complete {
            return Err(illegal("more of a transfer that has ended"));
        }
        match message {
            FromSender::Sent { chunk, .. } => {
                let received = download.flow.receive(chunk.bytes().len());
                received.map_err(|_| illegal("more bytes than there was credit for"))?;
                download.waiting.push_back(chunk);
            }
            FromSender::Ended { .. } => download.complete = true,
            FromSender::Failed { failure, .. } => {
                let (peer, theirs) = (download.peer, download.theirs);
                self.downloads.remove(&id);
                self.tell(peer, transfer::failed(theirs, failure));
            }
        }
        Ok(())
    }
}
