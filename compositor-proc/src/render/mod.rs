//! The picture: its surfaces from front to back, and the memory it is drawn in.
//!
//! The pointer is not part of it: browsers draw it themselves, which saves a round trip.

mod cpu;
mod describe;
mod element;
mod ffi;

pub use cpu::Cpu;
pub use describe::Describer;
pub use element::SceneElement;
pub use ffi::{Canvas, CanvasError};

use lumen_ipc::units::FrameSize;
use smithay::{
    backend::renderer::{
        Color32F, ImportAll, Renderer,
        element::{AsRenderElements, Element, Kind, surface::render_elements_from_surface_tree},
    },
    desktop::{PopupManager, layer_map_for_output},
    reexports::wayland_server::protocol::wl_surface::WlSurface,
    utils::{Logical, Physical, Point, Rectangle, Scale},
    wayland::shell::wlr_layer::Layer,
};

use crate::{
    output::DesktopOutput,
    tree::{Part, WindowTree},
    windows::surface_of,
};

/// The colour where no surface is.
pub const BACKGROUND: Color32F = Color32F::new(0.07, 0.08, 0.10, 1.0);

/// The dragged icon and the pointer's position.
pub type Dragged<'a> = Option<(&'a WlSurface, Point<f64, Logical>)>;

/// The elements of a picture.
pub struct Scene<R: Renderer = Cpu> {
    /// Everything visible, the foremost first. Surfaces that are entirely hidden are left out, so a
    /// picture costs what is visible in it, whatever lies behind.
    pub elements: Vec<SceneElement<R>>,
    /// The roots of the surface trees to which the elements belong.
    pub roots: Vec<WlSurface>,
}

/// The picture of `output`.
pub fn scene<R: Renderer + ImportAll>(
    output: &DesktopOutput,
    tree: &WindowTree,
    drag: Dragged<'_>,
    renderer: &mut R,
) -> Scene<R>
where
    R::TextureId: Clone + 'static,
{
    let mut painter = Painter {
        scale: output.scale(),
        renderer,
        scene: Scene { elements: Vec::new(), roots: Vec::new() },
        hidden: Hidden::default(),
        room: Room::of(output.size.pixels),
    };
    painter.drag_icon(drag);
    let size = output.size.pixels;
    let whole = Rectangle::from_size((i32::from(size.width()), i32::from(size.height())).into());
    for part in tree.z_order() {
        if painter.hidden.contains(whole) {
            break;
        }
        match part {
            Part::Layer(layer) => painter.layer_surfaces(output, layer),
            Part::Windows => painter.windows(tree, whole),
        }
    }
    painter.scene
}

/// The areas covered by opaque surfaces.
#[derive(Default)]
struct Hidden(Vec<Rectangle<i32, Physical>>);

impl Hidden {
    /// Most rectangles that are remembered; more would cost more than they save.
    const MOST: usize = 16;

    fn contains(&self, area: Rectangle<i32, Physical>) -> bool {
        self.0.iter().any(|hidden| hidden.contains_rect(area))
    }

    fn add(&mut self, area: Rectangle<i32, Physical>) {
        if self.0.len() < Self::MOST && !self.contains(area) {
            self.0.push(area);
        }
    }
}

/// How much may still be drawn: so many outputs full of pixels that something may be seen through.
///
/// Every frame draws all of them, which nobody sees any more after the first dozen, and an app could have
/// thousands.
struct Room {
    whole: Rectangle<i32, Physical>,
    pixels: i64,
}

impl Room {
    const OUTPUTS: i64 = 16;

    fn of(size: FrameSize) -> Self {
        let (width, height) = (i32::from(size.width()), i32::from(size.height()));
        let pixels = i64::from(width) * i64::from(height) * Self::OUTPUTS;
        Self { whole: Rectangle::from_size((width, height).into()), pixels }
    }

    /// Whether there is room for this, which takes it.
    fn take(&mut self, area: Rectangle<i32, Physical>) -> bool {
        let area = area.intersection(self.whole);
        let pixels = area.map_or(0, |area| i64::from(area.size.w) * i64::from(area.size.h));
        let fits = pixels <= self.pixels;
        if fits {
            self.pixels -= pixels;
        }
        fits
    }
}

/// Builds a scene from front to back.
struct Painter<'a, R: Renderer> {
    scale: Scale<f64>,
    renderer: &'a mut R,
    scene: Scene<R>,
    hidden: Hidden,
    room: Room,
}

impl<R: Renderer + ImportAll> Painter<'_, R>
where
    R::TextureId: Clone + 'static,
{
    fn drag_icon(&mut self, drag: Dragged<'_>) {
        if let Some((icon, at)) = drag {
            let at = at.to_physical(self.scale).to_i32_round::<i32>();
            let kind = Kind::Unspecified;
            self.scene.elements.extend(render_elements_from_surface_tree::<_, SceneElement<R>>(
                self.renderer,
                icon,
                at,
                self.scale,
                1.0,
                kind,
            ));
            self.scene.roots.push(icon.clone());
        }
    }

    fn windows(&mut self, tree: &WindowTree, whole: Rectangle<i32, Physical>) {
        let scale = self.scale;
        for id in tree.windows.stack.mapped().rev() {
            if self.hidden.contains(whole) {
                return;
            }
            let place = tree.windows.stack.place(id);
            let Some((window, place)) = tree.windows.window(id).zip(place) else { continue };
            let corner = place.shown.loc.to_physical_precise_round(scale);
            let origin = place.shown.loc - window.geometry().loc;
            // A shrunk window lies within the area that it would cover unshrunk.
            let mut area = window.bbox_with_popups();
            area.loc += origin;
            if self.hidden.contains(area.to_physical_precise_up(scale)) {
                continue;
            }
            let surfaces = AsRenderElements::<R>::render_elements::<SceneElement<R>>(
                window,
                self.renderer,
                origin.to_physical_precise_round(scale),
                scale,
                1.0,
            );
            let shrunk = surfaces.into_iter().map(|part| part.shrunk(corner, place.shrink));
            self.add(surface_of(window), shrunk.collect());
        }
    }

    fn layer_surfaces(&mut self, output: &DesktopOutput, layer: Layer) {
        let map = layer_map_for_output(&output.wayland);
        for surface in map.layers_on(layer).rev() {
            let Some(place) = map.layer_geometry(surface) else { continue };
            let parts = AsRenderElements::<R>::render_elements::<SceneElement<R>>(
                surface,
                self.renderer,
                place.loc.to_physical_precise_round(self.scale),
                self.scale,
                1.0,
            );
            self.add(Some(surface.wl_surface()), parts);
        }
    }

    /// Adds the elements of a surface tree and its popups behind all others.
    fn add(&mut self, root: Option<&WlSurface>, elements: Vec<SceneElement<R>>) {
        for element in elements.iter().filter(|element| element.alpha() >= 1.0) {
            let at = element.geometry(self.scale).loc;
            for mut region in element.opaque_regions(self.scale) {
                region.loc += at;
                self.hidden.add(region);
            }
        }
        let (scale, room) = (self.scale, &mut self.room);
        let drawn = elements.into_iter().filter(|element| room.take(element.geometry(scale)));
        self.scene.elements.extend(drawn);
        if let Some(root) = root {
            let popups = PopupManager::popups_for_surface(root);
            self.scene.roots.extend(popups.map(|(popup, _)| popup.wl_surface().clone()));
            self.scene.roots.push(root.clone());
        }
    }
}
