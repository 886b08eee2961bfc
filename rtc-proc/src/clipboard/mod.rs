//! The clipboard between pages and the compositor, as a pure state machine: messages of pages and
//! of the compositor go in, messages to both come out.
//!
//! Decides: which pages are told about an app's offer (those that joined here because they may
//! control the desktop), whose text apps paste, and which transfer of a page belongs to which
//! transfer of the `transfer` link. It enforces the [`ClipboardPolicy`] itself, whatever the
//! compositor does.
//!
//! Trusts nobody: a page that sends without credit, or sends text that is not UTF-8, is closed; a
//! compositor that does so has violated the protocol.
//!
//! INVARIANT: at most one window of each transfer waits here. Text of an app waits for the network
//! ([`Clipboard::next_bulk`]), and its credit is given back only when it leaves; text of a page is
//! passed on at once, within the credit that the compositor gave.

mod download;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use lumen_ipc::{
    codec::{ProtocolViolation, Violation},
    flow::{Credit, Outflow},
    link::LinkName,
    message::transfer::{
        ClipboardPolicy, Failure, FromReceiver, FromSender, Kind, Offer, OfferId, ToCompositor,
        ToRtc, TransferId,
    },
    units::PeerId,
    utf8::Utf8Check,
};

use self::download::Download;
use crate::peer::transfer::{self, PageSays};

/// Most offers of pages that the compositor has not answered or that are current. One beyond that
/// lapses.
const MAX_OFFERS: usize = 64;

/// A message to send.
#[derive(Debug, Eq, PartialEq)]
pub enum Output {
    /// The compositor.
    ToCompositor(ToCompositor),
    /// A page: an encoded message.
    ToPage(PeerId, Vec<u8>),
}

/// How a page violated the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PageViolation {
    /// It sent more than it may.
    #[error("more of a text than it was asked for")]
    BeyondCredit,
    /// It sent what is no text.
    #[error("a text that is not UTF-8")]
    NotText,
    /// It used a number twice.
    #[error("the number of an earlier transfer")]
    Number,
}

/// A page that takes part.
#[derive(Debug, Default)]
struct Page {
    newest_request: Option<u32>,
    /// Bytes that it may still send for transfers that ended here before it knew.
    late: u32,
}

/// Text of a page on its way to an app.
#[derive(Debug)]
struct Upload {
    peer: PeerId,
    /// The page's number for this transfer: unlike the compositor's numbers, it is never used
    /// twice.
    number: u32,
    flow: Outflow,
    text: Utf8Check,
}

/// The clipboard.
#[derive(Debug)]
pub struct Clipboard {
    policy: ClipboardPolicy,
    attached: bool,
    pages: BTreeMap<PeerId, Page>,
    numbered_offers: u32,
    /// Which page made each offer, and the page's number for it.
    offers: BTreeMap<OfferId, (PeerId, u32)>,
    uploads: BTreeMap<TransferId, Upload>,
    newest_upload: Option<TransferId>,
    numbered_uploads: u32,
    downloads: BTreeMap<TransferId, Download>,
    numbered_downloads: u32,
    outputs: VecDeque<Output>,
}

impl Clipboard {
    /// A clipboard without pages.
    #[must_use]
    pub const fn new(policy: ClipboardPolicy) -> Self {
        Self {
            policy,
            attached: false,
            pages: BTreeMap::new(),
            numbered_offers: 0,
            offers: BTreeMap::new(),
            uploads: BTreeMap::new(),
            newest_upload: None,
            numbered_uploads: 0,
            downloads: BTreeMap::new(),
            numbered_downloads: 0,
            outputs: VecDeque::new(),
        }
    }

    /// The next message to send, oldest first.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Adds a page that may control the desktop. It is not told about what apps copied before.
    pub fn join(&mut self, peer: PeerId) {
        self.pages.insert(peer, Page::default());
        self.tell(peer, transfer::ways(self.policy));
    }

    /// Whether a page takes part.
    #[must_use]
    pub fn has(&self, peer: PeerId) -> bool {
        self.pages.contains_key(&peer)
    }

