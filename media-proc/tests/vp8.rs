//! VP8 streams, decoded by ffmpeg's own decoder, which is not libvpx: each picture is shown as it was meant,
//! what did not change stays bit for bit, and a still picture becomes exact.

use std::{env, fs, process::Command};

use anyhow::{Context, Result, ensure};
use lumen_ipc::{
    message::frames::Rect,
    units::{Fps, FrameSize, Kbps},
    video::VideoFormat,
};
use lumen_media::{
    convert::{Frame, MACROBLOCK, MacroblockMap, Planes},
    effort::Effort,
    video::{Encoder, Picture, PictureKind, Quantizer},
};

/// A stream in an IVF file, and what it shows of a page with lines of letters.
struct Stream {
    encoder: Encoder,
    size: FrameSize,
    pixels: Vec<u8>,
    planes: Planes,
    file: Vec<u8>,
    /// What each picture was to show.
    meant: Vec<Vec<u8>>,
    effort: Effort,
}

impl Stream {
    fn of(width: u16, height: u16) -> Result<Self> {
        let size = FrameSize::new(width, height)?;
        let mut file = b"DKIF\0\0\x20\0VP80".to_vec();
        file.extend([width.to_le_bytes(), height.to_le_bytes()].concat());
        file.extend([30_u32, 1, 0, 0].map(u32::to_le_bytes).concat());
        Ok(Self {
            encoder: Encoder::open(VideoFormat::Vp8, size, Fps::clamped(60), Kbps::clamped(8000))?,
            size,
            pixels: vec![0; size.frame_bytes()],
            planes: Planes::new(size),
            file,
            meant: Vec::new(),
            effort: Effort::Quick,
        })
    }

    /// Shows the page from row `top` on.
    fn scroll_to(&mut self, top: usize) {
        let width = usize::from(self.size.width());
        for (at, pixel) in self.pixels.chunks_exact_mut(4).enumerate() {
            let (x, y) = (at % width, at / width + top);
            // Strokes of letters of 7 × 12 pixels, and some of them coloured.
            let ink = x * 2654435761 % 7 < 3 && y * 40503 / (x / 7 + 3) % 5 < 2 && y % 12 < 9;
            let colour = [(y / 12 % 4 * 60) as u8, 40, (x / 7 % 3 * 80) as u8, 0];
            pixel.copy_from_slice(if ink { &colour } else { &[245, 245, 240, 0] });
        }
    }

    fn fill(&mut self, rect: Rect, colour: [u8; 4]) {
        let (width, x) = (usize::from(self.size.width()), usize::from(rect.x));
        let rows = self.pixels.chunks_exact_mut(width * 4).skip(rect.y.into());
        for row in rows.take(rect.height.into()) {
            for pixel in row.chunks_exact_mut(4).skip(x).take(rect.width.into()) {
                pixel.copy_from_slice(&colour);
            }
        }
    }

    /// Encodes what is shown; returns how many bytes it takes.
    fn encode(
        &mut self,
        kind: PictureKind,
        changed: &MacroblockMap,
        quantizer: u8,
    ) -> Result<usize> {
        let frame = Frame::new(&self.pixels, self.size.stride_bytes(), self.size)?;
        self.planes.update(frame, changed)?;
        let (planes, effort) = (&self.planes, self.effort);
        let quantizer = Quantizer::nearest(quantizer);
        let unit = self.encoder.encode(Picture { planes, changed, kind, quantizer, effort })?;
        ensure!(unit.key == (kind == PictureKind::Key), "a picture of another kind");
        self.file.extend((unit.bytes.len() as u32).to_le_bytes());
        self.file.extend((self.meant.len() as u64).to_le_bytes());
        self.file.extend(unit.bytes);
        let length = unit.bytes.len();
        self.meant.push([planes.luma(), planes.blue(), planes.red()].concat());
        Ok(length)
    }

    fn all(&self) -> MacroblockMap {
        MacroblockMap::whole(self.size)
    }

    fn none(&self) -> MacroblockMap {
        MacroblockMap::constant(self.size)
    }

