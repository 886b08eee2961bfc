//! The cursor's image, as the `desktop` link carries it.
//!
//! The renderer for windows also draws an app's own cursor, alone, on a transparent background: so
//! every buffer format, scale and subsurface that works in a window works here.

use lumen_ipc::{
    message::desktop::{Cursor, CursorImage},
    text::Text,
};
use smithay::{
    backend::{
        allocator::Fourcc,
        renderer::{
            Bind, Color32F, ExportMem, Frame, Offscreen, Renderer,
            element::{Element, Kind, RenderElement, surface::render_elements_from_surface_tree},
            pixman::PixmanError,
        },
    },
    desktop::utils::bbox_from_surface_tree,
    input::pointer::{CursorImageStatus, CursorImageSurfaceData},
    reexports::{pixman::Image, wayland_server::protocol::wl_surface::WlSurface},
    utils::{Logical, Physical, Point, Rectangle, Scale, Size, Transform},
    wayland::compositor::with_states,
};

use crate::render::{Cpu, SceneElement};

/// The message to rtc for a cursor with this `status` on an output of this scale.
pub fn describe(renderer: &mut Cpu, status: &CursorImageStatus, scale: Scale<f64>) -> Cursor {
    match status {
        CursorImageStatus::Hidden => Cursor::Hidden,
        CursorImageStatus::Named(icon) => Cursor::Named(Text::truncated(icon.name())),
        // A cursor that cannot be drawn must not vanish: the user would lose it.
        CursorImageStatus::Surface(surface) => image_of(renderer, surface, scale)
            .unwrap_or_else(|_| Cursor::Named(Text::truncated("default"))),
    }
}

/// The hotspot of a cursor's surface.
#[must_use]
pub fn hotspot_of(surface: &WlSurface) -> Point<i32, Logical> {
    with_states(surface, |states| {
        let attributes = states.data_map.get::<CursorImageSurfaceData>();
        attributes
            .and_then(|attributes| attributes.lock().ok().map(|attributes| attributes.hotspot))
            .unwrap_or_default()
    })
}

/// Moves the hotspot, as `wl_surface.attach` and `offset` request.
pub fn move_hotspot(surface: &WlSurface, delta: Point<i32, Logical>) {
    with_states(surface, |states| {
        if let Some(attributes) = states.data_map.get::<CursorImageSurfaceData>()
            && let Ok(mut attributes) = attributes.lock()
        {
            attributes.hotspot -= delta;
        }
    });
}

fn image_of(
    renderer: &mut Cpu,
    surface: &WlSurface,
    scale: Scale<f64>,
) -> Result<Cursor, PixmanError> {
    let hotspot = hotspot_of(surface);
    let bounds = bbox_from_surface_tree(surface, (0, 0));
    let scale = fitting(bounds.size, scale);
    let hotspot = (hotspot - bounds.loc).to_f64().to_physical(scale).to_i32_floor::<i32>();
    let bounds: Rectangle<i32, Physical> = bounds.to_physical_precise_round(scale);
    let limit = i32::from(CursorImage::MAX_SIDE);
    let size = Size::from((bounds.size.w.min(limit), bounds.size.h.min(limit)));
    if size.w <= 0 || size.h <= 0 {
        return Ok(Cursor::Hidden);
    }
    let mut rgba = draw_alone(renderer, surface, Rectangle::new(bounds.loc, size), scale)?;
    unpremultiply(&mut rgba);
    let within = |value: i32, side: i32| u8::try_from(value.clamp(0, side - 1)).unwrap_or(0);
    let side = |length: i32| u8::try_from(length).unwrap_or(CursorImage::MAX_SIDE);
    let image = CursorImage::new(
        (side(size.w), side(size.h)),
        (within(hotspot.x, size.w), within(hotspot.y, size.h)),
        rgba,
    );
    Ok(image.map_or(Cursor::Hidden, Cursor::Image))
}

/// `scale`, or less for a cursor that would not fit in a message: a small one is better than one
/// that is cut off.
fn fitting(size: Size<i32, Logical>, scale: Scale<f64>) -> Scale<f64> {
    let longest = f64::from(size.w.max(size.h).max(1)) * scale.x.max(scale.y);
    let shrunk = (f64::from(CursorImage::MAX_SIDE) / longest).min(1.0);
    Scale::from((scale.x * shrunk, scale.y * shrunk))
}

/// Draws `part` of a surface tree on a transparent background and returns premultiplied RGBA.
///
/// # Errors
/// [`PixmanError`] when there is no memory for it.
pub fn draw_alone(
    renderer: &mut Cpu,
    surface: &WlSurface,
    part: Rectangle<i32, Physical>,
    scale: Scale<f64>,
) -> Result<Vec<u8>, PixmanError> {
    let size = part.size;
    let buffer_size = Size::from((size.w, size.h));
    let whole = Rectangle::from_size(size);
    let at = Point::from((0, 0)) - part.loc;
    let mut ground: Image<'static, 'static> =
        renderer.create_buffer(Fourcc::Abgr8888, buffer_size)?;
    let elements: Vec<SceneElement> =
        render_elements_from_surface_tree(renderer, surface, at, scale, 1.0, Kind::Cursor);
    let mut target = renderer.bind(&mut ground)?;
    let mut frame = renderer.render(&mut target, size, Transform::Normal)?;
    frame.clear(Color32F::TRANSPARENT, &[whole])?;
    for element in elements.iter().rev() {
        let place = element.geometry(scale);
        let damage = Rectangle::from_size(place.size);
        RenderElement::<Cpu>::draw(element, &mut frame, element.src(), place, &[damage], &[])?;
    }
    // Pixman draws synchronously.
    let _ = frame.finish()?;
    let mapping =
        renderer.copy_framebuffer(&target, Rectangle::from_size(buffer_size), Fourcc::Abgr8888)?;
    renderer.map_texture(&mapping).map(<[u8]>::to_vec)
}

/// Turns premultiplied RGBA, as Wayland has it, into straight RGBA, as canvases have it.
fn unpremultiply(rgba: &mut [u8]) {
    for pixel in rgba.chunks_exact_mut(4) {
        let &mut [ref mut red, ref mut green, ref mut blue, alpha] = pixel else { continue };
        if alpha == 0 || alpha == u8::MAX {
            continue;
        }
        for channel in [red, green, blue] {
            let straight = (u16::from(*channel) * 255 + u16::from(alpha) / 2) / u16::from(alpha);
            *channel = u8::try_from(straight).unwrap_or(u8::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpremultiply_half_transparent_white_is_white() {
        let mut pixels = [128, 128, 128, 128, 0, 0, 0, 0, 9, 8, 7, 255];
        unpremultiply(&mut pixels);
        assert_eq!(pixels, [255, 255, 255, 128, 0, 0, 0, 0, 9, 8, 7, 255]);
    }

    #[test]
    fn unpremultiply_illegal_color_above_alpha_saturates() {
        let mut pixels = [200, 0, 0, 100];
        unpremultiply(&mut pixels);
        assert_eq!(pixels, [255, 0, 0, 100]);
    }
}
