//! The compositor's metrics.

use lumen_ipc_runtime::metrics::{Counter, Histogram, Registry};

/// All metrics, each updated where the counted event happens.
#[derive(Clone)]
pub struct Metrics {
    /// The registry that contains all of them.
    pub registry: Registry,
    /// Time from an app's commit until its picture is in shared memory.
    pub commit_to_rendered: Histogram,
    /// Time to draw.
    pub render: Histogram,
    /// Time from sending a frame until its release.
    pub release: Histogram,
    /// Frames sent to media.
    pub frames_rendered: Counter,
    /// Of those, frames that are an app's buffer.
    pub frames_undrawn: Counter,
    /// Commits without a visible change.
    pub frames_unchanged: Counter,
    /// Frames that could not be drawn.
    pub frames_failed: Counter,
    /// Bytes of all frames' damage, which media must convert.
    pub damage_bytes: Counter,
    /// Buffers announced to media.
    pub buffers_announced: Counter,
    /// Rounds of frame callbacks.
    pub callback_rounds: Counter,
    /// Viewers' input.
    pub input_events: Counter,
    /// Input of viewers who had not proved to be there.
    pub input_refused: Counter,
    /// Proofs of presence that were wrong, or late.
    pub proofs_refused: Counter,
    /// Changes of the output's size.
    pub output_resizes: Counter,
    /// Apps that connected.
    pub clients_accepted: Counter,
    /// Apps refused because too many were connected.
    pub clients_refused: Counter,
    /// Apps disconnected because their memory could not be read.
    pub clients_faulty: Counter,
    /// Link ends closed because the other side broke the contract.
    pub link_violations: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let registry = Registry::default();
        Self {
            commit_to_rendered: registry.histogram("commit_to_rendered_microseconds"),
            render: registry.histogram("render_microseconds"),
            release: registry.histogram("frame_release_microseconds"),
            frames_rendered: registry.counter("frames_rendered_total"),
            frames_undrawn: registry.counter("frames_undrawn_total"),
            frames_unchanged: registry.counter("frames_unchanged_total"),
            frames_failed: registry.counter("frames_failed_total"),
            damage_bytes: registry.counter("damage_bytes"),
            buffers_announced: registry.counter("buffers_announced_total"),
            callback_rounds: registry.counter("callback_rounds_total"),
            input_events: registry.counter("input_events_total"),
            input_refused: registry.counter("input_refused_total"),
            proofs_refused: registry.counter("proofs_refused_total"),
            output_resizes: registry.counter("output_resizes_total"),
            clients_accepted: registry.counter("clients_accepted_total"),
            clients_refused: registry.counter("clients_refused_total"),
            clients_faulty: registry.counter("clients_faulty_total"),
            link_violations: registry.counter("link_violations_total"),
            registry,
        }
    }
}
