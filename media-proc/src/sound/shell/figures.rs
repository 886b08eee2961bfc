//! The metrics of sound.

use lumen_ipc_runtime::metrics::{Counter, Gauge, Histogram, Registry};

use crate::sound::speech::voice::Tally;

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
    /// Number of viewers who speak, one at most.
    speakers: Gauge,
    /// Packets of their voices that were played.
    speech_frames: Counter,
    /// Those that were made up, or taken from the next one.
    speech_concealed: Counter,
    /// Those of nobody whose microphone is known to be on.
    speech_refused: Counter,
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
            speakers: registry.gauge("speakers_count"),
            speech_frames: registry.counter("speech_frames_total"),
            speech_concealed: registry.counter("speech_concealed_total"),
            speech_refused: registry.counter("speech_refused_total"),
            registry,
        }
    }

    /// Records whether a viewer speaks, and what became of what they say.
    pub(super) fn spoken(&self, speaks: bool, Tally { played, concealed, refused }: Tally) {
        self.speakers.set(speaks.into());
        self.speech_frames.add(played);
        self.speech_concealed.add(concealed);
        self.speech_refused.add(refused);
    }
}
