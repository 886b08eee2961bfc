//! The compositor's figures.

use lumen_ipc_runtime::metrics::{Counter, Histogram, Registry};

/// Every figure, each moved where the thing it counts happens.
#[derive(Clone)]
pub struct Metrics {
    /// Where all of them are read.
    pub registry: Registry,
    /// From an app's commit to its picture lying in shared memory.
    pub commit_to_rendered: Histogram,
    /// Drawing alone.
    pub render: Histogram,
    /// From handing a frame over to its release.
    pub release: Histogram,
    /// Frames handed to media.
    pub frames_rendered: Counter,
    /// Of those, frames that are an app's buffer as it is.
    pub frames_undrawn: Counter,
    /// Commits that changed nothing to be seen.
    pub frames_unchanged: Counter,
    /// Frames that could not be drawn.
    pub frames_failed: Counter,
    /// Bytes of the damage of all frames: what media must convert.
    pub damage_bytes: Counter,
    /// Buffers announced to media.
    pub buffers_announced: Counter,
    /// Rounds of frame callbacks.
    pub callback_rounds: Counter,
    /// Messages on the `input` link.
    pub input_events: Counter,
    /// Sizes the output took.
    pub output_resizes: Counter,
    /// Apps that connected.
    pub clients_accepted: Counter,
    /// Apps turned away because there were too many.
    pub clients_refused: Counter,
    /// Apps disconnected because their memory could not be read.
    pub clients_faulty: Counter,
    /// Link ends closed because the peer broke the contract.
    pub peer_violations: Counter,
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
            output_resizes: registry.counter("output_resizes_total"),
            clients_accepted: registry.counter("clients_accepted_total"),
            clients_refused: registry.counter("clients_refused_total"),
            clients_faulty: registry.counter("clients_faulty_total"),
            peer_violations: registry.counter("peer_violations_total"),
            registry,
        }
    }
}
