//! Draws frames of layers by a graphics processor, and reads them back as the planes that are encoded.
//!
//! A frame is drawn into a picture of RGBA that lives as long as its size: only damage is drawn again. From
//! it a shader makes luma and chroma ([`colour`]), again of damage only: into the memory of an encoder of the same
//! graphics processor ([`Surfaces`]), which nothing leaves; or else the changed macroblocks are
//! read back, a byte and a half for each pixel that changed. Apps' memory of it is sampled as it is; other memory is
//! uploaded, the changed parts only.
//!
//! Before the first frame [`Canvas::open`] draws and reads a pattern and compares each sample with what it
//! must be. So a driver that draws wrong is found out before it has shown anything.
//!
//! Trusts the driver with this process. Does not trust layers: what they name was checked by
//! [`crate::import`] before, and a layer without a texture is left out.
//!
//! INVARIANT: everything of one [`Canvas`] happens on one thread ([`gl`]).

pub mod colour;
mod egl;
pub mod gl;
pub mod place;
mod probe;
pub mod shrink;
mod surfaces;

pub use self::{
    probe::{Pattern, differences},
    surfaces::{Filled, Surfaces},
};

use std::os::fd::OwnedFd;

use lumen_ipc::{
    message::frames::{
        Changed, Colour, Content, Crop, Layer, LayerList, Layers, PixelFormat, Place, Rect,
        Transform,
    },
    units::{BufferSize, FrameSize, SlotIndex},
};

use self::gl::{Channels, Corner, Gl, Program, Target, Texture, Unusable};
use crate::convert::{MacroblockMap, Planes};

/// What draws.
#[derive(Debug)]
pub struct Canvas {
    gl: Gl,
    programs: Programs,
    longest_side: u16,
    picture: Option<Picture>,
    /// The one pixel of layers of one colour.
    dot: Texture,
    /// Pixels of a frame that was drawn elsewhere, on their way into the picture.
    sheet: Option<Sheet>,
    /// Samples on their way into the planes.
    samples: Vec<u8>,
}

#[derive(Debug)]
struct Programs {
    layer: Program,
    luma: Program,
    chroma: Program,
    shrink: Program,
}

/// A frame as it was drawn last.
#[derive(Debug)]
struct Picture {
    size: FrameSize,
    pixels: Target,
    /// Its samples on their way to the processor, once it wants them.
    samples: Option<(Target, Target)>,
    /// Whether it shows the frame before.
    current: bool,
}

/// One texture for all slots.
#[derive(Debug)]
struct Sheet(Texture);

impl Sources for Sheet {
    fn texture(&self, _: SlotIndex) -> Option<&Texture> {
        Some(&self.0)
    }
}

/// A driver draws something else than it is told.
#[derive(Debug, thiserror::Error)]
pub enum CannotDraw {
    /// It does not draw at all.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// A sample of the pattern is wrong.
    #[error("it draws wrong: {wrong} of {all} samples of a pattern")]
    Wrong {
        /// How many.
        wrong: usize,
        /// Of how many.
        all: usize,
    },
    /// Only the processor draws.
    #[error("its driver draws by the processor ({0})")]
    Software(String),
}

const VERTEX: &str = "#version 300 es
    in vec2 at;
    in vec2 of;
    out vec2 place_of;
    void main() { gl_Position = vec4(at, 0.0, 1.0); place_of = of; }";

/// A layer. The parameters are how much of it is seen, and one if its alpha channel means nothing.
const LAYER: &str = "#version 300 es
    precision highp float;
    uniform highp sampler2D picture;
    uniform vec4 parameters;
    in vec2 place_of;
    out vec4 result;
    void main() {
        vec4 colour = texture(picture, place_of);
        result = vec4(colour.rgb, max(colour.a, parameters.y)) * parameters.x;
    }";

