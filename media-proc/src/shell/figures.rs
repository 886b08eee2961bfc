//! The metrics of media.

use lumen_ipc::{units::FrameSize, video::VideoFormat};
use lumen_ipc_runtime::metrics::{Counter, Gauge, Histogram, Registry};

use crate::{effort::Effort, pacing::Work, video::Quantizer};

/// The metrics of this worker.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) registry: Registry,
    /// Frames read from the compositor's buffers.
    pub(super) frames_taken: Counter,
    /// Of those, frames read from an app's own memory.
    pub(super) app_frames_taken: Counter,
    /// Of those, frames of layers that were drawn here.
    pub(super) frames_drawn: Counter,
    /// Frames whose pixels or samples the processor touched on their way: all but those that a graphics processor both
    /// draws and encodes.
    pub(super) frames_mapped: Counter,
    /// The rung of the ladder from graphics processor to processor.
    pub(super) graphics_rung: Gauge,
    /// Of those, frames whose memory was partly missing.
    pub(super) frames_torn: Counter,
    /// Macroblocks converted.
    pub(super) macroblocks_converted: Counter,
    /// Pictures encoded, of any kind.
    pub(super) pictures_encoded: Counter,
    /// Of those, keyframes.
    pub(super) keys_encoded: Counter,
    /// Of those, refinements.
    pub(super) refinements_encoded: Counter,
    /// Of those, pictures coded without x264.
    pub(super) direct_encoded: Counter,
    /// Pictures encoded again, coarser, because they took too many bits.
    pub(super) refused: Counter,
    /// Packets dropped because the ring or the socket had no room.
    pub(super) packets_dropped: Counter,
    /// Bytes handed to rtc.
    pub(super) encoded: Counter,
    /// Link ends closed because the other side broke the contract.
    pub(super) link_violations: Counter,
    /// Time from drawing a frame until media takes it.
    pub(super) frame_wait: Histogram,
    /// Time to convert one frame's damage.
    pub(super) convert: Histogram,
    /// Time to encode one picture.
    pub(super) encode: Histogram,
    /// The target bit rate.
    pub(super) target: Gauge,
    /// The rung of the ladder, 0 at the top.
    pub(super) rung: Gauge,
    /// The most changes encoded in a second.
    pub(super) fps_limit: Gauge,
    /// Format of the picture encoded last: 0 H.264 Main, 1 H.264 Constrained Baseline, 2 VP8.
    pub(super) coded_format: Gauge,
    /// Size of the picture encoded last.
    pub(super) coded_width: Gauge,
    pub(super) coded_height: Gauge,
    /// Its quantizer.
    pub(super) quantizer: Gauge,
    /// How hard the encoder worked on it: 0 quick, 1 thorough, 2 thrifty.
    pub(super) effort: Gauge,
    /// Number of watching peers.
    pub(super) watchers: Gauge,
}

impl Figures {
    pub(super) fn new(registry: Registry) -> Self {
        Self {
            frames_taken: registry.counter("frames_taken_total"),
            frames_drawn: registry.counter("frames_drawn_total"),
            frames_mapped: registry.counter("frames_mapped_total"),
            graphics_rung: registry.gauge("graphics_rung"),
            app_frames_taken: registry.counter("app_frames_taken_total"),
            frames_torn: registry.counter("torn_frames_total"),
            macroblocks_converted: registry.counter("macroblocks_converted_total"),
            pictures_encoded: registry.counter("pictures_encoded_total"),
            keys_encoded: registry.counter("keyframes_encoded_total"),
            refinements_encoded: registry.counter("refinements_encoded_total"),
            direct_encoded: registry.counter("direct_pictures_encoded_total"),
            refused: registry.counter("pictures_encoded_again_total"),
            packets_dropped: registry.counter("packets_dropped_total"),
            encoded: registry.counter("encoded_bytes"),
            link_violations: registry.counter("link_violations_total"),
            frame_wait: registry.histogram("frame_wait_microseconds"),
            convert: registry.histogram("convert_microseconds"),
            encode: registry.histogram("encode_microseconds"),
            target: registry.gauge("target_kbps"),
            rung: registry.gauge("ladder_rung_number"),
            fps_limit: registry.gauge("limit_pictures_per_second"),
            coded_format: registry.gauge("coded_format_number"),
            coded_width: registry.gauge("coded_width_pixels"),
            coded_height: registry.gauge("coded_height_pixels"),
            quantizer: registry.gauge("quantizer_steps"),
            effort: registry.gauge("effort_level"),
            watchers: registry.gauge("watchers_count"),
            registry,
        }
    }

    /// Says what the newest picture is like.
    pub(super) fn describe(
        &self,
        (size, format): (FrameSize, VideoFormat),
        quantizer: Quantizer,
        effort: Effort,
    ) {
        self.coded_format.set(match format {
            VideoFormat::H264Main => 0,
            VideoFormat::H264ConstrainedBaseline => 1,
            VideoFormat::Vp8 => 2,
        });
        self.coded_width.set(size.width().into());
        self.coded_height.set(size.height().into());
        self.quantizer.set(quantizer.value().into());
        self.effort.set(match effort {
            Effort::Quick => 0,
            Effort::Thorough => 1,
            Effort::Thrifty => 2,
        });
    }

    /// Counts one picture of `bytes` that was encoded in `micros`.
    pub(super) fn count(&self, work: Work, direct: bool, bytes: usize, micros: u64) {
        self.pictures_encoded.increment();
        self.direct_encoded.add(direct.into());
        match work {
            Work::Key => self.keys_encoded.increment(),
            Work::Refinement => self.refinements_encoded.increment(),
            Work::Change => {}
        }
        self.encoded.add(bytes as u64);
        self.encode.record(micros);
    }
}
