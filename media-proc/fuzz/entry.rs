//! Entry points for fuzzing: what the compositor says of its buffers and frames, and what the sound server
//! delivers. Shared by the fuzz targets and the test of their seeds.

use std::time::{Duration, Instant};

use lumen_ipc::{
    codec,
    lease::{LEASE_LIFE, Stay},
    link::MAX_DESCRIPTORS,
    message::{
        frames::{BufferMemory, Content, Rect, ToMedia},
        sound::Speech,
    },
    sound::{SoundFormat, SoundKbps, SoundPayload},
    units::{BufferSize, MonotonicMicros, OutputId, PeerId},
};
use lumen_media::{
    import::{Buffers, Frame, Rows},
    sound::{
        coder::Coder,
        packetiser::{FRAME_SAMPLES, Packetiser, bounds},
        speech::Voices,
    },
};

/// A target: its name and what it does with an input.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All targets.
pub(crate) const TARGETS: &[Target] =
    &[("frames", frames), ("samples", samples), ("speech", speech)];

/// Messages of the compositor, each after its length, to a media without a renderer and to one with.
pub(crate) fn frames(bytes: &[u8]) {
    for offered in [false, true] {
        frames_to(Buffers::new(OutputId::PRIMARY, offered), bytes);
    }
}

fn frames_to(mut buffers: Buffers<usize>, mut bytes: &[u8]) {
    let offered = buffers.is_offered();
    while let Some((&length, rest)) = bytes.split_first() {
        let (message, rest) = rest.split_at(usize::from(length).min(rest.len()));
        bytes = rest;
        let message =
            (0..=MAX_DESCRIPTORS).find_map(|planes| codec::decode::<ToMedia>(message, planes).ok());
        match message {
            Some(ToMedia::BufferAnnounced(announced)) => {
                let is_dmabuf = matches!(announced.memory, BufferMemory::Dmabuf { .. });
                if let Ok(rows) = Rows::of(&announced, offered) {
                    let _ = buffers.announce(&announced, Some(rows), rows.bytes);
                } else if is_dmabuf && offered {
                    let _ = buffers.announce(&announced, None, 0);
                }
            }
            Some(ToMedia::BufferRetired { output, slot }) => drop(buffers.retire(output, slot)),
            Some(ToMedia::FrameReady(ready)) => match buffers.frame(&ready) {
                Ok(Frame::Drawn { memory, size, stride_bytes, damage }) => {
                    check(damage, size.into(), Some((stride_bytes, *memory)));
                }
                Ok(Frame::Layers { layers, damage }) => {
                    assert!(offered, "layers that nothing draws");
                    check(damage, layers.size.into(), None);
                    for layer in layers.list.layers() {
                        let Content::Buffer { slot, changed, .. } = &layer.content else {
                            continue;
                        };
                        let buffer = buffers.get(*slot).expect("a layer of a kept buffer");
                        let parts = changed.rects_within(buffer.size).expect("inside");
                        let rows = buffer.stride_bytes.map(|stride| (stride, buffer.memory));
                        check(parts, buffer.size, rows);
                    }
                }
                Err(_) => {}
            },
            None => {}
        }
    }
}

/// Blocks of the sound server: two bytes of how many milliseconds later each comes, two of where it begins in the
/// memory and two of its length, as the server says, and then the memory after its own length. A length whose
/// highest bit is set is taken for a much larger one.
pub(crate) fn samples(mut bytes: &[u8]) {
    let (format, mut now, mut end) = (SoundFormat::OpusStereo, 0, 0);
    let mut packetiser = Packetiser::new(format);
    let mut coder = Coder::new(format, SoundKbps::MAX).expect("an encoder");
    while let Some((&[later, more, offset, shift, size, scale, length], rest)) =
        bytes.split_first_chunk()
    {
        let (memory, rest) = rest.split_at((usize::from(length) * 32).min(rest.len()));
        bytes = rest;
        now += u64::from(u16::from_be_bytes([more & 0x7f, later])) * 1000;
        if more > 0x7f {
            packetiser.rest();
        }
        let [offset, size] = [(offset, shift), (size, scale)]
            .map(|(number, shift)| u32::from(number).checked_shl(shift.into()).unwrap_or(u32::MAX));
        let range = bounds(memory.len(), offset, size, format);
        let block = memory.get(range).expect("inside");
        let samples = block.as_chunks().0.iter().map(|sample| f32::from_le_bytes(*sample));
        let mut frames = Vec::new();
        packetiser.take(MonotonicMicros(now), samples, |frame| frames.push(frame));
        for frame in frames {
            assert!(frame.position.0 >= end, "frames overlap");
            end = frame.position.0 + FRAME_SAMPLES as u64;
            assert!(frame.samples.iter().all(|sample| (-1.0..=1.0).contains(sample)));
            coder.encode(&frame.samples).expect("a frame");
        }
    }
}

/// Packets of viewers' voices: a byte of how far each is from the one before, one of whose it is and how much is
/// recorded before the next, one of how many milliseconds later that is, and then Opus after its length. Small
/// steps go on, larger ones multiply the number, and the largest go back.
pub(crate) fn speech(mut bytes: &[u8]) {
    let (mut voices, mut now, mut sequence) = (Voices::default(), Instant::now(), 1_u64 << 20);
    voices.attend(now, Stay::somebody(LEASE_LIFE));
    while let Some((&[step, whose, later, length], rest)) = bytes.split_first_chunk() {
        let (payload, rest) = rest.split_at(usize::from(length).min(rest.len()));
        bytes = rest;
        sequence = match step {
            0..=99 => sequence.saturating_add(step.into()),
            100..=127 => sequence.saturating_mul(step.into()),
            _ => sequence.saturating_sub(step.into()),
        };
        now += Duration::from_millis(later.into());
        if later == u8::MAX {
            voices.attend(now, Stay::somebody(LEASE_LIFE));
        }
        if let Ok(payload) = SoundPayload::new(payload.to_vec()) {
            voices.say(now, Speech { peer: PeerId((whose & 1).into()), sequence, payload });
        }
        let mut samples = vec![f32::NAN; usize::from(whose >> 1) * 16];
        voices.fill(&mut samples);
        assert!(samples.iter().all(|sample| (-1.0..=1.0).contains(sample)));
    }
}

/// Each part lies inside, and the memory of its rows has its last byte.
fn check(parts: &[Rect], size: BufferSize, rows: Option<(usize, usize)>) {
    let (width, height) = (usize::from(size.width()), usize::from(size.height()));
    for rect in parts {
        let (x, y) = (usize::from(rect.x), usize::from(rect.y));
        let (right, low) = (x + usize::from(rect.width), y + usize::from(rect.height));
        assert!(right <= width && low <= height && x < right && y < low);
        if let Some((stride, bytes)) = rows {
            assert!((low - 1) * stride + right * 4 <= bytes, "a read past the memory");
        }
    }
}
