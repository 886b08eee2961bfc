//! Whether a window or panel is visible: only then does it get keys unasked.
//!
//! An app that shows nothing and gets every key is a keylogger. So its surfaces are drawn once
//! more, very small, and examined; if nothing is seen then, again less small, because a launcher may
//! be a line of text in a transparent surface as large as the screen. A surface that is nearly
//! transparent, or too small to be noticed, counts as invisible. This does not tell an app that
//! shows something from one that shows what the user expects.

use smithay::{
    backend::renderer::utils::with_renderer_surface_state,
    desktop::utils::bbox_from_surface_tree,
    reexports::wayland_server::protocol::wl_surface::WlSurface,
    utils::{Logical, Physical, Rectangle, Scale, Size},
};

use crate::{cursor::draw_alone, render::Cpu};

/// The least width and height that are noticed.
const LEAST_SIDE: i32 = 16;

/// Width and height of the first sample, which nearly every surface passes.
const FEW_SAMPLES: i32 = 16;

/// The most width and height of the second, which misses nothing that is noticed on an output of 4096
/// pixels. A surface that claims to be larger must not cost more.
const MOST_SAMPLES: i32 = 256;

/// The least opacity of a pixel that is noticed, of 255.
const LEAST_ALPHA: u8 = 16;

/// Whether a part of a surface tree is visible, wherever it is.
pub fn shows(renderer: &mut Cpu, root: &WlSurface) -> bool {
    let bounds = bbox_from_surface_tree(root, (0, 0));
    if !is_noticed(bounds.size) {
        return false;
    }
    let opaque = with_renderer_surface_state(root, |state| {
        let regions = state.opaque_regions().unwrap_or_default();
        regions.iter().any(|region| is_noticed(region.size))
    });
    // A surface that cannot be drawn is reported where the picture is made.
    if opaque == Some(true) {
        return true;
    }
    let few = Size::from((FEW_SAMPLES, FEW_SAMPLES));
    let dense = |length: i32| (2 * (length / LEAST_SIDE)).clamp(FEW_SAMPLES, MOST_SAMPLES);
    let many = Size::from((dense(bounds.size.w), dense(bounds.size.h)));
    let mut shows_in = |samples| has_visible_pixel(renderer, root, bounds, samples).unwrap_or(true);
    shows_in(few) || (many != few && shows_in(many))
}

fn is_noticed(size: Size<i32, Logical>) -> bool {
    size.w >= LEAST_SIDE && size.h >= LEAST_SIDE
}

fn has_visible_pixel(
    renderer: &mut Cpu,
    root: &WlSurface,
    bounds: Rectangle<i32, Logical>,
    samples: Size<i32, Physical>,
) -> Option<bool> {
    let scale = Scale::from((
        f64::from(samples.w) / f64::from(bounds.size.w),
        f64::from(samples.h) / f64::from(bounds.size.h),
    ));
    let corner = bounds.loc.to_f64().to_physical(scale).to_i32_round();
    let part = Rectangle::<i32, Physical>::new(corner, samples);
    let pixels = draw_alone(renderer, root, part, scale).ok()?;
    Some(
        pixels.chunks_exact(4).any(|pixel| pixel.last().is_some_and(|alpha| *alpha >= LEAST_ALPHA)),
    )
}
