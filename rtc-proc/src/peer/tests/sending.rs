//! How a peer's datagrams leave, and at which rate.

use std::time::{Duration, Instant};

use lumen_ipc::{login::Rights, units::Kbps};
use str0m::net::{Protocol, Transmit};

use super::{
    super::{
        Input, Peer, PeerEvent, Said, Setup, media::FrameGate, rate::line::Limit,
        sending::LEAST_RECEIVER_BPS, viewer::Viewer,
    },
    pair::{BROWSER, Pair, SERVER, address},
};

#[test]
fn encoder_gets_what_the_browser_reports_to_arrive() {
    const BPS: u64 = 1_000_000;
    let mut pair = Pair::connected();
    pair.line.limit = Limit::Policed { bps: BPS, bucket: 15_000 };
    let mut shown = 0;
    for index in 0..600 {
        let bytes = pair.peer.encoder_bps() / 30 / 8;
        pair.show(
            index == 0 || pair.peer.awaits_keyframe(),
            bytes.min(30_000) as usize,
            index as u8,
        );
        pair.run(Duration::from_millis(33));
        if index == 300 {
            shown = pair.viewer.frames.len();
        }
    }
    let rate = pair.peer.encoder_bps();
    assert!((BPS / 2..BPS * 11 / 10).contains(&rate), "{rate} bit/s");
    let seen = pair.viewer.frames.len() - shown;
    assert!(seen > 280, "{seen} pictures of the last 300");
}

/// The estimate that aiortc reports for any network.
const ABSURD_BPS: u64 = 57_000;

#[test]
fn estimate_of_a_receiver_counts_if_it_gives_no_feedback_and_never_below_the_floor() {
    let now = Instant::now();
    let setup = Setup::new(vec![address(SERVER)], Kbps::new(8000).expect("legal")).expect("keys");
    let (_, offer) = Viewer::new(now, address(BROWSER));
    let control = Rights { control: true };
    let believed = |offer: &str| {
        let (mut peer, _) = Peer::accept(now, &setup, control, offer, None).expect("an offer");
        peer.on_receiver_estimate(ABSURD_BPS);
        peer.encoder_bps()
    };
    assert_eq!(believed(&offer), 8_000_000);
    assert_eq!(believed(&offer.replace("transport-wide-cc", "other")), LEAST_RECEIVER_BPS);
    assert_eq!(believed(&offer.replace("transport-cc", "other")), LEAST_RECEIVER_BPS);
}

#[test]
fn page_that_needs_little_is_sent_no_more() {
    let mut pair = Pair::connected();
    pair.show(true, 6000, 0);
    pair.run(Duration::from_secs(1));
    pair.datagrams = 0;
    // 1.6 Mbit/s in six packets for each picture.
    for index in 0..600 {
        pair.show(false, 6600, index as u8);
        pair.run(Duration::from_millis(33));
    }
    let (pictures, others) = (600 * 6, pair.datagrams.saturating_sub(600 * 6));
    assert!(others < pictures / 20, "{others} datagrams beside {pictures} of pictures");
}

#[test]
fn all_lost_packets_are_sent_again_however_many_they_are() {
    let mut pair = Pair::connected();
    pair.show(true, 1000, 0);
    pair.run(Duration::from_millis(500));
    // One in five, which makes a fifth of what is sent repairs.
    pair.loss = Some(5);
    let mut shown = Vec::new();
    for index in 0..90 {
        shown.push(pair.show(false, 12_000, index));
        pair.run(Duration::from_millis(33));
    }
    pair.loss = None;
    pair.show(false, 100, 0);
    pair.run(Duration::from_secs(2));
    let missing = shown.iter().filter(|frame| !pair.viewer.frames.contains(frame)).count();
    // The viewer gives up on a packet that was lost five times.
    assert!(missing <= 2, "{missing} of {} pictures are missing", shown.len());
}

#[test]
fn picture_whose_last_packet_is_lost_is_there_before_the_next_one() {
    let mut pair = Pair::connected();
    pair.show(true, 1000, 0);
    pair.run(Duration::from_millis(500));
    // In how many of so many pictures nothing arrived before the next one.
    let late = |pair: &mut Pair, pictures: u32| {
        let late = (0..pictures).filter(|index| {
            let shown = pair.show(false, 600, *index as u8);
            pair.run(Duration::from_millis(33));
            !pair.viewer.frames.contains(&shown)
        });
        late.count()
    };
    assert_eq!(late(&mut pair, 60), 0);
    let before = pair.datagrams;
    assert_eq!(late(&mut pair, 60), 0);
    assert!(pair.datagrams - before < 90, "nothing is sent twice while nothing is lost");
    pair.loss = Some(10);
    // Until the loss is known.
    late(&mut pair, 450);
    pair.viewer.frames.clear();
    let late = late(&mut pair, 150);
    assert!(late <= 5, "{late} of 150 pictures were late at {} bit/s", pair.peer.sending.bps());
}

