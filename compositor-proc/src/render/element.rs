//! A surface to be drawn, whose failure costs its own client and nobody else.
//!
//! A client can cut its shared memory short while we read it. Smithay turns the fault into an
//! error of that one surface; passed on, it would abort the whole frame and every frame after it.

use std::cell::Cell;

use smithay::{
    backend::renderer::{
        RendererSuper,
        element::{
            Element, Id, Kind, RenderElement, UnderlyingStorage,
            surface::WaylandSurfaceRenderElement,
        },
        pixman::{PixmanError, PixmanRenderer},
        utils::{CommitCounter, DamageSet, OpaqueRegions},
    },
    utils::{Buffer, Physical, Point, Rectangle, Scale, Transform},
};

/// A surface in the picture.
pub struct SceneElement {
    surface: WaylandSurfaceRenderElement<PixmanRenderer>,
    faulty: Cell<bool>,
}

impl SceneElement {
    /// Whether it could not be drawn.
    #[must_use]
    pub fn is_faulty(&self) -> bool {
        self.faulty.get()
    }
}

impl From<WaylandSurfaceRenderElement<PixmanRenderer>> for SceneElement {
    fn from(surface: WaylandSurfaceRenderElement<PixmanRenderer>) -> Self {
        Self { surface, faulty: Cell::new(false) }
    }
}

impl Element for SceneElement {
    fn id(&self) -> &Id {
        self.surface.id()
    }

    fn current_commit(&self) -> CommitCounter {
        self.surface.current_commit()
    }

    fn src(&self) -> Rectangle<f64, Buffer> {
        self.surface.src()
    }

    fn geometry(&self, scale: Scale<f64>) -> Rectangle<i32, Physical> {
        self.surface.geometry(scale)
    }

    fn location(&self, scale: Scale<f64>) -> Point<i32, Physical> {
        self.surface.location(scale)
    }

    fn transform(&self) -> Transform {
        self.surface.transform()
    }

    fn damage_since(
        &self,
        scale: Scale<f64>,
        commit: Option<CommitCounter>,
    ) -> DamageSet<i32, Physical> {
        self.surface.damage_since(scale, commit)
    }

    fn opaque_regions(&self, scale: Scale<f64>) -> OpaqueRegions<i32, Physical> {
        self.surface.opaque_regions(scale)
    }

    fn alpha(&self) -> f32 {
        self.surface.alpha()
    }

    fn kind(&self) -> Kind {
        self.surface.kind()
    }
}

impl RenderElement<PixmanRenderer> for SceneElement {
    fn draw(
        &self,
        frame: &mut <PixmanRenderer as RendererSuper>::Frame<'_, '_>,
        source: Rectangle<f64, Buffer>,
        target: Rectangle<i32, Physical>,
        damage: &[Rectangle<i32, Physical>],
        opaque: &[Rectangle<i32, Physical>],
    ) -> Result<(), PixmanError> {
        let drawn = RenderElement::<PixmanRenderer>::draw(
            &self.surface,
            frame,
            source,
            target,
            damage,
            opaque,
        );
        self.faulty.set(drawn.is_err());
        Ok(())
    }

    fn underlying_storage(&self, renderer: &mut PixmanRenderer) -> Option<UnderlyingStorage<'_>> {
        self.surface.underlying_storage(renderer)
    }
}
