//! Frames of layers drawn by Mesa's two drivers for the processor are, sample by sample, those that plain
//! numbers give. Not a `#[test]`: a driver is chosen by the environment, before it is loaded, and one of
//! them draws in a process that is confined. The program starts itself anew with the name of each check.

use std::{
    env,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail, ensure};
use lumen_ipc::{
    message::frames::{
        Changed, Colour, Content, Crop, Layer, LayerList, Layers, Place, Rect, Transform,
    },
    process::Worker,
    units::{BufferSize, FrameSize, SlotIndex},
};
use lumen_ipc_runtime::confine;
use lumen_media::{
    convert::{Frame, MacroblockMap, Planes},
    draw::{CannotDraw, Canvas, Sources, colour, differences, gl::Texture, shrink},
    policy,
};

type Check = (&'static str, &'static str, fn() -> Result<()>);

const CHECKS: &[Check] = &[
    ("frames-of-layers-have-the-samples-of-plain-numbers", "llvmpipe", random_frames),
    ("frames-of-layers-have-the-samples-of-plain-numbers", "softpipe", random_frames),
    ("drawn-samples-are-within-one-of-those-of-the-processor", "llvmpipe", within_one),
    ("translucent-layers-are-within-one-of-plain-numbers", "llvmpipe", translucent),
    ("frame-that-was-drawn-elsewhere-is-taken-over", "softpipe", taken_over),
    ("frame-after-a-missed-one-is-drawn-whole", "llvmpipe", missed),
    ("layer-without-a-texture-is-left-out", "llvmpipe", without_texture),
    ("driver-for-the-processor-is-refused-unless-it-is-welcome", "llvmpipe", software),
    ("driver-draws-while-media-is-confined", "softpipe", confined),
    ("node-that-is-none-is-refused-with-a-sentence", "llvmpipe", no_node),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    if let [_, flag, number] = arguments.as_slice()
        && flag == "--check"
    {
        let number: usize = number.parse().expect("a number");
        let (name, driver, check) = CHECKS[number];
        return match check() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let text = format!("{name} with {driver}: {error:?}\n");
                std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes())
                    .expect("written");
                ExitCode::FAILURE
            }
        };
    }
    let own = env::current_exe().expect("its path");
    let children: Vec<_> = CHECKS
        .iter()
        .enumerate()
        .map(|(number, (_, driver, _))| {
            let mut child = Command::new(&own);
            child.args(["--check", &number.to_string()]).env("GALLIUM_DRIVER", driver);
            child.env("MESA_SHADER_CACHE_DISABLE", "true").spawn().expect("a child")
        })
        .collect();
    let ends: Vec<_> =
        children.into_iter().map(|mut child| child.wait().expect("an end")).collect();
    for (end, (name, driver, _)) in ends.iter().zip(CHECKS) {
        assert!(end.success(), "{name} with {driver}: {end}");
    }
    ExitCode::SUCCESS
}

/// A canvas without a node. Without Mesa this fails, and says that `tests/install.sh test` installs it.
fn canvas() -> Result<Canvas> {
    Canvas::open(None, true).context("Mesa is missing or broken; tests/install.sh test installs it")
}

/// Steele and Vigna's SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>): the same on every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> i64 {
        i64::try_from(self.next() % bound).expect("small")
    }
}

/// A picture in an app's memory, with a texture of it.
struct Source {
    size: (u16, u16),
    pixels: Vec<u8>,
    texture: Texture,
}

struct Slots(Vec<Source>);

impl Sources for Slots {
    fn texture(&self, slot: SlotIndex) -> Option<&Texture> {
        self.0.get(usize::from(slot.value())).map(|source| &source.texture)
    }
}

impl Source {
    fn random(canvas: &Canvas, size: (u16, u16), chance: &mut Chance) -> Result<Self> {
        let count = usize::from(size.0) * usize::from(size.1);
        let pixels = (0..count).flat_map(|_| {
            let [blue, green, red, ..] = chance.next().to_le_bytes();
            [blue, green, red, 255]
        });
        let (pixels, texture) = (pixels.collect(), canvas.gl().bgra(size)?);
        let source = Self { size, pixels, texture };
        source.upload(canvas, Rect { x: 0, y: 0, width: size.0, height: size.1 });
        Ok(source)
    }

