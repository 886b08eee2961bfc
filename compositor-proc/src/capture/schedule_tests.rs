//! Tests of [`super`] in virtual time.

use proptest::prelude::*;

use super::*;

const FPS: u64 = 50;
/// 1 s / 50.
const INTERVAL: Duration = Duration::from_millis(20);

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn silent(now: Instant) -> Schedule {
    let mut schedule = Schedule::new(Fps::new(FPS).expect("legal rate"));
    schedule.attach(now);
    schedule
}

fn attached(now: Instant) -> Schedule {
    let mut schedule = silent(now);
    schedule.set_watching(now, true);
    schedule
}

/// A schedule whose first frame was drawn and released at `now`.
fn settled(now: Instant) -> Schedule {
    let mut schedule = attached(now);
    schedule.drawn(now, Outcome::Sent);
    schedule.released();
    schedule
}

#[test]
fn next_with_nothing_changed_is_idle() {
    let now = Instant::now();
    assert_eq!(settled(now).next(now + ms(5_000)), Step::Idle);
}

#[test]
fn next_after_attach_is_draw_even_without_a_change() {
    let now = Instant::now();
    assert_eq!(attached(now).next(now), Step::Draw);
}

#[test]
fn media_that_has_not_said_what_is_wanted_gets_no_frame() {
    let now = Instant::now();
    let mut schedule = silent(now);
    schedule.change(now + ms(30));
    schedule.want_callback();
    assert_eq!(schedule.next(now + ms(30)), Step::CallBack);
    schedule.called_back(now + ms(30), Waiting::Nobody);
    assert_eq!(schedule.next(now + ms(30)), Step::Idle);
    schedule.set_watching(now + ms(40), true);
    assert_eq!(schedule.next(now + ms(40)), Step::Draw);
}

#[test]
fn media_for_which_nobody_watches_gets_one_frame() {
    let now = Instant::now();
    let mut schedule = silent(now);
    schedule.set_watching(now, false);
    assert_eq!(schedule.next(now), Step::Draw);
    schedule.drawn(now, Outcome::Sent);
    schedule.released();
    schedule.change(now + ms(30));
    assert_eq!(schedule.next(now + ms(30)), Step::Wait(now + REST_AFTER));
}

#[test]
fn memory_is_given_back_once_when_nobody_has_watched_for_a_while() {
    let now = Instant::now();
    let mut schedule = settled(now);
    schedule.set_watching(now, false);
    assert_eq!(schedule.next(now + REST_AFTER - ms(1)), Step::Wait(now + REST_AFTER));
    // That nobody watches may be said again.
    schedule.set_watching(now + ms(500), false);
    assert_eq!(schedule.next(now + REST_AFTER), Step::Rest);
    schedule.rested();
    assert_eq!(schedule.next(now + REST_AFTER), Step::Idle);
    schedule.set_watching(now + 2 * REST_AFTER, true);
    assert_eq!(schedule.next(now + 2 * REST_AFTER), Step::Draw);
}

#[test]
fn memory_is_kept_for_whoever_comes_back_soon_and_while_media_reads_it() {
    let now = Instant::now();
    let mut schedule = settled(now);
    schedule.set_watching(now, false);
    schedule.set_watching(now + ms(900), true);
    schedule.drawn(now + ms(900), Outcome::Sent);
    schedule.set_watching(now + ms(950), false);
    assert_eq!(schedule.next(now + 2 * REST_AFTER), Step::Idle, "media has a frame");
    schedule.released();
    assert_eq!(schedule.next(now + 2 * REST_AFTER), Step::Rest);
    schedule.attach(now + 2 * REST_AFTER);
    schedule.set_watching(now + 2 * REST_AFTER, false);
    assert_eq!(schedule.next(now + 2 * REST_AFTER), Step::Draw, "another media has no frame yet");
}

#[test]
fn change_after_a_pause_is_drawn_at_once() {
    let now = Instant::now();
    let mut schedule = settled(now);
    schedule.change(now + ms(500));
    assert_eq!(schedule.next(now + ms(500)), Step::Draw);
}

#[test]
fn change_soon_after_a_frame_waits_for_the_slot() {
    let now = Instant::now();
    let mut schedule = settled(now);
    schedule.change(now + ms(3));
    assert_eq!(schedule.next(now + ms(3)), Step::Wait(now + INTERVAL));
    assert_eq!(schedule.next(now + INTERVAL), Step::Draw);
}

#[test]
fn change_after_another_rate_was_set_waits_for_its_slot() {
    let now = Instant::now();
    let mut schedule = settled(now);
    schedule.set_rate(Fps::new(FPS / 2).expect("legal rate"));
    schedule.change(now + ms(3));
    assert_eq!(schedule.next(now + ms(3)), Step::Wait(now + 2 * INTERVAL));
}

