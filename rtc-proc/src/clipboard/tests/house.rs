//! Honest pages and an honest compositor around the clipboard, in any order.

use std::collections::{BTreeMap, BTreeSet};

use lumen_ipc::{
    flow::{Inflow, WINDOW},
    message::transfer::{
        Chunk, ClipboardPolicy, FromReceiver, FromSender, OfferId, ToCompositor, ToRtc, TransferId,
    },
    units::PeerId,
};
use proptest::prelude::*;

use super::{Clipboard, Output, app_pastes, app_sends, chunk};
use crate::peer::transfer::PageSays;

/// An operation of the property test.
#[derive(Clone, Debug)]
enum Op {
    Join(u64),
    Leave(u64),
    Offer(u64),
    Request(u64),
    PageCancels(u64),
    /// The page sends so many bytes of the transfer that was last requested of it, if it has
    /// credit.
    PageSends(u64, usize),
    PageEnds(u64),
    AppPastes,
    AppCancels,
    AppGrants(u32),
    /// The app sends so many bytes of the newest request, if it has credit.
    AppSends(usize),
    AppEnds,
    Bulk(u64),
    Detach,
    Attach,
}

fn op() -> impl Strategy<Value = Op> {
    let peer = || 1_u64..4;
    let bytes = || 1..=Chunk::MAX_BYTES;
    prop_oneof![
        peer().prop_map(Op::Join),
        peer().prop_map(Op::Leave),
        peer().prop_map(Op::Offer),
        peer().prop_map(Op::Request),
        peer().prop_map(Op::PageCancels),
        (peer(), bytes()).prop_map(|(peer, bytes)| Op::PageSends(peer, bytes)),
        peer().prop_map(Op::PageEnds),
        Just(Op::AppPastes),
        Just(Op::AppCancels),
        (1..=WINDOW).prop_map(Op::AppGrants),
        bytes().prop_map(Op::AppSends),
        Just(Op::AppEnds),
        peer().prop_map(Op::Bulk),
        Just(Op::Detach),
        Just(Op::Attach),
    ]
}

/// Honest pages and an honest compositor around the clipboard, with a record of every transfer.
struct House {
    clipboard: Clipboard,
    attached: bool,
    joined: BTreeSet<PeerId>,
    /// Transfers requested of pages, and the credit that is left.
    uploads: BTreeMap<(PeerId, u32), u32>,
    /// Transfers that the compositor requested and whose end it has not seen.
    pastes: BTreeMap<TransferId, Inflow>,
    numbered: u32,
    newest_offer: Option<OfferId>,
    /// Transfers that pages wait for.
    awaited: BTreeMap<(PeerId, u32), ()>,
    /// Transfers requested of the compositor, and the credit that is left.
    asked: BTreeMap<TransferId, u32>,
}

impl House {
    fn new() -> Self {
        Self {
            clipboard: Clipboard::new(ClipboardPolicy::Both),
            attached: false,
            joined: BTreeSet::new(),
            uploads: BTreeMap::new(),
            pastes: BTreeMap::new(),
            numbered: 0,
            newest_offer: None,
            awaited: BTreeMap::new(),
            asked: BTreeMap::new(),
        }
    }

    fn page(&mut self, peer: PeerId, message: PageSays) {
        self.clipboard.page_says(peer, message).expect("pages are honest");
    }

    fn compositor(&mut self, message: ToRtc) {
        self.clipboard.compositor_says(message).expect("the compositor is honest");
    }

    fn number(&mut self) -> u32 {
        self.numbered += 1;
        self.numbered
    }

    fn apply(&mut self, op: &Op) {
        self.apply_to_page(op);
        self.apply_to_compositor(op);
        self.collect();
    }

    fn apply_to_page(&mut self, op: &Op) {
        match *op {
            Op::Join(peer) if self.joined.insert(PeerId(peer)) => {
                self.clipboard.join(PeerId(peer));
            }
            Op::Leave(peer) => {
                let peer = PeerId(peer);
                self.joined.remove(&peer);
                self.clipboard.leave(peer);
                self.uploads.retain(|(owner, _), _| *owner != peer);
                self.awaited.retain(|(owner, _), ()| *owner != peer);
            }
            Op::Offer(peer) => {
                let offer = self.number();
                self.page(PeerId(peer), PageSays::Offered { offer, bytes: 1 });
            }
            Op::Request(peer) if self.joined.contains(&PeerId(peer)) => {
                let (peer, transfer) = (PeerId(peer), self.number());
                self.awaited.retain(|(owner, _), ()| *owner != peer);
                self.awaited.insert((peer, transfer), ());
                self.page(peer, PageSays::Requested { transfer, offer: OfferId(1) });
            }
            Op::PageCancels(peer) => {
                let awaited = self.awaited.keys().find(|(owner, _)| *owner == PeerId(peer));
                if let Some((peer, transfer)) = awaited.copied() {
                    self.awaited.remove(&(peer, transfer));
                    self.page(peer, PageSays::Cancelled { transfer });
                }
            }
            Op::PageSends(peer, bytes) => {
                let upload = self.uploads.iter_mut().find(|((owner, _), _)| owner.0 == peer);
                if let Some(((peer, transfer), credit)) = upload {
                    let bytes = bytes.min(*credit as usize);
                    let (peer, transfer) = (*peer, *transfer);
                    *credit -= bytes as u32;
                    if bytes > 0 {
                        let chunk = chunk(&vec![b'x'; bytes]);
                        self.page(peer, PageSays::Sent { transfer, chunk });
                    }
                }
            }
            Op::PageEnds(peer) => {
                let upload = self.uploads.keys().find(|(owner, _)| owner.0 == peer).copied();
                if let Some((peer, transfer)) = upload {
                    self.uploads.remove(&(peer, transfer));
                    self.page(peer, PageSays::Ended { transfer });
                }
            }
            Op::Bulk(peer) => {
                if let Some(message) = self.clipboard.next_bulk(PeerId(peer)) {
                    self.page_hears(PeerId(peer), &message);
                }
            }
            _ => {}
        }
    }

