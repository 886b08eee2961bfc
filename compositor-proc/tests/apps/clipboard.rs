//! The clipboard: apps' text for viewers, viewers' text for apps, and misbehaviour of both.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    thread::{self, JoinHandle},
    time::Instant,
};

use lumen_compositor::{selections::TEXT_NAMES, shell::transfers::STALL};
use lumen_ipc::{
    flow::{Credit, Inflow, Outflow, WINDOW},
    message::transfer::{
        Chunk, ClipboardPolicy, Failure, FromReceiver, FromSender, Kind, Offer, OfferId,
        ToCompositor, ToRtc, TransferId,
    },
};
use rustix::pipe::{PipeFlags, pipe_with};
use wayland_client::protocol::wl_data_device::WlDataDevice;

use super::{
    App, Event, red_window,
    rig::{PEER, Rig},
};

const UTF8: &str = TEXT_NAMES[0];
const T: TransferId = TransferId(1);
const PAGE: OfferId = OfferId(7);

/// A desktop with an app that has the keyboard, and its data device.
fn desktop(policy: ClipboardPolicy) -> (Rig, App, WlDataDevice) {
    let mut rig = Rig::with_clipboard(policy);
    rig.frame_after(0);
    rig.release();
    let (mut app, _window) = red_window(&mut rig);
    let device = app.data_device();
    // Selections count only from here on.
    let before = app.count(&Event::CalledBack);
    app.connection.display().sync(&app.handle(), ());
    app.until(&mut rig, |memory| {
        memory.events.iter().filter(|event| **event == Event::CalledBack).count() > before
    });
    (rig, app, device)
}

fn tell(rig: &Rig, message: &ToCompositor) {
    rig.transfer.as_ref().expect("rtc is there").send(message, &[]).expect("room");
}

fn request(rig: &Rig, transfer: TransferId, offer: OfferId) {
    let (kind, credit) = (Kind::Text, Credit::default());
    let request = FromReceiver::Requested { transfer, offer, kind, credit };
    tell(rig, &ToCompositor::Receiver(request));
}

fn page_offers(rig: &Rig, offer: OfferId) {
    rig.prove(PEER);
    let offer = Offer { offer, kind: Kind::Text, bytes: Some(3) };
    tell(rig, &ToCompositor::Offered(offer));
}

/// Turns until rtc received a message that `pick` accepts.
fn said<T>(rig: &mut Rig, app: &mut App, mut pick: impl FnMut(&ToRtc) -> Option<T>) -> T {
    let mut picked = None;
    rig.until(|rig| {
        app.exchange();
        picked = rig.said.iter().find_map(&mut pick);
        picked.is_some()
    });
    picked.expect("just seen")
}

fn was_said(rig: &mut Rig, app: &mut App, message: &ToRtc) {
    said(rig, app, |one| (one == message).then_some(()));
}

fn failed(failure: Failure) -> ToRtc {
    ToRtc::Sender(FromSender::Failed { transfer: T, failure })
}

/// Lets the app copy text, and waits until rtc is told.
fn copied(rig: &mut Rig, app: &mut App, device: &WlDataDevice, names: &[&str]) -> OfferId {
    app.copy(device, names);
    said(rig, app, |one| match one {
        ToRtc::Offered(offer) => Some(offer.offer),
        _ => None,
    })
}

/// Waits until the app is asked to write what it copied.
fn asked(rig: &mut Rig, app: &mut App) -> (String, OwnedFd) {
    app.until(rig, |memory| !memory.asked.is_empty());
    app.memory.asked.remove(0)
}

fn write_all(pipe: OwnedFd, bytes: Vec<u8>) -> JoinHandle<std::io::Result<()>> {
    thread::spawn(move || File::from(pipe).write_all(&bytes))
}

/// Receives a transfer as a correct rtc does, checking the credit of each chunk.
fn receive_all(rig: &mut Rig, app: &mut App) -> Result<Vec<u8>, Failure> {
    let (mut inflow, mut bytes, mut end) = (Inflow::default(), Vec::new(), None);
    rig.until(|rig| {
        app.exchange();
        for message in std::mem::take(&mut rig.said) {
            let ToRtc::Sender(message) = message else { continue };
            match message {
                FromSender::Sent { chunk, .. } => {
                    inflow.receive(chunk.bytes().len()).expect("within credit");
                    bytes.extend_from_slice(chunk.bytes());
                    if let Some(credit) = inflow.release(chunk.bytes().len()) {
                        let granted = FromReceiver::Granted { transfer: T, credit };
                        tell(rig, &ToCompositor::Receiver(granted));
                    }
                }
                FromSender::Ended { .. } => end = Some(Ok(())),
                FromSender::Failed { failure, .. } => end = Some(Err(failure)),
            }
        }
        end.is_some()
    });
    end.expect("just seen").map(|()| bytes)
}

