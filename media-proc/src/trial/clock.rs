//! Measures work that comes at a pace.

use std::{
    thread,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use super::Took;

/// At which pace, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From the beginning of a picture to that of the next.
    pub interval: Duration,
    /// So many pictures are enough.
    pub most: usize,
    /// So long is enough, once there are a few pictures.
    pub patience: Duration,
}

/// Fewer pictures say nothing.
const LEAST: usize = 5;

/// Work that is done for picture after picture.
pub trait Stage {
    /// Why it fails.
    type Error;

    /// Makes ready what the picture with this number needs, which is not measured.
    fn prepare(&mut self, number: usize);

    /// Does the work.
    ///
    /// # Errors
    /// It fails; then it is not asked again.
    fn work(&mut self) -> Result<(), Self::Error>;
}

/// Measures the work of one stage; `None` if it was given no picture.
///
/// # Errors
/// The work's.
pub fn measure<S: Stage>(pace: Pace, stage: &mut S) -> Result<Option<Took>, S::Error> {
    let (begun, mut each, mut busy) = (Instant::now(), Vec::new(), Duration::ZERO);
    for number in 0..pace.most {
        if number >= LEAST && begun.elapsed() > pace.patience {
            break;
        }
        stage.prepare(number);
        let due = pace.interval.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX));
        thread::sleep(due.saturating_sub(begun.elapsed()));
        let (from, busy_before) = (Instant::now(), processor());
        stage.work()?;
        busy += processor().saturating_sub(busy_before);
        each.push(from.elapsed());
    }
    Ok(Took::of(each, busy))
}

/// How long processors have worked for this process.
fn processor() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts, and fails at a number.
    struct Counting(Vec<usize>, usize);

    impl Stage for Counting {
        type Error = ();

        fn prepare(&mut self, number: usize) {
            self.0.push(number);
        }

        fn work(&mut self) -> Result<(), ()> {
            if self.0.last() == Some(&self.1) { Err(()) } else { Ok(()) }
        }
    }

    const AT_ONCE: Pace = Pace { interval: Duration::ZERO, most: 7, patience: Duration::MAX };

    #[test]
    fn stage_gets_as_many_pictures_as_are_enough() {
        let mut stage = Counting(Vec::new(), usize::MAX);
        let took = measure(AT_ONCE, &mut stage).expect("never fails").expect("pictures");
        assert_eq!((took.pictures, stage.0), (7, (0..7).collect()));
    }

    #[test]
    fn stage_that_is_slow_gets_a_few() {
        let impatient = Pace { patience: Duration::ZERO, most: 100, ..AT_ONCE };
        let took = measure(impatient, &mut Counting(Vec::new(), usize::MAX)).expect("never fails");
        assert_eq!(took.expect("pictures").pictures, LEAST);
    }

    #[test]
    fn stage_that_fails_is_asked_no_more() {
        let mut stage = Counting(Vec::new(), 3);
        assert_eq!(measure(AT_ONCE, &mut stage), Err(()));
        assert_eq!(stage.0, [0, 1, 2, 3]);
    }
}
