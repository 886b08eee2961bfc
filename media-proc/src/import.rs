//! The compositor's buffers: announced once, then named by slot until retired.
//!
//! Decides whether an announcement, a retirement and a frame make sense together. Generic over the
//! memory, which the shell maps and this module only keeps. Nothing here draws, so no renderer is
//! offered to the compositor, and what only a renderer could use is a breach of the contract.
//!
//! INVARIANT: each kept buffer was announced for the output served here, and its memory was checked
//! to have at least `stride × height` bytes. There are never more buffers than slots.

use lumen_ipc::{
    codec::Violation,
    message::frames::{BufferAnnounced, BufferMemory, FrameReady, Picture, Rect},
    units::{FrameSize, OutputId, SlotIndex},
};

/// The buffers of one output.
#[derive(Debug)]
pub struct Buffers<Memory> {
    output: OutputId,
    /// Long enough for the highest slot ever used.
    slots: Vec<Option<Buffer<Memory>>>,
}

/// One buffer.
#[derive(Debug)]
pub struct Buffer<Memory> {
    /// Its memory.
    pub memory: Memory,
    /// Size of its frames.
    pub size: FrameSize,
    /// Bytes from one row to the next.
    pub stride_bytes: usize,
}

/// The rows of an announced buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rows {
    /// Size of the frames in them.
    pub size: FrameSize,
    /// Where the first one begins.
    pub offset_bytes: u32,
    /// Bytes from one to the next.
    pub stride_bytes: usize,
    /// Bytes of all of them.
    pub bytes: usize,
}

impl Rows {
    /// The rows that `announced` states.
    ///
    /// # Errors
    /// [`Violation`] when no frame can be in the buffer, its rows are too short, it is larger than
    /// memory can be, or only a renderer could use it.
    pub fn of(announced: &BufferAnnounced) -> Result<Self, Violation> {
        let (offset_bytes, stride) = match announced.memory {
            BufferMemory::App { offset_bytes, stride_bytes } => (offset_bytes, stride_bytes),
            BufferMemory::Shared { stride_bytes } => (0, stride_bytes),
            BufferMemory::Dmabuf { .. } => {
                return Err(Violation::Illegal("a buffer for a renderer that was not offered"));
            }
        };
        let size = FrameSize::try_from(announced.size)
            .map_err(|_| Violation::Illegal("a buffer that no frame can be in"))?;
        let stride_bytes = usize::try_from(stride).unwrap_or(usize::MAX);
        if stride_bytes < size.stride_bytes() {
            return Err(Violation::Illegal("a buffer's rows are shorter than its frames"));
        }
        let bytes = stride_bytes
            .checked_mul(size.height().into())
            .ok_or(Violation::Illegal("a buffer is larger than the address space"))?;
        Ok(Self { size, offset_bytes, stride_bytes, bytes })
    }
}

impl<Memory> Buffers<Memory> {
    /// No buffers yet, for `output`.
    #[must_use]
    pub const fn new(output: OutputId) -> Self {
        Self { output, slots: Vec::new() }
    }

    /// Keeps an announced buffer, whose memory has these rows.
    ///
    /// # Errors
    /// [`Violation`] for another output or a slot that is taken.
    pub fn announce(
        &mut self,
        announced: &BufferAnnounced,
        rows: Rows,
        memory: Memory,
    ) -> Result<(), Violation> {
        self.check(announced.output)?;
        let place = usize::from(announced.slot.value());
        if self.slots.len() <= place {
            self.slots.resize_with(place + 1, || None);
        }
        let slot = self
            .slots
            .get_mut(place)
            .ok_or(Violation::Illegal("a slot number beyond the last slot"))?;
        if slot.is_some() {
            return Err(Violation::Illegal("a slot is announced twice"));
        }
        *slot = Some(Buffer { memory, size: rows.size, stride_bytes: rows.stride_bytes });
        Ok(())
    }

