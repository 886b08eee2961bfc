//! Viewers behind the relay, and ICE restarts.

use super::*;

fn credentials() -> RelayCredentials {
    RelayCredentials {
        urls: Vec::new(),
        username: Text::truncated("rtc"),
        password: Secret::new(PASSWORD).expect("short"),
        lifetime_seconds: 3600,
    }
}

/// An answer as seen by a browser behind the relay, which cannot reach our own addresses.
fn relayed_only(answer: &str) -> String {
    let reachable = |line: &&str| !line.starts_with("a=candidate:") || line.contains("typ relay");
    answer.lines().filter(reachable).map(|line| format!("{line}\r\n")).collect()
}

impl House {
    /// With a relay, and a viewer that only the relay reaches.
    fn relayed() -> Self {
        let mut house = Self::with_relay(Some(Scripted::new(address("203.0.113.1:60000"))));
        let at = address("203.0.113.1:50000");
        let (mut viewer, offer) = Viewer::new(house.now, at);
        let (peer, relay) = (PeerId(1), Some(credentials()));
        house.signal(ToRtc::PeerJoined { peer, login: login(CONTROL), relay });
        house.signal(ToRtc::OfferMade { peer, sdp: Text::new(offer).expect("short") });
        let answer = house.answer();
        assert!(answer.contains("203.0.113.1 60000 typ relay"), "{answer}");
        viewer.answered(&relayed_only(&answer));
        viewer.advance(house.now);
        house.viewers.push((at, viewer));
        house.run(Duration::from_secs(2));
        assert!(house.viewers[0].1.connected);
        house
    }

    fn answer(&mut self) -> String {
        let Some(ToGateway::AnswerMade { sdp, .. }) = self.to_gateway.pop() else {
            panic!("an answer is expected");
        };
        sdp.into_string()
    }
}

#[test]
fn viewer_behind_the_relay_gets_pictures_by_channel() {
    let mut house = House::relayed();
    house.show(true);
    house.run(Duration::from_millis(200));
    assert_eq!(house.viewers[0].1.frames.len(), 1);
    let relay = house.relay.as_ref().expect("a relay");
    assert_eq!(relay.channel_peers(), [address("203.0.113.1:50000")]);
}

#[test]
fn last_viewer_that_leaves_gives_the_allocation_back() {
    let mut house = House::relayed();
    house.signal(ToRtc::PeerGone { peer: PeerId(1) });
    assert_eq!(house.relay.as_ref().expect("a relay").allocation, None);
}

#[test]
fn relay_replaced_keeps_the_connection_over_an_ice_restart() {
    let mut house = House::relayed();
    house.show(true);
    house.run(Duration::from_millis(200));
    let next = address("203.0.113.1:60001");
    house.relay.as_mut().expect("a relay").restart(next);
    house.signal(ToRtc::RelayRenewed { peer: PeerId(1), relay: credentials() });
    let Some(ToGateway::CandidateFound { candidate, .. }) = house.to_gateway.pop() else {
        panic!("a candidate is expected");
    };
    assert!(candidate.as_str().contains("203.0.113.1 60001 typ relay"), "{candidate}");
    // The browser's own address at the relay changed, too.
    let at = address("203.0.113.1:50001");
    let offer = house.viewers[0].1.restart();
    house.signal(ToRtc::OfferMade { peer: PeerId(1), sdp: Text::new(offer).expect("short") });
    let answer = house.answer();
    assert!(!answer.contains("60000"), "{answer}");
    house.viewers[0].1.answered(&relayed_only(&answer));
    house.viewers[0].1.move_to(at);
    house.viewers[0].0 = at;
    house.viewers[0].1.advance(house.now);
    house.run(Duration::from_secs(1));
    house.show(false);
    house.run(Duration::from_millis(200));
    // The second refers to the first: the stream continues.
    assert_eq!(house.viewers[0].1.frames.len(), 2);
    assert_eq!(house.closed(), []);
}

#[test]
fn relay_that_comes_after_the_answer_is_told_later() {
    let mut house = House::with_relay(Some(Scripted::new(address("203.0.113.1:60000"))));
    house.join(1, CONTROL);
    house.signal(ToRtc::RelayRenewed { peer: PeerId(1), relay: credentials() });
    assert!(matches!(house.to_gateway.as_slice(), [ToGateway::CandidateFound { .. }]));
}

#[test]
fn offer_for_an_ice_restart_that_is_none_closes_the_peer_and_nobody_else() {
    let mut house = House::new();
    house.join(1, CONTROL);
    house.join(2, CONTROL);
    let sdp = Text::truncated("nonsense");
    house.signal(ToRtc::OfferMade { peer: PeerId(1), sdp });
    assert!(matches!(house.closed().as_slice(), [(1, true, _)]));
    house.run(Duration::from_millis(100));
    assert_eq!(house.watchers, 1);
}