/// Lets the app paste into a pipe; returns the end that it reads.
fn paste(rig: &mut Rig, app: &mut App) -> OwnedFd {
    app.until(rig, |memory| {
        let mut offers = memory.offers.iter();
        offers
            .any(|(offer, names)| Some(offer) == memory.selection.as_ref() && *names == TEXT_NAMES)
    });
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).expect("pipe");
    let offer = app.memory.selection.as_ref().expect("just seen");
    offer.receive(UTF8.to_owned(), write.as_fd());
    app.exchange();
    read
}

fn read_all(pipe: OwnedFd) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        File::from(pipe).read_to_end(&mut bytes).expect("readable");
        bytes
    })
}

/// What the app's reader has read when it reaches the end.
fn joined<T>(rig: &mut Rig, app: &mut App, task: JoinHandle<T>) -> T {
    rig.until(|_| {
        app.exchange();
        task.is_finished()
    });
    task.join().expect("it returns")
}

/// Sends a text as a correct rtc does, within its credit.
fn send_all(rig: &mut Rig, app: &mut App, text: &[u8]) {
    let (transfer, credit) = said(rig, app, requested);
    let (mut outflow, mut rest) = (Outflow::new(credit), text);
    rig.said.clear();
    rig.until(|rig| {
        app.exchange();
        for message in std::mem::take(&mut rig.said) {
            if let ToRtc::Receiver(FromReceiver::Granted { credit, .. }) = message {
                outflow.grant(credit).expect("an honest receiver");
            }
        }
        while outflow.allowance() > 0 && !rest.is_empty() {
            let (chunk, after) = rest.split_at(outflow.allowance().min(rest.len()));
            outflow.send(chunk.len()).expect("within the allowance");
            tell(rig, &sent(transfer, chunk));
            rest = after;
        }
        rest.is_empty()
    });
    tell(rig, &ToCompositor::Sender(FromSender::Ended { transfer }));
}

fn sent(transfer: TransferId, bytes: &[u8]) -> ToCompositor {
    let chunk = Chunk::new(bytes.to_vec()).expect("legal");
    ToCompositor::Sender(FromSender::Sent { transfer, chunk })
}

fn requested(message: &ToRtc) -> Option<(TransferId, Credit)> {
    match message {
        ToRtc::Receiver(FromReceiver::Requested { transfer, credit, .. }) => {
            Some((*transfer, *credit))
        }
        _ => None,
    }
}

fn long_text() -> Vec<u8> {
    "Ein Satz mit Umlauten: äöü, und ein Krebs 🦀.\n".repeat(220_000).into_bytes()
}

#[test]
fn text_that_an_app_copies_reaches_rtc_when_it_asks() {
    for text in ["Grüße,\n\t🦀 and\r\nmore", ""] {
        let (mut rig, mut app, device) = desktop(ClipboardPolicy::Both);
        let offer = copied(&mut rig, &mut app, &device, &["text/html", "TEXT", "text/plain", UTF8]);
        request(&rig, T, offer);
        let (name, pipe) = asked(&mut rig, &mut app);
        assert_eq!(name, UTF8);
        let writer = write_all(pipe, text.into());
        assert_eq!(receive_all(&mut rig, &mut app), Ok(text.into()));
        writer.join().expect("it returns").expect("written");
    }
}

#[test]
fn text_of_ten_megabytes_from_an_app_comes_within_its_credit() {
    let (mut rig, mut app, device) = desktop(ClipboardPolicy::Both);
    let offer = copied(&mut rig, &mut app, &device, &[UTF8]);
    request(&rig, T, offer);
    let (_, pipe) = asked(&mut rig, &mut app);
    let writer = write_all(pipe, long_text());
    // The length first, because a failure that prints ten megabytes helps nobody.
    let received = receive_all(&mut rig, &mut app).expect("all of it");
    assert_eq!(received.len(), long_text().len());
    assert!(received == long_text());
    writer.join().expect("it returns").expect("written");
}

