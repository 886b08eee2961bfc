//! The whole machine in virtual time: clients that talk to it, and what must hold after each step.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use lumen_ipc_runtime::metrics::Registry;
use proptest::prelude::*;

use super::{Drop, MAX_STRANGER_FACTOR, Outcome, Relay, RelayConfig, allocation::*};
use crate::{
    address::{Foreign, Form, OwnAddresses, Reach},
    auth::credential::{Party, RelaySecret},
    client::*,
    moment::{Carrier, Flow, Moment, UnixSeconds},
    quota::{Rate, StrangerRates},
};

const START: u64 = 1_800_000_000;
const HOUR: u64 = 3600;

/// A relay and the clock it lives by.
struct Rig {
    relay: Relay,
    now: Moment,
    out: BytesMut,
}

/// A client on a flow.
#[derive(Clone)]
struct Seat {
    client: Client,
    flow: Flow,
}

impl Seat {
    fn new(party: Party, session: u32, peer: u64, remote: &str) -> Self {
        let flow = Flow { carrier: Carrier::Datagrams(0), remote: remote.parse().unwrap() };
        Self { client: Client::new(grantee(party, session, peer), START + HOUR, 1), flow }
    }

    fn viewer() -> Self {
        Self::new(Party::Viewer, 1, 7, "198.51.100.7:5000")
    }

    fn rtc() -> Self {
        Self::new(Party::Rtc, 1, 7, "127.0.0.1:6000")
    }
}

fn generous() -> StrangerRates {
    let plenty = Rate { per_second: 1_000_000, burst: 1_000_000 };
    StrangerRates { source: plenty, datagrams: plenty, streams: plenty, attempts: plenty }
}

impl Rig {
    fn new() -> Self {
        Self::with(generous(), AllocationLimits::default())
    }

    fn with(rates: StrangerRates, limits: AllocationLimits) -> Self {
        let own = ["203.0.113.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let now = Moment { at: Instant::now(), unix: UnixSeconds(START) };
        let config = RelayConfig {
            own: OwnAddresses::new(&own).unwrap(),
            realm: REALM.to_owned(),
            secret: RelaySecret::new(&SECRET),
            rates,
            limits,
        };
        let relay = Relay::new(config, &Registry::default(), now).unwrap();
        Self { relay, now, out: BytesMut::new() }
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
    }

    fn say(&mut self, flow: Flow, bytes: &[u8]) -> Outcome {
        let outcome = self.relay.handle(self.now, flow, bytes, &mut self.out);
        self.relay.core.allocations.verify_invariants();
        outcome
    }

    /// Says something that is answered.
    fn ask(&mut self, flow: Flow, bytes: &[u8]) -> Answer {
        assert_eq!(self.say(flow, bytes), Outcome::Reply);
        Answer::parse(&self.out)
    }

    fn fetch_nonce(&mut self, seat: &mut Seat) {
        let hello = seat.client.hello();
        let challenge = self.ask(seat.flow, &hello);
        assert_eq!(challenge.error(), Some(401));
        seat.client.nonce = challenge.text(NONCE_ATTRIBUTE).unwrap();
    }

    fn allocate(&mut self, seat: &mut Seat) -> Answer {
        self.fetch_nonce(seat);
        let request = seat.client.allocate();
        self.ask(seat.flow, &request)
    }

    fn allocated(&mut self, seat: &mut Seat) -> SocketAddr {
        let answer = self.allocate(seat);
        assert_eq!(answer.method, ALLOCATE | SUCCESS, "{answer:?}");
        answer.address(RELAYED_ATTRIBUTE).unwrap()
    }

    fn permit(&mut self, seat: &mut Seat, peer: SocketAddr) -> Answer {
        let request = seat.client.permit(peer);
        self.ask(seat.flow, &request)
    }

    /// Viewer and rtc, each with an allocation and permission for the other.
    fn pair() -> Pair {
        let mut rig = Self::new();
        let (mut viewer, mut rtc) = (Seat::viewer(), Seat::rtc());
        let (at_viewer, at_rtc) = (rig.allocated(&mut viewer), rig.allocated(&mut rtc));
        assert_eq!(rig.permit(&mut viewer, at_rtc).error(), None);
        assert_eq!(rig.permit(&mut rtc, at_viewer).error(), None);
        Pair { rig, viewer, rtc, at_viewer, at_rtc }
    }
}

struct Pair {
    rig: Rig,
    viewer: Seat,
    rtc: Seat,
    at_viewer: SocketAddr,
    at_rtc: SocketAddr,
}

impl Pair {
    /// Viewer sends to rtc by indication.
    fn send(&mut self) -> Outcome {
        let bytes = self.viewer.client.send(self.at_rtc, b"media");
        self.rig.say(self.viewer.flow, &bytes)
    }
}

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
    // Signed with a good password, but not that of the username it names.
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
    // Without the fingerprint (its last eight bytes), the change is found by the integrity alone.
    request.truncate(request.len() - 8);
    let length = u16::try_from(request.len() - 20).unwrap();
    request[2..4].copy_from_slice(&length.to_be_bytes());
    request[8] ^= 1;
    assert_eq!(rig.ask(viewer.flow, &request).error(), Some(401));
}

