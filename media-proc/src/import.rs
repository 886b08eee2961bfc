//! The compositor's buffers: announced once, then named by slot until retired.
//!
//! Decides whether an announcement, a retirement and a frame make sense together. Generic over the
//! memory, which the shell maps or a driver imports, and this module only keeps. What only a renderer could
//! use is a breach of the contract unless one was offered.
//!
//! INVARIANT: each kept buffer was announced for the output served here, and its memory was checked
//! to have at least `stride × height` bytes. There are never more buffers than slots.

use lumen_ipc::{
    codec::Violation,
    message::frames::{BufferAnnounced, BufferMemory, Content, FrameReady, Layers, Picture, Rect},
    units::{BufferSize, FrameSize, OutputId, PIXEL_BYTES, SlotIndex},
};

/// The buffers of one output.
#[derive(Debug)]
pub struct Buffers<Memory> {
    output: OutputId,
    /// Whether a renderer was offered.
    offered: bool,
    /// Long enough for the highest slot ever used.
    slots: Vec<Option<Buffer<Memory>>>,
}

/// One buffer.
#[derive(Debug)]
pub struct Buffer<Memory> {
    /// Its memory.
    pub memory: Memory,
    /// Its size.
    pub size: BufferSize,
    /// Bytes from one row to the next; `None` where only a driver knows how its pixels lie.
    pub stride_bytes: Option<usize>,
}

/// The rows of an announced buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rows {
    /// Size of what is in them.
    pub size: BufferSize,
    /// Where the first one begins.
    pub offset_bytes: u32,
    /// Bytes from one to the next.
    pub stride_bytes: usize,
    /// Bytes of all of them.
    pub bytes: usize,
}

/// A frame of one output, with its damage.
#[derive(Debug)]
pub enum Frame<'buffers, 'ready, Memory> {
    /// It lies in a buffer.
    Drawn {
        /// The buffer.
        memory: &'buffers mut Memory,
        /// The frame's size, which is the buffer's.
        size: FrameSize,
        /// Bytes from one row to the next.
        stride_bytes: usize,
        /// What differs from the frame before.
        damage: &'ready [Rect],
    },
    /// It is drawn of layers, each of which shows a part of a kept buffer.
    Layers {
        /// The layers.
        layers: &'ready Layers,
        /// What differs from the frame before.
        damage: &'ready [Rect],
    },
}

impl Rows {
    /// The rows that `announced` states. Buffers of any size are announced only to a renderer that was
    /// `offered`.
    ///
    /// # Errors
    /// [`Violation`] when no frame can be in the buffer, its rows are too short, it is larger than
    /// memory can be, or only a renderer could use it.
    pub fn of(announced: &BufferAnnounced, offered: bool) -> Result<Self, Violation> {
        let (offset_bytes, stride, is_frame) = match announced.memory {
            BufferMemory::App { offset_bytes, stride_bytes } => {
                (offset_bytes, stride_bytes, !offered)
            }
            BufferMemory::Shared { stride_bytes } => (0, stride_bytes, true),
            BufferMemory::Dmabuf { .. } => {
                return Err(Violation::Illegal("a buffer for a renderer that was not offered"));
            }
        };
        let size = announced.size;
        if is_frame && FrameSize::try_from(size).is_err() {
            return Err(Violation::Illegal("a buffer that no frame can be in"));
        }
        let stride_bytes = usize::try_from(stride).unwrap_or(usize::MAX);
        if stride_bytes < usize::from(size.width()) * PIXEL_BYTES {
            return Err(Violation::Illegal("a buffer's rows are shorter than its frames"));
        }
        let bytes = stride_bytes
            .checked_mul(size.height().into())
            .ok_or(Violation::Illegal("a buffer is larger than the address space"))?;
        Ok(Self { size, offset_bytes, stride_bytes, bytes })
    }
}

impl<Memory> Buffers<Memory> {
    /// No buffers yet, for `output`, of a compositor that is `offered` a renderer or not.
    #[must_use]
    pub const fn new(output: OutputId, offered: bool) -> Self {
        Self { output, offered, slots: Vec::new() }
    }

    /// Whether a renderer was offered.
    #[must_use]
    pub const fn is_offered(&self) -> bool {
        self.offered
    }

