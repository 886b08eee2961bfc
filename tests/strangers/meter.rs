//! Measures an honest viewer alone and beside attacks.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    measured::note, patience::wait_until, process::Process, rig::Rig, viewer::Viewer,
};

use crate::attack::{Attack, Siege, Target};

/// The least share of its rate that a viewer keeps beside an attack.
const LEAST: f64 = 0.95;
/// The least share of the rate before all attacks that a viewer has between two: what outlasts an attack
/// would lower the rate that it is measured by.
const LEAST_BETWEEN: f64 = 0.5;
/// Most times that an attack is measured. All of them count together: another round makes the mean of a
/// noisy machine more exact, and does not replace an earlier one.
const ROUNDS: usize = 8;
/// The workers that strangers reach.
const REACHED: [Worker; 3] = [Worker::Rtc, Worker::Gateway, Worker::Turn];

/// The frames of a span of time.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    frames: usize,
    time: Duration,
    /// The longest time without a frame.
    gap: Duration,
    /// Processor time of the workers that strangers reach.
    spent: [Duration; REACHED.len()],
    lines: usize,
}

impl Span {
    fn add(&mut self, other: Self) {
        self.frames += other.frames;
        self.time += other.time;
        self.gap = self.gap.max(other.gap);
        for (sum, spent) in self.spent.iter_mut().zip(other.spent) {
            *sum += spent;
        }
        self.lines += other.lines;
    }

    fn rate(&self) -> f64 {
        self.frames as f64 / self.time.as_secs_f64()
    }

    /// Per cent of a core of each worker.
    fn cores(&self) -> String {
        let share = |spent: &Duration| spent.as_secs_f64() / self.time.as_secs_f64() * 100.0;
        let all: Vec<_> = self.spent.iter().map(|spent| format!("{:.0}", share(spent))).collect();
        all.join("/")
    }
}

/// An honest viewer.
pub(crate) struct Meter<'rig> {
    rig: &'rig Rig,
    /// Where honest viewers connect.
    door: SocketAddr,
    viewer: Viewer,
    target: Target,
    workers: [Option<Process>; REACHED.len()],
    /// The quiet span before the next attack.
    quiet: Span,
    /// The rate before all attacks.
    unharmed: f64,
    length: Duration,
}

impl<'rig> Meter<'rig> {
    /// Lets a viewer in by `door`, and measures a quiet span.
    pub(crate) fn start(
        rig: &'rig Rig,
        door: SocketAddr,
        target: impl FnOnce(&Viewer) -> Result<Target>,
    ) -> Result<Self> {
        let seconds = std::env::var("LUMEN_TEST_SIEGE").ok().and_then(|text| text.parse().ok());
        let viewer = Viewer::with_token(door, rig.token())?;
        let target = target(&viewer)?;
        // By then encoder and network estimate have settled.
        viewer.wait_for_frame(45)?;
        let mut workers = [None; REACHED.len()];
        for (process, worker) in workers.iter_mut().zip(REACHED) {
            *process = rig.worker(worker)?;
        }
        let length = Duration::from_secs(seconds.unwrap_or(4));
        let quiet = Span::default();
        let mut meter = Self { rig, door, viewer, target, workers, quiet, unharmed: 0.0, length };
        let alone = meter.newcomer()?;
        meter.quiet = meter.span(length / 2)?;
        meter.unharmed = meter.quiet.rate();
        ensure!(meter.unharmed > 0.0, "no pictures, and no attack yet");
        note("strangers: a new viewer alone", format_args!("{} ms", alone.as_millis()));
        Ok(meter)
    }

    fn spent(&self) -> [Duration; REACHED.len()] {
        self.workers.map(|worker| {
            worker.and_then(|worker| worker.processor_time().ok()).unwrap_or_default()
        })
    }

