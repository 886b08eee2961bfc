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
    wayland::shell::wlr_layer::Layer,
};

use crate::state::State;

/// What is seen where no surface is.
pub const BACKGROUND: Color32F = Color32F::new(0.07, 0.08, 0.10, 1.0);

/// Everything in the picture, the foremost first.
pub fn scene(state: &State, renderer: &mut PixmanRenderer) -> Vec<SceneElement> {
    let mut elements = Vec::new();
    drag_icon(state, renderer, &mut elements);
    for part in state.z_order() {
        match part {
            Part::Layer(layer) => layer_surfaces(state, renderer, layer, &mut elements),
            Part::Windows => windows(state, renderer, &mut elements),
        }
    }
    elements
}

/// A part of the picture that lies between two others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// The surfaces of one layer of the layer shell.
    Layer(Layer),
    /// The windows.
    Windows,
}

impl State {
    /// The parts of the picture, the foremost first.
    #[must_use]
    pub fn z_order(&self) -> [Part; 5] {
        let (above, below) = if self.windows.stack.covers_panels() {
            (Part::Windows, Part::Layer(Layer::Top))
        } else {
            (Part::Layer(Layer::Top), Part::Windows)
        };
        let (bottom, background) = (Part::Layer(Layer::Bottom), Part::Layer(Layer::Background));
        [Part::Layer(Layer::Overlay), above, below, bottom, background]
    }
}

fn drag_icon(state: &State, renderer: &mut PixmanRenderer, elements: &mut Vec<SceneElement>) {
    if let Some(icon) = &state.drag_icon {
        let scale = state.output.scale();
        let at = state.pointer().current_location().to_physical(scale).to_i32_round::<i32>();
        let kind = Kind::Unspecified;
        elements.extend(render_elements_from_surface_tree::<_, SceneElement>(
            renderer, icon, at, scale, 1.0, kind,
        ));
    }
}

fn windows(state: &State, renderer: &mut PixmanRenderer, elements: &mut Vec<SceneElement>) {
    let scale = state.output.scale();
    for id in state.windows.stack.mapped().rev() {
        let place = state.windows.stack.place(id);
        let Some((window, place)) = state.windows.window(id).zip(place) else { continue };
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
    state: &State,
    renderer: &mut PixmanRenderer,
    layer: Layer,
    elements: &mut Vec<SceneElement>,
) {
    let (map, scale) = (layer_map_for_output(&state.output.wayland), state.output.scale());
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
