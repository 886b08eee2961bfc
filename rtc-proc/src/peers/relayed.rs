//! Routing of datagrams: which peer an incoming one belongs to, and whether an outgoing one is
//! relayed.

use std::{net::SocketAddr, time::Instant};

use lumen_ipc::service::RelayCredentials;
use str0m::{
    Input as RtcInput,
    net::{Protocol, Receive},
};

use super::{Output, Peers};
use crate::{
    peer::{Datagram, FatalAlert, Input},
    relay::{Output as RelayOutput, Relay, Unwrapped},
};

impl Peers {
    /// Handles an incoming datagram. Returns whether it belonged to a peer.
    pub fn datagram(
        &mut self,
        now: Instant,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
    ) -> bool {
        let Some(relay) = self.relay.as_mut().filter(|relay| relay.server() == source) else {
            return self.deliver(now, source, destination, bytes);
        };
        let unwrapped = relay.unwrap(now, bytes);
        let known = match unwrapped {
            Unwrapped::Control => true,
            Unwrapped::Data { source, destination, contents } => {
                self.deliver(now, source, destination, contents)
            }
            Unwrapped::Foreign => false,
        };
        self.settle_relay(now);
        known
    }

    fn deliver(
        &mut self,
        now: Instant,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
    ) -> bool {
        let Ok(parsed) = Receive::new(Protocol::Udp, source, destination, bytes) else {
            return false;
        };
        let datagram = RtcInput::Receive(now, parsed);
        let Some(number) = self.owner(source, &datagram) else { return false };
        self.feed(now, number, Input::Datagram(datagram));
        if let Some(alert) = FatalAlert::in_clear(bytes) {
            self.feed(now, number, Input::Refused(alert));
        }
        self.send_bulk(now);
        self.refresh_demand(now);
        true
    }

    pub(super) fn renew_relay(&mut self, now: Instant, credentials: Option<RelayCredentials>) {
        if let (Some(relay), Some(credentials)) = (self.relay.as_mut(), credentials) {
            relay.renew(now, credentials);
            self.settle_relay(now);
        }
    }

    /// Carries out the outputs of the relay's client.
    fn settle_relay(&mut self, now: Instant) {
        while let Some(output) = self.relay.as_mut().and_then(Relay::poll_output) {
            match output {
                RelayOutput::Moved(address) => {
                    self.for_each(now, || Input::RelayedAddress(address))
                }
                RelayOutput::Transmit(datagram) => {
                    self.outputs.push_back(Output::Transmit(datagram))
                }
            }
        }
    }

    /// Sends a peer's datagram, through the relay if it comes from our address there.
    pub(super) fn transmit(&mut self, now: Instant, datagram: Datagram) {
        if self.setup.is_candidate(datagram.source) {
            return self.outputs.push_back(Output::Transmit(datagram));
        }
        let wrapped = self.relay.as_mut().and_then(|relay| relay.wrap(now, datagram));
        self.outputs.extend(wrapped.map(Output::Transmit));
        self.settle_relay(now);
    }

    /// No relayed peer is left.
    pub(super) fn release_relay(&mut self, now: Instant) {
        if let Some(relay) = self.relay.as_mut() {
            relay.release(now);
            self.settle_relay(now);
        }
    }

    pub(super) fn relay_timeout(&mut self, now: Instant) {
        if let Some(relay) = self.relay.as_mut()
            && relay.deadline().is_some_and(|at| at <= now)
        {
            relay.timeout(now);
            self.settle_relay(now);
        }
    }
}
