//! What is on the output, and where: windows, their popups, panels.
//!
//! Drawing and pointing both use this order and these places, so that what is clicked is what is
//! seen.

use smithay::{
    backend::renderer::utils::with_renderer_surface_state,
    desktop::{
        LayerSurface, PopupManager, WindowSurfaceType, layer_map_for_output,
        utils::with_surfaces_surface_tree,
    },
    output::Output,
    reexports::wayland_server::protocol::wl_surface::WlSurface,
    utils::{IsAlive, Logical, Point, Rectangle},
    wayland::{
        compositor::{SurfaceData, with_states},
        shell::{
            wlr_layer::{KeyboardInteractivity, Layer},
            xdg::XdgToplevelSurfaceData,
        },
    },
};

use crate::{
    layout::{Screen, WindowId},
    output::DesktopOutput,
    windows::{Windows, surface_of},
};

/// A surface, and the position of its origin on the output.
pub type Target = (WlSurface, Point<f64, Logical>);

/// All windows, popups and panels of the output.
pub struct WindowTree {
    /// All toplevels.
    pub windows: Windows,
    /// All popups.
    pub popups: PopupManager,
    /// A panel that has the keyboard instead of a window, because it was clicked.
    pub focused_layer: Option<LayerSurface>,
    /// Smithay keeps an output's panels in it.
    output: Output,
}

/// A part of the picture in the order from front to back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// The surfaces of one layer of the layer shell.
    Layer(Layer),
    /// The windows.
    Windows,
}

/// The surface at a position.
pub struct Found {
    /// What it belongs to, from the user's point of view.
    pub owner: Owner,
    /// The surface.
    pub target: Target,
    /// The size of a surface pixel on the output, above 0.
    pub shrink: f64,
}

/// What a surface belongs to.
pub enum Owner {
    /// A panel.
    Layer(LayerSurface),
    /// A window.
    Window(WindowId),
}

impl WindowTree {
    /// An empty tree on `output`.
    #[must_use]
    pub fn new(output: &DesktopOutput) -> Self {
        Self {
            windows: Windows::new(screen_of(output)),
            popups: PopupManager::default(),
            focused_layer: None,
            output: output.wayland.clone(),
        }
    }

    /// Updates the space for windows. Returns whether it has changed.
    pub fn refresh_screen(&mut self, output: &DesktopOutput) -> bool {
        self.windows.stack.set_screen(screen_of(output))
    }

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

    /// The foremost surface at a position on the output, and what it belongs to.
    #[must_use]
    pub fn under(&self, at: Point<f64, Logical>) -> Option<Found> {
        self.z_order().into_iter().find_map(|part| match part {
            Part::Layer(layer) => self.layer_under(layer, at),
            Part::Windows => self.window_under(at),
        })
    }

    /// The foremost surface at a position on the output.
    #[must_use]
    pub fn surface_under(&self, at: Point<f64, Logical>) -> Option<Target> {
        self.under(at).map(|found| found.target)
    }

    /// The size of a pixel on the output, above 0, of the surface at a position.
    #[must_use]
    pub fn shrink_under(&self, at: Point<f64, Logical>) -> f64 {
        self.under(at).map_or(1.0, |found| found.shrink)
    }

    fn window_under(&self, at: Point<f64, Logical>) -> Option<Found> {
        self.windows.stack.mapped().rev().find_map(|id| {
            let window = self.windows.window(id)?;
            let place = self.windows.stack.place(id)?;
            let within = place.in_content(at) + window.geometry().loc.to_f64();
            let (surface, offset) = window.surface_under(within, WindowSurfaceType::ALL)?;
            let target = (surface, at - (within - offset.to_f64()));
            Some(Found { owner: Owner::Window(id), target, shrink: place.shrink })
        })
    }

    fn layer_under(&self, layer: Layer, at: Point<f64, Logical>) -> Option<Found> {
        let map = layer_map_for_output(&self.output);
        map.layers_on(layer).rev().find_map(|surface| {
            let origin = map.layer_geometry(surface)?.loc.to_f64();
            let (found, offset) = surface.surface_under(at - origin, WindowSurfaceType::ALL)?;
            let target = (found, origin + offset.to_f64());
            Some(Found { owner: Owner::Layer(surface.clone()), target, shrink: 1.0 })
        })
    }

