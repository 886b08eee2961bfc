//! When to draw, and when to let apps draw: the pace of the desktop, as a pure state machine.
//!
//! Commits drive frames. A change is drawn at once if the last frame is old enough, else at the
//! next slot; without a change there is no frame, no deadline and no wake-up. Apps are asked for
//! more (frame callbacks) only after media has read the last frame, and just early enough that
//! their commit arrives at the next slot: so a busy encoder slows the apps down, and an app's
//! content is drawn as fresh as possible.
//!
//! INVARIANT (one frame): at most one frame is handed over and not released.
//! INVARIANT (rate): `n` frames take at least `(n - 1)` intervals, less one [`Schedule::slack`].
//! INVARIANT (quiet): with nothing changed, no callback wanted and nothing to give back, [`Schedule::next`] is `Idle`.

use std::time::{Duration, Instant};

use lumen_ipc::units::Fps;

/// Pace of frame callbacks while nobody watches, and for hidden windows: enough for an app to
/// notice that time passes, too little to cost anything.
pub const IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// How long nobody must have watched until memory for pictures is given back: longer than a page takes to reload.
pub const REST_AFTER: Duration = Duration::from_secs(15);

/// How much earlier than necessary an app is asked for its next frame.
const RESPONSE_MARGIN: Duration = Duration::from_millis(1);

/// The next action.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Draw a frame; then report [`Schedule::drawn`].
    Draw,
    /// Send frame callbacks; then report [`Schedule::called_back`].
    CallBack,
    /// Give back the memory that only pictures need, because nobody watches; then report [`Schedule::rested`].
    Rest,
    /// Nothing before this instant.
    Wait(Instant),
    /// Nothing until the next event.
    Idle,
}

/// The outcome of drawing a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It differs from the last and was handed to media.
    Sent,
    /// It looks like the last, so no frame was sent.
    Unchanged,
    /// It could not be drawn; the change is still to be shown.
    Failed,
}

/// Which frame callbacks are outstanding.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Waiting {
    /// None.
    Nobody,
    /// Only those of surfaces that cannot be seen.
    Hidden,
    /// At least one of a surface that may be visible.
    Visible,
}

/// The receiver of frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Media {
    Absent,
    /// It has not sent its demand: a frame drawn now might have a size that nobody wants.
    Silent,
    /// `fed`: whether it has received a frame.
    Attached {
        watching: bool,
        fed: bool,
        unreleased: bool,
    },
}

/// The pace of the desktop.
#[derive(Debug)]
pub struct Schedule {
    interval: Duration,
    media: Media,
    /// When the oldest change was made that no frame shows.
    changed: Option<Instant>,
    /// Nominal time of the last frame, see [`Schedule::advance_slot`].
    slot: Option<Instant>,
    waiting: Waiting,
    last_callbacks: Option<Instant>,
    /// When memory is to be given back, unless somebody watches before.
    rest: Option<Instant>,
    response: Response,
}

impl Schedule {
    /// A schedule that allows `max_fps` frames a second, with media absent.
    #[must_use]
    pub fn new(max_fps: Fps) -> Self {
        let interval = Duration::from_micros(max_fps.interval_micros());
        Self {
            interval,
            media: Media::Absent,
            changed: None,
            slot: None,
            waiting: Waiting::Nobody,
            last_callbacks: None,
            rest: None,
            response: Response::new(interval),
        }
    }

    /// Allows `max_fps` frames a second from the next frame on.
    pub fn set_rate(&mut self, max_fps: Fps) {
        self.interval = Duration::from_micros(max_fps.interval_micros());
    }

    /// Time between two frames at the full rate.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// How much later than its slot a frame may be drawn without moving the later slots. Otherwise
    /// the delays of timers, apps and a busy machine would add up to a lower rate.
    #[must_use]
    pub fn slack(&self) -> Duration {
        self.interval / 2
    }

    /// Whether frames are drawn at all at present.
    #[must_use]
    pub const fn is_watched(&self) -> bool {
        matches!(self.media, Media::Attached { watching: true, .. })
    }

    /// When the oldest change was made that no frame shows.
    #[must_use]
    pub const fn changed_since(&self) -> Option<Instant> {
        self.changed
    }

    /// Media has a new link end and no frame.
    pub fn attach(&mut self, now: Instant) {
        self.media = Media::Silent;
        self.rest = None;
        self.slot = None;
        self.changed.get_or_insert(now);
    }

    /// Media is gone.
    pub const fn detach(&mut self) {
        self.media = Media::Absent;
    }

    /// Sets whether anybody watches. Media gets one frame in any case, so that its encoder has a
    /// picture before the first viewer joins.
    pub fn set_watching(&mut self, now: Instant, is_watched: bool) {
        let rest = (!is_watched).then_some(now + REST_AFTER);
        match &mut self.media {
            Media::Absent => {}
            Media::Silent => {
                self.media =
                    Media::Attached { watching: is_watched, fed: false, unreleased: false };
                self.rest = rest;
            }
            Media::Attached { watching, .. } => {
                if is_watched != *watching {
                    self.rest = rest;
                }
                if is_watched && !*watching {
                    self.changed.get_or_insert(now);
                }
                *watching = is_watched;
            }
        }
    }

