//! Entry points for fuzzing: what the compositor says of its buffers and frames. Shared by the fuzz
//! targets and the test of their seeds.

use lumen_ipc::{codec, link::MAX_DESCRIPTORS, message::frames::ToMedia, units::OutputId};
use lumen_media::import::{Buffers, Rows};

/// A target: its name and what it does with an input.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All targets.
pub(crate) const TARGETS: &[Target] = &[("frames", frames)];

/// Messages of the compositor, each after its length.
pub(crate) fn frames(mut bytes: &[u8]) {
    let mut buffers = Buffers::new(OutputId::PRIMARY);
    while let Some((&length, rest)) = bytes.split_first() {
        let (message, rest) = rest.split_at(usize::from(length).min(rest.len()));
        bytes = rest;
        let message =
            (0..=MAX_DESCRIPTORS).find_map(|planes| codec::decode::<ToMedia>(message, planes).ok());
        match message {
            Some(ToMedia::BufferAnnounced(announced)) => {
                if let Ok(rows) = Rows::of(&announced) {
                    let _ = buffers.announce(&announced, rows, rows.bytes);
                }
            }
            Some(ToMedia::BufferRetired { output, slot }) => drop(buffers.retire(output, slot)),
            Some(ToMedia::FrameReady(ready)) => {
                if let Ok((buffer, damage)) = buffers.frame(&ready) {
                    let (width, height) =
                        (usize::from(buffer.size.width()), usize::from(buffer.size.height()));
                    for rect in damage {
                        let (x, y) = (usize::from(rect.x), usize::from(rect.y));
                        let (right, low) =
                            (x + usize::from(rect.width), y + usize::from(rect.height));
                        assert!(right <= width && low <= height && x < right && y < low);
                        // The last byte that is read of the rectangle.
                        let last = (low - 1) * buffer.stride_bytes + right * 4;
                        assert!(last <= buffer.memory, "a read past the memory");
                    }
                }
            }
            _ => {}
        }
    }
}