#[test]
fn content_that_is_not_text_is_not_offered_or_fails() {
    let (mut rig, mut app, device) = desktop(ClipboardPolicy::Both);
    app.copy(&device, &["image/png"]);
    let offer = copied(&mut rig, &mut app, &device, &["STRING"]);
    assert_eq!(offer, OfferId(1), "the picture was not offered");
    let cut_off = "Grüße".as_bytes().split_at(3).0;
    for (transfer, bytes) in [(T, &b"caf\xe9 au lait"[..]), (TransferId(2), cut_off)] {
        rig.said.clear();
        request(&rig, transfer, offer);
        let (_, pipe) = asked(&mut rig, &mut app);
        let writer = write_all(pipe, bytes.into());
        assert_eq!(receive_all(&mut rig, &mut app), Err(Failure::NotText));
        // It may or may not have been written before the reading end was closed.
        let _ = writer.join().expect("it returns");
    }
}

#[test]
fn app_that_never_writes_costs_its_transfer_only() {
    let (mut rig, mut app, device) = desktop(ClipboardPolicy::Both);
    let offer = copied(&mut rig, &mut app, &device, &[UTF8]);
    request(&rig, T, offer);
    let (_, pipe) = asked(&mut rig, &mut app);
    rig.shell.compositor().expire_transfers(Instant::now() + STALL);
    was_said(&mut rig, &mut app, &failed(Failure::Stalled));
    // The reading end is closed, so a late writer gets an error.
    assert!(write_all(pipe, b"late".into()).join().expect("it returns").is_err());
    assert!(rig.transfer.as_ref().expect("rtc").receive().is_err());
}

#[test]
fn request_for_what_is_gone_fails() {
    let (mut rig, mut app, device) = desktop(ClipboardPolicy::Both);
    let offer = copied(&mut rig, &mut app, &device, &[UTF8]);
    request(&rig, T, OfferId(offer.0 + 1));
    was_said(&mut rig, &mut app, &failed(Failure::Gone));
    drop((device, app));
    rig.wait_quietly();
    let transfer = TransferId(2);
    request(&rig, transfer, offer);
    let failure = Failure::Gone;
    let gone = ToRtc::Sender(FromSender::Failed { transfer, failure });
    rig.until(|rig| rig.said.contains(&gone));
}

#[test]
fn text_that_a_page_offers_is_what_an_app_pastes() {
    for text in ["Grüße,\n\t🦀 and\r\nmore".into(), Vec::new(), long_text()] {
        let (mut rig, mut app, _device) = desktop(ClipboardPolicy::Both);
        page_offers(&rig, PAGE);
        was_said(&mut rig, &mut app, &ToRtc::Taken { offer: PAGE });
        let reader = read_all(paste(&mut rig, &mut app));
        let (_, names) = app.memory.offers.last().expect("an offer");
        assert_eq!(names, &TEXT_NAMES);
        send_all(&mut rig, &mut app, &text);
        let read = joined(&mut rig, &mut app, reader);
        assert_eq!(read.len(), text.len());
        assert!(read == text);
    }
}

#[test]
fn app_that_never_reads_holds_up_nobody_and_is_given_up() {
    let (mut rig, mut app, _device) = desktop(ClipboardPolicy::Both);
    page_offers(&rig, PAGE);
    // Its pipe blocks writers, as those of most apps do.
    let pipe = paste(&mut rig, &mut app);
    let (transfer, credit) = said(&mut rig, &mut app, requested);
    let mut granted = credit.bytes();
    let mut unsent = 3 * WINDOW;
    rig.until(|rig| {
        app.exchange();
        for message in std::mem::take(&mut rig.said) {
            if let ToRtc::Receiver(FromReceiver::Granted { credit, .. }) = message {
                granted += credit.bytes();
            }
        }
        while granted > 0 && unsent > 0 {
            let bytes = granted.min(unsent).min(Chunk::MAX_BYTES as u32);
            tell(rig, &sent(transfer, &vec![b'x'; bytes as usize]));
            (granted, unsent) = (granted - bytes, unsent - bytes);
        }
        granted == 0 && unsent <= 2 * WINDOW
    });
    rig.wait_quietly();
    // A pipe holds 64 KiB, and a window waits before it. The rest has no credit, and windows still
    // draw.
    let credit = |one: &ToRtc| match one {
        ToRtc::Receiver(FromReceiver::Granted { credit, .. }) => credit.bytes(),
        _ => 0,
    };
    let granted: u32 = rig.said.iter().map(credit).sum();
    assert!(granted < unsent, "{granted} bytes granted of {unsent}");
    let frames = rig.frames.len();
    rig.release();
    red_window(&mut rig);
    assert!(rig.frames.len() > frames);
    rig.shell.compositor().expire_transfers(Instant::now() + STALL);
    let cancelled = ToRtc::Receiver(FromReceiver::Cancelled { transfer });
    was_said(&mut rig, &mut app, &cancelled);
    // The pipe is closed, so a late reader reaches its end.
    let reader = read_all(pipe);
    assert!(!joined(&mut rig, &mut app, reader).is_empty());
}