    /// Media has read its frame. Returns whether it had one.
    pub const fn released(&mut self) -> bool {
        match &mut self.media {
            Media::Attached { unreleased, .. } => std::mem::replace(unreleased, false),
            Media::Absent | Media::Silent => false,
        }
    }

    /// Something that may be visible has changed.
    pub fn change(&mut self, now: Instant) {
        self.changed.get_or_insert(now);
        self.response.answered(now, self.interval);
    }

    /// An app requests a frame callback.
    pub fn want_callback(&mut self) {
        self.waiting = Waiting::Visible;
    }

    /// Reports the outcome of [`Step::Draw`].
    pub fn drawn(&mut self, now: Instant, outcome: Outcome) {
        match outcome {
            Outcome::Sent => {
                self.changed = None;
                self.advance_slot(now);
                if let Media::Attached { fed, unreleased, .. } = &mut self.media {
                    (*fed, *unreleased) = (true, true);
                }
            }
            Outcome::Unchanged => self.changed = None,
            // The next slot tries again: an immediate retry would be a busy loop.
            Outcome::Failed => self.advance_slot(now),
        }
    }

    /// Reports that callbacks were sent, and which are still outstanding.
    pub fn called_back(&mut self, now: Instant, outstanding: Waiting) {
        // The nominal time, not the late one, for the same reason as in `advance_slot`.
        let due = self.callbacks_due(now).unwrap_or(now);
        self.last_callbacks = Some(if now < due + self.slack() { due.min(now) } else { now });
        self.waiting = outstanding.min(Waiting::Hidden);
        self.response.asked(now);
    }

    /// Reports that memory was given back.
    pub const fn rested(&mut self) {
        self.rest = None;
    }

    /// The next action at `now`.
    #[must_use]
    pub fn next(&self, now: Instant) -> Step {
        let due = [
            (self.draw_due(now), Step::Draw),
            (self.callbacks_due(now), Step::CallBack),
            (self.rest_due(), Step::Rest),
        ];
        if let Some((_, step)) = due.iter().find(|(at, _)| at.is_some_and(|at| at <= now)) {
            return *step;
        }
        due.into_iter().filter_map(|(at, _)| at).min().map_or(Step::Idle, Step::Wait)
    }

    /// While media still reads a frame, or lacks its first, nothing can be given back.
    fn rest_due(&self) -> Option<Instant> {
        match self.media {
            Media::Attached { watching: false, fed: true, unreleased: false } => self.rest,
            _ => None,
        }
    }

    fn draw_due(&self, now: Instant) -> Option<Instant> {
        let Media::Attached { watching, fed, unreleased: false } = self.media else { return None };
        let ready = watching || !fed;
        (ready && self.changed.is_some()).then(|| self.next_slot().unwrap_or(now))
    }

    fn callbacks_due(&self, now: Instant) -> Option<Instant> {
        let after_last = |pause| self.last_callbacks.map_or(now, |last| last + pause);
        match (self.waiting, self.media) {
            (Waiting::Nobody, _) => None,
            (Waiting::Hidden, _)
            | (_, Media::Absent | Media::Silent | Media::Attached { watching: false, .. }) => {
                Some(after_last(IDLE_INTERVAL))
            }
            // Media is busy: no app may run ahead of it.
            (Waiting::Visible, Media::Attached { unreleased: true, .. }) => None,
            // Committed content is drawn before more is asked for.
            (Waiting::Visible, _) if self.changed.is_some() => None,
            (Waiting::Visible, _) => {
                let lead = self.response.lead(self.interval);
                let for_next_slot = self.next_slot().map_or(now, |slot| slot - lead);
                Some(for_next_slot.max(after_last(self.interval)))
            }
        }
    }

    fn next_slot(&self) -> Option<Instant> {
        self.slot.map(|slot| slot + self.interval)
    }

    /// A frame drawn within the slack of its slot counts as drawn on time.
    fn advance_slot(&mut self, now: Instant) {
        let on_time =
            self.next_slot().filter(|slot| now.saturating_duration_since(*slot) < self.slack());
        self.slot = Some(on_time.map_or(now, |slot| slot.min(now)));
    }
}

/// How long apps take from a frame callback to their next commit: rises at once, falls slowly.
#[derive(Debug)]
struct Response {
    expected: Duration,
    asked: Option<Instant>,
}

impl Response {
    /// Without measurements, apps are asked right after each frame.
    const fn new(interval: Duration) -> Self {
        Self { expected: interval, asked: None }
    }

    const fn asked(&mut self, now: Instant) {
        self.asked = Some(now);
    }

    fn answered(&mut self, now: Instant, interval: Duration) {
        let Some(asked) = self.asked.take() else { return };
        let took = now.saturating_duration_since(asked);
        // An app that draws less often than every fourth frame is not animating: it says nothing
        // about pace.
        if took > interval * 4 {
            return;
        }
        self.expected = took.min(interval).max(self.expected - (self.expected / 8) + took / 8);
        self.expected = self.expected.min(interval);
    }

    /// How long before a slot apps must be asked.
    fn lead(&self, interval: Duration) -> Duration {
        (self.expected + RESPONSE_MARGIN).min(interval)
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