    /// Keeps an announced buffer, whose memory has these rows, or an arrangement that a driver knows.
    ///
    /// # Errors
    /// [`Violation`] for another output or a slot that is taken.
    pub fn announce(
        &mut self,
        announced: &BufferAnnounced,
        rows: Option<Rows>,
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
        let stride_bytes = rows.map(|rows| rows.stride_bytes);
        *slot = Some(Buffer { memory, size: announced.size, stride_bytes });
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

    /// Whether no slot holds a buffer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    /// The buffer in a slot.
    #[must_use]
    pub fn get(&self, slot: SlotIndex) -> Option<&Buffer<Memory>> {
        self.slots.get(usize::from(slot.value())).and_then(Option::as_ref)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, slot: SlotIndex) -> Option<&mut Buffer<Memory>> {
        self.slots.get_mut(usize::from(slot.value())).and_then(Option::as_mut)
    }

    /// What a frame is made of, and its damage.
    ///
    /// # Errors
    /// [`Violation`] for another output, a slot that holds no buffer, layers without a renderer that was
    /// offered, a part of a buffer that leaves it, or damage outside the frame.
    pub fn frame<'ready>(
        &mut self,
        ready: &'ready FrameReady,
    ) -> Result<Frame<'_, 'ready, Memory>, Violation> {
        self.check(ready.output)?;
        let damaged = |size: FrameSize| {
            let damage = ready.damage.rects_within(size);
            damage.map_err(|_| Violation::Illegal("damage outside the frame"))
        };
        match &ready.picture {
            Picture::Drawn(slot) => {
                let buffer = self
                    .get_mut(*slot)
                    .ok_or(Violation::Illegal("a frame in a slot that holds no buffer"))?;
                let size = FrameSize::try_from(buffer.size)
                    .map_err(|_| Violation::Illegal("a frame in a buffer that can hold none"))?;
                let stride_bytes = buffer
                    .stride_bytes
                    .ok_or(Violation::Illegal("a frame in memory that nobody reads"))?;
                let damage = damaged(size)?;
                Ok(Frame::Drawn { memory: &mut buffer.memory, size, stride_bytes, damage })
            }
            Picture::Layers(layers) if self.offered => {
                for layer in layers.list.layers() {
                    self.check_content(&layer.content)?;
                }
                Ok(Frame::Layers { layers, damage: damaged(layers.size)? })
            }
            Picture::Layers(_) => {
                Err(Violation::Illegal("layers for a renderer that was not offered"))
            }
        }
    }

    fn check_content(&self, content: &Content) -> Result<(), Violation> {
        let Content::Buffer { slot, .. } = content else { return Ok(()) };
        let buffer =
            self.get(*slot).ok_or(Violation::Illegal("a layer of a slot that holds no buffer"))?;
        content
            .check_within(buffer.size)
            .map_err(|_| Violation::Illegal("a layer that shows more than its buffer has"))
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
        message::frames::{
            Changed, Colour, Crop, Damage, Layer, LayerList, PixelFormat, Place, Plane, Planes,
            Transform,
        },
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
        buffers.announce(announced, Some(Rows::of(announced, false)?), ())
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
        assert_eq!(Rows::of(&whole, false).map(|rows| rows.bytes), Ok(64 * 64 * 4));
        let memory = BufferMemory::Shared { stride_bytes: 255 };
        assert!(Rows::of(&BufferAnnounced { memory, ..whole }, false).is_err());
        for (width, height) in [(63, 64), (64, 1), (16_384, 16_384)] {
            let size = BufferSize::new(width, height).expect("legal buffer");
            let memory = BufferMemory::Shared { stride_bytes: u32::MAX };
            assert!(Rows::of(&BufferAnnounced { size, memory, ..whole }, false).is_err(), "{size}");
        }
    }

    #[test]
    fn what_only_a_renderer_could_use_is_a_violation() {
        let plane = Plane { offset_bytes: 0, stride_bytes: PlaneStride::clamped(256) };
        let planes = Planes::new(&[plane]).expect("one");
        let format = PixelFormat { fourcc: 0x3432_5258, modifier: 0 };
        let memory = BufferMemory::Dmabuf { format, planes };
        assert!(Rows::of(&BufferAnnounced { memory, ..announced(slot(0), 64) }, false).is_err());

        let mut buffers = Buffers::new(OutputId::PRIMARY, false);
        announce(&mut buffers, &announced(slot(0), 64)).expect("first");
        let layers = Layers {
            size: FrameSize::new(64, 64).expect("legal size"),
            ground: Colour { red: 0, green: 0, blue: 0, alpha: 255 },
            list: LayerList::new(Vec::new()).expect("none"),
        };
        let picture = Picture::Layers(layers);
        assert!(buffers.frame(&FrameReady { picture, ..ready(slot(0), INSIDE) }).is_err());
    }