    fn upload(&self, canvas: &Canvas, part: Rect) {
        canvas.gl().upload(&self.texture, &self.pixels, usize::from(self.size.0) * 4, part);
    }

    fn colour(&self, x: i64, y: i64) -> [u8; 3] {
        let at = usize::try_from(y * i64::from(self.size.0) + x).expect("inside") * 4;
        let [blue, green, red] = self.pixels[at..at + 3] else { unreachable!("three bytes") };
        [red, green, blue]
    }
}

/// A layer that shows pixels one by one, as plain numbers.
#[derive(Clone, Copy, Debug)]
struct Pane {
    slot: usize,
    at: (i64, i64),
    crop: (i64, i64, i64, i64),
    transform: Transform,
    alpha: u8,
}

impl Pane {
    fn swaps(&self) -> bool {
        use Transform::*;
        matches!(self.transform, Turned90 | Turned270 | Mirrored90 | Mirrored270)
    }

    /// Width and height on the frame.
    fn size(&self) -> (i64, i64) {
        let (_, _, width, height) = self.crop;
        if self.swaps() { (height, width) } else { (width, height) }
    }

    /// The colour at a place of the frame, if the layer is there. The table is that of Weston's
    /// `weston_transformed_coord`.
    fn colour(&self, sources: &[Source], x: i64, y: i64) -> Option<[u8; 3]> {
        use Transform::*;
        let ((width, height), (x, y)) = (self.size(), (x - self.at.0, y - self.at.1));
        if !(0..width).contains(&x) || !(0..height).contains(&y) {
            return None;
        }
        let (right, low) = (width - 1 - x, height - 1 - y);
        let (x, y) = match self.transform {
            Normal => (x, y),
            Turned90 => (y, right),
            Turned180 => (right, low),
            Turned270 => (low, x),
            Mirrored => (right, y),
            Mirrored90 => (y, x),
            Mirrored180 => (x, low),
            Mirrored270 => (low, right),
        };
        Some(sources[self.slot].colour(self.crop.0 + x, self.crop.1 + y))
    }

    fn layer(&self, sources: &[Source]) -> Result<Layer> {
        let (width, height) = sources[self.slot].size;
        let buffer = BufferSize::new(width.into(), height.into())?;
        let (x, y, crop_width, crop_height) = self.crop;
        let crop = Crop::new([x, y, crop_width, crop_height].map(|it| it as f64), buffer)?;
        let slot = SlotIndex::new(self.slot as u64)?;
        let changed = Changed::new(Vec::new())?;
        let content = Content::Buffer { slot, crop, transform: self.transform, changed };
        let (width, height) = self.size();
        let place = Place::new(self.at.0, self.at.1, width, height)?;
        Ok(Layer { content, place, alpha: self.alpha, opaque: true })
    }
}

const GROUND: Colour = Colour { red: 20, green: 40, blue: 60, alpha: 255 };

fn layers(size: FrameSize, panes: &[Pane], sources: &[Source]) -> Result<Layers> {
    let list = panes.iter().map(|pane| pane.layer(sources)).collect::<Result<_>>()?;
    Ok(Layers { size, ground: GROUND, list: LayerList::new(list)? })
}

fn shown(panes: &[Pane], sources: &[Source], x: u16, y: u16) -> [u8; 3] {
    let (x, y) = (x.into(), y.into());
    let top = panes.iter().rev().find_map(|pane| pane.colour(sources, x, y));
    top.unwrap_or([GROUND.red, GROUND.green, GROUND.blue])
}

const TRANSFORMS: [Transform; 8] = [
    Transform::Normal,
    Transform::Turned90,
    Transform::Turned180,
    Transform::Turned270,
    Transform::Mirrored,
    Transform::Mirrored90,
    Transform::Mirrored180,
    Transform::Mirrored270,
];

