//! The client and a scripted relay in virtual time, without a network between.

use lumen_ipc::text::{Secret, Text};
use proptest::prelude::*;

use super::{
    scripted::{Done, PASSWORD, Scripted},
    *,
};

const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 3478);
const OURS: ([u8; 4], u16) = ([10, 0, 0, 1], 5000);
const VIEWER: ([u8; 4], u16) = ([203, 0, 113, 1], 50_000);

/// The relay's addresses, by the number of its process.
fn relayed(life: u16) -> SocketAddr {
    ([203, 0, 113, 1], 60_000 + life).into()
}

fn credentials(serial: u32, password: &str) -> RelayCredentials {
    RelayCredentials {
        urls: Vec::new(),
        username: Text::truncated(format!("name {serial}")),
        password: Secret::new(password).expect("short"),
        lifetime_seconds: 3600,
    }
}

/// The client and the relay.
struct Pair {
    now: Instant,
    client: Relay,
    server: Scripted,
    /// The network drops everything.
    cut: bool,
    moves: Vec<Option<SocketAddr>>,
    forwarded: Vec<Done>,
    sent: usize,
}

impl Pair {
    fn new() -> Self {
        let candidates = [([127, 0, 0, 1], 5000).into(), OURS.into()];
        let client = Relay::new(SERVER.into(), &candidates).expect("an address of its family");
        assert_eq!(client.local, OURS.into());
        Self {
            now: Instant::now(),
            client,
            server: Scripted::new(relayed(0)),
            cut: false,
            moves: Vec::new(),
            forwarded: Vec::new(),
            sent: 0,
        }
    }

    /// With an allocation.
    fn open() -> Self {
        let mut pair = Self::new();
        pair.client.renew(pair.now, credentials(1, PASSWORD));
        pair.settle();
        assert_eq!(pair.moves, [Some(relayed(0))]);
        pair
    }

