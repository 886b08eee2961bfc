//! The encoder on VA-API, with a driver that the tests build (`tests/va-driver`): x264 behind our headers, so
//! that a wrong one does not decode. What two decoders show is, bit for bit, what the driver says that it
//! reconstructed, for drivers of every kind that is met. Not a `#[test]`: libva looks for a driver by the
//! environment, and by what libdrm says of a device. The program starts itself anew with each check.

use std::{
    env, fs,
    fs::File,
    io::Write,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    rc::Rc,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use lumen_ipc::{
    process::Worker,
    units::{Fps, FrameSize, Kbps},
};
use lumen_ipc_runtime::confine;
use lumen_media::{
    convert::{Frame, MacroblockMap, Planes},
    effort::Effort,
    policy,
    trial::{
        clock::{Pace, measure},
        scene::Scene,
        stages::Encoding,
    },
    video::{
        self, Picture, PictureKind, Quantizer,
        vaapi::{Device, Encoder},
    },
};
use openh264::{decoder::Decoder, formats::YUVSource};

/// Where the driver is built.
const DRIVERS: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/va-driver");

/// A name, the driver's personality, and what is tried with it.
type Check = (&'static str, &'static str, fn(&Path) -> Result<()>);

/// Intel's drivers take all headers.
const INTEL: &str = "";
/// The smaller encoder of newer Intel hardware, which claims what it cannot do.
const LOW_POWER: &str = "slice 0\nlow-power 1\nrate-control 0x16\n";
/// Mesa's before it took more than the sequence's header.
const OLD_MESA: &str = "packed 0x1\n";
/// Mesa's since: one segment for each unit, and no type for slices whose header is not packed.
const NEW_MESA: &str = "packed 0x7\nsegment-per-unit 1\nzero-header 1\n";
/// Drivers that show no memory of their surfaces, and take no headers.
const CLOSED: &str = "packed 0\nderives 0\nsegment-per-unit 1\n";

const CHECKS: &[Check] = &[
    ("stream-decodes-to-what-the-driver-reconstructed", INTEL, stream),
    ("stream-decodes-to-what-the-driver-reconstructed", LOW_POWER, stream),
    ("stream-decodes-to-what-the-driver-reconstructed", OLD_MESA, stream),
    ("stream-decodes-to-what-the-driver-reconstructed", NEW_MESA, stream),
    ("stream-decodes-to-what-the-driver-reconstructed", CLOSED, stream),
    ("driver-encodes-while-media-is-confined", NEW_MESA, confined),
    ("forbidden-call-fails-in-a-trial-and-the-driver-is-measured", OLD_MESA, trial),
    ("driver-that-fails-is-found-out", "fault fails\nat 3\n", |_| {
        third_fails("vaEndPicture failed")
    }),
    ("driver-that-writes-garbage-is-found-out", "fault garbage\nat 3\n", |_| {
        third_fails("not one slice")
    }),
    ("driver-that-overflows-is-found-out", "fault overflows\nat 3\n", |_| {
        third_fails("says that a coded picture")
    }),
    ("driver-that-aborts-takes-the-process-with-it", "fault aborts\nat 3\n", |_| {
        third_fails("never")
    }),
    ("driver-that-makes-units-of-no-type-is-found-out", "packed 0x3\nzero-header 1\n", |_| {
        first_fails("a unit of no type")
    }),
    ("driver-that-ignores-the-quantizer-is-found-out", "packed 0x3\nignores-delta 1\n", |_| {
        first_fails("another quantizer")
    }),
    ("driver-without-constant-quantizer-is-refused", "rate-control 0x2\n", |_| {
        refused("does not offer encoding")
    }),
    ("driver-that-only-decodes-is-refused", "slice 0\n", |_| refused("does not offer encoding")),
    ("picture-that-is-too-large-is-refused", "most 1024\n", |_| too_large()),
];

/// The check whose process is to end by a signal.
const ABORTS: &str = "fault aborts\nat 3\n";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    let checked = match arguments.as_slice() {
        [_, flag, number] if flag == "--check" => check(number),
        _ => check_all(),
    };
    match checked {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error of a test that fails.
            let _ = writeln!(std::io::stderr(), "{error:?}");
            ExitCode::FAILURE
        }
    }
}

