//! Memory of surfaces, as descriptors.
//!
//! Decides only whether what a driver hands out is a picture of NV12 in two planes.

#![allow(unsafe_code, reason = "foreign functions; every block states why it is sound")]

use std::os::fd::{FromRawFd, OwnedFd};

use lumen_ipc::{
    message::frames::{PixelFormat, Plane},
    units::PlaneStride,
};

use crate::{
    surfaces::{ONE_CHANNEL, PlaneMemory, SurfaceMemory, TWO_CHANNELS},
    video::vaapi::{
        ffi::{Device, Unusable, done},
        types::{Id, NV12, PRIME, PrimeSurface, WRITABLE_PLANES},
    },
};

/// Hands out the memory of a surface, whose sides are whole macroblocks, as two planes that can be written.
pub(in crate::video::vaapi) fn export(
    device: &Device,
    surface: Id,
    coded: (u16, u16),
) -> Result<SurfaceMemory, Unusable> {
    let mut told = PrimeSurface::default();
    // SAFETY: an initialised display, its surface, and room for what this type of memory is described by.
    done("vaExportSurfaceHandle", unsafe {
        (device.va.export_surface)(
            device.display,
            surface,
            PRIME,
            WRITABLE_PLANES,
            (&raw mut told).cast(),
        )
    })?;
    let given = told.objects.iter().take(told.num_objects as usize);
    let objects: Vec<OwnedFd> = given
        .filter(|object| object.descriptor >= 0)
        // SAFETY: the call has opened them for whoever made it, which closes them (`va_drmcommon.h`).
        .map(|object| unsafe { OwnedFd::from_raw_fd(object.descriptor) })
        .collect();
    let planes = planes(&told, objects.len(), coded);
    let planes = planes.ok_or(Unusable::Lacks("surfaces of NV12 in two planes"))?;
    Ok(SurfaceMemory { objects, planes, coded })
}

/// Luma and chroma of a surface with so many objects; `None` if it is none of NV12, or too small.
fn planes(
    told: &PrimeSurface,
    objects: usize,
    (width, height): (u16, u16),
) -> Option<[PlaneMemory; 2]> {
    let whole = told.fourcc == NV12
        && (told.num_objects, told.num_layers) == (objects as u32, 2)
        && told.width >= width.into()
        && told.height >= height.into();
    let plane = |layer: usize, fourcc: u32| {
        let layer = told.layers.get(layer)?;
        let object = usize::try_from(layer.objects[0]).ok()?;
        let modifier = told.objects.get(object).filter(|_| object < objects)?.modifier;
        let stride_bytes = PlaneStride::new(layer.pitches[0].into()).ok()?;
        let place = Plane { offset_bytes: layer.offsets[0], stride_bytes };
        let suits = (layer.num_planes, layer.format) == (1, fourcc);
        suits.then_some(PlaneMemory { object, format: PixelFormat { fourcc, modifier }, place })
    };
    whole.then(|| Some([plane(0, ONE_CHANNEL)?, plane(1, TWO_CHANNELS)?])).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surfaces_that_are_not_two_planes_of_nv12_are_refused() {
        let mut told = PrimeSurface {
            fourcc: NV12,
            width: 352,
            height: 288,
            num_objects: 1,
            num_layers: 2,
            ..PrimeSurface::default()
        };
        for (layer, fourcc, offset) in [(0, ONE_CHANNEL, 0), (1, TWO_CHANNELS, 384 * 288)] {
            let layer = &mut told.layers[layer];
            (layer.format, layer.num_planes, layer.offsets[0]) = (fourcc, 1, offset);
            layer.pitches[0] = 384;
        }
        let found = planes(&told, 1, (352, 288)).expect("it is");
        assert_eq!(found[1].place.offset_bytes, 384 * 288);
        assert_eq!(planes(&told, 1, (368, 288)), None, "too small");
        assert_eq!(planes(&told, 0, (352, 288)), None, "no memory");
        let spoil: [fn(&mut PrimeSurface); 5] = [
            |told| told.fourcc = ONE_CHANNEL,
            |told| told.num_layers = 1,
            |told| told.layers[1].format = ONE_CHANNEL,
            |told| told.layers[1].objects[0] = 1,
            |told| told.layers[0].pitches[0] = u32::MAX,
        ];
        for (number, spoil) in spoil.into_iter().enumerate() {
            let mut spoilt = told;
            spoil(&mut spoilt);
            assert_eq!(planes(&spoilt, 1, (352, 288)), None, "{number}");
        }
    }
}