    /// Exchanges messages until both are idle.
    fn settle(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Moved(address) => {
                    assert_eq!(self.client.relayed(), address);
                    self.moves.push(address);
                }
                Output::Transmit(datagram) => {
                    assert_eq!(datagram.destination, SERVER.into());
                    self.sent += 1;
                    self.deliver(&datagram);
                }
            }
        }
    }

    fn deliver(&mut self, datagram: &Datagram) {
        let header = datagram.header.as_ref().map_or(&[][..], |header| header);
        let bytes = [header, &datagram.contents].concat();
        if self.cut {
            return;
        }
        match self.server.take(self.now, &bytes) {
            Done::Answered(answer) => {
                // Foreign if an earlier answer has made it obsolete.
                let unwrapped = self.client.unwrap(self.now, &answer);
                assert!(matches!(unwrapped, Unwrapped::Control | Unwrapped::Foreign));
            }
            done => self.forwarded.push(done),
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.client.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.client.timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    /// The viewer sends data.
    fn hear(&mut self) {
        let bytes = self.server.wrap(self.now, VIEWER.into(), b"media");
        let expected = Unwrapped::Data {
            source: VIEWER.into(),
            destination: self.client.relayed().expect("an allocation"),
            contents: b"media",
        };
        assert_eq!(self.client.unwrap(self.now, &bytes), expected);
        self.settle();
    }

    /// We send data to the viewer; returns what reached the relay.
    fn say(&mut self) -> Option<Done> {
        let source = self.client.relayed().unwrap_or_else(|| relayed(0));
        let contents = b"picture".to_vec();
        let datagram = Datagram { source, destination: VIEWER.into(), header: None, contents };
        let wrapped = self.client.wrap(self.now, datagram);
        if let Some(datagram) = wrapped {
            self.deliver(&datagram);
        }
        self.settle();
        self.forwarded.pop()
    }
}

#[test]
fn credentials_make_an_allocation_with_permission_for_the_relays_own_address() {
    let pair = Pair::open();
    assert_eq!(pair.server.requests, ["allocate", "permit"]);
    assert_eq!(pair.server.owner, "name 1");
}

#[test]
fn viewer_is_reached_by_indications_until_its_channel_is_bound() {
    let mut pair = Pair::open();
    let data = b"picture".to_vec();
    let said = pair.say();
    let to = VIEWER.into();
    let expected = Done::Forwarded { to, data: data.clone(), by_channel: false };
    assert_eq!(said, Some(expected));
    pair.hear();
    assert_eq!(pair.server.requests, ["allocate", "permit", "bind"]);
    assert_eq!(pair.say(), Some(Done::Forwarded { to, data, by_channel: true }));
    pair.hear();
}

#[test]
fn stale_nonce_is_replaced_and_nothing_lost() {
    let mut pair = Pair::open();
    pair.server.nonce = "second".to_owned();
    pair.pass(Duration::from_secs(3600));
    assert_eq!(pair.moves, [Some(relayed(0))]);
    assert!(pair.server.requests.iter().filter(|it| **it == "refresh").count() >= 6);
    assert!(pair.server.requests.iter().filter(|it| **it == "permit").count() >= 14);
}

#[test]
fn relay_replaced_while_data_flows_is_noticed_and_asked_anew() {
    let mut pair = Pair::open();
    pair.hear();
    pair.server.restart(relayed(1));
    pair.pass(CHECK_INTERVAL);
    assert_eq!(pair.say(), Some(Done::Dropped));
    assert_eq!(pair.moves, [Some(relayed(0)), None, Some(relayed(1))]);
    assert_eq!(pair.server.requests, ["refresh", "allocate", "permit"]);
    pair.hear();
}

#[test]
fn relay_replaced_in_silence_is_noticed_by_fresh_credentials() {
    let mut pair = Pair::open();
    pair.server.restart(relayed(1));
    pair.client.renew(pair.now, credentials(2, PASSWORD));
    pair.settle();
    assert_eq!(pair.client.relayed(), Some(relayed(1)));
    assert_eq!(pair.server.owner, "name 2");
}

#[test]
fn fresh_credentials_leave_a_living_allocation_alone() {
    let mut pair = Pair::open();
    pair.client.renew(pair.now, credentials(2, PASSWORD));
    pair.settle();
    assert_eq!(pair.moves, [Some(relayed(0))]);
    assert_eq!(pair.server.owner, "name 1");
}

#[test]
fn silent_relay_is_asked_ever_more_rarely_and_found_when_it_is_back() {
    let mut pair = Pair::new();
    pair.cut = true;
    pair.client.renew(pair.now, credentials(1, PASSWORD));
    pair.settle();
    pair.pass(Duration::from_secs(600));
    // Five packets per attempt, and an attempt at least every half minute.
    assert!((100..200).contains(&pair.sent), "{}", pair.sent);
    pair.cut = false;
    pair.pass(LONGEST_REST + Duration::from_secs(5));
    assert_eq!(pair.client.relayed(), Some(relayed(0)));
}

#[test]
fn relay_that_falls_silent_while_data_flows_is_given_up() {
    let mut pair = Pair::open();
    pair.hear();
    pair.cut = true;
    pair.pass(CHECK_INTERVAL);
    pair.say();
    pair.pass(Duration::from_secs(4));
    assert_eq!(pair.moves, [Some(relayed(0)), None]);
}

#[test]
fn wrong_credentials_are_not_tried_in_a_loop() {
    let mut pair = Pair::new();
    pair.client.renew(pair.now, credentials(1, "wrong"));
    pair.settle();
    assert_eq!(pair.sent, 2);
    pair.pass(Duration::from_secs(60));
    assert!(pair.sent < 30, "{}", pair.sent);
    pair.client.renew(pair.now, credentials(2, PASSWORD));
    pair.settle();
    assert_eq!(pair.client.relayed(), Some(relayed(0)));
}

#[test]
fn allocation_of_an_earlier_life_is_ended_first() {
    let mut pair = Pair::new();
    pair.server.allocation = Some(relayed(9));
    pair.server.owner = "name 1".to_owned();
    pair.client.renew(pair.now, credentials(1, PASSWORD));
    pair.settle();
    pair.pass(FIRST_REST);
    assert_eq!(pair.client.relayed(), Some(relayed(0)));
}

#[test]
fn release_gives_the_allocation_back() {
    let mut pair = Pair::open();
    pair.client.release(pair.now);
    pair.settle();
    assert_eq!(pair.server.allocation, None);
    assert_eq!(pair.moves, [Some(relayed(0)), None]);
    assert_eq!(pair.client.deadline(), None);
    assert_eq!(pair.say(), None);
    pair.client.renew(pair.now, credentials(2, PASSWORD));
    pair.settle();
    assert_eq!(pair.client.relayed(), Some(relayed(0)));
}

#[test]
fn answer_that_nobody_signed_or_asked_for_is_foreign() {
    let mut pair = Pair::new();
    pair.cut = true;
    pair.client.renew(pair.now, credentials(1, PASSWORD));
    let Some(Output::Transmit(asked)) = pair.client.poll_output() else { panic!("nothing asked") };
    let mut forged = asked.contents;
    // Success of Allocate, without attributes.
    forged[0] = 0x01;
    forged.truncate(20);
    forged[2..4].copy_from_slice(&[0, 0]);
    assert_eq!(pair.client.unwrap(pair.now, &forged), Unwrapped::Foreign);
    forged[19] ^= 1;
    assert_eq!(pair.client.unwrap(pair.now, &forged), Unwrapped::Foreign);
    assert_eq!(pair.client.relayed(), None);
}

#[derive(Clone, Debug)]
enum Op {
    Cut(bool),
    Hear,
    Noise(Vec<u8>),
    Pass(u64),
    Release,
    Renew(u32, bool),
    Replace,
    Say,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        any::<bool>().prop_map(Op::Cut),
        Just(Op::Hear),
        prop::collection::vec(any::<u8>(), 0..60).prop_map(Op::Noise),
        (0_u64..400_000).prop_map(Op::Pass),
        (0_u64..700).prop_map(Op::Pass),
        Just(Op::Release),
        (0_u32..4, any::<bool>()).prop_map(|(serial, right)| Op::Renew(serial, right)),
        Just(Op::Replace),
        Just(Op::Say),
    ]
}

