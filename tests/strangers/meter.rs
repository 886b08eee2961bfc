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

use crate::{
    FPS,
    attack::{Attack, Siege, Target},
    work::{measured, work},
};

/// The least share of its rate that a viewer keeps beside an attack.
const LEAST: f64 = 0.95;
/// The least share of the rate before all attacks that a viewer has between two: what outlasts an attack
/// would lower the rate that it is measured by.
const LEAST_BETWEEN: f64 = 0.5;
/// Times that an attack is measured, always all of them. Each round is a quiet span, one of the attack, and one of
/// work: as much as the attacker itself did, on a processor of the same machine, without an attack. The spans of
/// a round are compared, and of the rounds' ratios the median counts: whatever else the machine is busy with, it is
/// alike for all three, or spoils one round or two.
const ROUNDS: usize = 5;
/// The workers that strangers reach.
const REACHED: [Worker; 3] = [Worker::Rtc, Worker::Gateway, Worker::Turn];

/// What was seen in a span of time.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    /// Frames a second.
    rate: f64,
    time: Duration,
    /// The longest time without a frame.
    gap: Duration,
    /// Processor time of the workers that strangers reach.
    spent: [Duration; REACHED.len()],
    lines: usize,
}

/// What was seen in a round beside an attack.
struct Besieged {
    span: Span,
    /// How long a newcomer took.
    newcomer: Duration,
    /// The attack's blows in the span.
    blows: u64,
    /// The attacker's own share of a processor.
    effort: f64,
}

/// The spans of an attack, or between attacks.
#[derive(Debug, Default)]
struct Spans(Vec<Span>);

/// The middle one, or the mean of the middle two.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.get((numbers.len().max(1) - 1) / 2..numbers.len() / 2 + 1);
    let middle = middle.unwrap_or_default();
    middle.iter().sum::<f64>() / middle.len().max(1) as f64
}

impl Spans {
    /// The median of the rates.
    fn rate(&self) -> f64 {
        median(self.0.iter().map(|span| span.rate).collect())
    }

    /// The median of the rates' ratios to those of other spans of the same rounds.
    fn ratio_to(&self, others: &Self) -> f64 {
        let pairs = self.0.iter().zip(&others.0);
        median(pairs.map(|(own, other)| own.rate / other.rate.max(f64::MIN_POSITIVE)).collect())
    }

    fn seconds(&self) -> f64 {
        self.0.iter().map(|span| span.time).sum::<Duration>().as_secs_f64()
    }

    fn gap_millis(&self) -> u128 {
        self.0.iter().map(|span| span.gap).max().unwrap_or_default().as_millis()
    }

    fn lines(&self) -> usize {
        self.0.iter().map(|span| span.lines).sum()
    }

    /// Per cent of a core of each worker.
    fn cores(&self) -> String {
        let spent = |worker: usize| self.0.iter().map(|span| span.spent[worker]).sum::<Duration>();
        let share = |worker| spent(worker).as_secs_f64() / self.seconds() * 100.0;
        let all: Vec<_> =
            (0..REACHED.len()).map(|worker| format!("{:.0}", share(worker))).collect();
        all.join("/")
    }
}

/// Frames a second between `begun` and `end`, by the times at which frames arrived: from the last one before
/// the span to the last one in it, so that the rate does not depend on where between two frames the span
/// begins. Silence at the end counts as far as it is longer than the time between two frames. More frames than
/// the app draws are some that were late before the span.
fn rate(frames: &[Instant], begun: Instant, end: Instant) -> f64 {
    let before = frames.iter().rev().find(|at| **at < begun).copied().unwrap_or(begun);
    let shown = || frames.iter().filter(|at| (begun..end).contains(*at));
    let last = shown().next_back().copied().unwrap_or(begun);
    let pause = Duration::from_secs(1) / FPS;
    let time = (last - before).max((end - before).saturating_sub(pause));
    (shown().count() as f64 / time.as_secs_f64()).min(f64::from(FPS))
}