    /// Drops a retired buffer.
    ///
    /// # Errors
    /// [`Violation`] for another output or a slot that holds no buffer.
    pub fn retire(&mut self, output: OutputId, slot: SlotIndex) -> Result<(), Violation> {
        self.check(output)?;
        let retired = self.slots.get_mut(usize::from(slot.value())).and_then(Option::take);
        retired.map(drop).ok_or(Violation::Illegal("a buffer that was not announced is retired"))
    }

    /// The buffer a frame lies in, and its damage.
    ///
    /// # Errors
    /// [`Violation`] for another output, a frame that is not drawn, a slot that holds no buffer, or
    /// damage outside the frame.
    pub fn frame<'frame>(
        &self,
        ready: &'frame FrameReady,
    ) -> Result<(&Buffer<Memory>, &'frame [Rect]), Violation> {
        self.check(ready.output)?;
        let Picture::Drawn(slot) = ready.picture else {
            return Err(Violation::Illegal("layers for a renderer that was not offered"));
        };
        let buffer = self
            .slots
            .get(usize::from(slot.value()))
            .and_then(Option::as_ref)
            .ok_or(Violation::Illegal("a frame in a slot that holds no buffer"))?;
        let rects = ready
            .damage
            .rects_within(buffer.size)
            .map_err(|_| Violation::Illegal("damage outside the frame"))?;
        Ok((buffer, rects))
    }

    fn check(&self, output: OutputId) -> Result<(), Violation> {
        if output == self.output {
            return Ok(());
        }
        Err(Violation::Illegal("an output that is not encoded"))
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::{
        message::frames::{Colour, Damage, LayerList, Layers, PixelFormat, Plane, Planes},
        units::{BufferSize, FrameSequence, MonotonicMicros, PlaneStride},
    };
    use proptest::prelude::*;

    use super::*;

    const OTHER: OutputId = OutputId::MAX;

    fn slot(slot: u64) -> SlotIndex {
        SlotIndex::new(slot).expect("legal slot")
    }

    fn announced(slot: SlotIndex, width: u16) -> BufferAnnounced {
        let size = FrameSize::new(width, 64).expect("legal size");
        let memory = BufferMemory::Shared { stride_bytes: u32::from(width) * 4 };
        BufferAnnounced { output: OutputId::PRIMARY, slot, size: size.into(), memory }
    }

    fn announce(buffers: &mut Buffers<()>, announced: &BufferAnnounced) -> Result<(), Violation> {
        buffers.announce(announced, Rows::of(announced)?, ())
    }

    fn ready(slot: SlotIndex, rect: Rect) -> FrameReady {
        FrameReady {
            output: OutputId::PRIMARY,
            picture: Picture::Drawn(slot),
            sequence: FrameSequence(1),
            damage: Damage::new(vec![rect]).expect("legal rect"),
            committed: MonotonicMicros(0),
            rendered: MonotonicMicros(0),
        }
    }

    const INSIDE: Rect = Rect { x: 60, y: 60, width: 4, height: 4 };
    const OUTSIDE: Rect = Rect { x: 60, y: 60, width: 5, height: 4 };

    #[test]
    fn rows_that_are_too_short_for_a_frame_or_no_frames_are_a_violation() {
        let whole = announced(slot(0), 64);
        assert_eq!(Rows::of(&whole).map(|rows| rows.bytes), Ok(64 * 64 * 4));
        let memory = BufferMemory::Shared { stride_bytes: 255 };
        assert!(Rows::of(&BufferAnnounced { memory, ..whole }).is_err());
        for (width, height) in [(63, 64), (64, 1), (16_384, 16_384)] {
            let size = BufferSize::new(width, height).expect("legal buffer");
            let memory = BufferMemory::Shared { stride_bytes: u32::MAX };
            assert!(Rows::of(&BufferAnnounced { size, memory, ..whole }).is_err(), "{size}");
        }
    }

    #[test]
    fn what_only_a_renderer_could_use_is_a_violation() {
        let plane = Plane { offset_bytes: 0, stride_bytes: PlaneStride::clamped(256) };
        let planes = Planes::new(&[plane]).expect("one");
        let format = PixelFormat { fourcc: 0x3432_5258, modifier: 0 };
        let memory = BufferMemory::Dmabuf { format, planes };
        assert!(Rows::of(&BufferAnnounced { memory, ..announced(slot(0), 64) }).is_err());

        let mut buffers = Buffers::new(OutputId::PRIMARY);
        announce(&mut buffers, &announced(slot(0), 64)).expect("first");
        let layers = Layers {
            size: FrameSize::new(64, 64).expect("legal size"),
            ground: Colour { red: 0, green: 0, blue: 0, alpha: 255 },
            list: LayerList::new(Vec::new()).expect("none"),
        };
        let picture = Picture::Layers(layers);
        assert!(buffers.frame(&FrameReady { picture, ..ready(slot(0), INSIDE) }).is_err());
    }

    #[test]
    fn announce_taken_slot_is_a_violation_until_it_is_retired() {
        let mut buffers = Buffers::new(OutputId::PRIMARY);
        announce(&mut buffers, &announced(slot(3), 64)).expect("first");
        assert!(announce(&mut buffers, &announced(slot(3), 64)).is_err());
        buffers.retire(OutputId::PRIMARY, slot(3)).expect("announced");
        assert!(buffers.frame(&ready(slot(3), INSIDE)).is_err());
        announce(&mut buffers, &announced(slot(3), 66)).expect("free again");
        assert!(buffers.frame(&ready(slot(3), INSIDE)).is_ok());
    }

    #[test]
    fn retire_what_was_not_announced_is_a_violation() {
        let mut buffers = Buffers::new(OutputId::PRIMARY);
        announce(&mut buffers, &announced(slot(3), 64)).expect("first");
        for never in [slot(0), slot(4), SlotIndex::MAX] {
            assert!(buffers.retire(OutputId::PRIMARY, never).is_err(), "{never}");
        }
        buffers.retire(OutputId::PRIMARY, slot(3)).expect("announced");
        assert!(buffers.retire(OutputId::PRIMARY, slot(3)).is_err());
    }

    #[test]
    fn message_of_another_output_is_a_violation() {
        let mut buffers = Buffers::new(OutputId::PRIMARY);
        let buffer = BufferAnnounced { output: OTHER, ..announced(slot(0), 64) };
        assert!(announce(&mut buffers, &buffer).is_err());
        announce(&mut buffers, &announced(slot(0), 64)).expect("first");
        let frame = FrameReady { output: OTHER, ..ready(slot(0), INSIDE) };
        assert!(buffers.frame(&frame).is_err());
        assert!(buffers.retire(OTHER, slot(0)).is_err());
    }

    #[test]
    fn frame_with_damage_outside_is_a_violation() {
        let mut buffers = Buffers::new(OutputId::PRIMARY);
        announce(&mut buffers, &announced(SlotIndex::MAX, 64)).expect("first");
        assert!(buffers.frame(&ready(SlotIndex::MAX, INSIDE)).is_ok());
        assert!(buffers.frame(&ready(SlotIndex::MAX, OUTSIDE)).is_err());
    }

    proptest! {
        /// Whatever is announced and retired in whatever order, a frame is accepted from exactly
        /// the slots that hold a buffer.
        #[test]
        fn frame_is_taken_from_announced_slots_only(
            steps in prop::collection::vec((any::<bool>(), 0_u64..6), 1..60)
        ) {
            let mut buffers = Buffers::new(OutputId::PRIMARY);
            let mut held = std::collections::BTreeSet::new();
            for (is_new, number) in steps {
                if is_new {
                    let outcome = announce(&mut buffers, &announced(slot(number), 64));
                    prop_assert_eq!(outcome.is_ok(), held.insert(number));
                } else {
                    let outcome = buffers.retire(OutputId::PRIMARY, slot(number));
                    prop_assert_eq!(outcome.is_ok(), held.remove(&number));
                }
                for number in 0..6 {
                    let frame = ready(slot(number), INSIDE);
                    prop_assert_eq!(buffers.frame(&frame).is_ok(), held.contains(&number));
                }
            }
        }
    }
}