fn pane(chance: &mut Chance, sources: &[Source], frame: FrameSize) -> Pane {
    let slot = chance.below(sources.len() as u64) as usize;
    let (width, height) = sources[slot].size;
    let (x, y) = (chance.below(width.into()), chance.below(height.into()));
    let crop_width = 1 + chance.below((i64::from(width) - x) as u64);
    let crop_height = 1 + chance.below((i64::from(height) - y) as u64);
    Pane {
        slot,
        at: (
            chance.below(u64::from(frame.width()) + 40) - 40,
            chance.below(u64::from(frame.height()) + 40) - 40,
        ),
        crop: (x, y, crop_width, crop_height),
        transform: TRANSFORMS[chance.below(8) as usize],
        alpha: 255,
    }
}

/// The rectangle around everything that a pane covers of a frame.
fn covered(pane: &Pane, frame: FrameSize) -> Option<Rect> {
    let cut = |from: i64, length: i64, most: u16| {
        let (start, end) = (from.max(0), (from + length).min(most.into()));
        (start < end).then(|| (start as u16, (end - start) as u16))
    };
    let (width, height) = pane.size();
    let (x, width) = cut(pane.at.0, width, frame.width())?;
    let (y, height) = cut(pane.at.1, height, frame.height())?;
    Some(Rect { x, y, width, height })
}

/// Windows come, move, change a part of their pixels and go, on frames of odd and even sides; only what is
/// damaged is drawn and read.
fn random_frames() -> Result<()> {
    random_frames_on(&mut canvas()?)
}

fn random_frames_on(canvas: &mut Canvas) -> Result<()> {
    let mut chance = Chance(7);
    for (width, height) in [(160, 96), (90, 70), (202, 54)] {
        let frame = FrameSize::new(width, height)?;
        let sizes = [(64, 64), (33, 17), (7, 90)];
        let sources = sizes.map(|size| Source::random(canvas, size, &mut chance));
        let mut sources = Slots(sources.into_iter().collect::<Result<_>>()?);
        let mut planes = Planes::new(frame);
        let small = FrameSize::new(width / 8 * 6, height / 8 * 6)?;
        let mut surfaces = [canvas.own_surfaces(frame)?, canvas.own_surfaces(small)?];
        let mut panes: Vec<Pane> = Vec::new();
        let mut damage = vec![Rect { x: 0, y: 0, width, height }];
        for step in 0..12 {
            let mut changed = MacroblockMap::constant(frame);
            damage.iter().for_each(|rect| changed.mark(*rect));
            let layers = layers(frame, &panes, &sources.0)?;
            canvas.draw(&layers, &damage, &sources, (&mut planes, &changed))?;
            let colour_at = |x, y| shown(&panes, &sources.0, x, y);
            let wrong = differences(&planes, &colour_at);
            ensure!(wrong == 0, "{wrong} wrong samples at {frame}, step {step}: {panes:?}");
            // An encoder's memory, which has missed what was drawn into its others.
            for surfaces in &mut surfaces {
                let filled = canvas.fill(surfaces, &changed)?;
                let sizes = (frame, surfaces.size());
                let mut drawn = Planes::new(sizes.1);
                canvas.read_surface(surfaces, filled.surface, &mut drawn)?;
                let wrong = match sizes.0 == sizes.1 {
                    true => differences(&drawn, &colour_at),
                    false => differences(&drawn, &|x, y| shrink::mean(sizes, (x, y), &colour_at)),
                };
                ensure!(wrong == 0, "{wrong} wrong samples in a surface, {sizes:?}, step {step}");
            }

            damage = match chance.below(3) {
                0 if !panes.is_empty() => {
                    let moved = chance.below(panes.len() as u64) as usize;
                    let before = covered(&panes[moved], frame);
                    panes[moved].at.0 += 5;
                    before.into_iter().chain(covered(&panes[moved], frame)).collect()
                }
                1 => {
                    let source = &mut sources.0[0];
                    let part = Rect { x: 3, y: 5, width: 20, height: 9 };
                    for row in 5..14 {
                        let at = (row * 64 + 3) * 4;
                        source.pixels[at..at + 80].iter_mut().for_each(|byte| *byte ^= 0x55);
                    }
                    source.upload(canvas, part);
                    panes.iter().filter_map(|pane| covered(pane, frame)).collect()
                }
                _ => {
                    let new = pane(&mut chance, &sources.0, frame);
                    panes.push(new);
                    covered(&new, frame).into_iter().collect()
                }
            };
        }
    }
    Ok(())
}