/// An honest viewer.
pub(crate) struct Meter<'rig> {
    rig: &'rig Rig,
    /// Where honest viewers connect.
    door: SocketAddr,
    viewer: Viewer,
    target: Target,
    workers: [Option<Process>; REACHED.len()],
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
        let length = Duration::from_secs(seconds.unwrap_or(5)) / ROUNDS as u32;
        let mut meter = Self { rig, door, viewer, target, workers, unharmed: 0.0, length };
        let alone = meter.newcomer()?;
        meter.unharmed = meter.span(length)?.rate;
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
        let frames: Vec<Instant> = seen.frames.iter().map(|frame| frame.at).collect();
        drop(seen);
        let in_span = |at: &Instant| *at >= begun && *at < begun + time;
        let shown = frames.iter().copied().filter(in_span);
        let marks: Vec<Instant> = [begun].into_iter().chain(shown).chain([begun + time]).collect();
        let gaps = marks.iter().zip(marks.iter().skip(1)).map(|(from, to)| *to - *from);
        let mut used = now;
        for (used, before) in used.iter_mut().zip(spent) {
            *used = used.saturating_sub(before);
        }
        let gap = gaps.max().unwrap_or_default();
        let lines = self.lines().saturating_sub(lines);
        let rate = rate(&frames, begun, begun + time);
        Ok(Span { rate, time, gap, spent: used, lines })
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

    /// Measures an attack and notes it; a sentence if too few frames came, or if it was answered otherwise than
    /// it was meant to be.
    pub(crate) fn measure(&self, attack: &Attack) -> Result<Option<String>> {
        let [mut alone, mut beside, mut beside_work] = [const { Spans(Vec::new()) }; 3];
        let (mut newcomer, mut blows, mut effort) = (Duration::ZERO, 0, 0.0);
        let siege = Siege::default();
        for _ in 0..ROUNDS {
            alone.0.push(self.span(self.length)?);
            let siege = siege.another();
            let besieged =
                self.besieged(attack, &siege).with_context(|| format!("beside {}", attack.name))?;
            beside.0.push(besieged.span);
            beside_work.0.push(self.beside_work(besieged.effort)?);
            (newcomer, blows) = (newcomer.max(besieged.newcomer), blows + besieged.blows);
            effort += besieged.effort / ROUNDS as f64;
        }
        let (ratio, own) = (beside.ratio_to(&alone), beside.ratio_to(&beside_work));
        let row = format!(
            "{:4.1} fps alone, {:4.1} beside: {:5.1} %, {:5.1} % of beside the attacker's work ({:.0} % of a core); \
             longest gap {:3} ms ({:3}); new viewer {:3} ms; rtc/gateway/turn {} % ({}); {:.0} lines/s; {:.0}/s",
            alone.rate(),
            beside.rate(),
            ratio * 100.0,
            own * 100.0,
            effort * 100.0,
            beside.gap_millis(),
            alone.gap_millis(),
            newcomer.as_millis(),
            beside.cores(),
            alone.cores(),
            beside.lines() as f64 / beside.seconds(),
            blows as f64 / beside.seconds(),
        );
        note(&format!("strangers: {:74}", attack.name), &row);
        if let Some(oddity) = siege.oddity(attack.meant) {
            return Ok(Some(format!("{}: the attack {oddity}", attack.name)));
        }
        // What the attacker's own work costs a viewer is not the attack's doing.
        let holds = ratio.max(own) >= LEAST && alone.rate() >= LEAST_BETWEEN * self.unharmed;
        Ok((!holds).then(|| format!("{}: {row}", attack.name)))
    }

    /// A span beside work without an attack.
    fn beside_work(&self, effort: f64) -> Result<Span> {
        let siege = Siege::default();
        let own = siege.clone();
        let worker =
            thread::Builder::new().name("worker".into()).spawn(move || work(effort, &own))?;
        let span = self.span(self.length);
        siege.end();
        worker.join().map_err(|_| anyhow!("the worker panicked"))??;
        span
    }

    fn besieged(&self, attack: &Attack, siege: &Siege) -> Result<Besieged> {
        let (run, target, own) = (attack.run, self.target.clone(), siege.clone());
        let attacker = thread::Builder::new()
            .name("stranger".into())
            .spawn(move || measured(run, &target, &own))?;
        let seen = wait_until("the attack begins", || siege.blows() > 0 || attacker.is_finished())
            .and_then(|()| {
                let before = siege.blows();
                let span = self.span(self.length)?;
                Ok((span, siege.blows() - before))
            })
            .and_then(|(span, blows)| Ok((span, self.newcomer()?, blows)));
        siege.end();
        let (outcome, effort) = attacker.join().map_err(|_| anyhow!("the attacker panicked"))?;
        outcome?;
        let (span, newcomer, blows) = seen?;
        Ok(Besieged { span, newcomer, blows, effort })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rate of frames at these milliseconds between two other milliseconds.
    fn rate_of(frames: impl Iterator<Item = u64>, begun: u64, end: u64) -> f64 {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        rate(&frames.map(at).collect::<Vec<_>>(), at(begun), at(end))
    }

    #[test]
    fn rate_of_regular_frames_is_theirs_wherever_the_span_begins() {
        let frames = || (0..100).map(|number| number * 1000 / u64::from(FPS));
        for begun in 200..300 {
            let found = rate_of(frames(), begun, begun + 1010);
            assert!((found - f64::from(FPS)).abs() < 0.1, "{found} from {begun}");
        }
    }

    #[test]
    fn rate_counts_silence_wherever_it_is() {
        for silence in [400..800, 900..1300] {
            let frames = (0..100).map(|number| number * 100).filter(|at| !silence.contains(at));
            let found = rate_of(frames, 200, 1240);
            assert!(found < 0.75 * 10.0, "{found} without {silence:?}");
        }
        assert!(rate_of(std::iter::empty(), 200, 1240) < 0.01);
    }

    #[test]
    fn rate_is_never_more_than_the_app_draws() {
        let late = [199].into_iter().chain((3..100).map(|number| number * 1000 / u64::from(FPS)));
        assert!(rate_of(late, 200, 1240) <= f64::from(FPS));
    }

    #[test]
    fn ratio_of_rounds_that_are_alike_is_theirs_however_busy_each_was() {
        let spans =
            |rates: [f64; 5]| Spans(rates.map(|rate| Span { rate, ..Span::default() }).into());
        let found =
            spans([14.0, 7.0, 3.5, 1.0, 14.0]).ratio_to(&spans([15.0, 7.5, 3.75, 15.0, 15.0]));
        assert!((found - 14.0 / 15.0).abs() < 0.01, "{found}");
        assert!(spans([0.0; 5]).ratio_to(&spans([15.0; 5])) < 0.01);
    }

    #[test]
    fn rate_of_spans_is_their_median() {
        for (rates, median) in [(&[15.0, 3.0, 14.0][..], 14.0), (&[15.0, 14.0, 1.0, 15.0], 14.5)] {
            let spans = rates.iter().map(|rate| Span { rate: *rate, ..Span::default() });
            let found = Spans(spans.collect()).rate();
            assert!((found - median).abs() < 0.01, "{found} of {rates:?}");
        }
    }
}
