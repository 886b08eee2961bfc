//! The clipboard between pages and a compositor, with their messages in any order.

mod house;

use lumen_ipc::{
    flow::{Credit, WINDOW},
    message::transfer::{
        Chunk, ClipboardPolicy, Failure, FromReceiver, FromSender, Kind, Offer, OfferId,
        ToCompositor, ToRtc, TransferId,
    },
    units::PeerId,
};

use super::{Clipboard, Output, PageViolation};
use crate::peer::transfer::{self, PageSays};

const ALICE: PeerId = PeerId(1);
const BOB: PeerId = PeerId(2);
const T: TransferId = TransferId(1);

fn clipboard(policy: ClipboardPolicy) -> Clipboard {
    let mut clipboard = Clipboard::new(policy);
    clipboard.attach();
    clipboard.join(ALICE);
    drain(&mut clipboard);
    clipboard
}

fn drain(clipboard: &mut Clipboard) -> Vec<Output> {
    std::iter::from_fn(|| clipboard.poll_output()).collect()
}

fn says(clipboard: &mut Clipboard, message: PageSays) -> Vec<Output> {
    clipboard.page_says(ALICE, message).expect("legal");
    drain(clipboard)
}

fn hears(clipboard: &mut Clipboard, message: ToRtc) -> Vec<Output> {
    clipboard.compositor_says(message).expect("legal");
    drain(clipboard)
}

fn chunk(bytes: &[u8]) -> Chunk {
    Chunk::new(bytes.to_vec()).expect("legal")
}

fn app_offers(offer: u32) -> ToRtc {
    ToRtc::Offered(Offer { offer: OfferId(offer), kind: Kind::Text, bytes: None })
}

fn app_sends(transfer: TransferId, bytes: &[u8]) -> ToRtc {
    ToRtc::Sender(FromSender::Sent { transfer, chunk: chunk(bytes) })
}

fn app_pastes(transfer: TransferId, offer: u32) -> ToRtc {
    let (offer, kind, credit) = (OfferId(offer), Kind::Text, Credit::default());
    ToRtc::Receiver(FromReceiver::Requested { transfer, offer, kind, credit })
}

fn to_page(message: Vec<u8>) -> Output {
    Output::ToPage(ALICE, message)
}

fn failed(transfer: TransferId, failure: Failure) -> Output {
    Output::ToCompositor(ToCompositor::Sender(FromSender::Failed { transfer, failure }))
}

/// A page whose text an app pastes, as transfer `T`.
fn uploading() -> Clipboard {
    let mut clipboard = clipboard(ClipboardPolicy::Both);
    says(&mut clipboard, PageSays::Offered { offer: 9, bytes: 3 });
    hears(&mut clipboard, ToRtc::Taken { offer: OfferId(1) });
    let asked = hears(&mut clipboard, app_pastes(T, 1));
    assert_eq!(asked, [to_page(transfer::requested(1, 9, Credit::default()))]);
    clipboard
}

/// A page that receives an app's text, as transfer `T`.
fn downloading() -> Clipboard {
    let mut clipboard = clipboard(ClipboardPolicy::Both);
    hears(&mut clipboard, app_offers(5));
    says(&mut clipboard, PageSays::Requested { transfer: 1, offer: OfferId(5) });
    clipboard
}

#[test]
fn offer_of_an_app_is_told_to_those_who_take_part_and_not_to_who_comes_later() {
    let mut clipboard = clipboard(ClipboardPolicy::Both);
    let told = hears(&mut clipboard, app_offers(5));
    assert_eq!(told, [to_page(transfer::offered(OfferId(5)))]);
    clipboard.join(BOB);
    let ways = transfer::ways(ClipboardPolicy::Both);
    assert_eq!(drain(&mut clipboard), [Output::ToPage(BOB, ways)]);
}

