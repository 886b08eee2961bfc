//! Quotas, rates, and answers to strangers.

use super::*;

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

/// Viewers 1 and 2 of a session, at one address, a second apart, which use up `limits`.
fn two_viewers(limits: AllocationLimits) -> (Rig, [Seat; 2]) {
    let mut rig = Rig::with(generous(), limits);
    let mut seats =
        [1, 2].map(|peer| Seat::new(Party::Viewer, 1, peer, &format!("198.51.100.1:{peer}")));
    for seat in &mut seats {
        rig.allocated(seat);
        rig.pass(1);
    }
    (rig, seats)
}

const EACH_QUOTA_OF_TWO: [AllocationLimits; 3] = [
    AllocationLimits { total: 2, session: 9, source: 9 },
    AllocationLimits { total: 9, session: 2, source: 9 },
    AllocationLimits { total: 9, session: 9, source: 2 },
];

#[test]
fn allocation_over_a_quota_takes_the_place_of_the_longest_silent_one() {
    for limits in EACH_QUOTA_OF_TWO {
        let (mut rig, [first, second]) = two_viewers(limits);
        let mut third = Seat::new(Party::Viewer, 1, 3, "198.51.100.1:3");
        rig.pass(ABANDONED.as_secs() - 3);
        assert!(rig.allocate(&mut third).error().is_some(), "nobody is silent enough: {limits:?}");
        rig.pass(2);
        rig.allocated(&mut third);
        assert!(!rig.relay.serves(&first.flow, rig.now), "the first was silent longest");
        assert!(rig.relay.serves(&second.flow, rig.now), "one is enough");
        let mut fourth = Seat::new(Party::Viewer, 1, 4, "198.51.100.1:4");
        rig.allocated(&mut fourth);
        assert!(!rig.relay.serves(&second.flow, rig.now));
        let mut fifth = Seat::new(Party::Viewer, 1, 5, "198.51.100.1:5");
        assert!(rig.allocate(&mut fifth).error().is_some(), "all are of use: {limits:?}");
    }
}

#[test]
fn client_that_is_heard_keeps_its_place_whatever_it_says() {
    for limits in EACH_QUOTA_OF_TWO {
        let (mut rig, [first, second]) = two_viewers(limits);
        rig.pass(ABANDONED.as_secs());
        rig.say(first.flow, &channel_data(0x4000, b"x"));
        rig.allocated(&mut Seat::new(Party::Viewer, 1, 3, "198.51.100.1:3"));
        assert!(rig.relay.serves(&first.flow, rig.now));
        assert!(!rig.relay.serves(&second.flow, rig.now));
    }
}

#[test]
fn silent_rtc_keeps_its_place() {
    let limits = AllocationLimits { total: 9, session: 1, source: 9 };
    let mut rig = Rig::with(generous(), limits);
    let mut rtc = Seat::rtc();
    rig.allocated(&mut rtc);
    rig.pass(ABANDONED.as_secs() * 2);
    assert_eq!(rig.allocate(&mut Seat::viewer()).error(), Some(486));
    assert!(rig.relay.serves(&rtc.flow, rig.now));
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
