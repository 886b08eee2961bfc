//! The metrics of rtc.

use lumen_ipc::demand::Demand;
use lumen_ipc_runtime::metrics::{Counter, Gauge, Histogram, Registry};

use crate::peers::Networks;

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
    /// What the slowest viewer's network carries.
    pub(super) network: Gauge,
    /// The longest queue in a viewer's network.
    pub(super) network_queue: Gauge,
    /// Networks that are limited by what they lose.
    pub(super) limited_by_loss: Gauge,
    /// Networks that are limited by a queue.
    pub(super) limited_by_queue: Gauge,
    /// Viewers that get no pictures, because too many wait.
    pub(super) peers_behind: Gauge,
    /// Packets that browsers report to have arrived.
    pub(super) packets_arrived: Counter,
    /// Packets that browsers report as missing.
    pub(super) packets_lost: Counter,
    /// Input passed to the compositor.
    pub(super) input_sent: Counter,
    /// Frames of sound received from the sound worker.
    pub(super) sound_frames: Counter,
    /// Packets of viewers' voices passed to the sound worker.
    pub(super) speech_packets: Counter,
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
            network: registry.gauge("network_kbps"),
            network_queue: registry.gauge("network_queue_milliseconds"),
            limited_by_loss: registry.gauge("networks_limited_by_loss_count"),
            limited_by_queue: registry.gauge("networks_limited_by_queue_count"),
            peers_behind: registry.gauge("peers_behind_count"),
            packets_arrived: registry.counter("packets_arrived_total"),
            packets_lost: registry.counter("packets_lost_total"),
            input_sent: registry.counter("input_messages_sent_total"),
            sound_frames: registry.counter("sound_frames_total"),
            speech_packets: registry.counter("speech_packets_total"),
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

    /// Records what is known of the viewers' networks.
    pub(super) fn networks(&self, networks: &Networks) {
        let count = |bps: u64| i64::try_from(bps).unwrap_or(i64::MAX);
        self.network.set(count(networks.least_bps.unwrap_or_default() / 1000));
        self.network_queue.set(i64::try_from(networks.queued.as_millis()).unwrap_or(i64::MAX));
        self.limited_by_loss.set(networks.limited_by_loss.into());
        self.limited_by_queue.set(networks.limited_by_queue.into());
        self.peers_behind.set(networks.behind.into());
        self.packets_arrived.add(networks.arrived);
        self.packets_lost.add(networks.lost);
    }
}
