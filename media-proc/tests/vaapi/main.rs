//! The encoder on VA-API, with a driver that the tests build (`tests/va-driver`): x264 behind our headers, so
//! that a wrong one does not decode. What two decoders show is, bit for bit, what the driver says that it
//! reconstructed, for drivers of every kind that is met. Not a `#[test]`: libva looks for a driver by the
//! environment, and by what libdrm says of a device. The program starts itself anew with each check.

mod stream;

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
    policy,
    trial::{
        clock::{Pace, measure},
        scene::Scene,
        stages::Encoding,
    },
    video::{
        self, PictureKind,
        vaapi::{Device, Encoder},
    },
};
use openh264::decoder::Decoder;

use self::stream::{Stream, open, shown_by_ffmpeg, size, told};

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
    ("stream-that-is-drawn-decodes-to-what-the-driver-reconstructed", INTEL, drawn),
    ("stream-that-is-drawn-decodes-to-what-the-driver-reconstructed", LOW_POWER, drawn),
    ("stream-that-is-drawn-decodes-to-what-the-driver-reconstructed", NEW_MESA, drawn),
    ("driver-that-shows-its-memory-to-nobody-is-refused", "exports 0\n", shows_nothing),
    ("driver-encodes-while-media-is-confined", NEW_MESA, confined),
    ("forbidden-call-fails-in-a-trial-and-the-driver-is-measured", OLD_MESA, trial),
    ("driver-that-fails-is-found-out", "fault fails\nat 3\n", |_| {
        third_fails("vaEndPicture failed")
    }),
    ("driver-that-writes-garbage-is-found-out", "fault garbage\nat 3\n", |_| {
        third_fails("not one slice")
    }),
    ("driver-that-cuts-a-picture-short-is-found-out", "fault truncates\nat 3\n", |_| {
        third_fails("macroblocks are missing or cannot be read")
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
    without_a_driver(&folder)?;
    referee(&folder)
}

/// The driver as another program uses it: so it is VA-API's, and not merely what media asks for.
fn referee(folder: &Path) -> Result<()> {
    let (file, video) = (folder.join("personality-referee"), folder.join("referee.h264"));
    let log = file.with_extension("log");
    // What an earlier run has left; there need be none.
    let _ = fs::remove_file(&log);
    fs::write(&file, format!("log {}\n", log.display()))?;
    let mut ffmpeg = with_driver(Command::new("ffmpeg"), folder);
    ffmpeg.args(["-v", "error", "-init_hw_device", "vaapi=device:/dev/null"]).args([
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=322x178:rate=30:duration=1",
        "-filter_hw_device",
        "device",
        "-vf",
        "format=nv12,hwupload",
    ]);
    ffmpeg.args(["-c:v", "h264_vaapi", "-profile:v", "constrained_baseline", "-rc_mode", "CQP"]);
    ffmpeg.args(["-qp", "24", "-bf", "0", "-g", "10", "-y"]).arg(&video);
    let end = ffmpeg.env("LUMEN_TEST_VA", &file).status().context("starting ffmpeg")?;
    ensure!(end.success(), "ffmpeg's h264_vaapi does not encode by the driver");
    let made: Vec<u64> = told(&file)?.into_iter().map(|(.., hash)| hash).collect();
    ensure!(made.len() == 30, "{} pictures instead of thirty", made.len());
    ensure!(shown_by_ffmpeg(&video, size(322, 178))? == made, "ffmpeg shows something else");
    Ok(())
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
    with_driver(Command::new(env::current_exe().expect("its path")), drivers)
}

fn with_driver(mut child: Command, drivers: &Path) -> Command {
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

/// Sizes that are and are not whole macroblocks; scrolling, keyframes on demand, refinement, and more pictures
/// than a frame number can count.
fn stream(personality: &Path) -> Result<()> {
    streams(personality, Stream::open)
}

/// The same, drawn into the driver's surfaces.
fn drawn(personality: &Path) -> Result<()> {
    streams(personality, Stream::open_drawn)
}

fn streams(personality: &Path, open: fn(&Rc<Device>, FrameSize) -> Result<Stream>) -> Result<()> {
    let device = device()?;
    let mut before = 0;
    for (size, count) in [(size(64, 64), 600), (size(322, 178), 12), (size(640, 360), 6)] {
        let mut stream = open(&device, size)?;
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

fn shows_nothing(_: &Path) -> Result<()> {
    let refused = Stream::open_drawn(&device()?, size(64, 64)).err();
    let reason = refused.context("it is taken")?.to_string();
    ensure!(reason == "vaExportSurfaceHandle failed with 0x24", "{reason}");
    // What is copied to it is encoded all the same.
    let mut stream = Stream::open(&device()?, size(64, 64))?;
    stream.scroll(0)?;
    stream.encode(PictureKind::Key, true, 4)
}

fn too_large() -> Result<()> {
    let refused = open(&device()?, size(1920, 1080)).err();
    let reason = refused.context("the size is taken")?.to_string();
    ensure!(reason.contains("does not encode pictures of"), "{reason}");
    Ok(())
}
