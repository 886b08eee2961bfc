//! Beeps once a second and has the test app flash with each beep, as a player of films keeps picture
//! and sound together: by the sound server's word of when a sample is played.
//!
//! `beeper TEST-APP ARGUMENT…` starts the test app, which shows `--picture flash`, and writes to its
//! standard input when to flash, in nanoseconds of the monotonic clock.

#![forbid(unsafe_code)]

use std::{
    io::{Cursor, Write},
    process::{Child, ChildStdin, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use lumen_tests::step::{BEEP_HERTZ, BEEP_MILLIS, PERIOD_MILLIS};
use pipewire::{
    context::ContextRc,
    main_loop::MainLoopRc,
    properties::properties,
    spa::{
        param::{
            ParamType,
            audio::{AudioFormat, AudioInfoRaw},
        },
        pod::{Object, Pod, Value, serialize::PodSerializer},
        utils::{Direction, SpaTypes},
    },
    stream::{Stream, StreamFlags, StreamRc, StreamState},
};

const RATE: u32 = 48_000;
const CHANNELS: usize = 2;
const NANOS: u64 = 1_000_000_000;

/// What is played, and who flashes with it.
struct Beeper {
    /// Samples of each channel that were played.
    played: u64,
    app: ChildStdin,
}

impl Beeper {
    /// Fills a buffer whose first sample is played at `nanos`.
    fn fill(&mut self, memory: &mut [u8], nanos: u64) {
        let frame = CHANNELS * size_of::<f32>();
        for (at, samples) in memory.chunks_exact_mut(frame).enumerate() {
            let number = self.played + at as u64;
            let within = number % u64::from(RATE * PERIOD_MILLIS / 1000);
            if within == 0 {
                let flash = nanos + at as u64 * NANOS / u64::from(RATE);
                // The desktop's end ends the test app first.
                let _ = writeln!(self.app, "{flash}");
            }
            let sample = beep(within).to_le_bytes().repeat(CHANNELS);
            samples.copy_from_slice(&sample);
        }
        self.played += (memory.len() / frame) as u64;
    }
}

/// A sample of the beep, `within` samples after it begins.
fn beep(within: u64) -> f32 {
    if within >= u64::from(RATE * BEEP_MILLIS / 1000) {
        return 0.0;
    }
    let seconds = within as f64 / f64::from(RATE);
    // Loud from the first wave on.
    ((seconds * BEEP_HERTZ * std::f64::consts::TAU).sin() * 0.5) as f32
}

/// Fills the next buffer.
fn play(stream: &Stream, beeper: &mut Beeper) {
    let Some(nanos) = heard_at(stream) else { return };
    let Some(mut buffer) = stream.dequeue_buffer() else { return };
    let Some(data) = buffer.datas_mut().first_mut() else { return };
    let frame = CHANNELS * size_of::<f32>();
    let Some(memory) = data.data() else { return };
    let length = memory.len().min(MOST_FRAMES * frame) / frame * frame;
    beeper.fill(&mut memory[..length], nanos);
    let chunk = data.chunk_mut();
    (*chunk.offset_mut(), *chunk.stride_mut()) = (0, frame as i32);
    *chunk.size_mut() = length as u32;
}

/// Frames of one buffer: as many as a cycle of the sound server takes that was asked for by `LATENCY`.
const MOST_FRAMES: usize = 512;
const LATENCY: &str = "512/48000";

/// When the first sample of the next buffer is played, as the sound server says.
fn heard_at(stream: &Stream) -> Option<u64> {
    let time = stream.time().ok()?;
    let rate = time.rate();
    let delay = time.delay() * i64::try_from(NANOS).ok()? * i64::from(rate.num);
    let later = delay.checked_div(i64::from(rate.denom))?;
    u64::try_from(time.now().checked_add(later)?).ok()
}

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let app = words.next().context("the test app is not named")?;
    let mut app = Command::new(app).args(words).stdin(Stdio::piped()).spawn()?;
    let orders = app.stdin.take().context("the test app's standard input")?;
    let outcome = run(orders);
    ended(app).and(outcome)
}

fn ended(mut app: Child) -> Result<()> {
    let status = app.wait()?;
    ensure!(status.success(), "the test app ended with {status}");
    Ok(())
}

/// Beeps until the desktop ends.
fn run(app: ChildStdin) -> Result<()> {
    pipewire::init();
    let main_loop = MainLoopRc::new(None)?;
    let context = ContextRc::new(&main_loop, None)?;
    let core = context.connect_rc(None)?;
    let properties = properties! {
        "media.type" => "Audio",
        "media.category" => "Playback",
        "node.name" => "beeper",
        "node.latency" => LATENCY
    };
    let stream = StreamRc::new(core, "beeper", properties)?;
    let over = main_loop.clone();
    let _listener = stream
        .add_local_listener_with_user_data(Beeper { played: 0, app })
        .state_changed(move |_, _, _, state| {
            if matches!(state, StreamState::Error(_) | StreamState::Unconnected) {
                over.quit();
            }
        })
        .process(play)
        .register()?;
    let format = format()?;
    let pod = Pod::from_bytes(&format).context("the format of samples")?;
    // On the thread that moves samples: a buffer is then played in the cycle that asks for it.
    let flags = StreamFlags::AUTOCONNECT | StreamFlags::MAP_BUFFERS | StreamFlags::RT_PROCESS;
    stream.connect(Direction::Output, None, flags, &mut [pod])?;
    main_loop.run();
    Ok(())
}

fn format() -> Result<Vec<u8>> {
    let mut info = AudioInfoRaw::new();
    info.set_format(AudioFormat::F32LE);
    info.set_rate(RATE);
    info.set_channels(CHANNELS as u32);
    let object = Object {
        type_: SpaTypes::ObjectParamFormat.as_raw(),
        id: ParamType::EnumFormat.as_raw(),
        properties: info.into(),
    };
    let cursor = Cursor::new(Vec::new());
    let (cursor, _) = PodSerializer::serialize(cursor, &Value::Object(object))?;
    Ok(cursor.into_inner())
}
