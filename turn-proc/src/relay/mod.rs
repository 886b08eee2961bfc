//! The relay itself: one packet in, at most one packet out.
//!
//! Decides what each packet may do, in this order; the first failed check is final:
//! 1. [`crate::wire`] — is it a message at all?
//! 2. data: does its flow have an allocation, do both sides permit it, are they two sides of one
//!    session? (`data.rs`)
//! 3. requests: rate of the source, then nonce, then credential, then integrity (`request.rs`).
//!
//! No state is kept for a flow before step 3 has passed. An answer to a stranger is at most
//! [`MAX_STRANGER_FACTOR`] times as long as what it sent, and counts against its rate.
//!
//! The `turn-server` library's session table and router are not used: they keep state for every
//! address that sends an unauthenticated request, never expire permissions, do not check those of
//! the receiver, and use a wall clock of their own.

pub mod allocation;
mod data;
mod request;
#[cfg(test)]
mod tests;

use bytes::BytesMut;
use lumen_ipc_runtime::metrics::{Counter, Gauge, Registry};
use turn_server::codec::Decoder;

use self::allocation::{AllocationLimits, Allocations};
use crate::{
    address::{Foreign, OwnAddresses},
    auth::{
        credential::RelaySecret,
        nonce::{NoRandomness, Nonces},
    },
    moment::{Flow, Moment},
    quota::{Gate, StrangerRates},
    wire::{self, Frame},
};

/// INVARIANT: an answer to an unauthenticated packet is at most this many times as long, which
/// makes the relay useless as an amplifier.
pub const MAX_STRANGER_FACTOR: usize = 3;

/// The relay's configuration.
#[derive(Debug)]
pub struct RelayConfig {
    /// Addresses that relayed addresses are made of.
    pub own: OwnAddresses,
    /// Realm of the long-term mechanism.
    pub realm: String,
    /// Shared with the supervisor, which mints credentials with it.
    pub secret: RelaySecret,
    /// The rates for strangers.
    pub rates: StrangerRates,
    /// Limits on the number of allocations.
    pub limits: AllocationLimits,
}

/// The result of handling a packet. Anything to send lies in the caller's buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Nothing to send.
    Dropped(Drop),
    /// The buffer is to be sent to another client.
    Forward(Flow),
    /// The buffer is to be sent back.
    Reply,
}

/// Why a packet was dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Drop {
    /// Not a message, or one that clients do not send.
    #[error("it is not a message that clients send")]
    Malformed,
    /// Its sender is over a rate.
    #[error("its sender is over a rate")]
    Limited,
    /// Data from a flow without an allocation, or on an unbound channel.
    #[error("its flow has no allocation, or its channel is not bound")]
    Unknown,
    /// Data for an address that is not the relay's own.
    #[error("it is for {0}")]
    Foreign(Foreign),
    /// The sender or the receiver has no permission, or they are not two sides of one session.
    #[error("the sender or the receiver has no permission for it")]
    NotPermitted,
}

/// The state machine.
#[derive(Debug)]
pub struct Relay {
    decoder: ReusedDecoder,
    core: Core,
}

/// The codec's decoder, whose attribute list is reused from packet to packet.
#[derive(Default)]
struct ReusedDecoder(Decoder);

impl std::fmt::Debug for ReusedDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decoder")
    }
}

/// Everything but the decoder, which is borrowed by the message being handled.
#[derive(Debug)]
struct Core {
    own: OwnAddresses,
    realm: String,
    secret: RelaySecret,
    nonces: Nonces,
    gate: Gate,
    allocations: Allocations,
    indications: u64,
    figures: Figures,
}

/// The metrics of the relay.
#[derive(Clone, Debug)]
struct Figures {
    allocations: Gauge,
    relayed: Counter,
    relayed_bytes: Counter,
    bindings: Counter,
    challenged: Counter,
    refused: Counter,
    malformed: Counter,
    limited: Counter,
    foreign: Counter,
    not_permitted: Counter,
}

impl Figures {
    fn new(registry: &Registry) -> Self {
        Self {
            allocations: registry.gauge("relay_allocations_count"),
            relayed: registry.counter("relay_packets_total"),
            relayed_bytes: registry.counter("relay_data_bytes"),
            bindings: registry.counter("relay_bindings_total"),
            challenged: registry.counter("relay_challenges_total"),
            refused: registry.counter("relay_refusals_total"),
            malformed: registry.counter("relay_malformed_total"),
            limited: registry.counter("relay_limited_total"),
            foreign: registry.counter("relay_foreign_total"),
            not_permitted: registry.counter("relay_not_permitted_total"),
        }
    }
}

impl Relay {
    /// A relay without clients. `now` is where its time begins.
    ///
    /// # Errors
    /// [`NoRandomness`] when no nonce key can be drawn.
    pub fn new(
        config: RelayConfig,
        registry: &Registry,
        now: Moment,
    ) -> Result<Self, NoRandomness> {
        let RelayConfig { own, realm, secret, rates, limits } = config;
        let core = Core {
            own,
            realm,
            secret,
            nonces: Nonces::new(now.at)?,
            gate: Gate::new(&rates, now.at),
            allocations: Allocations::new(&limits),
            indications: 0,
            figures: Figures::new(registry),
        };
        Ok(Self { decoder: ReusedDecoder::default(), core })
    }

    /// Handles one whole message. Anything to send is written into `out`.
    pub fn handle(&mut self, now: Moment, from: Flow, bytes: &[u8], out: &mut BytesMut) -> Outcome {
        out.clear();
        let outcome = match wire::parse(bytes, &mut self.decoder.0) {
            Ok(Frame::Channel(frame)) => self.core.channel_data(now.at, from, frame, out),
            Ok(Frame::Stun(frame)) => self.core.message(now, from, &frame, out),
            Err(_) => Outcome::Dropped(Drop::Malformed),
        };
        self.core.count(outcome, out.len());
        outcome
    }

    /// Whether the client on `flow` has an allocation.
    #[must_use]
    pub fn serves(&self, flow: &Flow, now: Moment) -> bool {
        self.core.allocations.of_flow(flow, now.at).is_some()
    }

    /// The connection of `flow` was closed.
    pub fn close(&mut self, flow: &Flow) {
        self.core.allocations.release_flow(flow);
        self.core.count_allocations();
    }

    /// Frees expired state. Expired state is never used, swept or not; sweeping only returns memory
    /// and quota.
    pub fn sweep(&mut self, now: Moment) {
        self.core.allocations.sweep(now.at);
        self.core.count_allocations();
    }

    /// How many clients have an allocation.
    #[must_use]
    pub fn allocations(&self) -> usize {
        self.core.allocations.len()
    }
}

impl Core {
    fn count(&self, outcome: Outcome, sent: usize) {
        let figures = &self.figures;
        match outcome {
            Outcome::Forward(_) => {
                figures.relayed.increment();
                figures.relayed_bytes.add(sent as u64);
            }
            Outcome::Reply => self.count_allocations(),
            Outcome::Dropped(Drop::Malformed | Drop::Unknown) => figures.malformed.increment(),
            Outcome::Dropped(Drop::Limited) => figures.limited.increment(),
            Outcome::Dropped(Drop::Foreign(_)) => figures.foreign.increment(),
            Outcome::Dropped(Drop::NotPermitted) => figures.not_permitted.increment(),
        }
    }

    fn count_allocations(&self) {
        self.figures.allocations.set(self.allocations.len() as i64);
    }
}