    fn apply_to_compositor(&mut self, op: &Op) {
        match *op {
            Op::AppPastes if self.attached => {
                let (transfer, offer) = (TransferId(self.number()), self.newest_offer);
                self.pastes.insert(transfer, Inflow::default());
                self.compositor(app_pastes(transfer, offer.map_or(0, |offer| offer.0)));
            }
            Op::AppCancels => {
                if let Some(transfer) = self.pastes.keys().next().copied() {
                    self.pastes.remove(&transfer);
                    self.compositor(ToRtc::Receiver(FromReceiver::Cancelled { transfer }));
                }
            }
            Op::AppGrants(bytes) => {
                let granted = self.pastes.iter_mut().find_map(|(transfer, inflow)| {
                    Some((*transfer, inflow.release(bytes as usize)?))
                });
                if let Some((transfer, credit)) = granted {
                    self.compositor(ToRtc::Receiver(FromReceiver::Granted { transfer, credit }));
                }
            }
            Op::AppSends(bytes) => {
                if let Some((transfer, credit)) = self.asked.iter_mut().next() {
                    let (transfer, bytes) = (*transfer, bytes.min(*credit as usize));
                    *credit -= bytes as u32;
                    if bytes > 0 {
                        self.compositor(app_sends(transfer, &vec![b'x'; bytes]));
                    }
                }
            }
            Op::AppEnds => {
                if let Some(transfer) = self.asked.keys().next().copied() {
                    self.asked.remove(&transfer);
                    self.compositor(ToRtc::Sender(FromSender::Ended { transfer }));
                }
            }
            Op::Detach => {
                self.attached = false;
                self.clipboard.detach();
                (self.pastes, self.asked) = (BTreeMap::new(), BTreeMap::new());
            }
            Op::Attach => {
                self.attached = true;
                self.clipboard.attach();
                (self.pastes, self.asked) = (BTreeMap::new(), BTreeMap::new());
            }
            _ => {}
        }
    }

    fn collect(&mut self) {
        while let Some(output) = self.clipboard.poll_output() {
            match output {
                Output::ToPage(peer, message) => self.page_hears(peer, &message),
                Output::ToCompositor(message) => self.compositor_hears(message),
            }
        }
    }

    fn page_hears(&mut self, peer: PeerId, message: &[u8]) {
        let number = |at: usize| message.get(at..at + 4).map(|it| it.try_into().expect("four"));
        let number = |at: usize| number(at).map_or(0, u32::from_be_bytes);
        let transfer = number(1);
        match message[0] {
            0xa4 => drop(self.uploads.insert((peer, transfer), number(9))),
            0xa5 => {
                if let Some(credit) = self.uploads.get_mut(&(peer, transfer)) {
                    *credit += number(5);
                    assert!(*credit <= WINDOW);
                }
            }
            0xa6 => drop(self.uploads.remove(&(peer, transfer))),
            0xa7 => assert!(self.awaited.contains_key(&(peer, transfer)), "sent unasked"),
            0xa8 | 0xa9 => drop(self.awaited.remove(&(peer, transfer))),
            _ => {}
        }
    }

    fn compositor_hears(&mut self, message: ToCompositor) {
        match message {
            ToCompositor::Offered(offer) => self.newest_offer = Some(offer.offer),
            ToCompositor::Withdrawn { .. } => {}
            ToCompositor::Receiver(FromReceiver::Requested { transfer, credit, .. }) => {
                self.asked.insert(transfer, credit.bytes());
            }
            ToCompositor::Receiver(FromReceiver::Granted { transfer, credit }) => {
                if let Some(left) = self.asked.get_mut(&transfer) {
                    *left += credit.bytes();
                    assert!(*left <= WINDOW);
                }
            }
            ToCompositor::Receiver(FromReceiver::Cancelled { transfer }) => {
                self.asked.remove(&transfer);
            }
            ToCompositor::Sender(FromSender::Sent { transfer, chunk }) => {
                if let Some(inflow) = self.pastes.get_mut(&transfer) {
                    inflow.receive(chunk.bytes().len()).expect("within the compositor's credit");
                }
            }
            ToCompositor::Sender(
                FromSender::Ended { transfer } | FromSender::Failed { transfer, .. },
            ) => {
                self.pastes.remove(&transfer);
            }
        }
    }

    /// Removes everybody: whatever anybody waits for must have ended.
    fn close(&mut self) {
        for peer in 1..4 {
            self.apply(&Op::Leave(peer));
        }
        assert!(self.pastes.is_empty(), "the compositor still waits for {:?}", self.pastes);
        assert!(self.asked.is_empty(), "the compositor still sends {:?}", self.asked);
        assert_eq!(self.clipboard.bulk_waits_for(), []);
    }
}

proptest! {
    #[test]
    fn credit_is_kept_and_every_transfer_ends(ops in prop::collection::vec(op(), 0..200)) {
        let mut house = House::new();
        ops.iter().for_each(|op| house.apply(op));
        house.close();
    }
}
