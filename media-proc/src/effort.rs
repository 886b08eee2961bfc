//! How hard the encoder works on a picture.
//!
//! Where bits are short, more work on a picture buys quality: smaller blocks, each with a motion or
//! an intra prediction of its own, and a wider motion search. Measured with x264 at equal SSIM, a
//! window dragged over a photograph takes 40 % fewer bits, a game 9 %, a video 5 %, for 15 to 50 %
//! more time. Where bits suffice the time would only delay pictures, and so it would where the
//! processor is short: then the encoder works [`Effort::Quick`].
//!
//! Where bits stay short, better tools save about as many again ([`Effort::Thrifty`]), for two to
//! three times the time. Changing the tools costs the time of some pictures, so it is done seldom:
//! after bits were short for `SHORT_FOR`, and back after they sufficed for `PLENTY_FOR`, or at once
//! where a picture took too long, and then not again before `patience` is over.
//!
//! INVARIANT: at most one picture in `RECOVERY` takes more than half of a frame's interval because
//! of [`Effort::Thorough`], and at most one in `patience` more than two thirds of the time between
//! two changes because of [`Effort::Thrifty`].

use std::time::{Duration, Instant};

use crate::{
    rate::MOTION,
    video::{PictureKind, Quantizer},
};

/// From this quantizer on bits are short.
const SHORT: Quantizer = Quantizer::nearest(MOTION.value() + 3);

/// From this one on better tools are worth their time. They save about three steps, so with them
/// the quantizer does not become [`MOTION`], at which bits suffice.
const SCARCE: Quantizer = Quantizer::nearest(MOTION.value() + 6);

/// Better tools are used after bits were short for this time…
const SHORT_FOR: Duration = Duration::from_secs(1);

/// …and not after they sufficed for this time, or nothing changed.
const PLENTY_FOR: Duration = Duration::from_secs(2);

/// How long no thorough picture is tried after one that took too long.
const RECOVERY: Duration = Duration::from_secs(2);

/// The longest time for which no thrifty one is.
const MOST_PATIENCE: Duration = Duration::from_secs(64);

/// The most that a thorough picture takes, in times of a quick one.
const FACTOR: u32 = 2;

/// The most that a thrifty picture takes, in times of a quick and of a thorough one.
const THRIFTY_FACTORS: [u32; 2] = [4, 3];

/// Changes that are further apart are of different motions.
const PAUSE: Duration = Duration::from_millis(150);

/// How hard the encoder works.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Effort {
    /// One block for each macroblock, and a motion search that ends soon.
    #[default]
    Quick,
    /// Blocks of 8×8 with motion of their own, of 4×4 with predictions of their own.
    Thorough,
    /// The same with motion of quarter pixels, deblocking and, in Main profile, arithmetic coding.
    Thrifty,
}

/// What is known of the time that pictures take.
#[derive(Debug)]
pub struct Efforts {
    interval: Duration,
    /// What the last quick picture of the general encoder took; before the first, too long.
    quick: Duration,
    /// Until when no thorough picture is tried.
    hurried: Option<Instant>,
    tools: Tools,
    /// Until when no thrifty picture is tried.
    resting: Option<Instant>,
    /// How long none is tried after the next that takes too long.
    patience: Duration,
    /// The mean time between changes, as it was with the tools that need little.
    pace: Duration,
    /// When an effort was chosen last.
    chosen: Option<Instant>,
    /// The most that a thrifty picture would take, by the last one of another effort.
    foretold: Duration,
}

/// Which tools are used.
#[derive(Clone, Copy, Debug)]
enum Tools {
    /// Those that need little time.
    Few {
        /// Since when bits have been short.
        short: Option<Instant>,
    },
    /// All.
    All {
        since: Instant,
        /// Since when bits have sufficed.
        plenty: Option<Instant>,
        /// Whether a picture was encoded with them: the first takes longer than the others.
        warm: bool,
    },
}

const FEW: Tools = Tools::Few { short: None };

impl Efforts {
    /// For pictures at most every `interval`.
    #[must_use]
    pub const fn new(interval: Duration) -> Self {
        Self {
            interval,
            quick: interval,
            hurried: None,
            tools: FEW,
            resting: None,
            patience: RECOVERY,
            pace: interval,
            chosen: None,
            foretold: Duration::MAX,
        }
    }

    /// The effort for a picture at `now`.
    #[must_use]
    pub fn choose(&mut self, now: Instant, kind: PictureKind, quantizer: Quantizer) -> Effort {
        self.follow(now);
        self.tools = self.tools_for(now, quantizer);
        if let Tools::All { .. } = self.tools {
            return Effort::Thrifty;
        }
        let hurried = self.hurried.is_some_and(|until| now < until);
        // What moved as a whole is found by its own search, and needs no smaller blocks.
        let moved = matches!(kind, PictureKind::Moved(_));
        let has_room = self.quick * FACTOR <= self.interval / 2;
        if quantizer >= SHORT && !moved && !hurried && has_room {
            Effort::Thorough
        } else {
            Effort::Quick
        }
    }