proptest! {
    #[test]
    fn client_is_bounded_and_always_finds_the_relay_again(
        ops in prop::collection::vec(op(), 1..60)
    ) {
        let mut pair = Pair::new();
        let mut life = 0;
        for op in ops {
            let before = pair.sent;
            let passed = if let Op::Pass(millis) = op { millis } else { 0 };
            match op {
                Op::Cut(cut) => pair.cut = cut,
                Op::Hear if pair.client.relayed().is_some() => pair.hear(),
                Op::Noise(bytes) => { pair.client.unwrap(pair.now, &bytes); pair.settle(); }
                Op::Pass(millis) => pair.pass(Duration::from_millis(millis)),
                Op::Release => { pair.client.release(pair.now); pair.settle(); }
                Op::Renew(serial, right) => {
                    let password = if right { PASSWORD } else { "wrong" };
                    pair.client.renew(pair.now, credentials(serial, password));
                    pair.settle();
                }
                Op::Replace => { life += 1; pair.server.restart(relayed(life)); }
                Op::Say => { pair.say(); }
                Op::Hear => {}
            }
            // No step causes a storm: a few at once, and a few a second after that.
            let most = 40 + passed / 50;
            prop_assert!((pair.sent - before) as u64 <= most, "{} packets", pair.sent - before);
            prop_assert_eq!(pair.client.relayed(), pair.moves.last().copied().flatten());
            prop_assert!(pair.client.transactions.len() <= 40);
        }
        pair.cut = false;
        life += 1;
        pair.server.restart(relayed(life));
        pair.client.renew(pair.now, credentials(9, PASSWORD));
        pair.settle();
        pair.pass(LONGEST_REST + Duration::from_secs(10));
        pair.client.renew(pair.now, credentials(9, PASSWORD));
        pair.settle();
        prop_assert_eq!(pair.client.relayed(), Some(relayed(life)));
    }
}
