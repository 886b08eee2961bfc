//! Invariants that hold whatever clients do, in any order.

use proptest::prelude::*;

use super::*;

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

/// Two sessions with one rtc and two viewers each, and what each was allocated last.
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

    /// Whatever happened before, data reaches the other side of its session or nobody.
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
        // Most random bytes fail at the header; three in four get a valid beginning.
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