fn check(number: &str) -> Result<()> {
    let (name, personality, check) = CHECKS[number.parse::<usize>()?];
    let log = env::var_os("LUMEN_TEST_VA").context("no personality")?;
    check(Path::new(&log)).with_context(|| format!("{name} with {personality:?}"))
}

fn check_all() -> Result<()> {
    let folder = PathBuf::from(DRIVERS);
    fs::create_dir_all(&folder)?;
    build(&folder)?;
    let children: Vec<(usize, Child)> = CHECKS
        .iter()
        .enumerate()
        .map(|(number, (_, personality, _))| Ok((number, start(&folder, number, personality)?)))
        .collect::<Result<_>>()?;
    for (number, mut child) in children {
        let (name, personality, _) = CHECKS[number];
        let end = child.wait()?;
        let as_it_should =
            if personality == ABORTS { end.signal() == Some(6) } else { end.success() };
        ensure!(as_it_should, "{name} with {personality:?}: {end}");
    }
    without_a_driver(&folder)
}

fn start(folder: &Path, number: usize, personality: &str) -> Result<Child> {
    let file = folder.join(format!("personality-{number}"));
    let log = file.with_extension("log");
    // What an earlier run has left; there need be none.
    let _ = fs::remove_file(&log);
    fs::write(&file, format!("{personality}log {}\n", log.display()))?;
    let child =
        child(folder).args(["--check", &number.to_string()]).env("LUMEN_TEST_VA", file).spawn();
    child.context("starting itself")
}

fn child(drivers: &Path) -> Command {
    let mut child = Command::new(env::current_exe().expect("its path"));
    child.env("LIBVA_DRIVERS_PATH", drivers).env("LIBVA_MESSAGING_LEVEL", "0");
    child.env_remove("LIBVA_DRIVER_NAME").env("LD_PRELOAD", drivers.join("libdrm-vgem.so"));
    child
}

/// Compiles the driver, and the functions by which any file is a device of vgem.
fn build(folder: &Path) -> Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/va-driver/build.sh");
    let end = Command::new(script).arg(folder).status().context("starting a shell")?;
    ensure!(
        end.success(),
        "the driver is not compiled; tests/install.sh test installs what it needs"
    );
    Ok(())
}

/// With an empty folder of drivers.
fn without_a_driver(folder: &Path) -> Result<()> {
    let empty = folder.join("empty");
    fs::create_dir_all(&empty)?;
    let number = CHECKS.iter().position(|(name, ..)| name.contains("only-decodes")).expect("it");
    let mut refused = child(folder);
    refused.env("LIBVA_DRIVERS_PATH", empty).args(["--check", &number.to_string()]);
    let output = refused.env("LUMEN_TEST_VA", folder).stderr(Stdio::piped()).spawn()?;
    let output = output.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(said.contains("vaInitialize failed with 0xffffffff"), "without a driver: {said}");
    Ok(())
}

fn device() -> Result<Rc<Device>> {
    let node: OwnedFd = File::open("/dev/null")?.into();
    Ok(Rc::new(Device::open(node)?))
}

fn size(width: u16, height: u16) -> FrameSize {
    FrameSize::new(width, height).expect("a legal size")
}