#[test]
fn app_that_stops_reading_ends_its_transfer() {
    let (mut rig, mut app, _device) = desktop(ClipboardPolicy::Both);
    page_offers(&rig, PAGE);
    let pipe = paste(&mut rig, &mut app);
    let (transfer, _) = said(&mut rig, &mut app, requested);
    drop(pipe);
    tell(&rig, &sent(transfer, b"for nobody"));
    let cancelled = ToRtc::Receiver(FromReceiver::Cancelled { transfer });
    was_said(&mut rig, &mut app, &cancelled);
    // Bytes in flight are dropped and do no harm.
    tell(&rig, &sent(transfer, b"late"));
    rig.said.clear();
    page_offers(&rig, OfferId(8));
    was_said(&mut rig, &mut app, &ToRtc::Taken { offer: OfferId(8) });
}

#[test]
fn paste_into_what_is_no_pipe_writes_nothing() {
    let (mut rig, mut app, _device) = desktop(ClipboardPolicy::Both);
    page_offers(&rig, PAGE);
    app.until(&mut rig, |memory| memory.selection.is_some());
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let memory = File::from(rustix::fs::memfd_create("target", flags).expect("memfd"));
    let offer = app.memory.selection.clone().expect("just seen");
    offer.receive(UTF8.to_owned(), memory.as_fd());
    let reader = read_all(paste(&mut rig, &mut app));
    // Only the pipe of the two has a transfer.
    send_all(&mut rig, &mut app, b"abc");
    assert_eq!(joined(&mut rig, &mut app, reader), b"abc");
    assert_eq!(memory.metadata().expect("open").len(), 0);
}

#[test]
fn later_offer_replaces_the_earlier_whosever_it_is() {
    let (mut rig, mut app, device) = desktop(ClipboardPolicy::Both);
    page_offers(&rig, PAGE);
    page_offers(&rig, OfferId(8));
    was_said(&mut rig, &mut app, &ToRtc::Taken { offer: OfferId(8) });
    was_said(&mut rig, &mut app, &ToRtc::Lapsed { offer: PAGE });
    let offer = copied(&mut rig, &mut app, &device, &[UTF8]);
    was_said(&mut rig, &mut app, &ToRtc::Lapsed { offer: OfferId(8) });
    page_offers(&rig, OfferId(9));
    was_said(&mut rig, &mut app, &ToRtc::Taken { offer: OfferId(9) });
    request(&rig, T, offer);
    was_said(&mut rig, &mut app, &failed(Failure::Gone));
}

#[test]
fn withdrawn_offer_is_not_pasted() {
    let (mut rig, mut app, _device) = desktop(ClipboardPolicy::Both);
    page_offers(&rig, PAGE);
    app.until(&mut rig, |memory| memory.selection.is_some());
    tell(&rig, &ToCompositor::Withdrawn { offer: OfferId(3) });
    tell(&rig, &ToCompositor::Withdrawn { offer: PAGE });
    app.until(&mut rig, |memory| memory.selection.is_none());
}

