//! One test for each way in which relays have been broken before. Advisories are coturn's unless
//! another project is named; each test is named after its advisory.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod client;

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr},
};

use client::{
    rig::{Rig, START, flow},
    *,
};
use lumen_turn::{
    auth::credential::{Party, RelaySecret},
    moment::{Carrier, Flow},
    relay::{Drop, MAX_STRANGER_FACTOR, Outcome},
};

fn viewer(peer: u64) -> Client {
    Client::new(grantee(Party::Viewer, 1, peer), START + 3600, 1)
}

/// Whether every request that names `peer` is refused.
fn refuses(rig: &mut Rig, from: Flow, client: &mut Client, peer: &str) -> bool {
    let peer = SocketAddr::new(peer.parse().unwrap(), 80);
    let (permit, bind) = (client.permit(peer), client.bind(0x4000, peer));
    let data = client.send(peer, b"GET / HTTP/1.0\r\n\r\n");
    let refused = |code| code == Some(403) || code == Some(443);
    refused(rig.ask(from, &permit).error())
        && refused(rig.ask(from, &bind).error())
        && matches!(rig.say(from, &data), Outcome::Dropped(_))
}

fn inside() -> (Rig, Flow, Client) {
    let (mut rig, from, mut client) = (Rig::new(), flow("198.51.100.7:5000"), viewer(7));
    rig.enter(from, &mut client);
    (rig, from, client)
}

#[test]
fn cve_2020_26262_loopback_by_wildcard_is_refused() {
    let (mut rig, from, mut client) = inside();
    for peer in ["0.0.0.0", "::", "::1", "127.0.0.1"] {
        assert!(refuses(&mut rig, from, &mut client, peer), "{peer}");
    }
}

#[test]
fn cve_2026_27624_and_53450_loopback_as_mapped_address_is_refused() {
    let (mut rig, from, mut client) = inside();
    for peer in ["::ffff:127.0.0.1", "::ffff:0.0.0.0", "::ffff:7f00:1", "::127.0.0.1"] {
        assert!(refuses(&mut rig, from, &mut client, peer), "{peer}");
    }
}

#[test]
fn ghsa_2x4g_translated_addresses_and_tcp_relay_are_refused() {
    let (mut rig, from, mut client) = inside();
    for peer in
        ["64:ff9b::10.0.0.1", "2002:a00:1::", "::ffff:0:10.0.0.1", "64:ff9b::169.254.169.254"]
    {
        assert!(refuses(&mut rig, from, &mut client, peer), "{peer}");
    }
    let (other, mut second) = (flow("198.51.100.8:5000"), viewer(8));
    rig.greet(other, &mut second);
    let builder = second.start(ALLOCATE).attribute(TRANSPORT_ATTRIBUTE, &[6, 0, 0, 0]);
    let tcp = second.sign(builder);
    assert_eq!(rig.ask(other, &tcp).error(), Some(442));
    // Connect (RFC 6062) is not even a known method.
    let connect = client.start(0x000A).build();
    assert_eq!(rig.say(from, &connect), Outcome::Dropped(Drop::Malformed));
}

#[test]
fn cve_2026_73213_neighbours_of_the_own_ipv6_address_are_refused() {
    let (mut rig, from, mut client) = inside();
    for peer in ["2001:db8::", "2001:db8::2", "2001:db8:0:0:1::1", "fe80::1", "fd00::1"] {
        assert!(refuses(&mut rig, from, &mut client, peer), "{peer}");
    }
}

#[test]
fn cve_2020_6061_and_4067_padding_shows_nothing() {
    let (mut rig, from, mut client) = inside();
    let (at_rtc, mut rtc) =
        (flow("127.0.0.1:6000"), Client::new(grantee(Party::Rtc, 1, 7), START + 3600, 1));
    let relayed = rig.enter(at_rtc, &mut rtc);
    let (allow_rtc, allow_viewer) = (client.permit(relayed), rtc.permit(relayed));
    rig.ask(from, &allow_rtc);
    rig.ask(at_rtc, &allow_viewer);
    // Long data of one client first, then short data: no rest of the buffer may follow it.
    for length in [1000, 1, 2, 3] {
        let data = client.send(relayed, &vec![0xff; length]);
        assert_eq!(rig.say(from, &data), Outcome::Forward(at_rtc));
        let indication = Answer::parse(&rig.out);
        assert_eq!(indication.get(DATA_ATTRIBUTE).map(<[u8]>::len), Some(length));
    }
}

#[test]
fn cve_2025_69217_nonces_and_ports_do_not_follow_each_other() {
    let (mut nonces, mut ports) = (HashSet::new(), HashSet::new());
    for number in 0..50_u8 {
        let (mut rig, from, mut client) =
            (Rig::new(), flow("198.51.100.7:5000"), viewer(number.into()));
        ports.insert(rig.enter(from, &mut client).port());
        nonces.insert(client.nonce);
    }
    assert_eq!(nonces.len(), 50, "each run has a key of its own");
    // Of 50 random ports out of 16384 a few collide at most; sequential ones would be the same each
    // time.
    assert!(ports.len() > 40, "{} different first ports", ports.len());
}

#[test]
fn ghsa_5x2p_dtls_hello_is_neither_answered_nor_remembered() {
    let mut rig = Rig::new();
    // A DTLS 1.2 record header with a ClientHello, then zeros.
    let mut hello = vec![0x16, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 1];
    hello.resize(77, 0);
    assert_eq!(rig.say(flow("192.0.2.1:4433"), &hello), Outcome::Dropped(Drop::Malformed));
    assert_eq!(rig.relay.allocations(), 0);
}

