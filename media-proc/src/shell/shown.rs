//! The newest screen: its samples, where the processor wants them, and what of it is not encoded yet.

use lumen_ipc::{
    message::frames::FrameReady,
    units::{FrameSequence, FrameSize, MonotonicMicros},
};

use super::{drawing::Drawing, figures::Figures};
use crate::{
    convert::{MacroblockMap, Planes},
    draw::gl::Unusable,
};

/// The newest screen.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) size: FrameSize,
    /// Its samples, once the processor wants them.
    planes: Option<Planes>,
    /// Macroblocks that only the graphics processor has, and the planes do not show.
    pub(super) unread: MacroblockMap,
    /// Macroblocks not yet encoded.
    pub(super) changed: MacroblockMap,
    pub(super) times: Times,
}

/// Times of the frame that the planes show.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) sequence: FrameSequence,
    pub(super) committed: MonotonicMicros,
    pub(super) rendered: MonotonicMicros,
    pub(super) taken: MonotonicMicros,
    pub(super) converted: MonotonicMicros,
}

impl Shown {
    pub(super) fn new(size: FrameSize) -> Self {
        Self {
            size,
            planes: None,
            unread: MacroblockMap::constant(size),
            changed: MacroblockMap::constant(size),
            times: Times::default(),
        }
    }

    /// Its samples as they were read last.
    pub(super) fn planes(&mut self) -> &mut Planes {
        self.planes.get_or_insert_with(|| Planes::new(self.size))
    }

    /// The samples, of which those that only the graphics processor has are read back, and what is not encoded yet.
    ///
    /// # Errors
    /// The driver has failed.
    pub(super) fn read(
        &mut self,
        drawing: Option<&mut Drawing>,
        figures: &Figures,
    ) -> Result<(&Planes, &MacroblockMap), Unusable> {
        if let Some(drawing) = drawing {
            if self.planes.is_none() {
                self.unread.mark_all();
            }
            if self.unread.changed() > 0 {
                let planes = self.planes.get_or_insert_with(|| Planes::new(self.size));
                drawing.read(planes, &self.unread)?;
                self.unread.clear();
                figures.frames_mapped.increment();
            }
        }
        let planes = self.planes.get_or_insert_with(|| Planes::new(self.size));
        Ok((planes, &self.changed))
    }

    /// The samples are wanted where they are drawn from now on.
    pub(super) fn leave(&mut self) {
        self.planes = None;
    }

    /// A frame has come that differs in `damage`.
    pub(super) fn note(
        &mut self,
        ready: &FrameReady,
        damage: &MacroblockMap,
        taken: MonotonicMicros,
        converted: MonotonicMicros,
    ) {
        // The age of a packet counts from the oldest commit it shows.
        let waiting = self.changed.changed() > 0;
        let committed =
            if waiting { self.times.committed.min(ready.committed) } else { ready.committed };
        self.times = Times {
            sequence: ready.sequence,
            committed,
            rendered: ready.rendered,
            taken,
            converted,
        };
        self.changed.add(damage);
    }
}