/// Draws one buffer as the whole frame.
fn whole(canvas: &mut Canvas, source: Source, alpha: u8) -> Result<(Planes, Slots)> {
    let (width, height) = source.size;
    let frame = FrameSize::new(width, height)?;
    let (mut planes, changed) = (Planes::new(frame), MacroblockMap::whole(frame));
    let crop = (0, 0, width.into(), height.into());
    let pane = Pane { slot: 0, at: (0, 0), crop, transform: Transform::Normal, alpha };
    let sources = Slots(vec![source]);
    let layers = layers(frame, &[pane], &sources.0)?;
    let damage = [Rect { x: 0, y: 0, width, height }];
    canvas.draw(&layers, &damage, &sources, (&mut planes, &changed))?;
    Ok((planes, sources))
}

fn most_apart(one: &[u8], other: &[u8]) -> u8 {
    one.iter().zip(other).map(|(one, other)| one.abs_diff(*other)).max().unwrap_or(0)
}

fn within_one() -> Result<()> {
    let mut canvas = canvas()?;
    let source = Source::random(&canvas, (320, 180), &mut Chance(3))?;
    let (drawn, sources) = whole(&mut canvas, source, 255)?;
    let size = drawn.size();
    let mut converted = Planes::new(size);
    let frame = Frame::new(&sources.0[0].pixels, 320 * 4, size)?;
    converted.update(frame, &MacroblockMap::whole(size))?;
    let apart = [
        most_apart(drawn.luma(), converted.luma()),
        most_apart(drawn.blue(), converted.blue()),
        most_apart(drawn.red(), converted.red()),
    ];
    ensure!(apart.iter().all(|apart| *apart <= 1), "{apart:?} apart");
    Ok(())
}

fn translucent() -> Result<()> {
    let mut canvas = canvas()?;
    let source = Source::random(&canvas, (64, 32), &mut Chance(5))?;
    let (drawn, sources) = whole(&mut canvas, source, 128)?;
    let ground = [GROUND.red, GROUND.green, GROUND.blue];
    let expected: Vec<u8> = (0..32)
        .flat_map(|y| (0..64).map(move |x| (x, y)))
        .map(|(x, y)| {
            let above = sources.0[0].colour(x, y);
            let mix = |channel: usize| {
                let (above, below) = (u32::from(above[channel]), u32::from(ground[channel]));
                ((above * 128 + below * 127) as f32 / 255.0).round() as u8
            };
            colour::luma([mix(0), mix(1), mix(2)])
        })
        .collect();
    let apart = most_apart(drawn.luma(), &expected);
    ensure!(apart <= 1, "{apart} apart");
    Ok(())
}

fn missed() -> Result<()> {
    let mut canvas = canvas()?;
    let mut chance = Chance(11);
    let source = Source::random(&canvas, (64, 32), &mut chance)?;
    let (mut planes, mut sources) = whole(&mut canvas, source, 255)?;
    // The compositor draws a frame, which changes everything, and its damage is not drawn here.
    canvas.missed_a_frame();
    sources.0[0] = Source::random(&canvas, (64, 32), &mut chance)?;
    let frame = planes.size();
    let crop = (0, 0, 64, 32);
    let pane = Pane { slot: 0, at: (0, 0), crop, transform: Transform::Normal, alpha: 255 };
    let layers = layers(frame, &[pane], &sources.0)?;
    let damage = [Rect { x: 0, y: 0, width: 1, height: 1 }];
    canvas.draw(&layers, &damage, &sources, (&mut planes, &MacroblockMap::whole(frame)))?;
    let wrong = differences(&planes, &|x, y| shown(&[pane], &sources.0, x, y));
    ensure!(wrong == 0, "{wrong} wrong samples");
    Ok(())
}

