//! Streams of pages that scroll, as a driver encodes them, and what decoders show of them.

use std::{fs, fs::File, os::unix::fs::FileExt, path::Path, process::Command, rc::Rc};

use anyhow::{Context, Result, bail, ensure};
use lumen_ipc::units::{Fps, FrameSize, Kbps};
use lumen_media::{
    convert::{Frame, MacroblockMap, Planes},
    effort::Effort,
    surfaces::{Ring, SurfaceMemory},
    video::{
        Picture, PictureKind, Quantizer,
        vaapi::{Device, Encoder},
    },
};
use openh264::{decoder::Decoder, formats::YUVSource};

pub(super) fn size(width: u16, height: u16) -> FrameSize {
    FrameSize::new(width, height).expect("a legal size")
}

pub(super) fn open(device: &Rc<Device>, size: FrameSize) -> Result<Encoder> {
    Ok(Encoder::open(device, size, Fps::clamped(60), Kbps::clamped(20_000))?)
}

/// Pixel `at` of a page with letters that has scrolled by `top`.
fn page(size: FrameSize, top: usize) -> Vec<u8> {
    let width = usize::from(size.width());
    let pixels = (0..width * usize::from(size.height())).flat_map(|at| {
        let (x, y) = (at % width, at / width + top);
        let chance = (x / 7 + y / 14 * 97 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let stroke = chance >> ((y % 14 / 2) * 3 + x % 7 / 3) & 1 == 1;
        match (x > 100, stroke) {
            (true, _) => [(x * y / 9) as u8, (x + y) as u8, (y / 2) as u8, 0],
            (false, true) => [(chance >> 20) as u8 / 2, 30, 60, 0],
            (false, false) => [250, 250, 245, 0],
        }
    });
    pixels.collect()
}

/// A stream of one size, as it was encoded.
pub(super) struct Stream {
    encoder: Encoder,
    surfaces: Option<Surfaces>,
    planes: Planes,
    bytes: Vec<u8>,
    decoder: Decoder,
    /// What openh264 shows.
    pub(super) shown: Vec<u64>,
    pub(super) quantizers: Vec<(bool, u8)>,
}

/// The driver's surfaces, which are files where there is no device, and are written instead of drawn into.
struct Surfaces {
    memory: Vec<SurfaceMemory>,
    ring: Ring,
}

impl Surfaces {
    /// Writes what the next surface does not show, row after row, and returns its number.
    fn fill(&mut self, planes: &Planes, changed: &MacroblockMap) -> Result<usize> {
        self.ring.changed(changed);
        let (number, missing) = self.ring.draw();
        let memory = &self.memory[number];
        let (columns, rows) = (usize::from(memory.coded.0), usize::from(memory.coded.1));
        let (width, height) =
            (usize::from(planes.size().width()), usize::from(planes.size().height()));
        for rect in missing.rects() {
            let whole = rect.y + rect.height == planes.size().height();
            let lines =
                usize::from(rect.y)..if whole { rows } else { usize::from(rect.y + rect.height) };
            for line in lines {
                let luma = &planes.luma()[line.min(height - 1) * width..][..width];
                self.write(number, 0, line, (0..columns).map(|x| luma[x.min(width - 1)]))?;
                if line % 2 == 1 {
                    continue;
                }
                let at = (line / 2).min(height / 2 - 1) * (width / 2);
                let pair = |x: usize| {
                    [planes.blue(), planes.red()][x % 2][at + (x / 2).min(width / 2 - 1)]
                };
                self.write(number, 1, line / 2, (0..columns).map(pair))?;
            }
        }
        Ok(number)
    }

    fn write(
        &self,
        number: usize,
        plane: usize,
        row: usize,
        samples: impl Iterator<Item = u8>,
    ) -> Result<()> {
        let memory = &self.memory[number];
        let plane = memory.planes[plane];
        let file = File::from(memory.objects[plane.object].try_clone()?);
        let stride = u64::from(plane.place.stride_bytes.value());
        let at = u64::from(plane.place.offset_bytes) + row as u64 * stride;
        Ok(file.write_all_at(&samples.collect::<Vec<u8>>(), at)?)
    }
}

/// FNV-1a of 64 bits.
fn hash<'bytes>(bytes: impl IntoIterator<Item = &'bytes u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

impl Stream {
    pub(super) fn open(device: &Rc<Device>, size: FrameSize) -> Result<Self> {
        Self::of(open(device, size)?, None, size)
    }

    /// The same, drawn into the driver's surfaces.
    pub(super) fn open_drawn(device: &Rc<Device>, size: FrameSize) -> Result<Self> {
        let (encoder, memory) =
            Encoder::open_drawn(device, size, Fps::clamped(60), Kbps::clamped(20_000))?;
        let ring = Ring::new(size, memory.len());
        Self::of(encoder, Some(Surfaces { memory, ring }), size)
    }

    fn of(encoder: Encoder, surfaces: Option<Surfaces>, size: FrameSize) -> Result<Self> {
        Ok(Self {
            encoder,
            surfaces,
            planes: Planes::new(size),
            bytes: Vec::new(),
            decoder: Decoder::new()?,
            shown: Vec::new(),
            quantizers: Vec::new(),
        })
    }

    /// Shows the page from row `top` on.
    pub(super) fn scroll(&mut self, top: usize) -> Result<()> {
        let (size, pixels) = (self.planes.size(), page(self.planes.size(), top));
        let frame = Frame::new(&pixels, size.stride_bytes(), size)?;
        Ok(self.planes.update(frame, &MacroblockMap::whole(size))?)
    }

    pub(super) fn encode(&mut self, kind: PictureKind, changed: bool, quantizer: u8) -> Result<()> {
        let size = self.planes.size();
        let changed =
            if changed { MacroblockMap::whole(size) } else { MacroblockMap::constant(size) };
        let quantizer = Quantizer::nearest(quantizer);
        let (planes, effort) = (&self.planes, Effort::Quick);
        let picture = Picture { planes, changed: &changed, kind, quantizer, effort };
        let unit = match &mut self.surfaces {
            Some(surfaces) => {
                let surface = surfaces.fill(planes, &changed)?;
                self.encoder.encode_drawn(surface, kind, quantizer)?
            }
            None => self.encoder.encode(picture)?,
        };
        let key = kind == PictureKind::Key;
        ensure!((unit.key, unit.direct) == (key, false), "a picture of another kind");
        self.bytes.extend_from_slice(unit.bytes);
        self.quantizers.push((key, quantizer.value()));
        let shown = self.decoder.decode(unit.bytes)?.context("openh264 shows nothing")?;
        let (width, height) = shown.dimensions();
        ensure!((width, height) == (size.width().into(), size.height().into()), "{width}x{height}");
        let planes = [(shown.y(), 0, 1), (shown.u(), 1, 2), (shown.v(), 2, 2)];
        let strides: [usize; 3] = shown.strides().into();
        let mut all = Vec::new();
        for (plane, number, part) in planes {
            for row in plane.chunks(strides[number]).take(height / part) {
                all.extend_from_slice(&row[..width / part]);
            }
        }
        self.shown.push(hash(&all));
        if quantizer == Quantizer::FINEST {
            let luma = all.iter().zip(self.planes.luma());
            let most = luma.map(|(shown, meant)| shown.abs_diff(*meant)).max();
            ensure!(most.is_some_and(|most| most <= 4), "a sample is off by {most:?}");
        }
        Ok(())
    }

    /// What ffmpeg shows.
    pub(super) fn shown_by_ffmpeg(&self, file: &Path) -> Result<Vec<u64>> {
        let file = file.with_extension("h264");
        fs::write(&file, &self.bytes)?;
        shown_by_ffmpeg(&file, self.planes.size())
    }
}

/// What ffmpeg shows of pictures of this size.
pub(super) fn shown_by_ffmpeg(file: &Path, size: FrameSize) -> Result<Vec<u64>> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-f", "h264", "-i"]).arg(file);
    ffmpeg.args(["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]);
    let output = ffmpeg.output().context("tests/install.sh test installs ffmpeg")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.is_empty(), "ffmpeg: {said}");
    let length = usize::from(size.width()) * usize::from(size.height()) * 3 / 2;
    Ok(output.stdout.chunks_exact(length).map(hash).collect())
}

/// The pictures that the driver has told of: key or not, quantizer, hash.
pub(super) fn told(personality: &Path) -> Result<Vec<(bool, u8, u64)>> {
    let text = fs::read_to_string(personality.with_extension("log"))?;
    let line = |line: &str| -> Result<(bool, u8, u64)> {
        let [kind, quantizer, hash] = line.split(' ').collect::<Vec<_>>()[..] else {
            bail!("the driver's log has {line:?}")
        };
        Ok((kind == "idr", quantizer.parse()?, u64::from_str_radix(hash, 16)?))
    };
    text.lines().map(line).collect()
}