    /// What ffmpeg shows: every sample of each picture.
    fn shown(&self, name: &str) -> Result<Vec<Vec<u8>>> {
        let path = env::temp_dir().join(format!("lumen-vp8-{name}-{}.ivf", std::process::id()));
        fs::write(&path, &self.file)?;
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-c:v", "vp8", "-f", "ivf", "-i"]).arg(&path);
        ffmpeg.args(["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]);
        let output = ffmpeg.output();
        fs::remove_file(&path)?;
        let output = output.context("tests/install.sh test installs ffmpeg")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && said.is_empty(), "ffmpeg: {said}");
        let length = self.meant.first().map_or(1, Vec::len);
        let shown: Vec<_> = output.stdout.chunks_exact(length).map(<[u8]>::to_vec).collect();
        ensure!(shown.len() == self.meant.len(), "{} pictures", shown.len());
        Ok(shown)
    }
}

/// Peak signal-to-noise ratio in dB.
fn psnr(shown: &[u8], meant: &[u8]) -> f64 {
    let square = |(shown, meant): (&u8, &u8)| f64::from(shown.abs_diff(*meant)).powi(2);
    let sum: f64 = shown.iter().zip(meant).map(square).sum();
    10.0 * (255.0 * 255.0 * shown.len() as f64 / sum.max(1.0)).log10()
}

#[test]
fn every_picture_is_shown_as_it_was_meant() -> Result<()> {
    // Whole macroblocks, less than one, and a part of one at the right and at the bottom.
    for (width, height) in [(320, 176), (16, 16), (18, 34), (1366, 768)] {
        let mut stream = Stream::of(width, height)?;
        let all = stream.all();
        let mut least = Vec::new();
        for (number, quantizer) in [44, 23, 23, 10, 30, 4, 23, 16].into_iter().enumerate() {
            stream.effort = [Effort::Quick, Effort::Thorough, Effort::Thrifty][number % 3];
            stream.scroll_to(100 + 7 * number);
            let kind = match number {
                0 | 5 => PictureKind::Key,
                2 => PictureKind::Fresh,
                _ => PictureKind::Moved(-7),
            };
            stream.encode(kind, &all, quantizer)?;
            // What a step of this size loses at most: 6 dB for each 6 quantizers, and less between them.
            least.push(60.0 - f64::from(quantizer.max(10)) * 0.95);
        }
        let shown = stream.shown(&format!("meant-{width}"))?;
        for (number, least) in least.iter().enumerate() {
            let found = psnr(&shown[number], &stream.meant[number]);
            ensure!(found >= *least, "{width}: picture {number}: {found:.1} dB of {least:.1}");
        }
    }
    Ok(())
}

#[test]
fn what_did_not_change_is_shown_bit_for_bit_as_before() -> Result<()> {
    let mut stream = Stream::of(330, 200)?;
    stream.scroll_to(50);
    let (all, none) = (stream.all(), stream.none());
    stream.encode(PictureKind::Key, &all, 23)?;
    stream.encode(PictureKind::Predicted, &none, 10)?;
    for number in 0..40_u8 {
        let rect = Rect { x: 100 + u16::from(number), y: 70, width: 60, height: 40 };
        stream.fill(rect, [number.wrapping_mul(37), number.wrapping_mul(91), 200, 0]);
        let mut changed = none.clone();
        changed.mark(rect);
        stream.encode(PictureKind::Predicted, &changed, 44)?;
    }
    let shown = stream.shown("constant")?;
    let is_left = |at: usize| at % 330 < 96 || at / 330 < 64 || at / 330 >= 112;
    let luma = |number: usize| {
        let samples = shown[number][..330 * 200].iter().enumerate();
        samples.filter(|(at, _)| is_left(*at)).map(|(_, sample)| *sample).collect::<Vec<_>>()
    };
    const { assert!(96 % MACROBLOCK == 0 && 64 % MACROBLOCK == 0 && 112 % MACROBLOCK == 0) };
    for number in 2..shown.len() {
        ensure!(luma(number) == luma(1), "picture {number} changed what had not changed");
    }
    Ok(())
}

#[test]
fn picture_at_rest_becomes_exact_and_then_takes_no_bits() -> Result<()> {
    let mut stream = Stream::of(320, 200)?;
    stream.scroll_to(0);
    // Bars of the colours that are hardest.
    for (bar, colour) in [[255, 0, 0], [0, 255, 255], [0, 255, 0], [255, 0, 255]].iter().enumerate()
    {
        let rect = Rect { x: 64 * bar as u16, y: 64, width: 64, height: 64 };
        stream.fill(rect, [colour[0], colour[1], colour[2], 0]);
    }
    let (all, none) = (stream.all(), stream.none());
    let first = stream.encode(PictureKind::Key, &all, 44)?;
    for quantizer in [30, 16, 10] {
        stream.encode(PictureKind::Predicted, &none, quantizer)?;
    }
    let last = stream.encode(PictureKind::Predicted, &none, 4)?;
    ensure!(last * 20 < first, "{last} bytes of what is exact, of {first} at first");
    let shown = stream.shown("rest")?;
    let (shown, meant) = (&shown[4], &stream.meant[4]);
    let most = shown.iter().zip(meant).map(|(shown, meant)| shown.abs_diff(*meant)).max();
    ensure!(most.is_some_and(|most| most <= 3), "a sample is off by {most:?}");
    Ok(())
}
