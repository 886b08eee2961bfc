//! The whole state machine in virtual time: clients, and invariants checked after each step.

mod data;
mod invariants;
mod limits;
mod requests;

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use lumen_ipc_runtime::metrics::Registry;

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

/// A relay and its virtual clock.
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

    /// Sends a message that must be answered.
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

    /// A viewer and rtc, each with an allocation and a permission for the other.
    fn pair() -> Pair {
        Self::pair_with(Seat::viewer())
    }

    fn pair_with(mut viewer: Seat) -> Pair {
        let (mut rig, mut rtc) = (Self::new(), Seat::rtc());
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