    /// Removes a page.
    pub fn leave(&mut self, peer: PeerId) {
        if self.pages.remove(&peer).is_none() {
            return;
        }
        let offers = self.offers.extract_if(.., |_, (owner, _)| *owner == peer);
        let withdrawn = offers.map(|(offer, _)| ToCompositor::Withdrawn { offer });
        self.outputs.extend(withdrawn.map(Output::ToCompositor));
        let uploads = self.uploads.extract_if(.., |_, upload| upload.peer == peer);
        self.outputs.extend(uploads.map(|(transfer, _)| {
            let failure = Failure::Gone;
            Output::ToCompositor(ToCompositor::Sender(FromSender::Failed { transfer, failure }))
        }));
        self.cancel_downloads(peer);
    }

    /// Connects a compositor.
    pub fn attach(&mut self) {
        self.detach();
        self.attached = true;
        // Both ends of a new link start to count from the beginning.
        self.newest_upload = None;
    }

    /// Disconnects the compositor: every transfer with it has ended.
    pub fn detach(&mut self) {
        self.attached = false;
        for (_, (peer, offer)) in std::mem::take(&mut self.offers) {
            self.tell(peer, transfer::lapsed(offer));
        }
        for (_, upload) in std::mem::take(&mut self.uploads) {
            self.end_upload(&upload);
        }
        for (_, download) in std::mem::take(&mut self.downloads) {
            self.tell(download.peer, transfer::failed(download.theirs, Failure::Gone));
        }
    }

    /// Handles a message of a page.
    ///
    /// # Errors
    /// [`PageViolation`]: the page must be closed.
    pub fn page_says(&mut self, peer: PeerId, message: PageSays) -> Result<(), PageViolation> {
        let Some(page) = self.pages.get_mut(&peer) else { return Ok(()) };
        match message {
            PageSays::Offered { offer, bytes } => self.take_offer(peer, offer, bytes),
            PageSays::Requested { transfer, offer } => {
                if page.newest_request.is_some_and(|newest| transfer <= newest) {
                    return Err(PageViolation::Number);
                }
                page.newest_request = Some(transfer);
                self.begin_download(peer, transfer, offer);
            }
            PageSays::Cancelled { transfer } => {
                if self.downloads.values().any(|it| (it.peer, it.theirs) == (peer, transfer)) {
                    self.cancel_downloads(peer);
                }
            }
            PageSays::Sent { transfer, chunk } => {
                let bytes = chunk.bytes();
                let mut uploads = self.uploads.iter_mut();
                let upload = uploads.find(|(_, it)| (it.peer, it.number) == (peer, transfer));
                let Some((transfer, upload)) = upload.map(|(id, upload)| (*id, upload)) else {
                    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                    page.late = page.late.checked_sub(length).ok_or(PageViolation::BeyondCredit)?;
                    return Ok(());
                };
                upload.flow.send(bytes.len()).map_err(|_| PageViolation::BeyondCredit)?;
                upload.text.push(bytes).map_err(|_| PageViolation::NotText)?;
                self.say(ToCompositor::Sender(FromSender::Sent { transfer, chunk }));
            }
            PageSays::Ended { transfer } => {
                if let Some((transfer, upload)) = self.take_upload(peer, transfer) {
                    upload.text.finish().map_err(|_| PageViolation::NotText)?;
                    self.say(ToCompositor::Sender(FromSender::Ended { transfer }));
                }
            }
            PageSays::Failed { transfer } => {
                if let Some((transfer, _)) = self.take_upload(peer, transfer) {
                    self.fail(transfer, Failure::Gone);
                }
            }
        }
        Ok(())
    }

