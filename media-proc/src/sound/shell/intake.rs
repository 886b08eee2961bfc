//! What callbacks note: blocks of samples, cut into frames, and why a connection is lost.

use lumen_ipc::{
    sound::{SoundFormat, micros_of},
    units::MonotonicMicros,
};
use lumen_ipc_runtime::clock;
use pipewire::stream::Stream;

use crate::sound::packetiser::{Frame, Packetiser, bounds};

/// Most frames that wait for the encoder: far more than one block holds.
const MOST_FRAMES: usize = 64;

/// What callbacks note.
#[derive(Debug)]
pub(super) struct Intake {
    packetiser: Packetiser,
    format: SoundFormat,
    frames: Vec<Frame>,
    /// Whether anybody listens: otherwise samples are dropped as they come.
    listening: bool,
    lost: Option<String>,
    dropped: u64,
}

impl Intake {
    pub(super) fn new(format: SoundFormat) -> Self {
        Self {
            packetiser: Packetiser::new(format),
            format,
            frames: Vec::new(),
            listening: false,
            lost: None,
            dropped: 0,
        }
    }

    /// There is another connection, in which nothing is lost.
    pub(super) fn begin(&mut self) {
        self.lost = None;
        self.packetiser.rest();
    }

    pub(super) const fn listen(&mut self, listening: bool) {
        self.listening = listening;
    }

    /// The frames that are complete.
    pub(super) fn take_frames(&mut self) -> Vec<Frame> {
        std::mem::take(&mut self.frames)
    }

    /// The number of frames for which there was no room, since the last call.
    pub(super) const fn take_dropped(&mut self) -> u64 {
        std::mem::replace(&mut self.dropped, 0)
    }

    /// Why the connection is lost, once.
    pub(super) const fn take_lost(&mut self) -> Option<String> {
        self.lost.take()
    }

    /// Only the first reason counts.
    pub(super) fn lose(&mut self, reason: &str) {
        self.lost.get_or_insert_with(|| reason.to_owned());
    }

    /// Takes every block that waits.
    pub(super) fn take_from(&mut self, stream: &Stream) {
        while let Some(mut buffer) = stream.dequeue_buffer() {
            let Some(data) = buffer.datas_mut().first_mut() else { continue };
            let (offset, size) = (data.chunk().offset(), data.chunk().size());
            let Some(memory) = data.data() else { continue };
            let range = bounds(memory.len(), offset, size, self.format);
            self.take(memory.get(range).unwrap_or_default());
        }
    }

    /// Takes a block that ends now.
    fn take(&mut self, block: &[u8]) {
        if !self.listening {
            self.packetiser.rest();
            return;
        }
        let samples = block
            .chunks_exact(size_of::<f32>())
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap_or_default()));
        let lasts = micros_of((samples.len() / self.format.channels()) as u64);
        let captured = MonotonicMicros(clock::now().0.saturating_sub(lasts));
        let Self { packetiser, frames, dropped, .. } = self;
        packetiser.take(captured, samples, |frame| {
            if frames.len() < MOST_FRAMES {
                frames.push(frame);
            } else {
                *dropped += 1;
            }
        });
    }
}
