//! Samples of the messages that carry offers and text of the clipboard.

use lumen_ipc::{
    flow::{Credit, WINDOW},
    message::transfer::{
        self, Chunk, Failure, FromReceiver, FromSender, Kind, Offer, OfferId, TransferId,
    },
};

fn offer(bytes: Option<u32>) -> Offer {
    Offer { offer: OfferId(300), kind: Kind::Text, bytes }
}

fn receiver_samples() -> [FromReceiver; 3] {
    let (transfer, offer, kind) = (TransferId(1), OfferId(300), Kind::Text);
    let credit = Credit::default();
    [
        FromReceiver::Requested { transfer, offer, kind, credit },
        FromReceiver::Granted { transfer, credit: Credit::new(WINDOW / 4).expect("legal") },
        FromReceiver::Cancelled { transfer },
    ]
}

fn sender_samples() -> [FromSender; 4] {
    let transfer = TransferId(70_000);
    let chunk = Chunk::new("Grüße".into()).expect("legal");
    [
        FromSender::Sent { transfer, chunk },
        FromSender::Ended { transfer },
        FromSender::Failed { transfer, failure: Failure::Busy },
        FromSender::Failed { transfer, failure: Failure::TooLarge },
    ]
}

pub(super) fn transfer_samples() -> Vec<transfer::ToCompositor> {
    let offer_id = OfferId(300);
    let offers = [
        transfer::ToCompositor::Offered(offer(Some(10_000_000))),
        transfer::ToCompositor::Withdrawn { offer: offer_id },
    ];
    let receiver = receiver_samples().map(transfer::ToCompositor::Receiver);
    let sender = sender_samples().map(transfer::ToCompositor::Sender);
    offers.into_iter().chain(receiver).chain(sender).collect()
}

pub(super) fn transfer_back_samples() -> Vec<transfer::ToRtc> {
    let offer_id = OfferId(300);
    let offers = [
        transfer::ToRtc::Offered(offer(None)),
        transfer::ToRtc::Taken { offer: offer_id },
        transfer::ToRtc::Lapsed { offer: offer_id },
    ];
    let receiver = receiver_samples().map(transfer::ToRtc::Receiver);
    let sender = sender_samples().map(transfer::ToRtc::Sender);
    offers.into_iter().chain(receiver).chain(sender).collect()
}