    /// Whether the last picture was a thrifty one.
    #[must_use]
    pub const fn is_thrifty(&self) -> bool {
        matches!(self.tools, Tools::All { .. })
    }

    /// Learns how fast changes come.
    fn follow(&mut self, now: Instant) {
        let Some(before) = self.chosen.replace(now) else { return };
        let gap = now.saturating_duration_since(before);
        if gap >= PLENTY_FOR {
            self.tools = FEW;
        }
        let mean = (self.pace * 7 + gap) / 8;
        match self.tools {
            _ if gap >= PAUSE => {}
            Tools::Few { .. } => self.pace = mean.max(self.interval),
            // With more time for each picture there are fewer, which is no reason to take more.
            Tools::All { .. } => self.pace = mean.max(self.interval).min(self.pace),
        }
    }

    fn tools_for(&self, now: Instant, quantizer: Quantizer) -> Tools {
        let lasts = |since: Instant, time| now.saturating_duration_since(since) >= time;
        match self.tools {
            Tools::Few { short } => {
                let short = (quantizer >= SCARCE).then(|| short.unwrap_or(now));
                let rests = self.resting.is_some_and(|until| now < until);
                let has_room = self.foretold <= self.most();
                let is_worth = short.is_some_and(|since| lasts(since, SHORT_FOR));
                if is_worth && has_room && !rests {
                    return Tools::All { since: now, plenty: None, warm: false };
                }
                Tools::Few { short }
            }
            Tools::All { since, plenty, warm } => {
                let plenty = (quantizer <= MOTION).then(|| plenty.unwrap_or(now));
                if plenty.is_some_and(|since| lasts(since, PLENTY_FOR)) {
                    return FEW;
                }
                Tools::All { since, plenty, warm }
            }
        }
    }

    /// The most that a thrifty picture may take.
    fn most(&self) -> Duration {
        self.pace * 2 / 3
    }

    /// A picture of the general encoder took so long.
    pub fn encoded(&mut self, now: Instant, effort: Effort, took: Duration) {
        let [quick, thorough] = THRIFTY_FACTORS;
        match effort {
            Effort::Quick => (self.quick, self.foretold) = (took, took * quick),
            Effort::Thorough => {
                self.foretold = took * thorough;
                if took > self.interval / 2 {
                    self.hurried = Some(now + RECOVERY);
                }
            }
            Effort::Thrifty => self.encoded_thriftily(now, took),
        }
    }

