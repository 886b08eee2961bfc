//! Tries whether a driver that encodes sees what is drawn into its memory: a pattern is drawn there, read back and
//! compared sample by sample, and encoded. Only this trial reads it back.

use std::rc::Rc;

use lumen_ipc::units::{Fps, FrameSize, Kbps};

use crate::{
    convert::{MacroblockMap, Reduction},
    draw::{Canvas, Pattern, Surfaces, gl::Unusable},
    video::{
        PictureKind, Quantizer,
        vaapi::{self, Device},
    },
};

/// Why the driver that draws does not draw into the memory of the one that encodes.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoSharing {
    #[error(transparent)]
    Draw(#[from] Unusable),
    #[error(transparent)]
    Encode(#[from] vaapi::Failure),
    #[error("{wrong} of {all} samples are wrong in the surfaces of the driver that encodes")]
    Wrong { wrong: usize, all: usize },
    #[error(
        "the driver that encodes does not see what is drawn: a picture of noise takes {0} bytes"
    )]
    Blind(usize),
}

/// A picture, and two that differ from it in a part.
const FRAMES: usize = 3;

/// As fine as noise needs to be for each of its samples to cost something.
const QUANTIZER: Quantizer = Quantizer::nearest(20);

/// Opens an encoder whose memory pictures are drawn into, and tries it.
pub(super) fn open(
    device: &Rc<Device>,
    canvas: &mut Canvas,
    (size, fps, bitrate): (FrameSize, Fps, Kbps),
) -> Result<(vaapi::Encoder, Surfaces), NoSharing> {
    let (mut encoder, memory) = vaapi::Encoder::open_drawn(device, size, fps, bitrate)?;
    let mut surfaces = canvas.surfaces(size, &memory)?;
    drop(memory);
    surfaces.by_turns(false);
    let tried = try_out(canvas, &mut surfaces, &mut encoder);
    canvas.rest();
    tried?;
    surfaces.by_turns(true);
    Ok((encoder, surfaces))
}

/// Draws and encodes the pattern in one surface: the others are made in the same way.
fn try_out(
    canvas: &mut Canvas,
    surfaces: &mut Surfaces,
    encoder: &mut vaapi::Encoder,
) -> Result<(), NoSharing> {
    let size = surfaces.size();
    let pattern = Pattern::new(canvas, size)?;
    let pixels = usize::from(size.width()) * usize::from(size.height());
    let mut wrong = 0;
    for number in 0..FRAMES {
        let changed = pattern.draw(canvas, number)?;
        let filled = canvas.fill(surfaces, &changed)?;
        wrong += pattern.wrong_in(canvas, (surfaces, filled.surface), number)?;
        let kind = if number == 0 { PictureKind::Key } else { PictureKind::Predicted };
        let unit = encoder.encode_drawn(filled.surface, kind, QUANTIZER)?;
        // Two bits for a pixel of noise are few, and many for one of anything else.
        if unit.key && unit.bytes.len() < pixels / 4 {
            return Err(NoSharing::Blind(unit.bytes.len()));
        }
    }
    // A quarter of each side, or as little as there is of so small a picture.
    let small = Reduction::QUARTER.of(size);
    if small != size {
        let mut surfaces = canvas.own_surfaces(small)?;
        let filled = canvas.fill(&mut surfaces, &MacroblockMap::whole(size))?;
        wrong += pattern.wrong_in(canvas, (&surfaces, filled.surface), FRAMES - 1)?;
    }
    match wrong {
        0 => Ok(()),
        wrong => Err(NoSharing::Wrong { wrong, all: pixels * 3 / 2 * FRAMES }),
    }
}
