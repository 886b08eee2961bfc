//! Frames that media draws: the visible surfaces as layers.
//!
//! Decides whether a scene can be said in layers at all: it can unless it has more surfaces than a
//! message, or one whose pixels media cannot read.

use std::{collections::HashMap, os::fd::OwnedFd, rc::Rc};

use lumen_ipc::{
    message::frames::{
        BufferMemory, Changed, Colour, Crop, LayerList, PixelFormat, PixelFormats, Place, Plane,
        Planes, Rect, Transform as Turn,
    },
    units::{BufferSize, FrameSize, PlaneStride, SlotIndex},
};
use smithay::{
    backend::{
        allocator::{
            Buffer as _,
            dmabuf::{Dmabuf, WeakDmabuf},
        },
        renderer::{
            Color32F, buffer_has_alpha,
            element::{Element, Id},
            utils::{Buffer, CommitCounter, with_renderer_surface_state},
        },
    },
    reexports::wayland_server::{
        Resource,
        backend::ObjectId,
        protocol::{wl_buffer::WlBuffer, wl_surface::WlSurface},
    },
    utils::{Buffer as BufferSpace, Rectangle, Size, Transform},
    wayland::{
        dmabuf::get_dmabuf, shm::with_buffer_contents, single_pixel_buffer::get_single_pixel_buffer,
    },
};

use super::{View, scanout};
use crate::{
    kernel::Kernel,
    render::{Describer, SceneElement},
    tree::for_each_surface,
};

/// Identifies an app's buffer while it exists.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum BufferName {
    /// In memory of a graphics processor.
    Dmabuf(WeakDmabuf),
    /// In a file of the app's.
    File(ObjectId),
}

/// An app's buffer as it is announced.
#[derive(Debug)]
pub(super) struct Announced {
    pub(super) name: BufferName,
    pub(super) size: BufferSize,
    pub(super) memory: BufferMemory,
    pub(super) store: Store,
}

/// What has the descriptors of a buffer.
#[derive(Clone, Debug)]
pub(super) enum Store {
    Dmabuf(Dmabuf),
    File(Rc<OwnedFd>),
}

/// A surface in a frame.
#[derive(Debug)]
pub(super) struct Pane {
    pub(super) pixels: Pixels,
    pub(super) place: Place,
    pub(super) alpha: u8,
    pub(super) opaque: bool,
}

/// What a surface shows.
#[derive(Debug)]
pub(super) enum Pixels {
    Colour(Colour),
    Buffer {
        announced: Announced,
        /// Dropping this returns it to the app.
        buffer: Buffer,
        crop: Crop,
        transform: Turn,
        surface: WlSurface,
    },
}

/// For each slot of an app's buffer, the surface that showed it last, and at which of its commits.
#[derive(Debug, Default)]
pub(super) struct Read(HashMap<SlotIndex, (Id, CommitCounter)>);

impl Read {
    /// What media has not seen of the buffer in `slot`, which `surface` shows and media reads now.
    pub(super) fn changed(
        &mut self,
        slot: SlotIndex,
        surface: &WlSurface,
        size: BufferSize,
    ) -> Changed {
        let id = Id::from_wayland_resource(surface);
        let before = self.0.get(&slot).filter(|(shown_by, _)| *shown_by == id);
        let before = before.map(|(_, commit)| *commit);
        let state = with_renderer_surface_state(surface, |state| {
            (state.damage_since(before).to_vec(), state.current_commit())
        });
        let Some((damage, commit)) = state else { return Changed::all(size) };
        self.0.insert(slot, (id, commit));
        changed_of(&damage, size)
    }

    /// Media has no buffer in this slot.
    pub(super) fn forget(&mut self, slot: SlotIndex) {
        self.0.remove(&slot);
    }
}

