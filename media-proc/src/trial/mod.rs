//! What a graphics processor is worth: how long it takes for pictures that come at a pace, how busy the
//! processor is meanwhile, and whether that is better than the processor's own work.
//!
//! Paced, because a graphics processor that is always busy runs faster than one that is asked for a picture
//! now and then. Pictures are of a page that scrolls ([`scene`]), and of no desktop. Decides with plain
//! numbers ([`Took`]); [`clock`] measures them.

pub mod clock;
pub mod scene;
pub mod stages;

use std::{fmt, time::Duration};

/// A graphics processor is worth encoding with from so many parts in a hundred of what the processor is busy
/// for otherwise: less of a difference is chance.
const WORTH_PERCENT: u32 = 75;

/// How long pictures took.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Took {
    /// Of each two pictures one took no longer.
    pub median: Duration,
    /// The longest.
    pub worst: Duration,
    /// For how long this process kept a processor busy, for each picture.
    pub processor: Duration,
    /// How many pictures there were.
    pub pictures: usize,
}

impl Took {
    /// From the time of each picture and what all of them took of the processor; `None` without pictures.
    #[must_use]
    pub fn of(mut each: Vec<Duration>, processor: Duration) -> Option<Self> {
        each.sort_unstable();
        let (median, worst) = (*each.get(each.len() / 2)?, *each.last()?);
        let pictures = each.len();
        let processor = processor / u32::try_from(pictures).unwrap_or(u32::MAX);
        Some(Self { median, worst, processor, pictures })
    }
}

/// Whether a graphics processor that took so long to encode pictures is better than the processor alone, where a
/// picture comes every `interval`; a clause that says why or why not.
///
/// # Errors
/// It is not. Half of the interval is what it may take: pictures are drawn, too.
pub fn is_worth(graphics: &Took, alone: &Took, interval: Duration) -> Result<String, String> {
    is_fast_enough(graphics, interval)?;
    let (busy, busy_alone) = (millis(graphics.processor), millis(alone.processor));
    let compared = format!(
        "VA-API keeps the processor busy for {busy:.1} ms a picture, x264 for {busy_alone:.1}"
    );
    let is_less = graphics.processor * 100 <= alone.processor * WORTH_PERCENT;
    if is_less { Ok(compared) } else { Err(compared) }
}

/// Whether a graphics processor that took so long to encode pictures keeps up where a picture comes every `interval`.
///
/// # Errors
/// A clause that says why it does not.
pub fn is_fast_enough(graphics: &Took, interval: Duration) -> Result<(), String> {
    let (took, interval_millis) = (millis(graphics.median), millis(interval));
    match graphics.median * 2 > interval {
        false => Ok(()),
        true => Err(format!(
            "VA-API takes {took:.1} ms for a picture, more than half of {interval_millis:.1}"
        )),
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, worst) = (millis(self.median), millis(self.worst));
        let busy = millis(self.processor);
        write!(
            f,
            "{median:.2} ms in the median, {worst:.2} at most, the processor busy for {busy:.2}; of {}",
            self.pictures
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_worst_and_share_of_the_processor_are_told() {
        let each = [9, 1, 2].map(Duration::from_millis).to_vec();
        let took = Took::of(each, Duration::from_millis(6)).expect("pictures");
        let millis = Duration::from_millis(2);
        assert_eq!((took.median, took.processor, took.pictures), (millis, millis, 3));
        let said = "2.00 ms in the median, 9.00 at most, the processor busy for 2.00; of 3";
        assert_eq!(took.to_string(), said);
        assert_eq!(Took::of(Vec::new(), millis), None);
    }

    #[test]
    fn graphics_processor_encodes_only_if_it_is_fast_and_leaves_the_processor_alone() {
        let took = |median, processor| {
            let [median, processor] = [median, processor].map(Duration::from_micros);
            Took { median, worst: median, processor, pictures: 30 }
        };
        let (alone, interval) = (took(4000, 4000), Duration::from_micros(16_667));
        let said = is_worth(&took(8000, 400), &alone, interval).expect("better");
        assert_eq!(said, "VA-API keeps the processor busy for 0.4 ms a picture, x264 for 4.0");
        let slow = is_worth(&took(8400, 400), &alone, interval).expect_err("slow");
        assert_eq!(slow, "VA-API takes 8.4 ms for a picture, more than half of 16.7");
        is_worth(&took(1000, 3000), &alone, interval).expect("a quarter less");
        is_worth(&took(1000, 3001), &alone, interval).expect_err("that may be chance");
    }
}
