//! The relay's core with a virtual clock: no sockets, one packet at a time.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use lumen_ipc_runtime::metrics::Registry;
use lumen_turn::{
    address::OwnAddresses,
    auth::credential::RelaySecret,
    moment::{Carrier, Flow, Moment, UnixSeconds},
    quota::StrangerRates,
    relay::{Outcome, Relay, RelayConfig, allocation::AllocationLimits},
};

use super::{Answer, Client, NONCE_ATTRIBUTE, REALM, RELAYED_ATTRIBUTE, SECRET};

/// Initial value of the wall clock.
pub const START: u64 = 1_800_000_000;

/// A relay in virtual time.
pub struct Rig {
    pub relay: Relay,
    pub now: Moment,
    /// The last message it wrote.
    pub out: BytesMut,
}

/// A client's UDP flow.
pub fn flow(remote: &str) -> Flow {
    Flow { carrier: Carrier::Datagrams(0), remote: remote.parse().unwrap() }
}

impl Rig {
    pub fn new() -> Self {
        let own = ["203.0.113.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let now = Moment { at: Instant::now(), unix: UnixSeconds(START) };
        let config = RelayConfig {
            own: OwnAddresses::new(&own).unwrap(),
            realm: REALM.to_owned(),
            secret: RelaySecret::new(&SECRET),
            rates: StrangerRates::default(),
            limits: AllocationLimits::default(),
        };
        let relay = Relay::new(config, &Registry::default(), now).unwrap();
        Self { relay, now, out: BytesMut::new() }
    }

    pub fn say(&mut self, from: Flow, bytes: &[u8]) -> Outcome {
        self.relay.handle(self.now, from, bytes, &mut self.out)
    }

    /// Sends a message that must be answered. Parsing the answer checks that its padding is zero.
    pub fn ask(&mut self, from: Flow, bytes: &[u8]) -> Answer {
        // Time passes so that no rate is reached.
        self.now = self.now.after(Duration::from_millis(100));
        assert_eq!(self.say(from, bytes), Outcome::Reply);
        Answer::parse(&self.out)
    }

    pub fn greet(&mut self, from: Flow, client: &mut Client) {
        let hello = client.hello();
        client.nonce = self.ask(from, &hello).text(NONCE_ATTRIBUTE).unwrap();
    }

    pub fn enter(&mut self, from: Flow, client: &mut Client) -> SocketAddr {
        self.greet(from, client);
        let request = client.allocate();
        self.ask(from, &request).address(RELAYED_ATTRIBUTE).unwrap()
    }
}
