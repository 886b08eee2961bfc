//! Whether a window or panel is visible: only then does it get the keyboard unasked.
//!
//! An app that shows nothing and gets every key is a keylogger. So its surfaces are drawn once
//! more, very small, and examined. A surface that is nearly transparent, or too small to be
//! noticed, counts as invisible. This does not tell an app that shows something from one that shows
//! what the user expects.

use smithay::{
    backend::renderer::{pixman::PixmanRenderer, utils::with_renderer_surface_state},
    desktop::utils::bbox_from_surface_tree,
    reexports::wayland_server::protocol::wl_surface::WlSurface,
    utils::{Logical, Physical, Rectangle, Scale, Size},
};

use crate::cursor::draw_alone;

/// The least width and height that are noticed.
const LEAST_SIDE: i32 = 16;

/// Width and height of the sample.
const SAMPLES: i32 = 16;

/// The least opacity of a pixel that is noticed, of 255.
const LEAST_ALPHA: u8 = 16;

/// Whether a part of a surface tree is visible, wherever it is.
pub fn shows(renderer: &mut PixmanRenderer, root: &WlSurface) -> bool {
    let bounds = bbox_from_surface_tree(root, (0, 0));
    if !is_noticed(bounds.size) {
        return false;
    }
    let opaque = with_renderer_surface_state(root, |state| {
        let regions = state.opaque_regions().unwrap_or_default();
        regions.iter().any(|region| is_noticed(region.size))
    });
    // A surface that cannot be drawn is reported where the picture is made.
    opaque == Some(true) || has_visible_pixel(renderer, root, bounds).unwrap_or(true)
}

fn is_noticed(size: Size<i32, Logical>) -> bool {
    size.w >= LEAST_SIDE && size.h >= LEAST_SIDE
}

fn has_visible_pixel(
    renderer: &mut PixmanRenderer,
    root: &WlSurface,
    bounds: Rectangle<i32, Logical>,
) -> Option<bool> {
    let side = |length: i32| f64::from(SAMPLES) / f64::from(length);
    let scale = Scale::from((side(bounds.size.w), side(bounds.size.h)));
    let corner = bounds.loc.to_f64().to_physical(scale).to_i32_round();
    let part = Rectangle::<i32, Physical>::new(corner, (SAMPLES, SAMPLES).into());
    let pixels = draw_alone(renderer, root, part, scale).ok()?;
    Some(
        pixels.chunks_exact(4).any(|pixel| pixel.last().is_some_and(|alpha| *alpha >= LEAST_ALPHA)),
    )
}
