//! Peers that lose their signalling, that are resumed, and whose login ends.

use super::*;

impl House {
    /// Tries to resume the peer of a viewer as the gateway's number `name`.
    fn resume(&mut self, viewer: usize, name: u64, login: Login) {
        let (peer, ticket) = (PeerId(name), self.tickets[viewer].clone());
        self.signal(ToRtc::PeerResumed { peer, login, ticket, relay: None });
    }

    /// Whether a viewer's input still reaches the compositor.
    fn is_served(&mut self, viewer: usize) -> bool {
        let browser = &mut self.viewers[viewer].1;
        if browser.rtc.channel(browser.input).is_none() {
            return false;
        }
        let before = self.input.len();
        self.send(viewer, &[1, 0, 30, 1]);
        self.input.len() > before
    }
}

#[test]
fn peer_outlives_its_signalling_and_an_ice_restart_reaches_it_by_the_next() {
    let mut house = House::new();
    let viewer = house.join(1, CONTROL);
    house.signal(ToRtc::SignallingLost { peer: PeerId(1) });
    house.run(Duration::from_secs(120));
    assert!(house.is_served(viewer));
    house.resume(viewer, 2, login(CONTROL));
    assert_eq!(house.closed(), []);
    let sdp = Text::new(house.viewers[viewer].1.restart()).expect("short");
    house.signal(ToRtc::OfferMade { peer: PeerId(2), sdp });
    let Some(ToGateway::AnswerMade { peer, sdp, ticket }) = house.to_gateway.pop() else {
        panic!("an answer is expected")
    };
    assert_eq!((peer, &ticket), (PeerId(2), &house.tickets[viewer]), "the ticket stays");
    let (at, browser) = &mut house.viewers[viewer];
    browser.answered(sdp.as_str());
    browser.move_to(*at);
    browser.advance(house.now);
    house.run(Duration::from_secs(5));
    assert!(house.is_served(viewer));
    assert_eq!(house.watchers, 1);
    house.signal(ToRtc::PeerGone { peer: PeerId(2) });
    assert_eq!(house.watchers, 0);
}

#[test]
fn peer_is_taken_up_by_another_gateway() {
    let mut house = House::new();
    let viewer = house.join(1, CONTROL);
    house.peers.signalling_replaced();
    house.resume(viewer, 1, login(CONTROL));
    assert_eq!(house.closed(), []);
    house.signal(ToRtc::PeerGone { peer: PeerId(1) });
    assert_eq!(house.watchers, 0);
}

#[test]
fn ticket_of_nobody_or_with_another_login_takes_up_nothing() {
    let mut house = House::new();
    let viewer = house.join(1, CONTROL);
    house.signal(ToRtc::SignallingLost { peer: PeerId(1) });
    let other = Login { id: LoginId(2), ..login(CONTROL) };
    house.resume(viewer, 2, other);
    let guess = Secret::new("guess").expect("short");
    let (peer, login) = (PeerId(3), login(CONTROL));
    house.signal(ToRtc::PeerResumed { peer, login, ticket: guess, relay: None });
    assert!(matches!(
        house.closed()[..],
        [(2, true, first), (3, true, second)]
            if first.contains("forgotten") && second.contains("forgotten")
    ));
    house.signal(ToRtc::PeerGone { peer: PeerId(2) });
    assert!(house.is_served(viewer));
}

#[test]
fn peer_taken_up_before_its_old_socket_is_seen_to_be_dead_belongs_to_the_new_one() {
    let mut house = House::new();
    let viewer = house.join(1, CONTROL);
    house.resume(viewer, 2, login(CONTROL));
    assert!(matches!(house.closed()[..], [(1, true, _)]));
    house.signal(ToRtc::SignallingLost { peer: PeerId(1) });
    house.signal(ToRtc::PeerGone { peer: PeerId(1) });
    assert!(house.is_served(viewer));
}

#[test]
fn peer_that_nobody_signals_for_gives_way_when_the_desktop_is_full() {
    let mut house = House::new();
    let viewer = house.join(1, CONTROL);
    house.signal(ToRtc::SignallingLost { peer: PeerId(1) });
    for name in 2..=MAX_PEERS as u64 + 1 {
        let peer = PeerId(name);
        house.signal(ToRtc::PeerJoined { peer, login: login(CONTROL), relay: None });
    }
    assert_eq!((house.closed(), house.peers.count()), (vec![], MAX_PEERS));
    house.run(Duration::from_millis(100));
    assert!(!house.is_served(viewer));
}

#[test]
fn login_that_ends_takes_its_peers_along_whether_anybody_signals_for_them_or_not() {
    let mut house = House::new();
    let (own, silent) = (house.join(1, CONTROL), house.join(2, CONTROL));
    house.signal(ToRtc::SignallingLost { peer: PeerId(2) });
    let peer = PeerId(3);
    let other = Login { id: LoginId(2), ..login(CONTROL) };
    house.signal(ToRtc::PeerJoined { peer, login: other, relay: None });
    house.signal(ToRtc::LoginEnded { login: LoginId(1) });
    assert_eq!((house.peers.count(), house.watchers), (1, 0));
    assert!(!house.is_served(own) && !house.is_served(silent));
}

#[test]
fn login_that_nobody_renews_ends_its_peer_and_one_that_is_renewed_does_not() {
    let mut house = House::new();
    let (kept, ended) = (house.join(1, CONTROL), house.join(2, CONTROL));
    let lasting = |seconds| Login { expires_in_seconds: Some(seconds), ..login(CONTROL) };
    for peer in [PeerId(1), PeerId(2)] {
        house.signal(ToRtc::LoginRenewed { peer, login: lasting(60) });
        house.signal(ToRtc::SignallingLost { peer });
    }
    house.run(Duration::from_secs(59));
    house.resume(kept, 3, lasting(60));
    house.run(Duration::from_secs(30));
    assert!(house.is_served(kept) && !house.is_served(ended));
}
