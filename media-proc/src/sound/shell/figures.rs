//! The metrics of sound.

use lumen_ipc_runtime::metrics::{Counter, Gauge, Histogram, Registry};

/// The metrics of this worker.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) registry: Registry,
    /// Frames of 10 ms encoded.
    pub(super) frames_encoded: Counter,
    /// Frames dropped, because the encoder or rtc did not take them.
    pub(super) frames_dropped: Counter,
    /// Bytes handed to rtc.
    pub(super) encoded: Counter,
    /// Link ends closed because rtc broke the contract.
    pub(super) link_violations: Counter,
    /// Time to encode one frame.
    pub(super) encode: Histogram,
    /// The target bit rate.
    pub(super) target: Gauge,
    /// Number of listening peers.
    pub(super) listeners: Gauge,
}

impl Figures {
    pub(super) fn new(registry: Registry) -> Self {
        Self {
            frames_encoded: registry.counter("frames_encoded_total"),
            frames_dropped: registry.counter("frames_dropped_total"),
            encoded: registry.counter("encoded_bytes"),
            link_violations: registry.counter("link_violations_total"),
            encode: registry.histogram("encode_microseconds"),
            target: registry.gauge("target_kbps"),
            listeners: registry.gauge("listeners_count"),
            registry,
        }
    }
}