    fn encoded_thriftily(&mut self, now: Instant, took: Duration) {
        let most = self.most();
        let Tools::All { since, warm, .. } = &mut self.tools else { return };
        if !std::mem::replace(warm, true) || took <= most {
            return;
        }
        if now.saturating_duration_since(*since) > MOST_PATIENCE {
            self.patience = RECOVERY;
        }
        self.resting = Some(now + self.patience);
        self.patience = (self.patience * 2).min(MOST_PATIENCE);
        self.tools = FEW;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(16);
    const COARSE: Quantizer = Quantizer::nearest(SCARCE.value() - 1);

    /// After a quick picture that took so long.
    fn after(quick: Duration, now: Instant) -> Efforts {
        let mut efforts = Efforts::new(INTERVAL);
        assert_eq!(chosen(&mut efforts, now), Effort::Quick);
        efforts.encoded(now, Effort::Quick, quick);
        efforts
    }

    fn chosen(efforts: &mut Efforts, now: Instant) -> Effort {
        efforts.choose(now, PictureKind::Predicted, COARSE)
    }

    #[test]
    fn choose_where_bits_suffice_or_all_moved_is_quick() {
        let now = Instant::now();
        let mut efforts = after(INTERVAL / 8, now);
        assert_eq!(efforts.choose(now, PictureKind::Predicted, MOTION), Effort::Quick);
        assert_eq!(efforts.choose(now, PictureKind::Moved(7), COARSE), Effort::Quick);
        for kind in [PictureKind::Predicted, PictureKind::Fresh, PictureKind::Key] {
            assert_eq!(efforts.choose(now, kind, COARSE), Effort::Thorough);
        }
    }

    #[test]
    fn choose_after_a_late_picture_is_quick_for_a_while() {
        let now = Instant::now();
        let mut efforts = after(INTERVAL / 8, now);
        efforts.encoded(now, Effort::Thorough, INTERVAL / 2);
        assert_eq!(chosen(&mut efforts, now), Effort::Thorough);
        efforts.encoded(now, Effort::Thorough, INTERVAL);
        assert_eq!(chosen(&mut efforts, now), Effort::Quick);
        assert_eq!(chosen(&mut efforts, now + RECOVERY - Duration::from_millis(1)), Effort::Quick);
        assert_eq!(chosen(&mut efforts, now + RECOVERY), Effort::Thorough);
    }

    #[test]
    fn choose_where_quick_pictures_take_long_is_quick() {
        let now = Instant::now();
        let mut efforts = after(INTERVAL / 3, now);
        assert_eq!(chosen(&mut efforts, now), Effort::Quick);
        efforts.encoded(now, Effort::Quick, INTERVAL / 5);
        assert_eq!(chosen(&mut efforts, now), Effort::Thorough);
    }

    /// A motion at an interval, and how long each of its pictures takes with each effort.
    struct Motion {
        now: Instant,
        efforts: Efforts,
        takes: fn(Effort) -> Duration,
    }

    impl Motion {
        fn new(takes: fn(Effort) -> Duration) -> Self {
            Self { now: Instant::now(), efforts: Efforts::new(INTERVAL), takes }
        }

        /// The efforts of the pictures of some time.
        fn goes_on(&mut self, time: Duration, quantizer: u8) -> Vec<Effort> {
            let (end, mut efforts) = (self.now + time, Vec::new());
            while self.now < end {
                let (kind, quantizer) = (PictureKind::Predicted, Quantizer::nearest(quantizer));
                let effort = self.efforts.choose(self.now, kind, quantizer);
                let took = (self.takes)(effort);
                self.efforts.encoded(self.now + took, effort, took);
                self.now += INTERVAL.max(took);
                efforts.push(effort);
            }
            efforts
        }
    }

    const fn cheap(effort: Effort) -> Duration {
        match effort {
            Effort::Quick => Duration::from_millis(2),
            Effort::Thorough => Duration::from_millis(3),
            Effort::Thrifty => Duration::from_millis(6),
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn choose_where_bits_stay_short_is_thrifty_until_they_suffice() {
        let mut motion = Motion::new(cheap);
        // Short for a moment only, such as after a new window.
        for _ in 0..3 {
            assert!(!motion.goes_on(SHORT_FOR / 2, 40).contains(&Effort::Thrifty));
            assert!(!motion.goes_on(SHORT_FOR, 24).contains(&Effort::Thrifty));
        }
        let efforts = motion.goes_on(2 * SHORT_FOR, SCARCE.value());
        let first = efforts.iter().position(|effort| *effort == Effort::Thrifty);
        assert!(
            first.is_some_and(|first| efforts[first..].iter().all(|it| *it == Effort::Thrifty))
        );
        // With the better tools the quantizer is finer, which is no reason to do without.
        let finer = SCARCE.value() - 5;
        assert!(motion.goes_on(10 * SECOND, finer).iter().all(|it| *it == Effort::Thrifty));
        let efforts = motion.goes_on(2 * PLENTY_FOR, MOTION.value());
        assert_eq!(efforts.last(), Some(&Effort::Quick));
    }

    #[test]
    fn choose_after_a_pause_is_not_thrifty() {
        let mut motion = Motion::new(cheap);
        assert_eq!(motion.goes_on(2 * SHORT_FOR, 40).last(), Some(&Effort::Thrifty));
        motion.now += PLENTY_FOR;
        assert_ne!(motion.goes_on(INTERVAL, 40)[0], Effort::Thrifty);
    }

    #[test]
    fn choose_where_thrifty_pictures_would_be_late_tries_them_seldom_or_never() {
        // Foretold to be too late.
        let mut motion = Motion::new(|effort| cheap(effort) * 2);
        assert!(!motion.goes_on(20 * SECOND, 40).contains(&Effort::Thrifty));
        // Found to be.
        let mut motion = Motion::new(|effort| match effort {
            Effort::Thrifty => INTERVAL,
            other => cheap(other),
        });
        let efforts = motion.goes_on(120 * SECOND, 40);
        let thrifty = efforts.iter().filter(|effort| **effort == Effort::Thrifty).count();
        assert!((2..=16).contains(&thrifty), "{thrifty} of {}", efforts.len());
    }

    #[test]
    fn choose_where_changes_are_rarer_than_they_may_be_has_more_time() {
        let mut motion = Motion::new(|effort| cheap(effort) * 2);
        let (mut last, quantizer) = (Effort::Quick, Quantizer::nearest(40));
        for _ in 0..200 {
            let (now, kind) = (motion.now, PictureKind::Predicted);
            last = motion.efforts.choose(now, kind, quantizer);
            motion.efforts.encoded(now, last, cheap(last) * 2);
            motion.now += INTERVAL * 2;
        }
        assert_eq!(last, Effort::Thrifty);
    }
}
