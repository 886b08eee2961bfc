//! What is known of all viewers' networks together, for those who look after the desktop.

use std::time::Duration;

use super::Peers;
use crate::peer::rate::Cause;

/// The networks of all viewers that are connected.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Networks {
    /// What the slowest carries, in bit/s.
    pub least_bps: Option<u64>,
    /// The longest time for which packets queued lately.
    pub queued: Duration,
    /// Packets that arrived since the last time.
    pub arrived: u64,
    /// Packets that were lost since the last time.
    pub lost: u64,
    /// How many networks are limited by loss.
    pub limited_by_loss: u16,
    /// How many networks are limited by a queue.
    pub limited_by_queue: u16,
    /// How many viewers get no pictures, because too many wait.
    pub behind: u16,
}

impl Peers {
    /// What is known of the networks; what is counted begins anew.
    pub fn take_networks(&mut self) -> Networks {
        let mut all = Networks::default();
        let peers = self.peers.values_mut().filter_map(|entry| entry.peer.as_mut());
        for peer in peers.filter(|peer| peer.is_connected()) {
            let (bps, measures) = (peer.network_bps(), peer.take_measures());
            all.least_bps = Some(all.least_bps.map_or(bps, |least| least.min(bps)));
            all.queued = all.queued.max(measures.queued);
            all.arrived += measures.arrived;
            all.lost += measures.lost;
            all.limited_by_loss += u16::from(measures.cause == Some(Cause::Loss));
            all.limited_by_queue += u16::from(measures.cause == Some(Cause::Queue));
            all.behind += u16::from(peer.is_behind());
        }
        all
    }
}