#[test]
fn packet_asked_for_twice_in_a_round_trip_is_sent_again_once() {
    let mut pair = Pair::connected();
    pair.show(true, 3000, 0);
    pair.run(Duration::from_secs(1));
    pair.peer.sending.on_round_trip(Duration::from_millis(100));
    pair.loss = Some(1);
    pair.show(false, 1000, 1);
    pair.run(Duration::from_millis(1));
    pair.loss = None;
    pair.show(false, 1000, 2);
    // The viewer asks for the lost packet, and what is sent again is lost as well.
    let before = pair.datagrams;
    pair.run_until(Duration::from_secs(1), |pair| pair.datagrams > before);
    pair.to_viewer.clear();
    let before = pair.datagrams;
    pair.run(Duration::from_millis(80));
    assert!(pair.datagrams <= before + 1, "{} datagrams", pair.datagrams - before);
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.viewer.frames.len(), 3);
}

#[test]
fn answer_to_a_connectivity_check_on_another_path_changes_no_rate() {
    let mut pair = Pair::connected();
    pair.line.limit = Limit::Policed { bps: 1_000_000, bucket: 15_000 };
    for index in 0..150 {
        let bytes = pair.peer.encoder_bps() / 30 / 8;
        pair.show(index == 0, bytes.min(30_000) as usize, index as u8);
        pair.run(Duration::from_millis(33));
    }
    let rate = pair.peer.sending.bps();
    assert!(rate < 2_000_000, "{rate} bit/s");
    let elsewhere = |first: u8| Transmit {
        proto: Protocol::Udp,
        source: address("192.0.2.1:5000"),
        destination: address("203.0.113.5:6000"),
        contents: vec![first; 100].into(),
    };
    // A STUN answer; then a datagram of the secured connection.
    pair.peer.transmit(elsewhere(1));
    assert_eq!(pair.peer.sending.bps(), rate);
    pair.peer.transmit(elsewhere(23));
    assert!(pair.peer.sending.bps() >= 8_000_000, "{} bit/s", pair.peer.sending.bps());
}

#[test]
fn peer_that_is_behind_gets_no_keyframe_until_what_waits_has_left_and_then_asks_for_one() {
    let mut pair = Pair::connected();
    pair.line.limit = Limit::Policed { bps: 1_000_000, bucket: 15_000 };
    let mut index = 0;
    let mut show = |pair: &mut Pair, keyframe, bytes| {
        index += 1;
        pair.show(keyframe, bytes, index as u8);
        pair.run(Duration::from_millis(33));
    };
    // It gets the same stream of 8 Mbit/s as others, whatever its network carries.
    show(&mut pair, true, 33_000);
    for _ in 0..300 {
        if pair.peer.gate != FrameGate::Behind {
            let keyframe = pair.peer.awaits_keyframe();
            show(&mut pair, keyframe, 33_000);
        }
    }
    assert_eq!(pair.peer.gate, FrameGate::Behind);
    let asked = pair.count(&PeerEvent::Said(Said::KeyframeWanted));
    let waiting = pair.peer.sending.waiting();
    show(&mut pair, true, 100_000);
    assert!(pair.peer.sending.waiting() < waiting, "the keyframe waits as well");
    assert!(!pair.peer.awaits_keyframe(), "a keyframe is of no use yet");
    pair.run(Duration::from_secs(20));
    assert!(pair.count(&PeerEvent::Said(Said::KeyframeWanted)) > asked);
    assert!(pair.peer.awaits_keyframe());
}

#[test]
fn timer_of_the_pacer_rings_at_most_every_millisecond() {
    let mut pair = Pair::connected();
    pair.show(true, 1000, 0);
    pair.run(Duration::from_secs(1));
    pair.wakeups = 0;
    for index in 0..30 {
        pair.show(false, 200_000, index);
        pair.run(Duration::from_millis(33));
    }
    assert!(pair.wakeups < 1200, "{} wake-ups in a second", pair.wakeups);
}

#[test]
fn text_leaves_room_for_pictures_on_a_network_without_a_known_limit() {
    let mut pair = Pair::connected();
    let begin = pair.now;
    let message = vec![0; 8000];
    let mut sent: u64 = 0;
    while pair.now < begin + Duration::from_secs(2) {
        while pair.peer.takes_bulk(pair.now) {
            pair.peer.handle(pair.now, Input::Transfer(&message));
            sent += 8000;
        }
        pair.run(Duration::from_millis(1));
    }
    let rate = pair.peer.sending.bps();
    assert!(!pair.peer.sending.is_limiting());
    assert!(sent * 8 / 2 <= rate * 11 / 20, "{} of {rate} bit/s", sent * 8 / 2);
}

