//! The compositor's buffers: announced once, then named by slot.
//!
//! Decides whether an announcement and a later frame make sense together. Generic over the memory,
//! which the shell maps and this module only keeps.
//!
//! INVARIANT: all buffers kept are of one generation and one size, and each was announced with at
//! least `stride × height` bytes, which the memory was checked to have.

use lumen_ipc::{
    codec::Violation,
    message::frames::{BufferAnnounced, FrameReady, Rect},
    units::{BufferGeneration, FrameSize, SlotIndex},
};

/// As many as slot indices.
const SLOTS: usize = SlotIndex::MAX.value() as usize + 1;

/// The buffers of the newest generation.
#[derive(Debug)]
pub struct Buffers<Memory> {
    set: Option<(BufferGeneration, FrameSize)>,
    slots: [Option<Buffer<Memory>>; SLOTS],
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

/// Bytes an announced buffer must have.
///
/// # Errors
/// [`Violation`] when its rows are too short, or it is larger than memory can be.
pub fn needed_bytes(announced: &BufferAnnounced) -> Result<usize, Violation> {
    let stride = usize::try_from(announced.stride_bytes).unwrap_or(usize::MAX);
    if stride < announced.size.stride_bytes() {
        return Err(Violation::Illegal("a buffer's rows are shorter than its frames"));
    }
    stride
        .checked_mul(announced.size.height().into())
        .ok_or(Violation::Illegal("a buffer is larger than memory"))
}

impl<Memory> Default for Buffers<Memory> {
    fn default() -> Self {
        Self { set: None, slots: std::array::from_fn(|_| None) }
    }
}

impl<Memory> Buffers<Memory> {
    /// Keeps an announced buffer. A new generation retires the one before.
    ///
    /// # Errors
    /// [`Violation`] for an old generation, a slot that is taken, or two sizes in one generation.
    pub fn announce(
        &mut self,
        announced: &BufferAnnounced,
        memory: Memory,
    ) -> Result<(), Violation> {
        let new = match self.set {
            None => true,
            Some((current, _)) if announced.generation < current => {
                return Err(Violation::Illegal("a buffer of a retired generation is announced"));
            }
            Some((current, size)) if announced.generation == current => {
                if announced.size != size {
                    return Err(Violation::Illegal("buffers of one generation differ in size"));
                }
                false
            }
            Some(_) => true,
        };
        if new {
            *self = Self { set: Some((announced.generation, announced.size)), ..Self::default() };
        }
        let slot = self
            .slots
            .get_mut(usize::from(announced.slot.value()))
            .ok_or(Violation::Illegal("a slot beyond the last"))?;
        if slot.is_some() {
            return Err(Violation::Illegal("a slot is announced twice"));
        }
        // A stride was checked to fit by `needed_bytes`, and a `u32` fits anyway on 64 bits.
        let stride_bytes = announced.stride_bytes as usize;
        *slot = Some(Buffer { memory, size: announced.size, stride_bytes });
        Ok(())
    }

    /// The buffer a frame lies in, and its damage.
    ///
    /// # Errors
    /// [`Violation`] for another generation, an unannounced slot, or damage outside the frame.
    pub fn frame<'frame>(
        &self,
        ready: &'frame FrameReady,
    ) -> Result<(&Buffer<Memory>, &'frame [Rect]), Violation> {
        if self.set.is_none_or(|(current, _)| current != ready.generation) {
            return Err(Violation::Illegal("a frame of another generation than announced"));
        }
        let buffer = self
            .slots
            .get(usize::from(ready.slot.value()))
            .and_then(Option::as_ref)
            .ok_or(Violation::Illegal("a frame in a slot that was not announced"))?;
        let rects = ready
            .damage
            .rects_within(buffer.size)
            .map_err(|_| Violation::Illegal("damage outside the frame"))?;
        Ok((buffer, rects))
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::{
        message::frames::{BufferMemory, Damage},
        units::{FrameSequence, MonotonicMicros},
    };

    use super::*;

    fn announced(generation: u32, slot: u64, width: u16) -> BufferAnnounced {
        let size = FrameSize::new(width, 64).expect("legal size");
        BufferAnnounced {
            generation: BufferGeneration(generation),
            slot: SlotIndex::new(slot).expect("legal slot"),
            size,
            stride_bytes: u32::from(width) * 4,
            memory: BufferMemory::Compositor,
        }
    }

    fn ready(generation: u32, slot: u64, rect: Rect) -> FrameReady {
        FrameReady {
            generation: BufferGeneration(generation),
            slot: SlotIndex::new(slot).expect("legal slot"),
            sequence: FrameSequence(1),
            damage: Damage::new(vec![rect]).expect("legal rect"),
            committed: MonotonicMicros(0),
            rendered: MonotonicMicros(0),
        }
    }

    const INSIDE: Rect = Rect { x: 60, y: 60, width: 4, height: 4 };
    const OUTSIDE: Rect = Rect { x: 60, y: 60, width: 5, height: 4 };

    #[test]
    fn needed_bytes_of_short_rows_is_a_violation() {
        let short = BufferAnnounced { stride_bytes: 255, ..announced(1, 0, 64) };
        assert!(needed_bytes(&short).is_err());
        assert_eq!(needed_bytes(&announced(1, 0, 64)), Ok(64 * 64 * 4));
    }

    #[test]
    fn announce_taken_slot_old_generation_or_other_size_is_a_violation() {
        let mut buffers = Buffers::default();
        buffers.announce(&announced(2, 0, 64), ()).expect("first");
        buffers.announce(&announced(2, 1, 64), ()).expect("second");
        assert!(buffers.announce(&announced(2, 1, 64), ()).is_err());
        assert!(buffers.announce(&announced(1, 2, 64), ()).is_err());
        assert!(buffers.announce(&announced(2, 2, 66), ()).is_err());
    }

    #[test]
    fn announce_new_generation_retires_the_old() {
        let mut buffers = Buffers::default();
        buffers.announce(&announced(1, 0, 64), ()).expect("old");
        buffers.announce(&announced(2, 1, 66), ()).expect("new");
        assert!(buffers.frame(&ready(1, 0, INSIDE)).is_err());
        assert!(buffers.frame(&ready(2, 0, INSIDE)).is_err());
        assert!(buffers.frame(&ready(2, 1, INSIDE)).is_ok());
    }

    #[test]
    fn frame_with_damage_outside_is_a_violation() {
        let mut buffers = Buffers::default();
        buffers.announce(&announced(1, 0, 64), ()).expect("first");
        assert!(buffers.frame(&ready(1, 0, INSIDE)).is_ok());
        assert!(buffers.frame(&ready(1, 0, OUTSIDE)).is_err());
    }
}
