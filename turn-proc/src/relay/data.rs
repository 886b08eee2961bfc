//! Data from one client to another.
//!
//! INVARIANT: data is handed over only between two live allocations that are the two sides of one
//! session, in one address family, and only while both permit it.

use std::{net::IpAddr, time::Instant};

use bytes::BytesMut;

use super::{Core, Drop, Outcome, allocation::Allocation};
use crate::{
    moment::Flow,
    wire::{self, ChannelFrame, StunFrame},
};

impl Core {
    /// Relays data on a channel.
    pub(super) fn channel_data(
        &mut self,
        now: Instant,
        from: Flow,
        frame: ChannelFrame<'_>,
        out: &mut BytesMut,
    ) -> Outcome {
        let Some(sender) = self.allocations.of_flow_mut(&from, now) else {
            return Outcome::Dropped(Drop::Unknown);
        };
        sender.hear(now);
        let Some(port) = sender.peer_of(frame.number, now) else {
            return Outcome::Dropped(Drop::Unknown);
        };
        self.relay(now, from, port, frame.data, out)
    }

    /// Relays the data of a Send indication.
    pub(super) fn send_indication(
        &mut self,
        now: Instant,
        from: Flow,
        frame: &StunFrame<'_>,
        out: &mut BytesMut,
    ) -> Outcome {
        let Some(sender) = self.allocations.of_flow_mut(&from, now) else {
            return Outcome::Dropped(Drop::Unknown);
        };
        sender.hear(now);
        let family = sender.family;
        let (Some(peer), Some(data), false) = (frame.peer(), frame.data(), frame.has_unknown())
        else {
            return Outcome::Dropped(Drop::Malformed);
        };
        match self.admit(peer.ip()) {
            Ok(admitted) if admitted == family => self.relay(now, from, peer.port(), data, out),
            Ok(_) => Outcome::Dropped(Drop::NotPermitted),
            Err(foreign) => Outcome::Dropped(Drop::Foreign(foreign)),
        }
    }

    /// Checks a peer address against the allow-list.
    pub(super) fn admit(
        &self,
        peer: IpAddr,
    ) -> Result<crate::address::Family, crate::address::Foreign> {
        self.own.admit(peer)
    }

    fn relay(
        &mut self,
        now: Instant,
        from: Flow,
        port: u16,
        data: &[u8],
        out: &mut BytesMut,
    ) -> Outcome {
        let (Some(sender), Some(receiver)) =
            (self.allocations.of_flow(&from, now), self.allocations.of_port(port, now))
        else {
            return Outcome::Dropped(Drop::NotPermitted);
        };
        if !may_pass(sender, receiver, now) {
            return Outcome::Dropped(Drop::NotPermitted);
        }
        // A receiver without a channel for the sender gets an indication, as browsers do at first.
        match receiver.channel_to(sender.relayed.port(), now) {
            Some(number) => wire::write_channel_data(number, data, receiver.flow.is_stream(), out),
            None => {
                self.indications = self.indications.wrapping_add(1);
                wire::write_data_indication(sender.relayed, data, self.indications, out);
            }
        }
        Outcome::Forward(receiver.flow)
    }
}

fn may_pass(sender: &Allocation, receiver: &Allocation, now: Instant) -> bool {
    sender.grantee.may_reach(&receiver.grantee)
        && sender.family == receiver.family
        && sender.is_permitted(now)
        && receiver.is_permitted(now)
}
