//! Cuts samples into frames of equal length, says when each was played, and leaves silence out.
//!
//! The sound server delivers blocks of any length, late or early by some milliseconds. Frames follow
//! each other without a gap while blocks do. After a pause, which is how the sound server shows that
//! nobody played or that it was restarted, positions jump to the present time.
//!
//! INVARIANT: positions never go back, and frames never overlap.

use std::ops::Range;

use lumen_ipc::{
    sound::{SAMPLE_RATE, SamplePosition, SoundFormat, micros_of},
    units::MonotonicMicros,
};

/// Samples of each channel in a frame: 10 ms.
pub const FRAME_SAMPLES: usize = SAMPLE_RATE as usize / 100;

/// A block that begins this long after the end of the previous one does not continue it. Longer than
/// the blocks that the sound server keeps for a late process last, shorter than a pause that is heard.
const PAUSE_MICROS: u64 = 60_000;

/// Quieter samples than half the least value of 16 bits are silence.
const SILENCE: f32 = 0.5 / 32_768.0;

/// Silent frames that are still sent: what was played last fades out in them, and the receiver, which
/// continues what it heard last, continues silence.
const TAIL_FRAMES: u32 = 20;

/// A frame to be encoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Its first sample.
    pub position: SamplePosition,
    /// When that sample was played.
    pub captured: MonotonicMicros,
    /// Whether nothing was sent directly before it.
    pub begins: bool,
    /// The channels' samples in turn, [`FRAME_SAMPLES`] of each, between -1 and 1.
    pub samples: Vec<f32>,
}

/// Cuts one stream.
#[derive(Debug)]
pub struct Packetiser {
    channels: usize,
    /// The samples that do not fill a frame yet.
    pending: Vec<f32>,
    /// Where the next block continues.
    next: Option<Next>,
    silent_frames: u32,
    /// Whether the next frame is not preceded by one that was sent.
    begins: bool,
}

#[derive(Clone, Copy, Debug)]
struct Next {
    time: MonotonicMicros,
    position: SamplePosition,
}

impl Packetiser {
    /// For a stream that has not begun.
    #[must_use]
    pub fn new(format: SoundFormat) -> Self {
        Self {
            channels: format.channels(),
            pending: Vec::new(),
            next: None,
            silent_frames: TAIL_FRAMES,
            begins: true,
        }
    }

    /// Takes a block whose first sample was played at `captured`, and passes on each frame that is
    /// complete and worth sending.
    pub fn take(
        &mut self,
        captured: MonotonicMicros,
        samples: impl ExactSizeIterator<Item = f32>,
        mut emit: impl FnMut(Frame),
    ) {
        let first = self.first(captured);
        let count = (samples.len() / self.channels) as u64;
        // The position of the first sample that is pending.
        let mut position = SamplePosition(first.0.saturating_sub(self.pending_samples()));
        let mut captured_at =
            MonotonicMicros(captured.0.saturating_sub(micros_of(self.pending_samples())));
        self.pending.extend(samples.map(legal));
        let time = MonotonicMicros(captured.0.saturating_add(micros_of(count)));
        self.next = Some(Next { time, position: first.after(count) });

        let length = FRAME_SAMPLES * self.channels;
        while self.pending.len() >= length {
            let rest = self.pending.split_off(length);
            let samples = std::mem::replace(&mut self.pending, rest);
            if let Some(begins) = self.admit(&samples) {
                emit(Frame { position, captured: captured_at, begins, samples });
            }
            position = position.after(FRAME_SAMPLES as u64);
            captured_at = MonotonicMicros(captured_at.0 + micros_of(FRAME_SAMPLES as u64));
        }
    }

    /// Nobody listens: the next frame begins anew.
    pub fn rest(&mut self) {
        self.pending.clear();
        self.begins = true;
        self.silent_frames = TAIL_FRAMES;
        // What is skipped meanwhile is not counted, so the next block is placed by its time.
        if let Some(next) = &mut self.next {
            next.time = MonotonicMicros(0);
        }
    }

    /// The position of a block's first sample.
    fn first(&mut self, captured: MonotonicMicros) -> SamplePosition {
        match self.next {
            Some(next) if captured.0 <= next.time.0.saturating_add(PAUSE_MICROS) => next.position,
            next => {
                self.pending.clear();
                self.begins = true;
                let least = next.map_or(SamplePosition(0), |next| next.position);
                SamplePosition::at(captured).max(least)
            }
        }
    }

    fn pending_samples(&self) -> u64 {
        (self.pending.len() / self.channels) as u64
    }

    /// Whether a frame is sent, and if so whether none was sent directly before it.
    fn admit(&mut self, samples: &[f32]) -> Option<bool> {
        if samples.iter().any(|sample| sample.abs() > SILENCE) {
            self.silent_frames = 0;
        } else if self.silent_frames >= TAIL_FRAMES {
            self.begins = true;
            return None;
        } else {
            self.silent_frames += 1;
        }
        Some(std::mem::take(&mut self.begins))
    }
}

/// The nearest sample between -1 and 1; what is not a number is silence.
fn legal(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-1.0, 1.0) }
}