#[test]
fn keyframe_asked_for_while_one_is_leaving_is_that_one() {
    let mut pair = Pair::connected();
    pair.line.limit = Limit::Policed { bps: 1_000_000, bucket: 15_000 };
    for index in 0..150 {
        let bytes = pair.peer.encoder_bps() / 30 / 8;
        pair.show(
            index == 0 || pair.peer.awaits_keyframe(),
            bytes.min(30_000) as usize,
            index as u8,
        );
        pair.run(Duration::from_millis(33));
    }
    pair.run(Duration::from_millis(500));
    let asked = pair.count(&PeerEvent::Said(Said::KeyframeWanted));
    // It takes more than half a second.
    pair.show(true, 80_000, 7);
    pair.run(Duration::from_millis(100));
    pair.request_keyframe();
    assert_eq!(pair.count(&PeerEvent::Said(Said::KeyframeWanted)), asked);
    pair.run(Duration::from_secs(2));
    pair.request_keyframe();
    assert_eq!(pair.count(&PeerEvent::Said(Said::KeyframeWanted)), asked + 1);
}

/// How a line fails.
#[derive(Clone, Copy, Debug)]
enum Failure {
    BothWays,
    ToBrowser,
}

/// Shows pictures while the line fails, and then until the browser has a keyframe again; returns the
/// time that this took. The test answers requests for keyframes as media does.
fn resumed_after(failure: Failure, silence: Duration, bytes: usize) -> (Duration, Pair) {
    let mut pair = Pair::connected();
    let asked = |pair: &Pair| pair.count(&PeerEvent::Said(Said::KeyframeWanted));
    for index in 0..60 {
        pair.show(index == 0, bytes, index);
        pair.run(Duration::from_millis(33));
    }
    let (begin, before) = (pair.now, asked(&pair));
    let end = begin + silence;
    pair.line.outage = Some((begin, end));
    while pair.now < end {
        pair.show(false, bytes, 1);
        match failure {
            Failure::BothWays => pair.run_unheard(Duration::from_millis(33)),
            Failure::ToBrowser => pair.run(Duration::from_millis(33)),
        }
    }
    let (end, mut keyframe) = (pair.now, None);
    while keyframe.as_ref().is_none_or(|keyframe| !pair.viewer.frames.contains(keyframe)) {
        assert!(pair.now < end + Duration::from_secs(5), "no keyframe after {failure:?}");
        if keyframe.is_none() && asked(&pair) > before {
            keyframe = Some(pair.show(true, 4 * bytes, 2));
        } else {
            pair.show(false, bytes, 3);
        }
        pair.run(Duration::from_millis(33));
    }
    (pair.now - end, pair)
}

#[test]
fn browser_that_is_heard_again_after_an_outage_gets_a_keyframe_at_once() {
    for failure in [Failure::BothWays, Failure::ToBrowser] {
        for silence in [1500, 3000, 10_000].map(Duration::from_millis) {
            let (waited, pair) = resumed_after(failure, silence, 6000);
            let said = format!("{waited:?} after {failure:?} for {silence:?}");
            assert!(waited < Duration::from_millis(400), "{said}");
            assert!(pair.peer.sending.bps() >= 4_000_000, "{said}: {}", pair.peer.sending.bps());
        }
    }
}

#[test]
fn line_that_fails_for_a_moment_or_on_a_still_screen_costs_no_keyframe() {
    let wanted = PeerEvent::Said(Said::KeyframeWanted);
    let mut pair = Pair::connected();
    for index in 0..60 {
        pair.show(index == 0, 6000, index);
        pair.run(Duration::from_millis(33));
    }
    let before = pair.count(&wanted);
    pair.line.outage = Some((pair.now, pair.now + Duration::from_millis(200)));
    for index in 0..60 {
        pair.show(false, 6000, index);
        pair.run(Duration::from_millis(33));
    }
    pair.run(Duration::from_secs(1));
    pair.run_unheard(Duration::from_secs(5));
    pair.run(Duration::from_secs(1));
    pair.show(false, 6000, 1);
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.count(&wanted), before);
}

#[test]
fn viewer_on_a_line_far_narrower_than_guessed_is_sent_a_new_picture_instead_of_repairs() {
    let wanted = PeerEvent::Said(Said::KeyframeWanted);
    let mut pair = Pair::connected();
    pair.line.limit = Limit::Policed { bps: 800_000, bucket: 15_000 };
    let asked = pair.count(&wanted);
    let mut shown = 0;
    while pair.count(&wanted) == asked {
        let bytes = if shown == 0 { 60_000 } else { pair.peer.encoder_bps() / 30 / 8 };
        pair.show(shown == 0, bytes.min(30_000) as usize, shown);
        pair.run(Duration::from_millis(33));
        shown += 1;
        assert!(shown < 15, "half a second after the first picture none was given up");
    }
    let bytes = pair.peer.encoder_bps() / 8 / 4;
    assert!(bytes * 8 * 4 <= 1_000_000, "{bytes} bytes in a quarter of a second");
    assert!(pair.peer.sending.is_idle(), "repairs wait");
    pair.show(true, bytes as usize, 1);
    pair.run(Duration::from_millis(350));
    assert!(pair.peer.sending.is_idle(), "the new picture waits for something");
}