/// What drivers are told by their environment. The media process writes no files, and what is compiled
/// here is little. Mesa's drivers for the processor alone compile code for it at any time, which the policy
/// forbids, except for the one that interprets.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("MESA_SHADER_CACHE_DISABLE", "true"),
    ("MESA_GLSL_CACHE_DISABLE", "true"),
    ("GALLIUM_DRIVER", "softpipe"),
];

/// Names of Mesa's drivers for the processor.
const SOFTWARE: [&str; 3] = ["llvmpipe", "softpipe", "swrast"];

/// Prepares the environment of drivers. Before the process has a second thread.
pub fn prepare() {
    egl::set_environment(&ENVIRONMENT);
}

/// The buffers that layers name.
pub trait Sources {
    /// The texture of a slot's buffer; `None` if it has none.
    fn texture(&self, slot: SlotIndex) -> Option<&Texture>;
}

impl Canvas {
    /// Opens the driver of a node, or one for the processor, and tries it.
    ///
    /// # Errors
    /// [`CannotDraw`].
    pub fn open(node: Option<OwnedFd>, software: bool) -> Result<Self, CannotDraw> {
        let gl = Gl::open(node)?;
        let renderer = gl.renderer();
        if !software && SOFTWARE.iter().any(|name| renderer.contains(name)) {
            return Err(CannotDraw::Software(renderer));
        }
        let programs = Programs {
            layer: gl.program(VERTEX, LAYER)?,
            luma: gl.program(VERTEX, &colour::shader(Channels::One))?,
            chroma: gl.program(VERTEX, &colour::shader(Channels::Two))?,
            shrink: gl.program(VERTEX, shrink::SHADER)?,
        };
        let longest_side = gl.longest_side();
        let dot = gl.bgra((1, 1))?;
        let mut canvas = Self {
            gl,
            programs,
            longest_side,
            picture: None,
            dot,
            sheet: None,
            samples: Vec::new(),
        };
        probe::try_out(&mut canvas)?;
        Ok(canvas)
    }

    /// The context, for textures.
    #[must_use]
    pub const fn gl(&self) -> &Gl {
        &self.gl
    }

    /// What the driver calls itself.
    #[must_use]
    pub fn renderer(&self) -> String {
        self.gl.renderer()
    }

    /// The formats of apps' buffers that it samples.
    #[must_use]
    pub fn formats(&self) -> Vec<PixelFormat> {
        self.gl.formats()
    }

    /// The longest side of a buffer that it samples.
    #[must_use]
    pub const fn longest_side(&self) -> u16 {
        self.longest_side
    }

    /// Forgets the picture: a frame was drawn elsewhere.
    pub fn missed_a_frame(&mut self) {
        if let Some(picture) = &mut self.picture {
            picture.current = false;
        }
    }

    /// Gives back the memory of the picture: nobody watches.
    pub fn rest(&mut self) {
        (self.picture, self.sheet, self.samples) = (None, None, Vec::new());
        self.gl.tidy();
    }

    /// Draws a frame whose `damage` differs from the one before, and reads the macroblocks in `changed` into
    /// `planes`. When this returns, every buffer has been read.
    ///
    /// # Errors
    /// The driver has failed.
    pub fn draw(
        &mut self,
        layers: &Layers,
        damage: &[Rect],
        sources: &impl Sources,
        (planes, changed): (&mut Planes, &MacroblockMap),
    ) -> Result<(), Unusable> {
        self.compose(layers, damage, sources)?;
        self.read(planes, changed)
    }

    /// Draws a frame whose `damage` differs from the one before, into the picture only. Buffers may still be read
    /// afterwards, until [`Canvas::read`] or [`Canvas::finish`].
    ///
    /// # Errors
    /// The driver has failed.
    pub fn compose(
        &mut self,
        layers: &Layers,
        damage: &[Rect],
        sources: &impl Sources,
    ) -> Result<(), Unusable> {
        self.gl.tidy();
        let mut picture = match self.picture.take() {
            Some(picture) if picture.size == layers.size => picture,
            _ => Picture::new(&self.gl, layers.size)?,
        };
        let all = [whole(layers.size)];
        let parts = if picture.current { damage } else { &all };
        self.paint(&picture, layers, parts, sources);
        picture.current = true;
        self.picture = Some(picture);
        self.gl.check("drawing")
    }