/// The bytes of a chunk that lie in its memory and hold whole samples of every channel.
#[must_use]
pub fn bounds(memory: usize, offset: u32, size: u32, format: SoundFormat) -> Range<usize> {
    let whole = format.channels() * size_of::<f32>();
    let start = (offset as usize).min(memory);
    let length = (size as usize).min(memory - start);
    start..start + length / whole * whole
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TONE: f32 = 0.5;

    struct Played {
        packetiser: Packetiser,
        frames: Vec<Frame>,
    }

    impl Played {
        fn new() -> Self {
            Self { packetiser: Packetiser::new(SoundFormat::OpusStereo), frames: Vec::new() }
        }

        /// A block of `count` equal samples of each channel, captured at `micros`.
        fn block(&mut self, micros: u64, count: usize, sample: f32) {
            let Self { packetiser, frames } = self;
            let samples = std::iter::repeat_n(sample, 2 * count);
            packetiser.take(MonotonicMicros(micros), samples, |frame| frames.push(frame));
        }

        fn positions(&self) -> Vec<u64> {
            self.frames.iter().map(|frame| frame.position.0).collect()
        }

        fn beginnings(&self) -> Vec<usize> {
            let begins = self.frames.iter().enumerate().filter(|(_, frame)| frame.begins);
            begins.map(|(at, _)| at).collect()
        }
    }

    #[test]
    fn frames_of_blocks_of_another_length_follow_each_other() {
        let mut played = Played::new();
        for block in 0..15_u64 {
            // Blocks of 256 samples, each late by up to 3 ms.
            played.block(1_000_000 + micros_of(256 * block) + block % 4 * 1000, 256, TONE);
        }
        assert_eq!(played.positions(), (0..8).map(|n| 48_000 + 480 * n).collect::<Vec<_>>());
        assert_eq!(played.beginnings(), [0]);
        assert!(played.frames.iter().all(|frame| frame.samples.len() == 960));
    }

    #[test]
    fn frame_is_stamped_with_the_time_of_its_first_sample() {
        let mut played = Played::new();
        played.block(2_000_000, 720, TONE);
        played.block(2_015_000, 240, TONE);
        let stamps: Vec<u64> = played.frames.iter().map(|frame| frame.captured.0).collect();
        assert_eq!(stamps, [2_000_000, 2_010_000]);
    }

    #[test]
    fn blocks_that_come_late_all_at_once_are_no_gap() {
        let mut played = Played::new();
        played.block(1_000_000, 480, TONE);
        for _ in 0..4 {
            played.block(1_050_000, 480, TONE);
        }
        played.block(1_051_000, 480, TONE);
        assert_eq!(played.positions(), (0..6).map(|n| 48_000 + 480 * n).collect::<Vec<_>>());
        assert_eq!(played.beginnings(), [0]);
    }

    #[test]
    fn frame_after_a_pause_begins_anew_at_its_own_time() {
        let mut played = Played::new();
        // The half frame before the pause is never completed.
        played.block(1_000_000, 720, TONE);
        played.block(3_000_000, 480, TONE);
        assert_eq!(played.positions(), [48_000, 144_000]);
        assert_eq!(played.beginnings(), [0, 1]);
    }

    #[test]
    fn silence_is_sent_for_a_moment_and_then_not_at_all() {
        let mut played = Played::new();
        let mut micros = 0;
        for sample in [0.0, TONE, 0.0, TONE] {
            for _ in 0..100 {
                played.block(micros, 480, sample);
                micros += 10_000;
            }
        }
        let first = 100 * 480;
        let sent = (0..120).chain(200..300).map(|n| first + 480 * n);
        assert_eq!(played.positions(), sent.collect::<Vec<_>>());
        assert_eq!(played.beginnings(), [0, 120]);
    }

    #[test]
    fn stream_that_is_listened_to_again_begins_at_the_present_time() {
        let mut played = Played::new();
        played.block(1_000_000, 480, TONE);
        played.packetiser.rest();
        played.block(1_500_000, 480, TONE);
        assert_eq!(played.positions(), [48_000, 72_000]);
        assert_eq!(played.beginnings(), [0, 1]);
    }

    #[test]
    fn bounds_lie_in_the_memory_whatever_the_server_says() {
        let format = SoundFormat::OpusStereo;
        assert_eq!(bounds(64, 8, 20, format), 8..24);
        for (offset, size) in [(0, 65), (65, 1), (u32::MAX, u32::MAX), (63, 8), (60, 8)] {
            let range = bounds(64, offset, size, format);
            assert!(range.end <= 64 && range.len().is_multiple_of(8), "{range:?}");
        }
    }

    proptest! {
        /// Whatever the sound server delivers and whenever, frames neither overlap nor go back, and
        /// contain legal samples.
        #[test]
        fn positions_never_go_back_and_frames_never_overlap(
            blocks in prop::collection::vec((0_u64..500_000, 0_usize..3000, any::<f32>()), 1..50)
        ) {
            let mut played = Played::new();
            let mut micros = 0;
            for (pause, count, sample) in blocks {
                micros += pause;
                played.block(micros, count, sample);
            }
            for pair in played.positions().windows(2) {
                prop_assert!(pair[0] + 480 <= pair[1], "{pair:?}");
            }
            for frame in &played.frames {
                prop_assert_eq!(frame.samples.len(), 2 * FRAME_SAMPLES);
                prop_assert!(frame.samples.iter().all(|sample| sample.abs() <= 1.0));
            }
        }
    }
}
