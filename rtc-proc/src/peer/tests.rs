//! A peer and a viewer at the other end of a simulated network.

use std::time::{Duration, Instant};

use lumen_ipc::{
    level::Level,
    login::Rights,
    message::{
        input::{Action, OutputPoint, PressState},
        packets::FrameStamps,
    },
    units::{Kbps, KeyCode},
};

use super::{
    Ending, FatalAlert, Input, Output, Peer, PeerEvent, Said, Setup, encode::picture_sent,
    viewer::Viewer,
};

mod formats;
mod pair;
mod sending;
mod sound;
mod speech;

use pair::{BROWSER, Pair, SERVER, address};

#[test]
fn peer_connects_and_opens_every_channel() {
    let pair = Pair::connected();
    assert_eq!(pair.count(&PeerEvent::Connected), 1);
    assert_eq!(pair.count(&PeerEvent::MessagesWanted), 1);
    assert!(pair.peer.awaits_keyframe());
}

#[test]
fn frames_before_the_first_keyframe_are_held_back_and_then_all_arrive() {
    let mut pair = Pair::connected();
    pair.show(false, 500, 1);
    let mut shown = Vec::new();
    for index in 0..20 {
        shown.push(pair.show(index == 0, 3000, index));
        pair.run(Duration::from_millis(16));
    }
    pair.run(Duration::from_millis(200));
    assert_eq!(pair.viewer.frames, shown);
    assert_eq!(pair.count(&PeerEvent::FrameSent(FrameStamps::default())), 20);
}

#[test]
fn large_keyframe_leaves_quickly_on_a_local_network() {
    let mut pair = Pair::connected();
    // 300 kB, a detailed 1080p desktop.
    let shown = pair.show(true, 300_000, 7);
    let before = pair.now;
    pair.run_until(Duration::from_secs(1), |pair| !pair.viewer.frames.is_empty());
    assert_eq!(pair.viewer.frames, [shown]);
    assert!(pair.now - before < Duration::from_millis(100), "took {:?}", pair.now - before);
}

#[test]
fn lost_packets_are_sent_again() {
    let mut pair = Pair::connected();
    // One in twenty.
    pair.loss = Some(20);
    let mut shown = Vec::new();
    for index in 0..60 {
        shown.push(pair.show(index == 0, 4000, index));
        pair.run(Duration::from_millis(16));
    }
    pair.loss = None;
    pair.show(false, 100, 0);
    pair.run(Duration::from_secs(1));
    pair.viewer.frames.truncate(60);
    assert_eq!(pair.viewer.frames, shown);
}

#[test]
fn interrupted_video_waits_for_a_keyframe() {
    let mut pair = Pair::connected();
    let first = pair.show(true, 100, 1);
    pair.run(Duration::from_millis(50));
    pair.peer.handle(pair.now, Input::VideoInterrupted);
    pair.show(false, 100, 2);
    let second = pair.show(true, 100, 3);
    pair.run(Duration::from_millis(500));
    assert_eq!(pair.viewer.frames, [first, second]);
}

#[test]
fn keyframe_request_of_the_viewer_is_told() {
    let mut pair = Pair::connected();
    pair.show(true, 100, 1);
    pair.run(Duration::from_millis(100));
    pair.request_keyframe();
    assert_eq!(pair.count(&PeerEvent::Said(Said::KeyframeWanted)), 1);
}

#[test]
fn channels_carry_messages_both_ways() {
    let mut pair = Pair::connected();
    // KEY_A = 30 goes down.
    pair.viewer.send(pair.now, pair.viewer.input, true, &[1, 0, 30, 1]);
    pair.peer.handle(pair.now, Input::Message(&[0x81]));
    pair.run(Duration::from_millis(100));
    let key = KeyCode::new(30).expect("a key");
    let action = Action::Key { key, state: PressState::Pressed, locks: None };
    assert_eq!(pair.count(&PeerEvent::Said(Said::Acted(action))), 1);
    assert_eq!(pair.viewer.messages, [vec![0x81]]);
}