    /// Takes over a frame that was drawn elsewhere, rows of BGRX that are `stride` bytes apart and whose `damage`
    /// differs from the one before.
    ///
    /// # Errors
    /// The driver has failed, or has no room.
    pub fn take_over(
        &mut self,
        size: FrameSize,
        (pixels, stride): (&[u8], usize),
        damage: &[Rect],
    ) -> Result<(), Unusable> {
        let sides = (size.width(), size.height());
        let sheet = match self.sheet.take() {
            Some(sheet) if sheet.0.size() == sides => sheet,
            _ => Sheet(self.gl.bgra(sides)?),
        };
        let all = [whole(size)];
        let known = self.picture.as_ref().is_some_and(|it| it.size == size && it.current);
        let parts = if known { damage } else { &all };
        parts.iter().for_each(|part| self.gl.upload(&sheet.0, pixels, stride, *part));
        let layers = one_buffer(size).ok_or(Unusable::Lacks("room for a picture"))?;
        let taken = self.compose(&layers, parts, &sheet);
        self.sheet = Some(sheet);
        taken
    }

    /// Waits until everything has been drawn, and every buffer read.
    ///
    /// # Errors
    /// The driver has failed.
    pub fn finish(&self) -> Result<(), Unusable> {
        self.gl.finish()
    }

    fn paint(&self, picture: &Picture, layers: &Layers, parts: &[Rect], sources: &impl Sources) {
        self.gl.draw_to(&picture.pixels);
        for part in parts {
            self.gl.only_in(*part);
            self.gl.fill(channels(layers.ground));
            let reaching = layers.list.layers().iter().filter(|it| place::reaches(it.place, *part));
            for layer in reaching {
                self.layer(layers.size, layer, sources);
            }
        }
    }

    fn layer(&self, frame: FrameSize, layer: &Layer, sources: &impl Sources) {
        match &layer.content {
            Content::Colour(colour) => {
                let Colour { red, green, blue, alpha } = *colour;
                self.gl.upload(&self.dot, &[blue, green, red, alpha], 4, DOT);
                let corners = place::corners(frame, layer.place, None);
                self.gl.rectangle(
                    &self.programs.layer,
                    Some((&self.dot, false)),
                    &corners,
                    paint(layer),
                );
            }
            Content::Buffer { slot, crop, transform, .. } => {
                let Some(texture) = sources.texture(*slot) else { return };
                let shown = Some((*crop, *transform, texture.size()));
                let corners = place::corners(frame, layer.place, shown);
                let smooth = !place::is_exact(layer.place, *crop, *transform);
                self.gl.rectangle(
                    &self.programs.layer,
                    Some((texture, smooth)),
                    &corners,
                    paint(layer),
                );
            }
        }
    }

    /// Makes samples of the picture's changed macroblocks and reads them into `planes`. Without a picture of their
    /// size nothing is read.
    ///
    /// # Errors
    /// The driver has failed.
    pub fn read(&mut self, planes: &mut Planes, changed: &MacroblockMap) -> Result<(), Unusable> {
        let Some(mut picture) = self.picture.take().filter(|it| it.size == planes.size()) else {
            return Ok(());
        };
        let (width, height) = (picture.size.width(), picture.size.height());
        let (luma, chroma) = match picture.samples.take() {
            Some(samples) => samples,
            None => (
                self.gl.target((width, height), Channels::One)?,
                self.gl.target((width / 2, height / 2), Channels::Two)?,
            ),
        };
        let parts = changed.rects();
        self.convert(picture.pixels.texture(), (&luma, &chroma), &parts);
        for part in &parts {
            self.read_part((&luma, &chroma), *part, planes)?;
        }
        picture.samples = Some((luma, chroma));
        self.picture = Some(picture);
        self.gl.check("drawing")
    }