#[test]
fn text_of_an_app_waits_for_the_network_and_its_credit_with_it() {
    let mut clipboard = downloading();
    let piece = vec![b'x'; Chunk::MAX_BYTES];
    let pieces = WINDOW as usize / Chunk::MAX_BYTES;
    for _ in 0..pieces {
        assert_eq!(hears(&mut clipboard, app_sends(T, &piece)), []);
    }
    assert!(clipboard.compositor_says(app_sends(T, b"x")).is_err(), "beyond the credit");
    let sent = transfer::sent(1, &chunk(&piece));
    let mut granted = 0;
    for _ in 0..pieces {
        assert_eq!(clipboard.next_bulk(ALICE), Some(sent.clone()));
        for output in drain(&mut clipboard) {
            let Output::ToCompositor(ToCompositor::Receiver(FromReceiver::Granted {
                credit, ..
            })) = output
            else {
                panic!("{output:?}")
            };
            granted += credit.bytes();
        }
    }
    assert_eq!(granted, WINDOW);
    assert_eq!(clipboard.next_bulk(ALICE), None);
    hears(&mut clipboard, ToRtc::Sender(FromSender::Ended { transfer: T }));
    assert_eq!(clipboard.bulk_waits_for(), [ALICE]);
    assert_eq!(clipboard.next_bulk(ALICE), Some(transfer::ended(1)));
    assert_eq!(clipboard.bulk_waits_for(), []);
}

#[test]
fn request_for_another_text_gives_up_the_one_before() {
    let mut clipboard = downloading();
    hears(&mut clipboard, app_sends(T, b"old"));
    let asked = says(&mut clipboard, PageSays::Requested { transfer: 2, offer: OfferId(5) });
    let cancelled = ToCompositor::Receiver(FromReceiver::Cancelled { transfer: T });
    assert_eq!(asked.first(), Some(&Output::ToCompositor(cancelled)));
    // What was already on its way is dropped.
    assert_eq!(hears(&mut clipboard, app_sends(T, b"late")), []);
    assert_eq!(clipboard.next_bulk(ALICE), None);
    hears(&mut clipboard, app_sends(TransferId(2), b"new"));
    assert_eq!(clipboard.next_bulk(ALICE), Some(transfer::sent(2, &chunk(b"new"))));
    let again = PageSays::Requested { transfer: 2, offer: OfferId(5) };
    assert_eq!(clipboard.page_says(ALICE, again), Err(PageViolation::Number));
}

#[test]
fn text_of_a_page_passes_within_the_credit_of_the_compositor() {
    let mut clipboard = uploading();
    let piece = vec![b'x'; Chunk::MAX_BYTES];
    let send = |bytes: &[u8]| PageSays::Sent { transfer: 1, chunk: chunk(bytes) };
    for _ in 0..WINDOW as usize / Chunk::MAX_BYTES {
        let passed = says(&mut clipboard, send(&piece));
        let sent = FromSender::Sent { transfer: T, chunk: chunk(&piece) };
        assert_eq!(passed, [Output::ToCompositor(ToCompositor::Sender(sent))]);
    }
    let beyond = clipboard.page_says(ALICE, send(b"x"));
    assert_eq!(beyond, Err(PageViolation::BeyondCredit));
    let credit = Credit::new(1).expect("legal");
    let granted = ToRtc::Receiver(FromReceiver::Granted { transfer: T, credit });
    assert_eq!(hears(&mut clipboard, granted), [to_page(transfer::granted(1, credit))]);
    assert_eq!(clipboard.page_says(ALICE, send(b"x")), Ok(()));
}

#[test]
fn text_of_a_page_that_is_none_is_a_violation() {
    for bytes in [&b"\xff"[..], b"\xe2\x82"] {
        let mut clipboard = uploading();
        let sent = PageSays::Sent { transfer: 1, chunk: chunk(bytes) };
        let outcome = clipboard
            .page_says(ALICE, sent)
            .and_then(|()| clipboard.page_says(ALICE, PageSays::Ended { transfer: 1 }));
        assert_eq!(outcome, Err(PageViolation::NotText));
    }
}

#[test]
fn text_that_nobody_asked_for_is_a_violation_but_not_what_was_under_way() {
    let mut clipboard = uploading();
    let send = |bytes: &[u8]| PageSays::Sent { transfer: 1, chunk: chunk(bytes) };
    assert_eq!(
        clipboard.page_says(BOB, send(b"x")),
        Ok(()),
        "messages of a page that has not joined are ignored"
    );
    let cancelled = ToRtc::Receiver(FromReceiver::Cancelled { transfer: T });
    assert_eq!(hears(&mut clipboard, cancelled), [to_page(transfer::cancelled(1))]);
    for _ in 0..WINDOW as usize / Chunk::MAX_BYTES {
        assert_eq!(says(&mut clipboard, send(&[b'x'; Chunk::MAX_BYTES])), []);
    }
    assert_eq!(clipboard.page_says(ALICE, send(b"x")), Err(PageViolation::BeyondCredit));
}

