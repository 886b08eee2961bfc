//! What is measured: converting and encoding by the processor, drawing and converting by a graphics processor,
//! encoding by one, and both in its own memory.

use std::error::Error;

use lumen_ipc::{
    message::frames::{Layers, Rect},
    units::SlotIndex,
};

use super::{clock::Stage, scene::Scene};
use crate::{
    convert::{Frame, MacroblockMap, Planes},
    draw::{
        Canvas, Sources, Surfaces,
        gl::{Texture, Unusable},
        one_buffer,
    },
    effort::Effort,
    video::{Encoder, EncoderError, Picture, PictureKind, Quantizer, vaapi},
};

/// Converts whole pictures by the processor.
#[derive(Debug)]
pub struct Converting<'scene> {
    scene: &'scene Scene,
    number: usize,
    planes: Planes,
    whole: MacroblockMap,
}

impl<'scene> Converting<'scene> {
    /// Converts the pictures of `scene`.
    #[must_use]
    pub fn new(scene: &'scene Scene) -> Self {
        let size = scene.size();
        Self { scene, number: 0, planes: Planes::new(size), whole: MacroblockMap::whole(size) }
    }
}

impl Stage for Converting<'_> {
    type Error = Box<dyn Error>;

    fn prepare(&mut self, number: usize) {
        self.number = number;
    }

    fn work(&mut self) -> Result<(), Box<dyn Error>> {
        let size = self.scene.size();
        let frame = Frame::new(self.scene.picture(self.number), size.stride_bytes(), size)?;
        Ok(self.planes.update(frame, &self.whole)?)
    }
}

/// Uploads whole pictures, draws and converts them by a graphics processor, and reads them back.
#[derive(Debug)]
pub struct Drawing<'scene> {
    canvas: &'scene mut Canvas,
    scene: &'scene Scene,
    number: usize,
    texture: One,
    layers: Layers,
    planes: Planes,
    whole: MacroblockMap,
}

#[derive(Debug)]
struct One(Texture);

impl Sources for One {
    fn texture(&self, _: SlotIndex) -> Option<&Texture> {
        Some(&self.0)
    }
}

impl<'scene> Drawing<'scene> {
    /// Draws the pictures of `scene`.
    ///
    /// # Errors
    /// There is no room for them.
    pub fn new(canvas: &'scene mut Canvas, scene: &'scene Scene) -> Result<Self, Unusable> {
        let size = scene.size();
        let texture = One(canvas.gl().bgra((size.width(), size.height()))?);
        let layers = one_buffer(size).ok_or(Unusable::Lacks("room for a picture"))?;
        let (planes, whole) = (Planes::new(size), MacroblockMap::whole(size));
        Ok(Self { canvas, scene, number: 0, texture, layers, planes, whole })
    }
}

impl Stage for Drawing<'_> {
    type Error = Unusable;

    fn prepare(&mut self, number: usize) {
        self.number = number;
    }

    fn work(&mut self) -> Result<(), Unusable> {
        let size = self.scene.size();
        let all = Rect { x: 0, y: 0, width: size.width(), height: size.height() };
        let pixels = self.scene.picture(self.number);
        self.canvas.gl().upload(&self.texture.0, pixels, size.stride_bytes(), all);
        let into = (&mut self.planes, &self.whole);
        self.canvas.draw(&self.layers, &[all], &self.texture, into)
    }
}

/// Encodes whole pictures.
#[derive(Debug)]
pub struct Encoding<'scene> {
    encoder: Encoder,
    scene: &'scene Scene,
    kind: PictureKind,
    planes: Planes,
    whole: MacroblockMap,
    stream: Vec<u8>,
}

/// As fine as motion mostly is.
const QUANTIZER: Quantizer = Quantizer::nearest(26);

impl<'scene> Encoding<'scene> {
    /// Encodes the pictures of `scene`, of the encoder's size.
    #[must_use]
    pub fn new(encoder: Encoder, scene: &'scene Scene) -> Self {
        let (size, kind) = (scene.size(), PictureKind::Key);
        let (planes, whole) = (Planes::new(size), MacroblockMap::whole(size));
        Self { encoder, scene, kind, planes, whole, stream: Vec::new() }
    }

    /// What was encoded, in Annex B form.
    #[must_use]
    pub fn into_stream(self) -> Vec<u8> {
        self.stream
    }

    /// The encoder again.
    #[must_use]
    pub fn into_encoder(self) -> Encoder {
        self.encoder
    }
}