/// The damaged parts within a buffer of `size`, or their bounding box if they are many.
fn changed_of(damage: &[Rectangle<i32, BufferSpace>], size: BufferSize) -> Changed {
    let whole = Rectangle::from_size((i32::from(size.width()), i32::from(size.height())).into());
    let parts: Vec<_> = damage.iter().filter_map(|part| part.intersection(whole)).collect();
    let bounds = || parts.iter().copied().reduce(|one, other| one.merge(other));
    let parts =
        if parts.len() > Changed::MAX_RECTS { bounds().into_iter().collect() } else { parts };
    // Within the buffer, so no number is cut.
    let rect = |part: Rectangle<i32, BufferSpace>| Rect {
        x: part.loc.x as u16,
        y: part.loc.y as u16,
        width: part.size.w as u16,
        height: part.size.h as u16,
    };
    let parts = parts.into_iter().filter(|part| !part.is_empty()).map(rect).collect();
    Changed::new(parts).unwrap_or_else(|_| Changed::all(size))
}

/// The panes of a scene from back to front; `None` if media cannot draw it. A buffer of a format that
/// media does not take, because a predecessor took it, is left out.
pub(super) fn panes(
    elements: &[SceneElement<Describer>],
    renderer: &mut Describer,
    (view, kernel, formats): (&View<'_>, &dyn Kernel, &PixelFormats),
) -> Option<Vec<Pane>> {
    let scale = view.output.scale();
    let frame: FrameSize = view.output.size.pixels;
    let whole = Rectangle::from_size((frame.width().into(), frame.height().into()).into());
    let mut is_taken = |element: &SceneElement<Describer>| {
        let buffer = element.buffer(renderer);
        let dmabuf = buffer.as_ref().and_then(|buffer| get_dmabuf(buffer).ok());
        dmabuf.is_none_or(|dmabuf| formats.contains(format_of(dmabuf)))
    };
    let visible: Vec<_> = elements
        .iter()
        .filter(|element| element.geometry(scale).overlaps(whole) && is_taken(element))
        .collect();
    if visible.len() > LayerList::MOST {
        return None;
    }
    let mut surfaces = HashMap::new();
    for_each_surface(&view.roots(), |surface, _| {
        surfaces.insert(Id::from_wayland_resource(surface), surface.clone());
    });
    visible
        .into_iter()
        .rev()
        .map(|element| {
            let at = element.geometry(scale);
            let (width, height) = (i64::from(at.size.w), i64::from(at.size.h));
            let buffer = element.buffer(renderer)?;
            let surface = surfaces.get(element.id())?.clone();
            Some(Pane {
                place: Place::new(at.loc.x.into(), at.loc.y.into(), width, height).ok()?,
                // The cast saturates.
                alpha: (element.alpha() * f32::from(u8::MAX)).round() as u8,
                opaque: buffer_has_alpha(&buffer) == Some(false),
                pixels: pixels(element, buffer, surface, view, kernel)?,
            })
        })
        .collect()
}

fn pixels(
    element: &SceneElement<Describer>,
    buffer: Buffer,
    surface: WlSurface,
    view: &View<'_>,
    kernel: &dyn Kernel,
) -> Option<Pixels> {
    if let Ok(pixel) = get_single_pixel_buffer(&buffer) {
        let [red, green, blue, alpha] = pixel.rgba8888();
        return Some(Pixels::Colour(Colour { red, green, blue, alpha }));
    }
    let announced = match get_dmabuf(&buffer) {
        Ok(dmabuf) => of_dmabuf(dmabuf)?,
        Err(_) => of_file(&buffer, view, kernel)?,
    };
    let src = element.src();
    let crop = Crop::new([src.loc.x, src.loc.y, src.size.w, src.size.h], announced.size).ok()?;
    let transform = turn(element.transform());
    Some(Pixels::Buffer { announced, buffer, crop, transform, surface })
}

/// A buffer in memory of a graphics processor.
pub(super) fn of_dmabuf(dmabuf: &Dmabuf) -> Option<Announced> {
    let format = format_of(dmabuf);
    let planes = dmabuf.offsets().zip(dmabuf.strides()).map(|(offset_bytes, stride)| {
        let stride_bytes = PlaneStride::new(stride.into()).ok()?;
        Some(Plane { offset_bytes, stride_bytes })
    });
    let planes = Planes::new(&planes.collect::<Option<Vec<_>>>()?).ok()?;
    Some(Announced {
        name: BufferName::Dmabuf(dmabuf.weak()),
        size: BufferSize::new(dmabuf.width().into(), dmabuf.height().into()).ok()?,
        memory: BufferMemory::Dmabuf { format, planes },
        store: Store::Dmabuf(dmabuf.clone()),
    })
}

/// The format of a buffer as links state it.
pub fn format_of(dmabuf: &Dmabuf) -> PixelFormat {
    let format = dmabuf.format();
    PixelFormat { fourcc: format.code as u32, modifier: format.modifier.into() }
}

fn of_file(buffer: &WlBuffer, view: &View<'_>, kernel: &dyn Kernel) -> Option<Announced> {
    let file = Rc::clone(view.pools.of_buffer(buffer)?);
    let data = with_buffer_contents(buffer, |_, _, data| data).ok()?;
    let size: Size<i32, BufferSpace> = (data.width, data.height).into();
    let size = BufferSize::new(u64::try_from(size.w).ok()?, u64::try_from(size.h).ok()?).ok()?;
    let place = scanout::Place::of_rows(data)?;
    let end =
        u64::from(place.offset_bytes) + u64::from(place.stride_bytes) * u64::from(size.height());
    let long_enough = place.stride_bytes >= u32::from(size.width()) * 4;
    (long_enough && scanout::holds(kernel, &file, end)).then(|| Announced {
        name: BufferName::File(buffer.id()),
        size,
        memory: BufferMemory::App {
            offset_bytes: place.offset_bytes,
            stride_bytes: place.stride_bytes,
        },
        store: Store::File(file),
    })
}

const fn turn(transform: Transform) -> Turn {
    match transform {
        Transform::Normal => Turn::Normal,
        Transform::_90 => Turn::Turned90,
        Transform::_180 => Turn::Turned180,
        Transform::_270 => Turn::Turned270,
        Transform::Flipped => Turn::Mirrored,
        Transform::Flipped90 => Turn::Mirrored90,
        Transform::Flipped180 => Turn::Mirrored180,
        Transform::Flipped270 => Turn::Mirrored270,
    }
}

/// A renderer's colour as layers state it.
pub(super) fn colour(colour: Color32F) -> Colour {
    // The cast saturates.
    let channel = |value: f32| (value * f32::from(u8::MAX)).round() as u8;
    Colour {
        red: channel(colour.r()),
        green: channel(colour.g()),
        blue: channel(colour.b()),
        alpha: channel(colour.a()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(x: i32, y: i32, width: i32, height: i32) -> Rectangle<i32, BufferSpace> {
        Rectangle::new((x, y).into(), (width, height).into())
    }

    #[test]
    fn changed_parts_are_cut_at_the_buffer_and_few() {
        let size = BufferSize::new(640, 480).expect("legal");
        let beyond = changed_of(&[part(600, -10, i32::MAX - 600, 20), part(700, 0, 5, 5)], size);
        let cut = Rect { x: 600, y: 0, width: 40, height: 10 };
        assert_eq!(beyond, Changed::new(vec![cut]).expect("legal"));
        let many: Vec<_> = (0..17).map(|at| part(10 + 2 * at, 20, 1, 3)).collect();
        let bounds = Rect { x: 10, y: 20, width: 33, height: 3 };
        assert_eq!(changed_of(&many, size), Changed::new(vec![bounds]).expect("legal"));
        assert_eq!(changed_of(&[], size), Changed::new(Vec::new()).expect("none"));
    }
}