#[test]
fn page_that_leaves_ends_all_that_is_its() {
    let mut clipboard = uploading();
    says(&mut clipboard, PageSays::Requested { transfer: 1, offer: OfferId(5) });
    clipboard.leave(ALICE);
    let offer = OfferId(1);
    assert_eq!(
        drain(&mut clipboard),
        [
            Output::ToCompositor(ToCompositor::Withdrawn { offer }),
            failed(T, Failure::Gone),
            Output::ToCompositor(ToCompositor::Receiver(FromReceiver::Cancelled { transfer: T })),
        ]
    );
    let paste = hears(&mut clipboard, app_pastes(TransferId(2), 1));
    assert_eq!(paste, [failed(TransferId(2), Failure::Gone)]);
}

#[test]
fn compositor_that_goes_ends_all_and_the_next_one_counts_anew() {
    let mut clipboard = uploading();
    says(&mut clipboard, PageSays::Requested { transfer: 1, offer: OfferId(5) });
    clipboard.detach();
    assert_eq!(
        drain(&mut clipboard),
        [
            to_page(transfer::lapsed(9)),
            to_page(transfer::cancelled(1)),
            to_page(transfer::failed(1, Failure::Gone)),
        ]
    );
    let lapsed = says(&mut clipboard, PageSays::Offered { offer: 10, bytes: 1 });
    assert_eq!(lapsed, [to_page(transfer::lapsed(10))]);
    clipboard.attach();
    let paste = hears(&mut clipboard, app_pastes(T, 1));
    assert_eq!(paste, [failed(T, Failure::Gone)]);
    // The page's number for the next transfer is new, since bytes of the last one may still be on
    // their way.
    says(&mut clipboard, PageSays::Offered { offer: 11, bytes: 1 });
    let paste = hears(&mut clipboard, app_pastes(TransferId(2), 2));
    assert_eq!(paste, [to_page(transfer::requested(2, 11, Credit::default()))]);
}

#[test]
fn policy_is_kept_whatever_either_side_says() {
    let mut clipboard = clipboard(ClipboardPolicy::FromDesktop);
    let lapsed = says(&mut clipboard, PageSays::Offered { offer: 1, bytes: 1 });
    assert_eq!(lapsed, [to_page(transfer::lapsed(1))]);
    assert_eq!(hears(&mut clipboard, app_pastes(T, 1)), [failed(T, Failure::Gone)]);

    let mut clipboard = self::clipboard(ClipboardPolicy::ToDesktop);
    assert_eq!(hears(&mut clipboard, app_offers(5)), []);
    let asked = says(&mut clipboard, PageSays::Requested { transfer: 1, offer: OfferId(5) });
    assert_eq!(asked, [to_page(transfer::failed(1, Failure::Gone))]);
}

#[test]
fn compositor_that_breaks_the_contract_is_refused() {
    let breaches: [&[ToRtc]; 4] = [
        &[app_pastes(T, 1), app_pastes(T, 1)],
        &[app_sends(T, b"unasked")],
        &[ToRtc::Receiver(FromReceiver::Granted { transfer: T, credit: Credit::default() })],
        &[ToRtc::Receiver(FromReceiver::Cancelled { transfer: T })],
    ];
    for breach in breaches {
        let mut clipboard = clipboard(ClipboardPolicy::Both);
        let outcome = breach.iter().try_for_each(|one| clipboard.compositor_says(one.clone()));
        assert!(outcome.is_err(), "{breach:?}");
    }
    for then in [app_sends(T, b"x"), ToRtc::Sender(FromSender::Ended { transfer: T })] {
        let mut clipboard = downloading();
        hears(&mut clipboard, ToRtc::Sender(FromSender::Ended { transfer: T }));
        assert!(clipboard.compositor_says(then).is_err());
    }
}