    /// Handles a message of the compositor.
    ///
    /// # Errors
    /// [`ProtocolViolation`] when the link to it must be given up.
    pub fn compositor_says(&mut self, message: ToRtc) -> Result<(), ProtocolViolation> {
        match message {
            ToRtc::Offered(Offer { offer, kind: Kind::Text, .. }) => {
                if self.policy.from_desktop() {
                    let peers: Vec<_> = self.pages.keys().copied().collect();
                    peers.into_iter().for_each(|peer| self.tell(peer, transfer::offered(offer)));
                }
            }
            ToRtc::Taken { offer } => {
                if let Some((peer, theirs)) = self.offers.get(&offer).copied() {
                    self.tell(peer, transfer::taken(theirs));
                }
            }
            ToRtc::Lapsed { offer } => {
                if let Some((peer, theirs)) = self.offers.remove(&offer) {
                    self.tell(peer, transfer::lapsed(theirs));
                }
            }
            ToRtc::Receiver(FromReceiver::Requested {
                transfer,
                offer,
                kind: Kind::Text,
                credit,
            }) => return self.begin_upload(transfer, offer, credit),
            ToRtc::Receiver(FromReceiver::Granted { transfer, credit }) => {
                self.check_upload(transfer)?;
                if let Some(upload) = self.uploads.get_mut(&transfer) {
                    upload.flow.grant(credit).map_err(|_| illegal("more credit than a window"))?;
                    let (peer, number) = (upload.peer, upload.number);
                    self.tell(peer, transfer::granted(number, credit));
                }
            }
            ToRtc::Receiver(FromReceiver::Cancelled { transfer }) => {
                self.check_upload(transfer)?;
                if let Some(upload) = self.uploads.remove(&transfer) {
                    self.end_upload(&upload);
                }
            }
            ToRtc::Sender(message) => return self.receive(message),
        }
        Ok(())
    }

    fn take_offer(&mut self, peer: PeerId, theirs: u32, bytes: u32) {
        if !self.attached || !self.policy.to_desktop() || self.offers.len() >= MAX_OFFERS {
            return self.tell(peer, transfer::lapsed(theirs));
        }
        self.numbered_offers = self.numbered_offers.wrapping_add(1);
        let offer = OfferId(self.numbered_offers);
        self.offers.insert(offer, (peer, theirs));
        let bytes = Some(bytes);
        self.say(ToCompositor::Offered(Offer { offer, kind: Kind::Text, bytes }));
    }

    fn begin_upload(
        &mut self,
        transfer: TransferId,
        offer: OfferId,
        credit: Credit,
    ) -> Result<(), ProtocolViolation> {
        if self.newest_upload.is_some_and(|newest| transfer <= newest) {
            return Err(illegal("the number of a transfer was used before"));
        }
        self.newest_upload = Some(transfer);
        match self.offers.get(&offer).copied() {
            Some((peer, theirs)) if self.policy.to_desktop() => {
                self.numbered_uploads = self.numbered_uploads.wrapping_add(1);
                let number = self.numbered_uploads;
                let (flow, text) = (Outflow::new(credit), Utf8Check::default());
                self.uploads.insert(transfer, Upload { peer, number, flow, text });
                self.tell(peer, transfer::requested(number, theirs, credit));
            }
            _ => self.fail(transfer, Failure::Gone),
        }
        Ok(())
    }

    fn check_upload(&self, transfer: TransferId) -> Result<(), ProtocolViolation> {
        match self.newest_upload {
            Some(newest) if transfer <= newest => Ok(()),
            _ => Err(illegal("a transfer that was never asked for")),
        }
    }

    fn take_upload(&mut self, peer: PeerId, number: u32) -> Option<(TransferId, Upload)> {
        let is_it = |_: &TransferId, it: &mut Upload| (it.peer, it.number) == (peer, number);
        self.uploads.extract_if(.., is_it).next()
    }

    /// Tells a page that its text is no longer wanted. What it sends until it learns that is
    /// ignored.
    fn end_upload(&mut self, upload: &Upload) {
        if let Some(page) = self.pages.get_mut(&upload.peer) {
            page.late = page.late.saturating_add(upload.flow.credit());
        }
        self.tell(upload.peer, transfer::cancelled(upload.number));
    }

    fn fail(&mut self, transfer: TransferId, failure: Failure) {
        self.say(ToCompositor::Sender(FromSender::Failed { transfer, failure }));
    }

    fn say(&mut self, message: ToCompositor) {
        self.outputs.push_back(Output::ToCompositor(message));
    }

    fn tell(&mut self, peer: PeerId, message: Vec<u8>) {
        self.outputs.push_back(Output::ToPage(peer, message));
    }
}

fn illegal(what: &'static str) -> ProtocolViolation {
    ProtocolViolation { link: LinkName::Transfer, what: Violation::Illegal(what) }
}