/// Frames whose rows are further apart than they are long, and of which only damage is looked at; then one of layers.
fn taken_over() -> Result<()> {
    let mut canvas = canvas()?;
    let mut chance = Chance(17);
    let frame = FrameSize::new(70, 40)?;
    let (stride, all) = (80 * 4, Rect { x: 0, y: 0, width: 70, height: 40 });
    let mut surfaces = canvas.own_surfaces(frame)?;
    let mut pixels: Vec<u8> = (0..stride * 40).map(|_| chance.next() as u8).collect();
    let parts = [
        all,
        Rect { x: 20, y: 6, width: 30, height: 20 },
        Rect { x: 69, y: 39, width: 1, height: 1 },
    ];
    for part in parts {
        let mut changed = MacroblockMap::constant(frame);
        changed.mark(part);
        for y in part.y..part.y + part.height {
            let row = &mut pixels[usize::from(y) * stride..];
            let columns = usize::from(part.x) * 4..usize::from(part.x + part.width) * 4;
            row[columns].fill_with(|| chance.next() as u8);
        }
        canvas.take_over(frame, (&pixels, stride), &[part])?;
        let filled = canvas.fill(&mut surfaces, &changed)?;
        let mut planes = Planes::new(frame);
        canvas.read_surface(&surfaces, filled.surface, &mut planes)?;
        let colour_at = |x: u16, y: u16| {
            let at = usize::from(y) * stride + usize::from(x) * 4;
            [pixels[at + 2], pixels[at + 1], pixels[at]]
        };
        let wrong = differences(&planes, &colour_at);
        ensure!(wrong == 0, "{wrong} wrong samples after {part:?}");
    }
    let layers = layers(frame, &[], &[])?;
    canvas.compose(&layers, &[all], &Slots(Vec::new()))?;
    let filled = canvas.fill(&mut surfaces, &MacroblockMap::whole(frame))?;
    let mut planes = Planes::new(frame);
    canvas.read_surface(&surfaces, filled.surface, &mut planes)?;
    let wrong = differences(&planes, &|_, _| [GROUND.red, GROUND.green, GROUND.blue]);
    ensure!(wrong == 0, "{wrong} samples are not the ground's");
    Ok(())
}

fn without_texture() -> Result<()> {
    let mut canvas = canvas()?;
    let source = Source::random(&canvas, (64, 32), &mut Chance(13))?;
    let frame = FrameSize::new(64, 32)?;
    let crop = (0, 0, 64, 32);
    let pane = Pane { slot: 0, at: (0, 0), crop, transform: Transform::Normal, alpha: 255 };
    let layers = layers(frame, &[pane], &[source])?;
    let (mut planes, changed) = (Planes::new(frame), MacroblockMap::whole(frame));
    let damage = [Rect { x: 0, y: 0, width: 64, height: 32 }];
    canvas.draw(&layers, &damage, &Slots(Vec::new()), (&mut planes, &changed))?;
    let wrong = differences(&planes, &|_, _| [GROUND.red, GROUND.green, GROUND.blue]);
    ensure!(wrong == 0, "{wrong} samples are not the ground's");
    Ok(())
}

fn software() -> Result<()> {
    match Canvas::open(None, false) {
        Err(CannotDraw::Software(name)) => ensure!(name.contains("llvmpipe"), "{name}"),
        Err(error) => return Err(error.into()),
        Ok(_) => bail!("it is not refused"),
    }
    Ok(())
}

/// The driver is loaded while files are out of reach but for libraries, and draws while calls are filtered.
fn confined() -> Result<()> {
    let policy = policy::drawing();
    let opened = || Ok((canvas(), policy.clone()));
    let (_, canvas) = confine::confine_in_steps(&policy, Worker::Media.binary(), opened)?;
    random_frames_on(&mut canvas?)
}

/// Mesa draws by the processor where a node has no driver of its own.
fn no_node() -> Result<()> {
    let null = std::fs::File::open("/dev/null")?;
    match Canvas::open(Some(null.into()), false) {
        Err(CannotDraw::Software(_) | CannotDraw::Unusable(_)) => Ok(()),
        Err(CannotDraw::Wrong { .. }) | Ok(_) => bail!("something draws on /dev/null"),
    }
}