/// A network that has lost the proof delivers it together with the keys behind it.
#[test]
fn key_that_arrives_with_the_proof_before_it_counts() {
    let mut pair = Pair::connected();
    pair.peer.set_rights(Rights { control: false });
    let proof = [&[0x0d][..], &[1; 8], &[2; 32]].concat();
    pair.viewer.send(pair.now, pair.viewer.input, true, &proof);
    pair.viewer.send(pair.now, pair.viewer.input, true, &[1, 0, 30, 1]);
    pair.collect();
    pair.deliver_all();
    let mut said = Vec::new();
    while let Some(output) = pair.peer.poll_output() {
        let Output::Event(PeerEvent::Said(one)) = output else { continue };
        // As whoever knows the rights of the lease does.
        pair.peer.set_rights(Rights { control: matches!(one, Said::Proved(_)) });
        said.push(one);
    }
    assert!(matches!(said[..], [Said::Proved(_), Said::Acted(Action::Key { .. })]), "{said:?}");
}

#[test]
fn motion_travels_on_its_own_channel() {
    let mut pair = Pair::connected();
    pair.viewer.send(pair.now, pair.viewer.motion, true, &[2, 0, 1, 0, 5, 0, 6]);
    pair.run(Duration::from_millis(100));
    let action = Action::PointerTo(OutputPoint { x: 5, y: 6 });
    assert_eq!(pair.count(&PeerEvent::Said(Said::Acted(action))), 1);
}

#[test]
fn message_that_is_none_ends_the_peer_and_the_viewer_hears() {
    let mut pair = Pair::connected();
    pair.viewer.send(pair.now, pair.viewer.input, true, &[0xee]);
    pair.run(Duration::from_millis(200));
    assert!(matches!(
        pair.events.last(),
        Some(PeerEvent::Ended(Ending::Violation(violation)))
            if violation.to_string().contains("unknown message 0xee")
    ));
    assert!(pair.viewer.closed);
}

#[test]
fn silent_viewer_is_lost() {
    let mut pair = Pair::connected();
    pair.loss = Some(1);
    pair.viewer.deadline = pair.now + Duration::from_secs(3600);
    pair.to_viewer.clear();
    pair.run(Duration::from_secs(60));
    assert!(matches!(pair.events.last(), Some(PeerEvent::Ended(Ending::Lost))));
}

#[test]
fn still_screen_costs_few_wakeups_and_bytes() {
    let mut pair = Pair::connected();
    for index in 0..30 {
        pair.show(index == 0, 2000, index);
        pair.run(Duration::from_millis(16));
    }
    pair.run(Duration::from_secs(5));
    (pair.wakeups, pair.datagrams) = (0, 0);
    pair.run(Duration::from_secs(30));
    // Ten a second is the limit for all processes together.
    assert!(pair.wakeups < 30 * 4, "{} wake-ups in 30 s", pair.wakeups);
    assert!(pair.datagrams < 30 * 2, "{} datagrams in 30 s", pair.datagrams);
}

#[test]
fn bored_viewer_gets_no_keyframe_but_one_that_insists_does() {
    let mut pair = Pair::connected();
    pair.show(true, 100, 1);
    pair.run(Duration::from_secs(4));
    pair.request_keyframe();
    assert_eq!(pair.count(&PeerEvent::Said(Said::KeyframeWanted)), 0);
    pair.run(Duration::from_secs(1));
    pair.request_keyframe();
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.count(&PeerEvent::Said(Said::KeyframeWanted)), 1);
}

#[test]
fn frame_after_stillness_leaves_at_once() {
    let mut pair = Pair::connected();
    pair.show(true, 2000, 1);
    pair.run(Duration::from_secs(10));
    let before = pair.datagrams;
    // Sixty packets.
    pair.show(false, 60_000, 2);
    assert!(pair.datagrams - before > 50, "{} datagrams at once", pair.datagrams - before);
}