#[test]
fn change_while_a_frame_is_unreleased_waits_for_the_release() {
    let now = Instant::now();
    let mut schedule = attached(now);
    schedule.drawn(now, Outcome::Sent);
    schedule.change(now + ms(30));
    assert_eq!(schedule.next(now + ms(30)), Step::Idle);
    assert!(schedule.released());
    assert_eq!(schedule.next(now + ms(31)), Step::Draw);
}

#[test]
fn change_while_media_is_gone_is_held_until_it_is_back() {
    let now = Instant::now();
    let mut schedule = settled(now);
    schedule.detach();
    schedule.change(now + ms(30));
    assert_eq!(schedule.next(now + ms(30)), Step::Idle);
    schedule.attach(now + ms(400));
    schedule.set_watching(now + ms(400), true);
    assert_eq!(schedule.next(now + ms(400)), Step::Draw);
}

#[test]
fn watching_again_draws_at_once() {
    let now = Instant::now();
    let mut schedule = settled(now);
    schedule.set_watching(now, false);
    schedule.change(now + ms(30));
    assert_eq!(schedule.next(now + ms(30)), Step::Wait(now + REST_AFTER));
    schedule.set_watching(now + ms(90), true);
    assert_eq!(schedule.next(now + ms(90)), Step::Draw);
}

#[test]
fn callbacks_while_nobody_watches_come_once_a_second() {
    let now = Instant::now();
    let mut schedule = settled(now);
    schedule.set_watching(now, false);
    schedule.want_callback();
    assert_eq!(schedule.next(now), Step::CallBack);
    schedule.called_back(now, Waiting::Nobody);
    assert_eq!(schedule.next(now), Step::Wait(now + REST_AFTER));
    schedule.want_callback();
    assert_eq!(schedule.next(now), Step::Wait(now + IDLE_INTERVAL));
}

#[test]
fn callbacks_wait_for_the_encoder() {
    let now = Instant::now();
    let mut schedule = attached(now);
    schedule.want_callback();
    schedule.drawn(now, Outcome::Sent);
    assert_eq!(schedule.next(now + ms(70)), Step::Idle);
    schedule.released();
    assert_eq!(schedule.next(now + ms(70)), Step::CallBack);
}

#[test]
fn callbacks_of_hidden_windows_come_once_a_second() {
    let now = Instant::now();
    let mut schedule = settled(now);
    schedule.want_callback();
    schedule.called_back(now, Waiting::Visible);
    assert_eq!(schedule.next(now + ms(40)), Step::Wait(now + IDLE_INTERVAL));
}

/// Runs an app that answers each callback after `response`, with media releasing at once, and
/// returns when each frame was drawn and how old the app's commit was by then.
fn animate(
    schedule: &mut Schedule,
    start: Instant,
    response: Duration,
) -> Vec<(Duration, Duration)> {
    let mut now = start;
    let mut answer_at = None;
    let mut frames = Vec::new();
    schedule.want_callback();
    while frames.len() < 200 {
        if answer_at.is_some_and(|at| at <= now) {
            answer_at = None;
            schedule.change(now);
            schedule.want_callback();
        }
        let step = schedule.next(now);
        match step {
            Step::Draw => {
                let age = schedule.changed_since().map_or(Duration::ZERO, |since| now - since);
                frames.push((now - start, age));
                schedule.drawn(now, Outcome::Sent);
                schedule.released();
            }
            Step::CallBack => {
                schedule.called_back(now, Waiting::Nobody);
                answer_at = Some(now + response);
            }
            Step::Rest => unreachable!("somebody watches"),
            Step::Wait(_) | Step::Idle => {
                let wake = match step {
                    Step::Wait(at) => Some(at),
                    _ => None,
                };
                now = wake.into_iter().chain(answer_at).min().expect("an animation goes on");
            }
        }
    }
    frames
}

#[test]
fn animation_of_a_quick_app_runs_at_full_rate_and_is_drawn_fresh() {
    let now = Instant::now();
    let frames = animate(&mut settled(now), now, ms(3));
    let (last_half, whole) = (&frames[100..], frames[199].0 - frames[100].0);
    assert!(whole <= INTERVAL * 99 + ms(20), "{whole:?} for 99 intervals");
    assert!(last_half.iter().all(|(_, age)| *age <= ms(4)), "{last_half:?}");
}

#[test]
fn animation_of_a_slow_app_is_limited_by_the_app_alone() {
    let now = Instant::now();
    let frames = animate(&mut settled(now), now, ms(27));
    let whole = frames[199].0 - frames[100].0;
    assert!(whole <= ms(27) * 99 + ms(40), "{whole:?} for 99 answers of 27 ms");
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Advance(u64),
    Attach,
    Detach,
    Change,
    Watch(bool),
    Release,
    WantCallback,
    Draw(Outcome),
}

