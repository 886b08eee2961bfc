//! A surface to draw, whose failure affects only its own client.
//!
//! A client can truncate its shared memory while it is read. Smithay turns the fault into an error
//! of that one surface; if it were passed on, it would abort this frame and every later one.
//!
//! A surface of a window that is too large for the screen is shrunk towards the window's corner
//! ([`SceneElement::shrunk`]).

use std::cell::Cell;

use smithay::{
    backend::renderer::{
        ImportAll, Renderer, RendererSuper,
        element::{
            Element, Id, Kind, RenderElement, UnderlyingStorage,
            surface::WaylandSurfaceRenderElement,
        },
        pixman::PixmanError,
        utils::{Buffer as SurfaceBuffer, CommitCounter, DamageSet, OpaqueRegions},
    },
    utils::{Buffer, Physical, Point, Rectangle, Scale, Size, Transform},
};

use super::Cpu;

/// A surface in a picture that a renderer draws or describes.
pub struct SceneElement<R: Renderer = Cpu> {
    surface: WaylandSurfaceRenderElement<R>,
    shrink: Option<Shrink>,
    faulty: Cell<bool>,
}

/// A factor below one, and the fixed point.
#[derive(Clone, Copy)]
struct Shrink {
    towards: Point<i32, Physical>,
    factor: Scale<f64>,
}

impl Shrink {
    fn place(self, mut place: Rectangle<i32, Physical>) -> Rectangle<i32, Physical> {
        place.loc -= self.towards;
        let mut place = place.to_f64().upscale(self.factor).to_i32_round();
        place.loc += self.towards;
        place
    }

    /// The pixels that can change when `area` does.
    fn around(self, area: Rectangle<i32, Physical>) -> Rectangle<i32, Physical> {
        area.to_f64().upscale(self.factor).to_i32_up()
    }

    /// The pixels that show nothing but `area`, if there are any.
    fn within(self, area: Rectangle<i32, Physical>) -> Option<Rectangle<i32, Physical>> {
        let area = area.to_f64().upscale(self.factor);
        filled(area.loc.to_i32_ceil(), (area.loc + area.size).to_i32_floor())
    }
}

impl<R: Renderer + ImportAll> SceneElement<R>
where
    R::TextureId: 'static,
{
    /// Shrinks it by `factor` towards a point that all of its window has in common.
    #[must_use]
    pub fn shrunk(mut self, towards: Point<i32, Physical>, factor: f64) -> Self {
        self.shrink = (factor < 1.0).then(|| Shrink { towards, factor: factor.into() });
        self
    }

    /// The app's buffer.
    #[must_use]
    pub fn buffer(&self, renderer: &mut R) -> Option<SurfaceBuffer> {
        match RenderElement::<R>::underlying_storage(&self.surface, renderer)? {
            UnderlyingStorage::Wayland(buffer) => Some(buffer.clone()),
            UnderlyingStorage::Memory(_) => None,
        }
    }

    /// Whether drawing it failed.
    #[must_use]
    pub fn is_faulty(&self) -> bool {
        self.faulty.get()
    }

    /// How far a pixel of the app's reaches beyond its place, in pixels of the picture: scaling
    /// mixes it with its neighbours.
    fn smear(&self, scale: Scale<f64>) -> i32 {
        let drawn = self.geometry(scale).size.to_f64();
        let source = self.transform().transform_size(self.src().size);
        if (drawn.w, drawn.h) == (source.w, source.h) {
            return 0;
        }
        let enlarged = (drawn.w / source.w.max(1.0)).max(drawn.h / source.h.max(1.0));
        // An app may ask for any size; the cast saturates.
        enlarged.ceil().max(1.0) as i32
    }
}

/// `part` and everything within `by` pixels of it that belongs to an element of `size`.
fn grown(
    part: Rectangle<i32, Physical>,
    by: i32,
    size: Size<i32, Physical>,
) -> Option<Rectangle<i32, Physical>> {
    let end = part.loc + part.size;
    filled(
        (part.loc.x.saturating_sub(by).max(0), part.loc.y.saturating_sub(by).max(0)).into(),
        (end.x.saturating_add(by).min(size.w), end.y.saturating_add(by).min(size.h)).into(),
    )
}