    /// The rectangle of the output in the pixels of a window or panel, relative to the corner of
    /// its content.
    #[must_use]
    pub fn seen_from(
        &self,
        root: &WlSurface,
        output: Rectangle<i32, Logical>,
    ) -> Option<Rectangle<i32, Logical>> {
        if let Some(id) = self.windows.of_surface(root) {
            return Some(self.windows.stack.place(id)?.rectangle_in_content(output));
        }
        let map = layer_map_for_output(&self.output);
        let layer = map.layer_for_surface(root, WindowSurfaceType::TOPLEVEL)?;
        let corner = map.layer_geometry(layer)?.loc;
        Some(Rectangle::new(output.loc - corner, output.size))
    }

    /// Whether a surface belongs to a panel.
    #[must_use]
    pub fn is_layer(&self, surface: &WlSurface) -> bool {
        layer_map_for_output(&self.output)
            .layer_for_surface(surface, WindowSurfaceType::TOPLEVEL)
            .is_some()
    }

    /// The surface of a window.
    #[must_use]
    pub fn surface_of_window(&self, id: WindowId) -> Option<&WlSurface> {
        surface_of(self.windows.window(id)?)
    }

    /// The title of the focused window.
    #[must_use]
    pub fn title(&self) -> Option<String> {
        with_states(self.surface_of_window(self.windows.stack.focused()?)?, |states| {
            let data = states.data_map.get::<XdgToplevelSurfaceData>()?.lock().ok()?;
            data.title.clone()
        })
    }

    /// The owner of the keyboard: the panel that was clicked or that appeared and requests all
    /// keys, or else the focused window. Apps that get the focus before they are mapped crash (foot
    /// 1.13), so only mapped ones are considered.
    pub fn keyboard_owner(&mut self) -> Option<WlSurface> {
        self.focused_layer.take_if(|layer| !layer.alive() || !layer.can_receive_keyboard_focus());
        self.focused_layer
            .as_ref()
            .map(|layer| layer.wl_surface().clone())
            .or_else(|| self.surface_of_window(self.windows.stack.focused()?).cloned())
    }

    /// A window appeared: a panel that does not request all keys yields the keyboard to it.
    pub fn yield_panel(&mut self) {
        self.focused_layer.take_if(|layer| !insists_on_keyboard(layer));
    }

    /// The root surfaces of everything, visible or not.
    #[must_use]
    pub fn roots(&self) -> Vec<WlSurface> {
        let windows = self.windows.all().filter_map(|(_, window)| surface_of(window).cloned());
        let mut roots: Vec<WlSurface> = windows.collect();
        let map = layer_map_for_output(&self.output);
        roots.extend(map.layers().map(|layer| layer.wl_surface().clone()));
        let popups: Vec<WlSurface> = roots
            .iter()
            .flat_map(PopupManager::popups_for_surface)
            .map(|(popup, _)| popup.wl_surface().clone())
            .collect();
        roots.extend(popups);
        roots
    }
}

/// Calls `each` for every surface of every one of `roots`.
pub fn for_each_surface(roots: &[WlSurface], mut each: impl FnMut(&WlSurface, &SurfaceData)) {
    for root in roots {
        with_surfaces_surface_tree(root, &mut each);
    }
}

/// Whether a surface has a buffer.
#[must_use]
pub fn has_content(surface: &WlSurface) -> bool {
    with_renderer_surface_state(surface, |state| state.buffer().is_some()).unwrap_or(false)
}

/// Whether a panel requests all keys. Any app may do that, so the request counts once, when the
/// panel appears, and until a viewer clicks elsewhere.
#[must_use]
pub fn insists_on_keyboard(layer: &LayerSurface) -> bool {
    let state = layer.cached_state();
    state.keyboard_interactivity == KeyboardInteractivity::Exclusive
        && matches!(state.layer, Layer::Overlay | Layer::Top)
        && has_content(layer.wl_surface())
}

fn screen_of(output: &DesktopOutput) -> Screen {
    let free = layer_map_for_output(&output.wayland).non_exclusive_zone();
    Screen { output: output.rectangle(), free }
}
