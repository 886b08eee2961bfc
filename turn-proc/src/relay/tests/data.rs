//! Permissions, channels and data.

use super::*;

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

    // rtc answers by indication, and the viewer receives it on its channel.
    let data = rtc.client.send(at_viewer, b"picture");
    assert_eq!(rig.say(rtc.flow, &data), Outcome::Forward(viewer.flow));
    assert_eq!(rig.out[..], channel_data(0x4001, b"picture")[..]);
}

#[test]
fn channel_data_to_a_stream_is_padded_and_to_udp_is_not() {
    for (carrier, length) in [(Carrier::Datagrams(0), 9), (Carrier::Stream(4711), 12)] {
        let mut viewer = Seat::viewer();
        viewer.flow.carrier = carrier;
        let Pair { mut rig, mut viewer, mut rtc, at_viewer, at_rtc } = Rig::pair_with(viewer);
        let bind = viewer.client.bind(0x4002, at_rtc);
        assert_eq!(rig.ask(viewer.flow, &bind).error(), None);
        let data = rtc.client.send(at_viewer, b"12345");
        assert_eq!(rig.say(rtc.flow, &data), Outcome::Forward(viewer.flow));
        assert_eq!(rig.out.len(), length, "{carrier:?}");
    }
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