#[test]
fn policy_keeps_either_direction_closed() {
    for policy in [ClipboardPolicy::ToDesktop, ClipboardPolicy::Off] {
        let (mut rig, mut app, device) = desktop(policy);
        app.copy(&device, &[UTF8]);
        app.exchange();
        rig.wait_quietly();
        assert!(rig.said.is_empty(), "{policy:?}: {:?}", rig.said);
        request(&rig, T, OfferId(1));
        was_said(&mut rig, &mut app, &failed(Failure::Gone));
        assert!(app.memory.asked.is_empty());
    }
    for policy in [ClipboardPolicy::FromDesktop, ClipboardPolicy::Off] {
        let (mut rig, mut app, _device) = desktop(policy);
        page_offers(&rig, PAGE);
        was_said(&mut rig, &mut app, &ToRtc::Lapsed { offer: PAGE });
        assert!(app.memory.selection.is_none());
    }
}

#[test]
fn link_lost_in_the_middle_ends_both_directions_and_the_next_one_works() {
    let (mut rig, mut app, device) = desktop(ClipboardPolicy::Both);
    let offer = copied(&mut rig, &mut app, &device, &[UTF8]);
    request(&rig, T, offer);
    let (_, from_app) = asked(&mut rig, &mut app);
    page_offers(&rig, PAGE);
    let reader = read_all(paste(&mut rig, &mut app));
    let (transfer, _) = said(&mut rig, &mut app, requested);
    tell(&rig, &sent(transfer, b"half"));
    rig.turn(std::time::Duration::from_millis(5));
    rig.said.clear();
    rig.attach_transfer();
    assert_eq!(joined(&mut rig, &mut app, reader), b"half");
    // Only the previous rtc could have sent it.
    app.until(&mut rig, |memory| memory.selection.is_none());
    assert!(write_all(from_app, b"late".into()).join().expect("it returns").is_err());
    rig.said.clear();
    let again = copied(&mut rig, &mut app, &device, &[UTF8]);
    request(&rig, T, again);
    let (_, pipe) = asked(&mut rig, &mut app);
    let writer = write_all(pipe, b"again".into());
    assert_eq!(receive_all(&mut rig, &mut app), Ok(b"again".into()));
    writer.join().expect("it returns").expect("written");
}

#[test]
fn copy_while_rtc_is_away_is_told_to_the_next_one() {
    let (mut rig, mut app, device) = desktop(ClipboardPolicy::Both);
    rig.transfer = None;
    rig.wait_quietly();
    app.copy(&device, &[UTF8]);
    app.exchange();
    rig.wait_quietly();
    rig.attach_transfer();
    let offer = said(&mut rig, &mut app, |one| match one {
        ToRtc::Offered(offer) => Some(offer.offer),
        _ => None,
    });
    assert_eq!(offer, OfferId(1));
}

#[test]
fn rtc_that_breaks_the_contract_loses_the_link() {
    let request = |transfer| {
        let (offer, kind, credit) = (OfferId(1), Kind::Text, Credit::default());
        ToCompositor::Receiver(FromReceiver::Requested { transfer, offer, kind, credit })
    };
    let credit = Credit::default();
    let breaches: [&[ToCompositor]; 4] = [
        &[request(T), request(T)],
        &[ToCompositor::Receiver(FromReceiver::Granted { transfer: T, credit })],
        &[sent(T, b"unasked")],
        &[ToCompositor::Receiver(FromReceiver::Cancelled { transfer: TransferId(2) })],
    ];
    for breach in breaches {
        let (mut rig, _app, _device) = desktop(ClipboardPolicy::Both);
        breach.iter().for_each(|message| tell(&rig, message));
        rig.until(|rig| rig.counter("link_violations_total") == 1);
    }
}

#[test]
fn rtc_that_sends_beyond_its_credit_or_no_text_loses_the_link() {
    // The app's pipe, a window, and more.
    let beyond = vec![vec![b'x'; Chunk::MAX_BYTES]; 3 * WINDOW as usize / Chunk::MAX_BYTES];
    for chunks in [beyond, vec![vec![0xff]]] {
        let (mut rig, mut app, _device) = desktop(ClipboardPolicy::Both);
        page_offers(&rig, PAGE);
        let pipe = paste(&mut rig, &mut app);
        let (transfer, _) = said(&mut rig, &mut app, requested);
        let mut chunks = chunks.iter();
        rig.until(|rig| {
            if let (Some(link), Some(chunk)) = (&rig.transfer, chunks.next()) {
                // After the violation the link is closed.
                let _ = link.send(&sent(transfer, chunk), &[]);
            }
            rig.counter("link_violations_total") == 1
        });
        let reader = read_all(pipe);
        joined(&mut rig, &mut app, reader);
    }
}