#[test]
fn peer_address_not_our_own_is_forbidden_for_permission_and_channel_and_dropped_for_data() {
    let Pair { mut rig, mut viewer, .. } = Rig::pair();
    let foreign = [
        "127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "169.254.1.1",
        "169.254.169.254",
        "198.51.100.7",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:203.0.113.1",
        "::203.0.113.1",
        "64:ff9b::203.0.113.1",
        "2002:cb00:7101::",
        "::ffff:169.254.169.254",
        "fe80::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::2",
    ];
    for text in foreign {
        let peer = SocketAddr::new(text.parse().unwrap(), 50_000);
        assert_eq!(rig.permit(&mut viewer, peer).error(), Some(403), "{text}");
        let bind = viewer.client.bind(0x4000, peer);
        assert_eq!(rig.ask(viewer.flow, &bind).error(), Some(403), "{text}");
        let data = viewer.client.send(peer, b"x");
        let outcome = rig.say(viewer.flow, &data);
        assert!(matches!(outcome, Outcome::Dropped(Drop::Foreign(_))), "{text}: {outcome:?}");
    }
}

#[test]
fn rtc_that_starts_anew_on_its_socket_replaces_what_it_had() {
    let mut rig = Rig::new();
    let mut before = Seat::rtc();
    let first = rig.allocated(&mut before);
    // Its successor has the same socket and the credential of another viewer.
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

#[test]
fn permission_request_with_one_foreign_peer_grants_none() {
    let mut rig = Rig::new();
    let (mut viewer, mut rtc) = (Seat::viewer(), Seat::rtc());
    let (at_viewer, at_rtc) = (rig.allocated(&mut viewer), rig.allocated(&mut rtc));
    rig.permit(&mut rtc, at_viewer);
    let builder = viewer
        .client
        .start(CREATE_PERMISSION)
        .address(PEER_ATTRIBUTE, at_rtc)
        .address(PEER_ATTRIBUTE, "127.0.0.1:22".parse().unwrap());
    let both = viewer.client.sign(builder);
    assert_eq!(rig.ask(viewer.flow, &both).error(), Some(403));
    let data = viewer.client.send(at_rtc, b"x");
    assert_eq!(rig.say(viewer.flow, &data), Outcome::Dropped(Drop::NotPermitted));
}

#[test]
fn data_passes_both_ways_as_indications_until_channels_are_bound() {
    let Pair { mut rig, mut viewer, mut rtc, at_viewer, at_rtc } = Rig::pair();
    let data = viewer.client.send(at_rtc, b"offer");
    assert_eq!(rig.say(viewer.flow, &data), Outcome::Forward(rtc.flow));
    let indication = Answer::parse(&rig.out);
    assert_eq!(indication.method, DATA);
    assert_eq!(indication.address(PEER_ATTRIBUTE), Some(at_viewer));
    assert_eq!(indication.get(DATA_ATTRIBUTE), Some(&b"offer"[..]));

    // Only the viewer has a channel: its data still reaches rtc, as an indication.
    let bind = viewer.client.bind(0x4001, at_rtc);
    assert_eq!(rig.ask(viewer.flow, &bind).error(), None);
    assert_eq!(rig.say(viewer.flow, &channel_data(0x4001, b"input")), Outcome::Forward(rtc.flow));
    assert_eq!(Answer::parse(&rig.out).get(DATA_ATTRIBUTE), Some(&b"input"[..]));

    // Rtc answers by indication and the viewer gets it on its channel.
    let data = rtc.client.send(at_viewer, b"picture");
    assert_eq!(rig.say(rtc.flow, &data), Outcome::Forward(viewer.flow));
    assert_eq!(rig.out[..], channel_data(0x4001, b"picture")[..]);
}

#[test]
fn channel_data_to_a_stream_is_padded_and_to_udp_is_not() {
    let Pair { mut rig, mut viewer, mut rtc, at_viewer, .. } = Rig::pair();
    let mut on_tcp = Seat::viewer();
    on_tcp.flow.carrier = Carrier::Stream(4711);
    on_tcp.client = Client::new(grantee(Party::Viewer, 1, 8), START + HOUR, 1);
    let at_tcp = rig.allocated(&mut on_tcp);
    let from_rtc = |rig: &mut Rig, rtc: &mut Seat, to| {
        let data = rtc.client.send(to, b"12345");
        rig.say(rtc.flow, &data);
        rig.out.len()
    };
    for (seat, number) in [(&mut on_tcp, 0x4002), (&mut viewer, 0x4003)] {
        // Any port will do for a permission; the channel needs the real one.
        let relayed = SocketAddr::new(at_viewer.ip(), rtc_port(&rig, &rtc));
        let bind = seat.client.bind(number, relayed);
        assert_eq!(rig.ask(seat.flow, &bind).error(), None);
    }
    assert_eq!(from_rtc(&mut rig, &mut rtc, at_viewer), 9);
    assert_eq!(from_rtc(&mut rig, &mut rtc, at_tcp), 12);
}

fn rtc_port(rig: &Rig, rtc: &Seat) -> u16 {
    rig.relay.core.allocations.of_flow(&rtc.flow, rig.now.at).unwrap().relayed.port()
}

#[test]
fn data_without_the_senders_or_the_receivers_permission_is_dropped() {
    for missing in [0, 1] {
        let mut rig = Rig::new();
        let (mut viewer, mut rtc) = (Seat::viewer(), Seat::rtc());
        let (at_viewer, at_rtc) = (rig.allocated(&mut viewer), rig.allocated(&mut rtc));
        if missing == 0 {
            rig.permit(&mut rtc, at_viewer);
        } else {
            rig.permit(&mut viewer, at_rtc);
        }
        let data = viewer.client.send(at_rtc, b"x");
        assert_eq!(rig.say(viewer.flow, &data), Outcome::Dropped(Drop::NotPermitted));
    }
}

#[test]
fn permission_expires_on_either_side_and_can_be_renewed() {
    let mut pair = Rig::pair();
    pair.rig.pass(PERMISSION_LIFETIME.as_secs() - 1);
    assert_eq!(pair.send(), Outcome::Forward(pair.rtc.flow));
    pair.rig.permit(&mut pair.viewer, pair.at_rtc);
    pair.rig.pass(1);
    assert_eq!(pair.send(), Outcome::Dropped(Drop::NotPermitted), "the receiver's is over");
    pair.rig.permit(&mut pair.rtc, pair.at_viewer);
    assert_eq!(pair.send(), Outcome::Forward(pair.rtc.flow));
}

#[test]
fn channel_expires_and_its_number_is_free_again() {
    let Pair { mut rig, mut viewer, mut rtc, at_viewer, at_rtc } = Rig::pair();
    let bind = viewer.client.bind(0x4001, at_rtc);
    rig.ask(viewer.flow, &bind);
    let elsewhere = SocketAddr::new(at_rtc.ip(), 49_152 + (at_rtc.port() - 49_151) % 16_000);
    let taken = viewer.client.bind(0x4001, elsewhere);
    assert_eq!(rig.ask(viewer.flow, &taken).error(), Some(400));
    rig.pass(300);
    let refresh = viewer.client.refresh(3600);
    rig.ask(viewer.flow, &refresh);
    rig.permit(&mut rtc, at_viewer);
    let refresh = rtc.client.refresh(3600);
    rig.ask(rtc.flow, &refresh);
    rig.pass(300);
    assert_eq!(rig.say(viewer.flow, &channel_data(0x4001, b"x")), Outcome::Dropped(Drop::Unknown));
    viewer.client.nonce.clear();
    rig.fetch_nonce(&mut viewer);
    let free = viewer.client.bind(0x4001, elsewhere);
    assert_eq!(rig.ask(viewer.flow, &free).error(), None);
}

#[test]
fn data_between_sessions_or_viewers_is_dropped() {
    let Pair { mut rig, mut viewer, at_rtc, .. } = Rig::pair();
    let mut stranger = Seat::new(Party::Viewer, 2, 9, "198.51.100.9:5000");
    let mut second = Seat::new(Party::Viewer, 1, 8, "198.51.100.8:5000");
    let at_stranger = rig.allocated(&mut stranger);
    let at_second = rig.allocated(&mut second);
    for (seat, to) in
        [(&mut stranger, at_rtc), (&mut second, at_stranger), (&mut viewer, at_second)]
    {
        assert_eq!(rig.permit(seat, to).error(), None);
        let data = seat.client.send(to, b"x");
        assert_eq!(rig.say(seat.flow, &data), Outcome::Dropped(Drop::NotPermitted));
    }
}

#[test]
fn data_of_a_stranger_is_dropped_and_nothing_is_kept() {
    let mut rig = Rig::new();
    let mut viewer = Seat::viewer();
    let data = viewer.client.send("203.0.113.1:50000".parse().unwrap(), b"x");
    assert_eq!(rig.say(viewer.flow, &data), Outcome::Dropped(Drop::Unknown));
    assert_eq!(rig.say(viewer.flow, &channel_data(0x4000, b"x")), Outcome::Dropped(Drop::Unknown));
}

#[test]
fn second_allocation_of_a_peer_is_over_quota_until_the_first_is_silent() {
    let mut rig = Rig::new();
    let mut first = Seat::viewer();
    let mut second =
        Seat { flow: Seat::new(Party::Viewer, 1, 7, "198.51.100.7:5001").flow, ..first.clone() };
    rig.allocated(&mut first);
    assert_eq!(rig.allocate(&mut second).error(), Some(486));
    rig.pass(SILENCE.as_secs());
    rig.allocated(&mut second);
    assert!(!rig.relay.serves(&first.flow, rig.now), "the silent one is gone");
    assert_eq!(rig.relay.allocations(), 1);
}

#[test]
fn newer_credential_of_a_peer_replaces_its_allocation_and_an_older_one_does_not() {
    let mut rig = Rig::new();
    let mut old = Seat::viewer();
    rig.allocated(&mut old);
    let seat = |expires, remote| {
        let mut seat = Seat::new(Party::Viewer, 1, 7, remote);
        seat.client = Client::new(grantee(Party::Viewer, 1, 7), expires, 2);
        seat
    };
    let mut older = seat(START + HOUR - 1, "198.51.100.7:5001");
    assert_eq!(rig.allocate(&mut older).error(), Some(486));
    let mut newer = seat(START + HOUR, "198.51.100.7:5002");
    rig.allocated(&mut newer);
    assert_eq!(rig.relay.allocations(), 1);
}

#[test]
fn quotas_of_session_source_and_relay_hold() {
    let limits = AllocationLimits { total: 5, session: 2, source: 2 };
    let mut rig = Rig::with(generous(), limits);
    let mut refused = Vec::new();
    for (session, peer, remote) in [
        (1, 1, "198.51.100.1:1"),
        (1, 2, "198.51.100.2:1"),
        (1, 3, "198.51.100.3:1"),
        (2, 1, "198.51.100.1:2"),
        (3, 1, "198.51.100.1:3"),
        (4, 1, "198.51.100.5:1"),
        (4, 2, "198.51.100.6:1"),
        (5, 1, "198.51.100.7:1"),
    ] {
        let mut seat = Seat::new(Party::Viewer, session, peer, remote);
        refused.push(rig.allocate(&mut seat).error());
    }
    let session_full = Some(486);
    let source_full = Some(486);
    let relay_full = Some(508);
    assert_eq!(refused, [None, None, session_full, None, source_full, None, None, relay_full]);
}

#[test]
fn refresh_of_zero_gives_everything_back() {
    let Pair { mut rig, mut viewer, mut rtc, at_viewer, .. } = Rig::pair();
    let end = viewer.client.refresh(0);
    assert_eq!(rig.ask(viewer.flow, &end).lifetime(), Some(0));
    assert_eq!(rig.relay.allocations(), 1);
    let data = rtc.client.send(at_viewer, b"x");
    assert_eq!(rig.say(rtc.flow, &data), Outcome::Dropped(Drop::NotPermitted));
    assert_eq!(rig.ask(viewer.flow, &end).error(), Some(437), "nothing is left to refresh");
}

#[test]
fn closed_connection_frees_its_allocation() {
    let mut rig = Rig::new();
    let mut viewer = Seat::viewer();
    viewer.flow.carrier = Carrier::Stream(9);
    rig.allocated(&mut viewer);
    rig.relay.close(&viewer.flow);
    assert_eq!(rig.relay.allocations(), 0);
    rig.relay.core.allocations.verify_invariants();
}

#[test]
fn binding_tells_anybody_their_address_until_their_rate_is_used_up() {
    let mut rig = Rig::with(StrangerRates::default(), AllocationLimits::default());
    let mut anybody = Seat::new(Party::Viewer, 9, 9, "[::ffff:198.51.100.7]:5000");
    let binding = anybody.client.start(BINDING).build();
    let answer = rig.ask(anybody.flow, &binding);
    assert_eq!(answer.address(MAPPED_ATTRIBUTE), Some("198.51.100.7:5000".parse().unwrap()));
    let answered = (0..1000).filter(|_| rig.say(anybody.flow, &binding) == Outcome::Reply).count();
    assert_eq!(answered, 59, "the burst, less the first");
    assert_eq!(rig.say(anybody.flow, &binding), Outcome::Dropped(Drop::Limited));
    rig.pass(1);
    assert_eq!(rig.say(anybody.flow, &binding), Outcome::Reply);
}

#[test]
fn flood_of_forged_senders_is_answered_at_the_common_rate_and_keeps_nothing() {
    let mut pair = Rig::pair();
    pair.rig.relay.core.gate = crate::quota::Gate::new(&StrangerRates::default(), pair.rig.now.at);
    let mut forged = Seat::viewer();
    let hello = forged.client.hello();
    let mut answered = 0;
    for number in 0..50_000_u32 {
        let remote = (std::net::Ipv4Addr::from_bits(0x0a00_0000 + number), 53);
        forged.flow.remote = remote.into();
        answered += usize::from(
            pair.rig.relay.handle(pair.rig.now, forged.flow, &hello, &mut pair.rig.out)
                == Outcome::Reply,
        );
    }
    assert_eq!(answered, 2000, "the burst for all datagrams");
    assert_eq!(pair.rig.relay.allocations(), 2);
    assert_eq!(pair.send(), Outcome::Forward(pair.rtc.flow), "those inside notice nothing");
}

#[test]
fn guessing_passwords_is_limited_for_each_source() {
    let mut rig = Rig::with(StrangerRates::default(), AllocationLimits::default());
    let mut thief = Seat::viewer();
    rig.fetch_nonce(&mut thief);
    thief.client.password_key = vec![0; 16];
    let tried = (0..500)
        .filter(|_| {
            let guess = thief.client.allocate();
            rig.say(thief.flow, &guess) == Outcome::Reply
        })
        .count();
    assert!(tried <= 60, "{tried} guesses were answered at once");
}

#[test]
fn answers_and_data_indications_are_never_answered() {
    let mut rig = Rig::new();
    let viewer = Seat::viewer();
    for method in
        [BINDING | SUCCESS, ALLOCATE | SUCCESS, ALLOCATE | ERROR, REFRESH | SUCCESS, DATA, 0x0011]
    {
        let bytes = Builder::new(method, [1; 12]).build();
        assert_eq!(rig.say(viewer.flow, &bytes), Outcome::Dropped(Drop::Malformed), "{method:#x}");
    }
}

#[test]
fn unknown_attributes_are_listed_to_those_inside() {
    let Pair { mut rig, mut viewer, .. } = Rig::pair();
    let builder = viewer.client.start(REFRESH).attribute(0x7abc, b"?");
    let request = viewer.client.sign(builder);
    let answer = rig.ask(viewer.flow, &request);
    assert_eq!(answer.error(), Some(420));
    assert_eq!(answer.get(UNKNOWN_ATTRIBUTE), Some(&[0x7a, 0xbc][..]));
}

#[test]
fn foreign_refusal_says_form_and_reach() {
    let Pair { mut rig, mut viewer, .. } = Rig::pair();
    let data = viewer.client.send("[::ffff:169.254.169.254]:80".parse().unwrap(), b"x");
    let expected = Foreign { form: Form::Mapped, reach: Reach::LinkLocal };
    assert_eq!(rig.say(viewer.flow, &data), Outcome::Dropped(Drop::Foreign(expected)));
}

/// What a client may try next, in any order.
#[derive(Clone, Copy, Debug)]
enum Op {
    Allocate(u8),
    Refresh(u8, u32),
    Permit(u8, u8),
    Bind(u8, u8, u16),
    Send(u8, u8),
    Channel(u8, u16),
    Pass(u16),
    Sweep,
    Close(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let seat = 0_u8..6;
    prop_oneof![
        3 => seat.clone().prop_map(Op::Allocate),
        1 => (seat.clone(), prop_oneof![Just(0_u32), 1..5000_u32]).prop_map(|(s, l)| Op::Refresh(s, l)),
        3 => (seat.clone(), seat.clone()).prop_map(|(s, t)| Op::Permit(s, t)),
        2 => (seat.clone(), seat.clone(), 0x4000..0x4004_u16).prop_map(|(s, t, n)| Op::Bind(s, t, n)),
        4 => (seat.clone(), seat.clone()).prop_map(|(s, t)| Op::Send(s, t)),
        3 => (seat.clone(), 0x4000..0x4004_u16).prop_map(|(s, n)| Op::Channel(s, n)),
        2 => (0_u16..400).prop_map(Op::Pass),
        1 => Just(Op::Sweep),
        1 => seat.prop_map(Op::Close),
    ]
}

/// Two sessions with an rtc and two viewers each, and what each was given last.
struct World {
    rig: Rig,
    seats: Vec<Seat>,
    relayed: Vec<Option<SocketAddr>>,
}

impl World {
    fn new() -> Self {
        let seat = |index: u32| {
            let party = if index.is_multiple_of(3) { Party::Rtc } else { Party::Viewer };
            let remote = format!("198.51.100.{}:5000", index + 1);
            let mut seat = Seat::new(party, index / 3, u64::from((index % 3).max(1)), &remote);
            if index % 2 == 1 {
                seat.flow.carrier = Carrier::Stream(u64::from(index));
            }
            seat
        };
        Self { rig: Rig::new(), seats: (0..6).map(seat).collect(), relayed: vec![None; 6] }
    }

    fn signed(&mut self, index: u8, write: impl FnOnce(&mut Client) -> Vec<u8>) -> Answer {
        let mut seat = self.seats[usize::from(index)].clone();
        self.rig.fetch_nonce(&mut seat);
        let bytes = write(&mut seat.client);
        let answer = self.rig.ask(seat.flow, &bytes);
        self.seats[usize::from(index)] = seat;
        answer
    }

    fn apply(&mut self, op: Op) {
        let nowhere = SocketAddr::from(([203, 0, 113, 1], 1));
        let peer = |world: &Self, index: u8| world.relayed[usize::from(index)].unwrap_or(nowhere);
        match op {
            Op::Allocate(seat) => {
                let answer = self.signed(seat, Client::allocate);
                if let Some(relayed) = answer.address(RELAYED_ATTRIBUTE) {
                    self.relayed[usize::from(seat)] = Some(relayed);
                }
            }
            Op::Refresh(seat, seconds) => {
                self.signed(seat, |client| client.refresh(seconds));
            }
            Op::Permit(seat, to) => {
                let to = peer(self, to);
                self.signed(seat, |client| client.permit(to));
            }
            Op::Bind(seat, to, number) => {
                let to = peer(self, to);
                self.signed(seat, |client| client.bind(number, to));
            }
            Op::Send(seat, to) => {
                let to = peer(self, to);
                let bytes = self.seats[usize::from(seat)].client.send(to, b"data");
                self.data(seat, &bytes);
            }
            Op::Channel(seat, number) => self.data(seat, &channel_data(number, b"data")),
            Op::Pass(seconds) => self.rig.pass(seconds.into()),
            Op::Sweep => self.rig.relay.sweep(self.rig.now),
            Op::Close(seat) => self.rig.relay.close(&self.seats[usize::from(seat)].flow),
        }
        self.rig.relay.core.allocations.verify_invariants();
    }

    /// Whatever has happened before, data reaches the other side of its session or nobody.
    fn data(&mut self, seat: u8, bytes: &[u8]) {
        let from = usize::from(seat);
        if let Outcome::Forward(to) = self.rig.say(self.seats[from].flow, bytes) {
            let receiver = self.seats.iter().position(|seat| seat.flow == to).unwrap();
            assert_eq!(receiver / 3, from / 3, "data stays in its session");
            assert_ne!(receiver % 3 == 0, from % 3 == 0, "data goes between rtc and a viewer");
            let allocations = &self.rig.relay.core.allocations;
            for flow in [self.seats[from].flow, to] {
                let allocation = allocations.of_flow(&flow, self.rig.now.at).unwrap();
                assert!(allocation.is_permitted(self.rig.now.at));
            }
        }
    }
}

proptest! {
    #[test]
    fn relay_keeps_its_invariants_whatever_clients_do(ops in prop::collection::vec(op(), 1..80)) {
        let mut world = World::new();
        for op in ops {
            world.apply(op);
        }
    }

    #[test]
    fn stranger_is_never_sent_more_than_a_fixed_factor(
        method in prop_oneof![Just(BINDING), Just(ALLOCATE), Just(REFRESH), Just(CREATE_PERMISSION), Just(CHANNEL_BIND), Just(SEND)],
        attributes in prop::collection::vec((prop_oneof![0_u16..0x30, 0x8020_u16..0x8032], prop::collection::vec(any::<u8>(), 0..40)), 0..8),
        signed: bool,
        v6: bool,
    ) {
        let mut rig = Rig::new();
        let remote = if v6 { "[2001:db8::7]:5000" } else { "198.51.100.7:5000" };
        let seat = Seat::new(Party::Viewer, 1, 7, remote);
        let mut builder = Builder::new(method, [3; 12]);
        for (kind, value) in &attributes {
            builder = builder.attribute(*kind, value);
        }
        let bytes = if signed { seat.client.sign(builder) } else { builder.build() };
        if rig.say(seat.flow, &bytes) == Outcome::Reply {
            prop_assert!(rig.out.len() <= bytes.len() * MAX_STRANGER_FACTOR, "{} for {}", rig.out.len(), bytes.len());
        }
        prop_assert_eq!(rig.relay.allocations(), 0);
    }

    #[test]
    fn handle_arbitrary_bytes_never_fails(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0_u8..4) {
        let mut rig = Rig::new();
        let mut bytes = bytes;
        // Most random bytes fail at the header; give three in four a better start.
        if kind > 0 && bytes.len() >= 20 {
            let length = u16::try_from(bytes.len() - 20).unwrap();
            bytes[0] = 0;
            bytes[1] = [1, 3, 8][usize::from(kind) - 1];
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            bytes[4..8].copy_from_slice(&0x2112_A442_u32.to_be_bytes());
        }
        rig.say(Seat::viewer().flow, &bytes);
    }
}