fn open(device: &Rc<Device>, size: FrameSize) -> Result<Encoder> {
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
struct Stream {
    encoder: Encoder,
    planes: Planes,
    bytes: Vec<u8>,
    decoder: Decoder,
    /// What openh264 shows.
    shown: Vec<u64>,
    quantizers: Vec<(bool, u8)>,
}

/// FNV-1a of 64 bits.
fn hash<'bytes>(bytes: impl IntoIterator<Item = &'bytes u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

impl Stream {
    fn open(device: &Rc<Device>, size: FrameSize) -> Result<Self> {
        Ok(Self {
            encoder: open(device, size)?,
            planes: Planes::new(size),
            bytes: Vec::new(),
            decoder: Decoder::new()?,
            shown: Vec::new(),
            quantizers: Vec::new(),
        })
    }

    /// Shows the page from row `top` on.
    fn scroll(&mut self, top: usize) -> Result<()> {
        let (size, pixels) = (self.planes.size(), page(self.planes.size(), top));
        let frame = Frame::new(&pixels, size.stride_bytes(), size)?;
        Ok(self.planes.update(frame, &MacroblockMap::whole(size))?)
    }

    fn encode(&mut self, kind: PictureKind, changed: bool, quantizer: u8) -> Result<()> {
        let size = self.planes.size();
        let changed =
            if changed { MacroblockMap::whole(size) } else { MacroblockMap::constant(size) };
        let quantizer = Quantizer::nearest(quantizer);
        let (planes, effort) = (&self.planes, Effort::Quick);
        let picture = Picture { planes, changed: &changed, kind, quantizer, effort };
        let unit = self.encoder.encode(picture)?;
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
    fn shown_by_ffmpeg(&self, file: &Path) -> Result<Vec<u64>> {
        let file = file.with_extension("h264");
        fs::write(&file, &self.bytes)?;
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-f", "h264", "-i"]).arg(&file);
        ffmpeg.args(["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]);
        let output = ffmpeg.output().context("tests/install.sh test installs ffmpeg")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && said.is_empty(), "ffmpeg: {said}");
        let size = self.planes.size();
        let length = usize::from(size.width()) * usize::from(size.height()) * 3 / 2;
        Ok(output.stdout.chunks_exact(length).map(hash).collect())
    }
}

/// The pictures that the driver has told of: key or not, quantizer, hash.
fn told(personality: &Path) -> Result<Vec<(bool, u8, u64)>> {
    let text = fs::read_to_string(personality.with_extension("log"))?;
    let line = |line: &str| -> Result<(bool, u8, u64)> {
        let [kind, quantizer, hash] = line.split(' ').collect::<Vec<_>>()[..] else {
            bail!("the driver's log has {line:?}")
        };
        Ok((kind == "idr", quantizer.parse()?, u64::from_str_radix(hash, 16)?))
    };
    text.lines().map(line).collect()
}

/// Sizes that are and are not whole macroblocks; scrolling, keyframes on demand, refinement, and more pictures
/// than a frame number can count.
fn stream(personality: &Path) -> Result<()> {
    let device = device()?;
    let mut before = 0;
    for (size, count) in [(size(64, 64), 600), (size(322, 178), 12), (size(640, 360), 6)] {
        let mut stream = Stream::open(&device, size)?;
        stream.scroll(0)?;
        stream.encode(PictureKind::Key, true, 30)?;
        for number in 1..=count {
            stream.scroll(number * 3)?;
            let kind = match number {
                3 => PictureKind::Fresh,
                5 | 6 => PictureKind::Key,
                7 => PictureKind::Moved(3),
                _ => PictureKind::Predicted,
            };
            stream.encode(kind, true, 16 + (number % 30) as u8)?;
        }
        // A still picture becomes finer.
        for quantizer in [24, 10, 4] {
            stream.encode(PictureKind::Predicted, false, quantizer)?;
        }
        let told = &told(personality)?[before..];
        before += told.len();
        let kinds: Vec<(bool, u8)> =
            told.iter().map(|(key, quantizer, _)| (*key, *quantizer)).collect();
        ensure!(kinds == stream.quantizers, "{size}: other pictures than asked for");
        let made: Vec<u64> = told.iter().map(|(.., hash)| *hash).collect();
        ensure!(made == stream.shown, "{size}: openh264 shows something else");
        let shown = stream.shown_by_ffmpeg(personality)?;
        ensure!(made.len() == shown.len(), "{size}: ffmpeg shows {} pictures", shown.len());
        ensure!(made == shown, "{size}: ffmpeg shows something else");
    }
    Ok(())
}

/// Pictures of two sizes, of which one is opened when system calls are filtered already.
fn confined(personality: &Path) -> Result<()> {
    let policy = policy::drawing().read_path(DRIVERS, "the driver, which is no part of the system");
    // A granted node is open before.
    let node: OwnedFd = File::open("/dev/null")?.into();
    let opened = || Ok((open_and_encode(node), policy.clone()));
    let (_, stream) = confine::confine_in_steps(&policy, Worker::Media.binary(), opened)?;
    let (device, mut stream) = stream?;
    ensure!(File::open(personality).is_err(), "not confined");
    stream.encode(PictureKind::Predicted, true, 4)?;
    let mut stream = Stream::open(&device, size(200, 120))?;
    stream.scroll(3)?;
    stream.encode(PictureKind::Key, true, 4)
}

/// What `lumen doctor --gpu` does with a driver that encodes.
fn trial(_: &Path) -> Result<()> {
    let policy = policy::drawing().read_path(DRIVERS, "the driver").survived();
    let node: OwnedFd = File::open("/dev/null")?.into();
    let size = size(160, 90);
    let opened = || {
        let device = Device::of_any_use(node).and_then(Device::that_suits);
        let opened = device.map(|device| {
            let about = device.about();
            (about, Encoder::tried(&Rc::new(device), size, Fps::clamped(60), Kbps::clamped(20_000)))
        });
        Ok((opened, policy.clone()))
    };
    let (_, opened) = confine::confine_in_steps(&policy, Worker::Media.binary(), opened)?;
    let (about, encoder) = opened?;
    for (subject, found) in [
        ("VA-API's driver", "Lumen's test driver"),
        ("Constrained Baseline by EncSlice", "EncPackedHeaders 0x1"),
        ("Constrained Baseline by EncSliceLP", "no"),
    ] {
        let told = about.iter().find(|(what, _)| what == subject).context(subject)?;
        ensure!(told.1.contains(found), "{subject}: {}", told.1);
    }
    let refused = std::net::UdpSocket::bind("127.0.0.1:0").expect_err("a forbidden call");
    ensure!(refused.raw_os_error() == Some(1), "{refused}");
    let scene = Scene::new(size);
    let mut stage = Encoding::new(video::Encoder::Vaapi(Box::new(encoder?)), &scene);
    let pace = Pace { interval: Duration::from_millis(1), most: 20, patience: Duration::MAX };
    let took = measure(pace, &mut stage)?.context("no pictures")?;
    ensure!(took.pictures == 20 && took.median <= took.worst, "{took}");
    let (mut decoder, stream) = (Decoder::new()?, stage.into_stream());
    let shown = openh264::nal_units(&stream)
        .filter(|unit| decoder.decode(unit).is_ok_and(|it| it.is_some()));
    ensure!(shown.count() == 20, "not all pictures decode");
    Ok(())
}

fn open_and_encode(node: OwnedFd) -> Result<(Rc<Device>, Stream)> {
    let device = Rc::new(Device::open(node)?);
    let mut stream = Stream::open(&device, size(64, 64))?;
    stream.scroll(0)?;
    stream.encode(PictureKind::Key, true, 30)?;
    Ok((device, stream))
}

/// The message of the first picture that fails, and how many were encoded before.
fn until_it_fails() -> Result<(usize, String)> {
    let mut stream = Stream::open(&device()?, size(64, 64))?;
    for number in 0..10 {
        stream.scroll(number)?;
        let kind = if number == 0 { PictureKind::Key } else { PictureKind::Predicted };
        if let Err(error) = stream.encode(kind, true, 20) {
            return Ok((number, format!("{error:#}")));
        }
    }
    bail!("nothing fails")
}

fn third_fails(because: &str) -> Result<()> {
    let (before, reason) = until_it_fails()?;
    ensure!(before == 2 && reason.contains(because), "after {before}: {reason}");
    Ok(())
}

fn first_fails(because: &str) -> Result<()> {
    let (before, reason) = until_it_fails()?;
    ensure!(before == 0 && reason.contains(because), "after {before}: {reason}");
    Ok(())
}

fn refused(because: &str) -> Result<()> {
    let reason = device().err().context("the device is taken")?.to_string();
    ensure!(reason.contains(because), "{reason}");
    Ok(())
}

fn too_large() -> Result<()> {
    let refused = open(&device()?, size(1920, 1080)).err();
    let reason = refused.context("the size is taken")?.to_string();
    ensure!(reason.contains("does not encode pictures of"), "{reason}");
    Ok(())
}