#[test]
fn frame_after_a_message_that_ended_stillness_leaves_at_once_too() {
    let mut pair = Pair::connected();
    pair.show(true, 2000, 1);
    pair.run(Duration::from_secs(10));
    // The cursor changes, or the page is told that media restarts; then the picture follows.
    pair.peer.handle(pair.now, Input::Message(&[0x86, 0]));
    pair.run(Duration::from_millis(100));
    let before = pair.datagrams;
    pair.show(false, 60_000, 2);
    assert!(pair.datagrams - before > 50, "{} datagrams at once", pair.datagrams - before);
}

#[test]
fn malformed_and_foreign_datagrams_change_nothing() {
    let mut pair = Pair::connected();
    let mut bytes = vec![0_u8; 200];
    for round in 0..20_000_u64 {
        let mut chance = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for byte in &mut bytes {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            *byte = chance as u8;
        }
        // Each kind of datagram by its first byte: STUN, DTLS, RTP (RFC 7983).
        bytes[0] = [0, 22, 128, 255][(round % 4) as usize];
        let length = (round % 200) as usize;
        pair.deliver(&bytes[..length]);
    }
    let shown = pair.show(true, 5000, 9);
    pair.run(Duration::from_millis(300));
    assert_eq!(pair.viewer.frames, [shown]);
}

#[test]
fn handshake_that_the_browser_refuses_ends_with_the_reason_and_a_later_alert_does_not() {
    // A fatal alert, handshake_failure, in the clear.
    let datagram = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    let alert = FatalAlert::in_clear(&datagram).expect("an alert");
    let mut pair = Pair::new();
    pair.run_until(Duration::from_secs(5), |pair| pair.handshaking);
    pair.peer.handle(pair.now, Input::Refused(alert));
    pair.collect();
    assert_eq!(pair.events.last(), Some(&PeerEvent::Ended(Ending::Unsecured(alert))));

    let mut pair = Pair::connected();
    pair.peer.handle(pair.now, Input::Refused(alert));
    let shown = pair.show(true, 100, 1);
    pair.run(Duration::from_millis(300));
    assert_eq!(pair.viewer.frames, [shown]);
}

#[test]
fn page_is_told_of_the_newest_picture_that_left_and_then_nothing_more() {
    let mut pair = Pair::connected();
    for index in 0..60 {
        pair.show(index == 0, 3000, index);
        pair.run(Duration::from_millis(16));
    }
    // Without stamps the clock counts milliseconds.
    let newest = 59 * 90;
    pair.run(Duration::from_secs(2));
    let told: Vec<_> = pair.viewer.messages.iter().filter(|message| message[0] == 0x89).collect();
    assert!((2..=4).contains(&told.len()), "{} messages for a second of pictures", told.len());
    assert_eq!(told.last(), Some(&&picture_sent(newest)));
    pair.run(Duration::from_secs(30));
    assert!(pair.viewer.messages.len() <= 4, "a still screen needs no words");
}

#[test]
fn page_that_has_closed_its_channel_costs_no_wakeups_for_what_it_is_not_told() {
    let mut pair = Pair::connected();
    let input = pair.viewer.input;
    pair.viewer.rtc.direct_api().close_data_channel(input);
    pair.viewer.advance(pair.now);
    pair.run(Duration::from_millis(500));
    let shown = pair.show(true, 3000, 1);
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.viewer.frames, [shown], "pictures go on");
    pair.wakeups = 0;
    pair.run(Duration::from_secs(10));
    assert!(pair.wakeups < 100, "{} wake-ups in ten still seconds", pair.wakeups);
}

#[test]
fn keyframe_asked_for_by_the_page_is_told() {
    let mut pair = Pair::connected();
    pair.viewer.send(pair.now, pair.viewer.input, true, &[0x0b]);
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.count(&PeerEvent::Said(Said::KeyframeWanted)), 1);
}

