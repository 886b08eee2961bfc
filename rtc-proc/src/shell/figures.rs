//! The metrics of rtc.

use lumen_ipc::demand::Demand;
use lumen_ipc_runtime::metrics::{Counter, Gauge, Histogram, Registry};

/// The metrics of this worker.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) registry: Registry,
    /// Datagrams sent.
    pub(super) packets_sent: Counter,
    /// Their bytes.
    pub(super) sent: Counter,
    /// Datagrams that the kernel refused, or that did not fit the queue.
    pub(super) send_errors: Counter,
    /// Datagrams received.
    pub(super) packets_received: Counter,
    /// Of those, datagrams that belonged to no peer.
    pub(super) packets_foreign: Counter,
    /// Peers that receive pictures.
    pub(super) peers: Gauge,
    /// Peers that ended.
    pub(super) peers_ended: Counter,
    /// Peers that ended because of an illegal message.
    pub(super) peers_misbehaved: Counter,
    /// Keyframes requested from media.
    pub(super) keyframes_requested: Counter,
    /// The bit rate requested from media.
    pub(super) target: Gauge,
    /// Input passed to the compositor.
    pub(super) input_sent: Counter,
    /// Gamepads' messages passed to the gamepad worker.
    pub(super) pads_sent: Counter,
    /// Link ends closed because a worker broke the contract.
    pub(super) link_violations: Counter,
    /// Time from encoding a frame until its last packet was sent.
    pub(super) encoded_to_sent: Histogram,
    /// Time from the app's commit until the frame's last packet was sent.
    pub(super) commit_to_sent: Histogram,
    /// Times the event loop woke up.
    pub(super) wakeups: Counter,
}

impl Figures {
    pub(super) fn new() -> Self {
        let registry = Registry::default();
        Self {
            packets_sent: registry.counter("packets_sent_total"),
            sent: registry.counter("sent_bytes"),
            send_errors: registry.counter("send_errors_total"),
            packets_received: registry.counter("packets_received_total"),
            packets_foreign: registry.counter("packets_foreign_total"),
            peers: registry.gauge("peers_count"),
            peers_ended: registry.counter("peers_ended_total"),
            peers_misbehaved: registry.counter("peers_misbehaved_total"),
            keyframes_requested: registry.counter("keyframes_requested_total"),
            target: registry.gauge("target_kbps"),
            input_sent: registry.counter("input_messages_sent_total"),
            pads_sent: registry.counter("pad_messages_sent_total"),
            link_violations: registry.counter("link_violations_total"),
            encoded_to_sent: registry.histogram("encoded_to_sent_microseconds"),
            commit_to_sent: registry.histogram("commit_to_sent_microseconds"),
            wakeups: registry.counter("wakeups_total"),
            registry,
        }
    }

    /// Records a changed demand on media.
    pub(super) fn wanted(&self, before: Demand, demand: Demand) {
        self.keyframes_requested.add(demand.keyframes.wrapping_sub(before.keyframes));
        self.target.set(demand.bitrate.value().into());
        self.peers.set(demand.watchers.into());
    }
}
