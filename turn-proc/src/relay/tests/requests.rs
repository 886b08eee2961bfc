//! Allocations, credentials and nonces.

use super::*;

#[test]
fn allocate_gives_a_relayed_address_of_our_own_and_the_clients_own_back() {
    let mut rig = Rig::new();
    let mut viewer = Seat::viewer();
    let answer = rig.allocate(&mut viewer);
    assert_eq!(answer.address(MAPPED_ATTRIBUTE), Some(viewer.flow.remote));
    let relayed = answer.address(RELAYED_ATTRIBUTE).unwrap();
    assert_eq!(relayed.ip(), "203.0.113.1".parse::<IpAddr>().unwrap());
    assert!(relayed.port() >= 49_152);
    assert_eq!(answer.lifetime(), Some(600));
    assert!(answer.get(INTEGRITY_ATTRIBUTE).is_some());
}

#[test]
fn allocate_repeated_by_retransmission_is_the_same_and_anew_is_a_mismatch() {
    let mut rig = Rig::new();
    let mut viewer = Seat::viewer();
    rig.fetch_nonce(&mut viewer);
    let request = viewer.client.allocate();
    let first = rig.ask(viewer.flow, &request);
    assert_eq!(rig.ask(viewer.flow, &request), first);
    let again = viewer.client.allocate();
    assert_eq!(rig.ask(viewer.flow, &again).error(), Some(437));
}

#[test]
fn allocate_ipv6_on_request_and_nothing_else() {
    let mut rig = Rig::new();
    let mut viewer = Seat::viewer();
    rig.fetch_nonce(&mut viewer);
    let family = |viewer: &mut Seat, family: u8, transport: u8| {
        let builder = viewer
            .client
            .start(ALLOCATE)
            .attribute(TRANSPORT_ATTRIBUTE, &[transport, 0, 0, 0])
            .attribute(FAMILY_ATTRIBUTE, &[family, 0, 0, 0]);
        viewer.client.sign(builder)
    };
    let (tcp, ninth) = (family(&mut viewer, 1, 6), family(&mut viewer, 9, 17));
    assert_eq!(rig.ask(viewer.flow, &tcp).error(), Some(442));
    assert_eq!(rig.ask(viewer.flow, &ninth).error(), Some(440));
    let v6 = family(&mut viewer, 2, 17);
    let relayed = rig.ask(viewer.flow, &v6).address(RELAYED_ATTRIBUTE).unwrap();
    assert_eq!(relayed.ip(), "2001:db8::1".parse::<IpAddr>().unwrap());
    let other_family = rig.permit(&mut viewer, "203.0.113.1:50000".parse().unwrap());
    assert_eq!(other_family.error(), Some(443));
}

#[test]
fn allocate_even_port_is_even_and_reserves_nothing() {
    let mut rig = Rig::new();
    let mut viewer = Seat::viewer();
    rig.fetch_nonce(&mut viewer);
    let even = |viewer: &mut Seat, flags: u8| {
        let builder = viewer
            .client
            .start(ALLOCATE)
            .attribute(TRANSPORT_ATTRIBUTE, &[17, 0, 0, 0])
            .attribute(EVEN_PORT_ATTRIBUTE, &[flags]);
        viewer.client.sign(builder)
    };
    let with_next = even(&mut viewer, 0x80);
    assert_eq!(rig.ask(viewer.flow, &with_next).error(), Some(508));
    let alone = even(&mut viewer, 0);
    let relayed = rig.ask(viewer.flow, &alone).address(RELAYED_ATTRIBUTE).unwrap();
    assert_eq!(relayed.port() % 2, 0);
}

#[test]
fn credential_wrong_expired_or_foreign_is_refused_and_nothing_is_kept() {
    let wrong_password = |seat: &mut Seat| seat.client.password_key = vec![1; 16];
    let expired = |seat: &mut Seat| {
        seat.client = Client::new(grantee(Party::Viewer, 1, 7), START - 1, 1);
    };
    let everlasting = |seat: &mut Seat| {
        seat.client = Client::new(grantee(Party::Viewer, 1, 7), START + 1000 * HOUR, 1);
    };
    // Signed with a valid password, but of another username.
    let foreign = |seat: &mut Seat| {
        seat.client.username = mint(grantee(Party::Viewer, 2, 7), START + HOUR, 1).username;
    };
    let promoted = |seat: &mut Seat| {
        seat.client.username = seat.client.username.replace("viewer", "rtc");
    };
    let prolonged = |seat: &mut Seat| {
        seat.client.username = seat
            .client
            .username
            .replace(&(START + HOUR).to_string(), &(START + 2 * HOUR).to_string());
    };
    let spoilers: [&dyn Fn(&mut Seat); 6] =
        [&wrong_password, &expired, &everlasting, &foreign, &promoted, &prolonged];
    for (index, spoil) in spoilers.into_iter().enumerate() {
        let mut rig = Rig::new();
        let mut viewer = Seat::viewer();
        spoil(&mut viewer);
        assert_eq!(rig.allocate(&mut viewer).error(), Some(401), "spoiler {index}");
        assert_eq!(rig.relay.allocations(), 0);
    }
}

