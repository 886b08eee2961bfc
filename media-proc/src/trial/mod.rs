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

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
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
}