    /// Makes samples of `parts` of a picture, whose edges are even.
    fn convert(&self, pixels: &Texture, (luma, chroma): (&Target, &Target), parts: &[Rect]) {
        let (width, height) = pixels.size();
        let parameters = [width - 1, height - 1, 0, 0].map(f32::from);
        let pixels = Some((pixels, false));
        for (target, program, half) in
            [(luma, &self.programs.luma, 1), (chroma, &self.programs.chroma, 2)]
        {
            self.gl.draw_to(target);
            for part in parts {
                self.gl.only_in(scaled(*part, half));
                self.gl.rectangle(program, pixels, &EVERYWHERE, (false, parameters));
            }
        }
    }

    fn read_part(
        &mut self,
        (luma, chroma): (&Target, &Target),
        part: Rect,
        planes: &mut Planes,
    ) -> Result<(), Unusable> {
        let length = usize::from(part.width) * usize::from(part.height);
        self.samples.resize(length, 0);
        self.gl.read(luma, part, &mut self.samples)?;
        planes.set_luma(part, &self.samples);
        self.gl.read(chroma, scaled(part, 2), &mut self.samples[..length / 2])?;
        planes.set_chroma(part, &self.samples[..length / 2]);
        Ok(())
    }
}

impl Picture {
    fn new(gl: &Gl, size: FrameSize) -> Result<Self, Unusable> {
        let pixels = gl.target((size.width(), size.height()), Channels::Four)?;
        Ok(Self { size, pixels, samples: None, current: false })
    }
}

/// A frame that shows one buffer of its own size.
#[must_use]
pub fn one_buffer(size: FrameSize) -> Option<Layers> {
    let buffer = BufferSize::from(size);
    let content = Content::Buffer {
        slot: SlotIndex::clamped(0),
        crop: Crop::whole(buffer),
        transform: Transform::Normal,
        changed: Changed::new(Vec::new()).ok()?,
    };
    let place = Place::new(0, 0, size.width().into(), size.height().into()).ok()?;
    let layer = Layer { content, place, alpha: u8::MAX, opaque: true };
    let ground = Colour { red: 0, green: 0, blue: 0, alpha: u8::MAX };
    Some(Layers { size, ground, list: LayerList::new(vec![layer]).ok()? })
}

/// How a layer is painted: over what is there unless it hides that, and with which parameters.
fn paint(layer: &Layer) -> (bool, [f32; 4]) {
    let over = !layer.opaque || layer.alpha != u8::MAX;
    (over, [f32::from(layer.alpha) / 255.0, f32::from(u8::from(layer.opaque)), 0.0, 0.0])
}

fn channels(colour: Colour) -> [f32; 4] {
    [colour.red, colour.green, colour.blue, colour.alpha].map(|channel| f32::from(channel) / 255.0)
}

const fn whole(size: FrameSize) -> Rect {
    Rect { x: 0, y: 0, width: size.width(), height: size.height() }
}

/// A rectangle of macroblocks on a plane that has one sample for so many pixels across and down.
const fn scaled(part: Rect, by: u16) -> Rect {
    Rect { x: part.x / by, y: part.y / by, width: part.width / by, height: part.height / by }
}

/// All of the texture for layers of one colour.
const DOT: Rect = Rect { x: 0, y: 0, width: 1, height: 1 };

/// The corners of a whole target.
const EVERYWHERE: [Corner; 4] = [
    Corner { at: [-1.0, -1.0], of: [0.0, 0.0] },
    Corner { at: [1.0, -1.0], of: [0.0, 0.0] },
    Corner { at: [-1.0, 1.0], of: [0.0, 0.0] },
    Corner { at: [1.0, 1.0], of: [0.0, 0.0] },
];