#[test]
fn credential_that_expires_ends_its_allocation_however_often_it_is_refreshed() {
    let mut rig = Rig::new();
    let mut viewer = Seat::viewer();
    viewer.client = Client::new(grantee(Party::Viewer, 1, 7), START + 900, 1);
    rig.allocated(&mut viewer);
    rig.pass(500);
    let refresh = viewer.client.refresh(3600);
    assert_eq!(rig.ask(viewer.flow, &refresh).lifetime(), Some(400));
    rig.pass(400);
    assert!(!rig.relay.serves(&viewer.flow, rig.now));
}

#[test]
fn request_replayed_from_another_flow_is_answered_with_a_stale_nonce() {
    let mut rig = Rig::new();
    let mut viewer = Seat::viewer();
    rig.fetch_nonce(&mut viewer);
    let captured = viewer.client.allocate();
    let thief = Seat::new(Party::Viewer, 1, 7, "192.0.2.66:5000");
    assert_eq!(rig.ask(thief.flow, &captured).error(), Some(438));
    assert_eq!(rig.relay.allocations(), 0);
}

#[test]
fn nonce_past_its_lifetime_is_stale_and_the_next_one_works() {
    let mut rig = Rig::new();
    let mut viewer = Seat::viewer();
    rig.fetch_nonce(&mut viewer);
    rig.pass(600);
    let late = viewer.client.allocate();
    let answer = rig.ask(viewer.flow, &late);
    assert_eq!(answer.error(), Some(438));
    viewer.client.nonce = answer.text(NONCE_ATTRIBUTE).unwrap();
    let request = viewer.client.allocate();
    assert_eq!(rig.ask(viewer.flow, &request).error(), None);
}

#[test]
fn request_with_another_username_on_an_allocation_is_refused() {
    let Pair { mut rig, viewer, at_rtc, .. } = Rig::pair();
    let mut other = viewer.clone();
    other.client = Client::new(grantee(Party::Viewer, 1, 8), START + HOUR, 1);
    other.client.nonce = viewer.client.nonce;
    assert_eq!(rig.permit(&mut other, at_rtc).error(), Some(441));
}

#[test]
fn request_altered_on_the_way_is_refused() {
    let mut rig = Rig::new();
    let mut viewer = Seat::viewer();
    rig.fetch_nonce(&mut viewer);
    let builder = viewer.client.start(ALLOCATE).attribute(TRANSPORT_ATTRIBUTE, &[17, 0, 0, 0]);
    let mut request = viewer.client.sign(builder);
    // Without the fingerprint (the last eight bytes) only the integrity reveals the change.
    request.truncate(request.len() - 8);
    let length = u16::try_from(request.len() - 20).unwrap();
    request[2..4].copy_from_slice(&length.to_be_bytes());
    request[8] ^= 1;
    assert_eq!(rig.ask(viewer.flow, &request).error(), Some(401));
}

#[test]
fn rtc_that_starts_anew_on_its_socket_replaces_what_it_had() {
    let mut rig = Rig::new();
    let mut before = Seat::rtc();
    let first = rig.allocated(&mut before);
    // Its successor has the same socket and a credential for another peer.
    let mut after = Seat { flow: before.flow, ..Seat::new(Party::Rtc, 1, 8, "127.0.0.1:6000") };
    let second = rig.allocated(&mut after);
    assert_ne!(first, second);
    assert_eq!(rig.relay.allocations(), 1);
    let bytes = before.client.permit(second);
    assert_eq!(rig.ask(before.flow, &bytes).error(), Some(441));
}

#[test]
fn allocation_is_replaced_by_no_other_session_or_party() {
    let mut rig = Rig::new();
    let mut rtc = Seat::rtc();
    rig.allocated(&mut rtc);
    for (party, session) in [(Party::Rtc, 2), (Party::Viewer, 1), (Party::Probe, 1)] {
        let mut other = Seat { flow: rtc.flow, ..Seat::new(party, session, 8, "127.0.0.1:6000") };
        assert_eq!(rig.allocate(&mut other).error(), Some(441), "{party:?} {session}");
    }
    let refresh = rtc.client.refresh(600);
    assert_eq!(rig.ask(rtc.flow, &refresh).error(), None);
}