#[test]
fn ghsa_f6hc_and_hpq3_mobility_ticket_moves_nothing_and_passes_no_quota() {
    let mut rig = Rig::new();
    let (from, mut client) = (flow("198.51.100.7:5000"), viewer(7));
    rig.greet(from, &mut client);
    let builder = client
        .start(ALLOCATE)
        .attribute(TRANSPORT_ATTRIBUTE, &[17, 0, 0, 0])
        .attribute(MOBILITY_ATTRIBUTE, &[]);
    let request = client.sign(builder);
    let answer = rig.ask(from, &request);
    assert_eq!((answer.error(), answer.get(MOBILITY_ATTRIBUTE)), (None, None));
    let (elsewhere, mut moved) = (flow("198.51.100.7:5001"), viewer(7));
    rig.greet(elsewhere, &mut moved);
    let builder = moved.start(REFRESH).attribute(MOBILITY_ATTRIBUTE, b"anybody's ticket");
    let refresh = moved.sign(builder);
    assert_eq!(rig.ask(elsewhere, &refresh).error(), Some(437));
    let second = moved.allocate();
    assert_eq!(rig.ask(elsewhere, &second).error(), Some(486));
    assert_eq!(rig.relay.allocations(), 1);
}

#[test]
fn ghsa_847g_nothing_can_be_reserved() {
    let mut rig = Rig::new();
    let (from, mut client) = (flow("198.51.100.7:5000"), viewer(7));
    rig.greet(from, &mut client);
    let transport = [17, 0, 0, 0];
    let builder = client
        .start(ALLOCATE)
        .attribute(TRANSPORT_ATTRIBUTE, &transport)
        .attribute(EVEN_PORT_ATTRIBUTE, &[0x80]);
    let even = client.sign(builder);
    assert_eq!(rig.ask(from, &even).error(), Some(508));
    let builder = client
        .start(ALLOCATE)
        .attribute(TRANSPORT_ATTRIBUTE, &transport)
        .attribute(RESERVATION_ATTRIBUTE, &[0; 8]);
    let token = client.sign(builder);
    assert_eq!(rig.ask(from, &token).error(), Some(420));
    assert_eq!(rig.relay.allocations(), 0);
}

#[test]
fn ghsa_4g7c_and_v8hj_username_is_no_format_and_no_query() {
    for name in
        ["%s%s%s%n", "' OR '1'='1' --", "{}{:?}", "1800003600:viewer:1:7:1' --", "\u{0}\n\r"]
    {
        let mut rig = Rig::new();
        let (from, mut client) = (flow("198.51.100.7:5000"), viewer(7));
        rig.greet(from, &mut client);
        client.username = name.to_owned();
        client.password_key =
            RelaySecret::new(&SECRET).message_key(name, REALM).as_codec().to_vec();
        let request = client.allocate();
        assert_eq!(rig.ask(from, &request).error(), Some(401), "{name:?}");
    }
}

#[test]
fn reflected_challenges_are_short_and_few() {
    let mut rig = Rig::new();
    let victim = flow("192.0.2.53:53");
    let hello = viewer(7).hello();
    let mut sent = 0;
    for _ in 0..10_000 {
        if rig.say(victim, &hello) == Outcome::Reply {
            assert!(rig.out.len() <= hello.len() * MAX_STRANGER_FACTOR);
            sent += rig.out.len();
        }
    }
    assert!(sent < 10_000 * hello.len() / 50, "{sent} bytes for {}", 10_000 * hello.len());
}

#[test]
fn state_is_kept_for_nobody_who_has_not_come_back_with_a_nonce() {
    let mut rig = Rig::new();
    for number in 0..20_000_u32 {
        let from = Flow {
            carrier: Carrier::Datagrams(0),
            remote: (Ipv4Addr::from_bits(0x0b00_0000 + number), 4000).into(),
        };
        let mut client = viewer(number.into());
        client.nonce = "0123456789abcdef01234567".to_owned();
        let signed = client.allocate();
        rig.say(from, &signed);
    }
    assert_eq!(rig.relay.allocations(), 0);
}

#[test]
fn other_relays_static_credentials_are_worth_nothing() {
    // The well-known credential of a public relay, and other likely guesses.
    for name in ["openrelayproject", "lumen", "user"] {
        let mut rig = Rig::new();
        let (from, mut client) = (flow("198.51.100.7:5000"), viewer(7));
        rig.greet(from, &mut client);
        client.username = name.to_owned();
        let request = client.allocate();
        assert_eq!(rig.ask(from, &request).error(), Some(401), "{name}");
    }
}

#[test]
fn codec_panics_are_out_of_reach() {
    // The library's decoder indexes past the end for an unpadded last attribute, asserts four
    // bytes, and slices a channel number of one byte; all three were found by reading its code.
    let header = |length: u16| {
        let mut bytes = vec![0, 3];
        bytes.extend(length.to_be_bytes());
        bytes.extend(0x2112_A442_u32.to_be_bytes());
        bytes.extend([1; 12]);
        bytes
    };
    let unpadded = [header(9), vec![0, 6, 0, 5], b"abcde".to_vec()].concat();
    let short_channel = [header(8), vec![0, 0x0c, 0, 1, 0x40, 0, 0, 0]].concat();
    let huge_channel = vec![0x40, 0, 0xff, 0xff];
    let old_cookie = vec![0; 20];
    let mut rig = Rig::new();
    for bytes in [unpadded, short_channel, huge_channel, old_cookie, vec![], vec![0], vec![0, 1, 0]]
    {
        let outcome = rig.say(flow("198.51.100.7:5000"), &bytes);
        assert_eq!(outcome, Outcome::Dropped(Drop::Malformed), "{bytes:02x?}");
    }
}