    /// Buffers of a compositor that is offered a renderer: an app's of an odd size, and one of a driver's.
    fn offered() -> Buffers<()> {
        let mut buffers = Buffers::new(OutputId::PRIMARY, true);
        let size = BufferSize::new(33, 7).expect("legal buffer");
        let memory = BufferMemory::App { offset_bytes: 0, stride_bytes: 132 };
        let odd = BufferAnnounced { size, memory, ..announced(slot(0), 64) };
        let rows = Rows::of(&odd, true).expect("of any size");
        buffers.announce(&odd, Some(rows), ()).expect("first");
        buffers.announce(&announced(slot(1), 64), None, ()).expect("of a driver");
        buffers
    }

    fn of_layers(slot: SlotIndex, crop: Crop, changed: Changed) -> FrameReady {
        let content = Content::Buffer { slot, crop, transform: Transform::Normal, changed };
        let place = Place::new(0, 0, 10, 10).expect("within reach");
        let layer = Layer { content, place, alpha: 255, opaque: true };
        let layers = Layers {
            size: FrameSize::new(64, 64).expect("legal size"),
            ground: Colour { red: 0, green: 0, blue: 0, alpha: 255 },
            list: LayerList::new(vec![layer]).expect("one"),
        };
        FrameReady { picture: Picture::Layers(layers), ..ready(slot, INSIDE) }
    }

    #[test]
    fn layers_of_kept_buffers_are_taken_once_a_renderer_was_offered() {
        let size = BufferSize::new(33, 7).expect("legal buffer");
        let (crop, changed) = (Crop::whole(size), Changed::all(size));
        let mut buffers = offered();
        assert!(buffers.frame(&of_layers(slot(0), crop, changed.clone())).is_ok());
        assert!(buffers.frame(&of_layers(slot(1), crop, changed.clone())).is_ok());
        assert!(buffers.frame(&of_layers(slot(2), crop, changed.clone())).is_err(), "no buffer");
        let larger = BufferSize::new(34, 7).expect("legal buffer");
        for (crop, changed) in [(Crop::whole(larger), changed), (crop, Changed::all(larger))] {
            assert!(buffers.frame(&of_layers(slot(0), crop, changed)).is_err(), "beyond it");
        }
        let outside = FrameReady {
            damage: Damage::new(vec![OUTSIDE]).expect("legal rect"),
            ..of_layers(slot(0), crop, Changed::all(size))
        };
        assert!(buffers.frame(&outside).is_err());
    }

    #[test]
    fn drawn_frame_in_what_cannot_hold_one_is_a_violation() {
        let mut buffers = offered();
        assert!(buffers.frame(&ready(slot(0), INSIDE)).is_err(), "an odd size");
        assert!(buffers.frame(&ready(slot(1), INSIDE)).is_err(), "a driver's");
    }

    #[test]
    fn announce_taken_slot_is_a_violation_until_it_is_retired() {
        let mut buffers = Buffers::new(OutputId::PRIMARY, false);
        announce(&mut buffers, &announced(slot(3), 64)).expect("first");
        assert!(announce(&mut buffers, &announced(slot(3), 64)).is_err());
        buffers.retire(OutputId::PRIMARY, slot(3)).expect("announced");
        assert!(buffers.frame(&ready(slot(3), INSIDE)).is_err());
        announce(&mut buffers, &announced(slot(3), 66)).expect("free again");
        assert!(buffers.frame(&ready(slot(3), INSIDE)).is_ok());
    }

    #[test]
    fn retire_what_was_not_announced_is_a_violation() {
        let mut buffers = Buffers::new(OutputId::PRIMARY, false);
        announce(&mut buffers, &announced(slot(3), 64)).expect("first");
        for never in [slot(0), slot(4), SlotIndex::MAX] {
            assert!(buffers.retire(OutputId::PRIMARY, never).is_err(), "{never}");
        }
        buffers.retire(OutputId::PRIMARY, slot(3)).expect("announced");
        assert!(buffers.retire(OutputId::PRIMARY, slot(3)).is_err());
    }

    #[test]
    fn message_of_another_output_is_a_violation() {
        let mut buffers = Buffers::new(OutputId::PRIMARY, false);
        let buffer = BufferAnnounced { output: OTHER, ..announced(slot(0), 64) };
        assert!(announce(&mut buffers, &buffer).is_err());
        announce(&mut buffers, &announced(slot(0), 64)).expect("first");
        let frame = FrameReady { output: OTHER, ..ready(slot(0), INSIDE) };
        assert!(buffers.frame(&frame).is_err());
        assert!(buffers.retire(OTHER, slot(0)).is_err());
    }

    #[test]
    fn frame_with_damage_outside_is_a_violation() {
        let mut buffers = Buffers::new(OutputId::PRIMARY, false);
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
            let mut buffers = Buffers::new(OutputId::PRIMARY, false);
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
