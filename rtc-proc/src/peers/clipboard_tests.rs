//! Text between pages and the compositor, over real data channels in virtual time.

use std::time::Duration;

use lumen_ipc::{
    flow::{Credit, Outflow},
    login::Rights,
    message::transfer::{
        Chunk, Failure, FromReceiver, FromSender, Kind, Offer, OfferId, ToCompositor, ToRtc,
        TransferId,
    },
};

use super::tests::{CONTROL, House};
use crate::peer::transfer;

const WATCH: Rights = Rights { control: false };

impl House {
    fn compositor_says(&mut self, message: ToRtc) {
        self.peers.transfer(self.now, message).expect("a legal message");
        self.collect();
    }

    fn send_on_transfer(&mut self, viewer: usize, bytes: &[u8]) {
        let now = self.now;
        let viewer = &mut self.viewers[viewer].1;
        viewer.send(now, viewer.transfer, true, bytes);
        self.run(Duration::from_millis(20));
    }
}

fn house() -> House {
    let mut house = House::new();
    house.peers.transfer_replaced(house.now);
    house
}

fn offered() -> ToRtc {
    ToRtc::Offered(Offer { offer: OfferId(5), kind: Kind::Text, bytes: None })
}

#[test]
fn clipboard_is_for_who_may_control_and_nobody_else() {
    let mut house = house();
    let viewers = [house.join(1, CONTROL), house.join(2, WATCH)];
    house.compositor_says(offered());
    house.run(Duration::from_millis(50));
    let ways = transfer::ways(lumen_ipc::message::transfer::ClipboardPolicy::Both);
    let told = viewers.map(|viewer| house.viewers[viewer].1.transfers.clone());
    assert_eq!(told, [vec![ways, transfer::offered(OfferId(5))], vec![]]);
    let [control, watch] = viewers;
    // A request and an offer.
    for message in [&[0x21, 0, 0, 0, 1, 0, 0, 0, 5][..], &[0x20, 0, 0, 0, 2, 0, 0, 0, 3]] {
        house.send_on_transfer(watch, message);
        assert_eq!(house.transfer, []);
        house.send_on_transfer(control, message);
        assert_eq!(std::mem::take(&mut house.transfer).len(), 1);
    }
    // A page that sends text without a request is closed.
    house.send_on_transfer(control, &[0x23, 0, 0, 0, 9, b'x']);
    assert!(!house.peers.peers.values().any(|entry| entry.rights.control));
}

#[test]
fn text_for_a_page_passes_whole_and_a_cursor_passes_it() {
    let mut house = house();
    let viewer = house.join(1, CONTROL);
    house.send_on_transfer(viewer, &[0x21, 0, 0, 0, 1, 0, 0, 0, 5]);
    let [ToCompositor::Receiver(FromReceiver::Requested { transfer, credit, .. })] =
        house.transfer[..]
    else {
        panic!("{:?}", house.transfer)
    };
    let mut outflow = Outflow::new(credit);
    let (mut sent, mut cursors) = (0, 0);
    let text: Vec<u8> = (0..1_000_000).map(|at| b'a' + (at % 23) as u8).collect();
    while sent < text.len() {
        for message in std::mem::take(&mut house.transfer) {
            if let ToCompositor::Receiver(FromReceiver::Granted { credit, .. }) = message {
                outflow.grant(credit).expect("the receiver is honest");
            }
        }
        let bytes = outflow.allowance().min(text.len() - sent);
        if bytes > 0 {
            outflow.send(bytes).expect("within the allowance");
            let chunk = Chunk::new(text[sent..sent + bytes].to_vec()).expect("legal");
            house.compositor_says(ToRtc::Sender(FromSender::Sent { transfer, chunk }));
            sent += bytes;
        } else {
            // While text waits, other messages still find room.
            let before = house.viewers[viewer].1.messages.len();
            house.peers.pads_said(house.now, rumble());
            house.run(Duration::from_millis(30));
            assert!(house.viewers[viewer].1.messages.len() > before, "the message waits");
            cursors += 1;
        }
    }
    house.compositor_says(ToRtc::Sender(FromSender::Ended { transfer }));
    house.run(Duration::from_secs(1));
    let told = &house.viewers[viewer].1.transfers;
    assert_eq!(told.last(), Some(&transfer::ended(1)));
    let received: Vec<u8> = told
        .iter()
        .filter(|message| message[0] == 0xa7)
        .flat_map(|message| message[5..].iter().copied())
        .collect();
    assert!(received == text, "{} bytes", received.len());
    assert!(cursors > 3, "the text never had to wait");
}

fn rumble() -> lumen_ipc::message::pads::ToRtc {
    lumen_ipc::message::pads::ToRtc::Rumbled {
        peer: lumen_ipc::units::PeerId(1),
        pad: lumen_ipc::units::PadIndex::MIN,
        strong: 1,
        weak: 1,
        millis: 1,
    }
}

#[test]
fn text_of_a_page_that_leaves_fails_at_the_compositor() {
    let mut house = house();
    let viewer = house.join(1, CONTROL);
    house.send_on_transfer(viewer, &[0x20, 0, 0, 0, 7, 0, 0, 0, 3]);
    let [ToCompositor::Offered(Offer { offer, .. })] = house.transfer[..] else {
        panic!("{:?}", house.transfer)
    };
    let (transfer, kind, credit) = (TransferId(1), Kind::Text, Credit::default());
    house.compositor_says(ToRtc::Taken { offer });
    let request = FromReceiver::Requested { transfer, offer, kind, credit };
    house.compositor_says(ToRtc::Receiver(request));
    house.run(Duration::from_millis(50));
    let asked = house.viewers[viewer].1.transfers.last().cloned();
    assert_eq!(asked, Some(transfer::requested(1, 7, credit)));
    house.transfer.clear();
    house.peers.close_all(house.now);
    house.collect();
    let failure = Failure::Gone;
    assert_eq!(
        house.transfer,
        [
            ToCompositor::Withdrawn { offer },
            ToCompositor::Sender(FromSender::Failed { transfer, failure })
        ]
    );
}