/// The rectangle between two corners, unless it is empty.
fn filled(
    start: Point<i32, Physical>,
    end: Point<i32, Physical>,
) -> Option<Rectangle<i32, Physical>> {
    (start.x < end.x && start.y < end.y).then(|| Rectangle::from_extremities(start, end))
}

impl<R: Renderer> From<WaylandSurfaceRenderElement<R>> for SceneElement<R> {
    fn from(surface: WaylandSurfaceRenderElement<R>) -> Self {
        Self { surface, shrink: None, faulty: Cell::new(false) }
    }
}

impl<R: Renderer + ImportAll> Element for SceneElement<R>
where
    R::TextureId: 'static,
{
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
        let place = self.surface.geometry(scale);
        self.shrink.map_or(place, |shrink| shrink.place(place))
    }

    fn transform(&self) -> Transform {
        self.surface.transform()
    }

    fn damage_since(
        &self,
        scale: Scale<f64>,
        commit: Option<CommitCounter>,
    ) -> DamageSet<i32, Physical> {
        let damage = self.surface.damage_since(scale, commit);
        let smear = self.smear(scale);
        if smear == 0 {
            return damage;
        }
        let size = self.geometry(scale).size;
        let placed = damage.into_iter().map(|part| match self.shrink {
            Some(shrink) => shrink.around(part),
            None => part,
        });
        placed.filter_map(|part| grown(part, smear, size)).collect()
    }

    fn opaque_regions(&self, scale: Scale<f64>) -> OpaqueRegions<i32, Physical> {
        let opaque = self.surface.opaque_regions(scale);
        match self.shrink {
            None => opaque,
            Some(shrink) => opaque.into_iter().filter_map(|area| shrink.within(area)).collect(),
        }
    }

    fn alpha(&self) -> f32 {
        self.surface.alpha()
    }

    fn kind(&self) -> Kind {
        self.surface.kind()
    }
}

impl RenderElement<Cpu> for SceneElement {
    fn draw(
        &self,
        frame: &mut <Cpu as RendererSuper>::Frame<'_, '_>,
        source: Rectangle<f64, Buffer>,
        target: Rectangle<i32, Physical>,
        damage: &[Rectangle<i32, Physical>],
        opaque: &[Rectangle<i32, Physical>],
    ) -> Result<(), PixmanError> {
        let drawn =
            RenderElement::<Cpu>::draw(&self.surface, frame, source, target, damage, opaque);
        self.faulty.set(drawn.is_err());
        Ok(())
    }

    fn underlying_storage(&self, renderer: &mut Cpu) -> Option<UnderlyingStorage<'_>> {
        self.surface.underlying_storage(renderer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn area(x: i32, y: i32, width: i32, height: i32) -> Rectangle<i32, Physical> {
        Rectangle::new((x, y).into(), (width, height).into())
    }

    fn shrink(factor: f64) -> Shrink {
        Shrink { towards: (0, 0).into(), factor: factor.into() }
    }

    #[test]
    fn within_of_what_fills_no_pixel_is_nothing() {
        assert_eq!(shrink(0.3).within(area(3, 0, 1, 40)), None);
        assert_eq!(shrink(0.5).within(area(1, 1, 5, 6)), Some(area(1, 1, 2, 2)));
    }

    #[test]
    fn grown_reaches_its_neighbours_and_no_further_than_the_element() {
        let size = Size::from((800, 600));
        assert_eq!(grown(area(10, 20, 3, 4), 2, size), Some(area(8, 18, 7, 8)));
        assert_eq!(grown(area(900, 20, 3, 4), 2, size), None);
        for by in [800, i32::MAX / 2, i32::MAX] {
            assert_eq!(grown(area(10, 20, i32::MAX, 4), by, size), Some(area(0, 0, 800, 600)));
        }
    }

    proptest! {
        #[test]
        fn within_any_area_lies_around_it_and_never_panics(
            x in 0..5000, y in 0..5000, width in 1..5000, height in 1..5000, factor in 0.001_f64..1.0,
        ) {
            let opaque = area(x, y, width, height);
            let around = shrink(factor).around(opaque);
            let within = shrink(factor).within(opaque);
            prop_assert!(within.is_none_or(|within| !within.is_empty() && around.contains_rect(within)));
        }
    }
}