fn op() -> impl Strategy<Value = Op> {
    let outcome = prop_oneof![
        6 => Just(Outcome::Sent),
        2 => Just(Outcome::Unchanged),
        1 => Just(Outcome::Failed),
    ];
    prop_oneof![
        8 => (0_u64..40_000).prop_map(Op::Advance),
        1 => Just(Op::Attach),
        1 => Just(Op::Detach),
        6 => Just(Op::Change),
        2 => any::<bool>().prop_map(Op::Watch),
        6 => Just(Op::Release),
        3 => Just(Op::WantCallback),
        6 => outcome.prop_map(Op::Draw),
    ]
}

/// What can be observed of a schedule.
struct World {
    schedule: Schedule,
    now: Instant,
    attached: bool,
    /// Whether media has received a frame.
    fed: bool,
    unreleased: bool,
    /// Whether media wants frames: somebody watches, or it has received none.
    taken: bool,
    changed: bool,
    frames: Vec<Instant>,
    callbacks: Vec<Instant>,
}

impl World {
    fn apply(&mut self, op: Op) {
        let now = self.now;
        match op {
            Op::Advance(micros) => self.now += Duration::from_micros(micros),
            Op::Attach => {
                self.schedule.attach(now);
                (self.attached, self.unreleased, self.taken, self.changed) =
                    (true, false, false, true);
                self.fed = false;
                self.frames.clear();
            }
            Op::Detach => {
                self.schedule.detach();
                (self.attached, self.unreleased, self.taken) = (false, false, false);
            }
            Op::Change => {
                self.schedule.change(now);
                self.changed = true;
            }
            Op::Watch(watched) => {
                self.schedule.set_watching(now, watched);
                self.taken = self.attached && (watched || !self.fed);
            }
            Op::Release => {
                assert_eq!(self.schedule.released(), self.unreleased);
                self.unreleased = false;
            }
            Op::WantCallback => self.schedule.want_callback(),
            Op::Draw(outcome) => self.run(outcome),
        }
    }

    /// Carries out what is due, as the shell does.
    fn run(&mut self, outcome: Outcome) {
        for _ in 0..4 {
            match self.schedule.next(self.now) {
                Step::Draw => {
                    assert!(!self.unreleased, "two frames unreleased");
                    assert!(self.taken, "a frame nobody watches");
                    self.schedule.drawn(self.now, outcome);
                    match outcome {
                        Outcome::Sent => {
                            self.frames.push(self.now);
                            (self.unreleased, self.changed) = (true, false);
                            self.fed = true;
                            self.taken = self.schedule.is_watched();
                        }
                        Outcome::Unchanged => self.changed = false,
                        Outcome::Failed => {}
                    }
                }
                Step::CallBack => {
                    self.callbacks.push(self.now);
                    self.schedule.called_back(self.now, Waiting::Nobody);
                }
                Step::Rest => {
                    assert!(self.attached && self.fed && !self.unreleased && !self.taken);
                    assert!(!self.schedule.is_watched(), "memory of pictures that are wanted");
                    self.schedule.rested();
                }
                Step::Wait(at) => {
                    assert!(at > self.now, "a deadline in the past is a busy loop");
                    return;
                }
                Step::Idle => return,
            }
        }
        panic!("the schedule does not come to rest");
    }

    fn verify_invariants(&self) {
        let slack = self.schedule.slack();
        for times in [&self.frames, &self.callbacks] {
            for (count, pair) in times.iter().zip(times.iter().skip(1)).enumerate() {
                assert!(*pair.1 + slack >= *pair.0 + INTERVAL, "gap {count} is too short");
            }
        }
        let drawable = self.changed && self.taken && !self.unreleased;
        if drawable {
            match self.schedule.next(self.now) {
                Step::Draw | Step::CallBack => {}
                Step::Wait(at) => assert!(at <= self.now + INTERVAL, "a change waits too long"),
                Step::Idle | Step::Rest => panic!("a change is forgotten"),
            }
        }
    }
}

proptest! {
    #[test]
    fn invariants_hold_whatever_happens(ops in prop::collection::vec(op(), 1..300)) {
        let now = Instant::now();
        let schedule = Schedule::new(Fps::new(FPS).expect("legal rate"));
        let (frames, callbacks) = (Vec::new(), Vec::new());
        let mut world = World {
            schedule,
            now,
            attached: false,
            fed: false,
            unreleased: false,
            taken: false,
            changed: false,
            frames,
            callbacks,
        };
        for op in ops {
            world.apply(op);
            world.verify_invariants();
        }
    }
}