    /// Watches for a while.
    fn span(&self, length: Duration) -> Result<Span> {
        let (begun, spent, lines) = (Instant::now(), self.spent(), self.lines());
        // The span to measure, not a guess at when something is done.
        thread::sleep(length);
        let (time, now) = (begun.elapsed(), self.spent());
        let seen = self.viewer.seen();
        ensure!(seen.closed.is_none(), "the honest viewer was cut off: {:?}", seen.closed);
        let in_span = |at: &Instant| *at >= begun && *at < begun + time;
        let shown: Vec<Instant> =
            seen.frames.iter().map(|frame| frame.at).filter(in_span).collect();
        drop(seen);
        let marks: Vec<Instant> =
            [begun].into_iter().chain(shown.iter().copied()).chain([begun + time]).collect();
        let gaps = marks.iter().zip(marks.iter().skip(1)).map(|(from, to)| *to - *from);
        let mut used = now;
        for (used, before) in used.iter_mut().zip(spent) {
            *used = used.saturating_sub(before);
        }
        let gap = gaps.max().unwrap_or_default();
        let lines = self.lines().saturating_sub(lines);
        Ok(Span { frames: shown.len(), time, gap, spent: used, lines })
    }

    fn lines(&self) -> usize {
        self.rig.said().lines().count()
    }

    /// How long a viewer who comes takes to the first picture.
    fn newcomer(&self) -> Result<Duration> {
        let begun = Instant::now();
        let viewer = Viewer::with_token(self.door, self.rig.token()).context("a right log-in")?;
        Ok(viewer.wait_for_frame(0).context("a new viewer")?.at - begun)
    }

    /// Measures an attack between two quiet spans, and notes it; a sentence if too few frames came.
    pub(crate) fn measure(&mut self, attack: &Attack) -> Result<Option<String>> {
        let (mut alone, mut beside) = (Span::default(), Span::default());
        let (mut newcomer, mut blows) = (Duration::ZERO, 0);
        for _ in 0..ROUNDS {
            alone.add(self.quiet);
            let (span, came, count) =
                self.besieged(attack).with_context(|| format!("beside {}", attack.name))?;
            beside.add(span);
            (newcomer, blows) = (newcomer.max(came), blows + count);
            self.quiet = self.span(self.length / 2)?;
            alone.add(self.quiet);
            if beside.rate() >= LEAST * alone.rate() {
                break;
            }
        }
        let ratio = beside.rate() / alone.rate();
        let row = format!(
            "{:4.1} fps alone, {:4.1} beside: {:5.1} %; longest gap {:3} ms ({:3}); new viewer {:3} ms; \
             rtc/gateway/turn {} % ({}); {:.0} lines/s; {:.0}/s",
            alone.rate(),
            beside.rate(),
            ratio * 100.0,
            beside.gap.as_millis(),
            alone.gap.as_millis(),
            newcomer.as_millis(),
            beside.cores(),
            alone.cores(),
            beside.lines as f64 / beside.time.as_secs_f64(),
            blows as f64 / beside.time.as_secs_f64(),
        );
        note(&format!("strangers: {:74}", attack.name), &row);
        let holds = ratio >= LEAST && alone.rate() >= LEAST_BETWEEN * self.unharmed;
        Ok((!holds).then(|| format!("{}: {row}", attack.name)))
    }

    /// The span beside an attack, how long a newcomer takes beside it, and the blows of the span.
    fn besieged(&self, attack: &Attack) -> Result<(Span, Duration, u64)> {
        let siege = Siege::default();
        let (run, target, own) = (attack.run, self.target.clone(), siege.clone());
        let attacker = thread::Builder::new().name("stranger".into()).spawn(move || {
            let outcome = run(&target, &own);
            own.hold();
            outcome
        })?;
        let measured =
            wait_until("the attack begins", || siege.blows() > 0 || attacker.is_finished())
                .and_then(|()| {
                    let before = siege.blows();
                    let span = self.span(self.length)?;
                    Ok((span, siege.blows() - before))
                })
                .and_then(|(span, blows)| Ok((span, self.newcomer()?, blows)));
        siege.end();
        attacker.join().map_err(|_| anyhow!("the attacker panicked"))??;
        measured
    }
}