#[test]
fn answer_names_the_highest_level_whatever_level_was_offered() {
    let now = Instant::now();
    let setup = Setup::new(vec![address(SERVER)], Kbps::new(8000).expect("legal")).expect("keys");
    let (_, offer) = Viewer::new(now, address(BROWSER));
    for level in ["1f", "0d", "34"] {
        let offer = offer.replace("42e01f", &format!("42e0{level}"));
        let control = Rights { control: true };
        let (_, answer) = Peer::accept(now, &setup, control, &offer, None).expect("an offer");
        let highest = format!("profile-level-id=42e0{:02x}", Level::HIGHEST.number());
        assert!(answer.contains(&highest), "{answer}");
    }
}

#[test]
fn browser_that_takes_main_profile_is_sent_that_or_baseline_and_another_baseline_only() {
    let now = Instant::now();
    let setup = Setup::new(vec![address(SERVER)], Kbps::new(8000).expect("legal")).expect("keys");
    let (_, offer) = Viewer::new(now, address(BROWSER));
    let named = |offer: &str| {
        let control = Rights { control: true };
        let (_, answer) = Peer::accept(now, &setup, control, offer, None).expect("an offer");
        ["42e0", "4d00"].map(|profile| answer.contains(&format!("profile-level-id={profile}")))
    };
    assert_eq!(named(&offer), [true, false]);
    // The packetization mode that nothing is sent in becomes another payload type of mode 1.
    let both = offer.replace("packetization-mode=0;profile-level-id=42e01f", "MAIN");
    assert!(both.contains("MAIN"), "{offer}");
    let both = both.replace("MAIN", "packetization-mode=1;profile-level-id=4d001f");
    assert_eq!(named(&both), [true, true]);
    let main = offer.replace("42e01f", "4d001f");
    assert_eq!(named(&main), [false, true]);
}

#[test]
fn peer_that_comes_after_a_move_is_told_of_the_new_addresses_only() {
    let now = Instant::now();
    let [here, there] = ["192.0.2.10:5000", "198.51.100.7:5000"].map(address);
    let mut setup = Setup::new(vec![here], Kbps::new(8000).expect("legal")).expect("keys");
    let answer = |setup: &Setup| {
        let (_, offer) = Viewer::new(now, address(BROWSER));
        Peer::accept(now, setup, Rights { control: true }, &offer, None).expect("an offer").1
    };
    let before = answer(&setup);
    assert!(before.contains("192.0.2.10") && !before.contains("198.51.100.7"), "{before}");
    setup.set_candidates(vec![there]);
    let after = answer(&setup);
    assert!(after.contains("198.51.100.7") && !after.contains("192.0.2.10"), "{after}");
    assert!(setup.is_candidate(there) && setup.is_candidate(here), "who came before sends on");
}

#[test]
fn addresses_of_a_machine_that_moves_all_the_time_are_bounded() {
    let at = |port| vec![std::net::SocketAddr::from(([192, 0, 2, 1], port))];
    let mut setup = Setup::new(at(1), Kbps::new(8000).expect("legal")).expect("keys");
    (2..1000).for_each(|port| setup.set_candidates(at(port)));
    let known = (1..1000).filter(|port| setup.is_candidate(at(*port)[0])).count();
    assert!((2..100).contains(&known), "{known}");
}

#[test]
fn bad_offers_are_refused_with_the_reason() {
    let now = Instant::now();
    let setup = Setup::new(vec![address(SERVER)], Kbps::new(8000).expect("legal")).expect("keys");
    let refused = |offer: &str| {
        Peer::accept(now, &setup, Rights { control: true }, offer, None)
            .map(|_| ())
            .expect_err("refused")
            .to_string()
    };
    assert!(refused("").contains("offer"));
    assert!(refused("v=0\r\nnonsense").contains("not a session description"));
    let (_, offer) = Viewer::new(now, address(BROWSER));
    assert!(refused(&offer.replace("H264", "VP9")).contains("no video section"));
    assert!(refused(&offer.replace("fingerprint", "fingertip")).contains("fingerprint"));
}
