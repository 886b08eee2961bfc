//! The picture: which surfaces are in it, front to back, and the memory it is drawn in.
//!
//! The pointer is never in it: browsers draw it themselves, without the way there and back.

mod element;
mod ffi;

pub use element::SceneElement;
pub use ffi::{Canvas, CanvasError};

use smithay::{
    backend::renderer::{
        Color32F,
        element::{AsRenderElements, Kind, surface::render_elements_from_surface_tree},
        pixman::PixmanRenderer,
    },
    desktop::layer_map_for_output,
    reexports::wayland_server::protocol::wl_surface::WlSurface,
    utils::{Logical, Point, Scale},
    wayland::shell::wlr_layer::Layer,
};

use crate::{
    output::DesktopOutput,
    tree::{Part, WindowTree},
};

/// What is seen where no surface is.
pub const BACKGROUND: Color32F = Color32F::new(0.07, 0.08, 0.10, 1.0);

/// What is drawn under the pointer, and where the pointer is.
pub type Dragged<'a> = Option<(&'a WlSurface, Point<f64, Logical>)>;

/// Everything in the picture, the foremost first.
pub fn scene(
    output: &DesktopOutput,
    tree: &WindowTree,
    drag: Dragged<'_>,
    renderer: &mut PixmanRenderer,
) -> Vec<SceneElement> {
    let scale = output.scale();
    let mut elements = Vec::new();
    drag_icon(drag, scale, renderer, &mut elements);
    for part in tree.z_order() {
        match part {
            Part::Layer(layer) => layer_surfaces(output, layer, renderer, &mut elements),
            Part::Windows => windows(tree, scale, renderer, &mut elements),
        }
    }
    elements
}

fn drag_icon(
    drag: Dragged<'_>,
    scale: Scale<f64>,
    renderer: &mut PixmanRenderer,
    elements: &mut Vec<SceneElement>,
) {
    if let Some((icon, at)) = drag {
        let at = at.to_physical(scale).to_i32_round::<i32>();
        let kind = Kind::Unspecified;
        elements.extend(render_elements_from_surface_tree::<_, SceneElement>(
            renderer, icon, at, scale, 1.0, kind,
        ));
    }
}

fn windows(
    tree: &WindowTree,
    scale: Scale<f64>,
    renderer: &mut PixmanRenderer,
    elements: &mut Vec<SceneElement>,
) {
    for id in tree.windows.stack.mapped().rev() {
        let place = tree.windows.stack.place(id);
        let Some((window, place)) = tree.windows.window(id).zip(place) else { continue };
        let corner = place.shown.loc.to_physical_precise_round(scale);
        let origin = place.shown.loc - window.geometry().loc;
        let surfaces = AsRenderElements::<PixmanRenderer>::render_elements::<SceneElement>(
            window,
            renderer,
            origin.to_physical_precise_round(scale),
            scale,
            1.0,
        );
        elements.extend(surfaces.into_iter().map(|surface| surface.shrunk(corner, place.shrink)));
    }
}

fn layer_surfaces(
    output: &DesktopOutput,
    layer: Layer,
    renderer: &mut PixmanRenderer,
    elements: &mut Vec<SceneElement>,
) {
    let (map, scale) = (layer_map_for_output(&output.wayland), output.scale());
    for surface in map.layers_on(layer).rev() {
        let Some(place) = map.layer_geometry(surface) else { continue };
        elements.extend(AsRenderElements::<PixmanRenderer>::render_elements::<SceneElement>(
            surface,
            renderer,
            place.loc.to_physical_precise_round(scale),
            scale,
            1.0,
        ));
    }
}