impl Stage for Encoding<'_> {
    type Error = EncoderError;

    fn prepare(&mut self, number: usize) {
        let size = self.scene.size();
        self.kind = kind(number);
        // A picture of the scene is as large as it says, so it is always converted.
        if let Ok(frame) = Frame::new(self.scene.picture(number), size.stride_bytes(), size) {
            let _ = self.planes.update(frame, &self.whole);
        }
    }

    fn work(&mut self) -> Result<(), EncoderError> {
        let (planes, changed) = (&self.planes, &self.whole);
        let (kind, quantizer, effort) = (self.kind, QUANTIZER, Effort::Quick);
        let unit = self.encoder.encode(Picture { planes, changed, kind, quantizer, effort })?;
        self.stream.extend_from_slice(unit.bytes);
        Ok(())
    }
}

/// What of drawing or encoding a picture fails.
#[derive(Debug, thiserror::Error)]
pub enum Fails {
    /// Drawing.
    #[error(transparent)]
    Draw(#[from] Unusable),
    /// Encoding.
    #[error(transparent)]
    Encode(#[from] EncoderError),
    /// Encoding by a graphics processor.
    #[error(transparent)]
    Vaapi(#[from] vaapi::Failure),
}

const fn kind(number: usize) -> PictureKind {
    if number == 0 { PictureKind::Key } else { PictureKind::Predicted }
}

/// Draws a picture of `scene`, which is not measured. What fails here fails the work, too.
fn draw(canvas: &mut Canvas, scene: &Scene, number: usize) {
    let size = scene.size();
    let all = Rect { x: 0, y: 0, width: size.width(), height: size.height() };
    let pixels = (scene.picture(number), size.stride_bytes());
    let _ = canvas.take_over(size, pixels, &[all]).and_then(|()| canvas.finish());
}

/// Converts whole pictures into the memory of a graphics processor that encodes them there.
#[derive(Debug)]
pub struct InPlace<'scene> {
    canvas: &'scene mut Canvas,
    scene: &'scene Scene,
    encoder: vaapi::Encoder,
    surfaces: Surfaces,
    whole: MacroblockMap,
    number: usize,
    stream: Vec<u8>,
}

impl<'scene> InPlace<'scene> {
    /// Encodes the pictures of `scene`, of the encoder's size, which are drawn into its surfaces.
    #[must_use]
    pub fn new(
        canvas: &'scene mut Canvas,
        scene: &'scene Scene,
        (encoder, surfaces): (vaapi::Encoder, Surfaces),
    ) -> Self {
        let whole = MacroblockMap::whole(scene.size());
        Self { canvas, scene, encoder, surfaces, whole, number: 0, stream: Vec::new() }
    }

    /// What was encoded, in Annex B form.
    #[must_use]
    pub fn into_stream(self) -> Vec<u8> {
        self.stream
    }

    /// Everything again.
    #[must_use]
    pub fn into_parts(self) -> (&'scene mut Canvas, (vaapi::Encoder, Surfaces)) {
        (self.canvas, (self.encoder, self.surfaces))
    }
}

impl Stage for InPlace<'_> {
    type Error = Fails;

    fn prepare(&mut self, number: usize) {
        self.number = number;
        draw(self.canvas, self.scene, number);
    }

    fn work(&mut self) -> Result<(), Fails> {
        let filled = self.canvas.fill(&mut self.surfaces, &self.whole)?;
        let unit = self.encoder.encode_drawn(filled.surface, kind(self.number), QUANTIZER)?;
        self.stream.extend_from_slice(unit.bytes);
        Ok(())
    }
}

/// Converts whole pictures by a graphics processor, reads them back, and encodes them.
#[derive(Debug)]
pub struct ReadBack<'scene> {
    canvas: &'scene mut Canvas,
    scene: &'scene Scene,
    encoder: Encoder,
    planes: Planes,
    whole: MacroblockMap,
    number: usize,
}

impl<'scene> ReadBack<'scene> {
    /// Encodes the pictures of `scene`, of the encoder's size.
    #[must_use]
    pub fn new(canvas: &'scene mut Canvas, scene: &'scene Scene, encoder: Encoder) -> Self {
        let size = scene.size();
        let (planes, whole) = (Planes::new(size), MacroblockMap::whole(size));
        Self { canvas, scene, encoder, planes, whole, number: 0 }
    }
}

impl Stage for ReadBack<'_> {
    type Error = Fails;

    fn prepare(&mut self, number: usize) {
        self.number = number;
        draw(self.canvas, self.scene, number);
    }

    fn work(&mut self) -> Result<(), Fails> {
        self.canvas.read(&mut self.planes, &self.whole)?;
        let (planes, changed, kind) = (&self.planes, &self.whole, kind(self.number));
        let (quantizer, effort) = (QUANTIZER, Effort::Quick);
        self.encoder.encode(Picture { planes, changed, kind, quantizer, effort })?;
        Ok(())
    }
}
