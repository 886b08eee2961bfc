//! How the pointer's position maps to a surface's pixels while a button is down. Pure.

use smithay::utils::{Logical, Point};

/// Where a button went down, and how later positions map to the surface's pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hold {
    /// The position of the pointer on the output.
    pub from: Point<f64, Logical>,
    /// The position of the surface's origin on the output for that position of the pointer.
    pub origin: Point<f64, Logical>,
    /// The size of a surface pixel on the output, above 0.
    pub shrink: f64,
}

impl Hold {
    /// The origin of the surface for which the pointer at `at` is over the right pixel.
    #[must_use]
    pub fn origin_at(self, at: Point<f64, Logical>) -> Point<f64, Logical> {
        let moved = at - self.from;
        self.origin + moved - moved.downscale(self.shrink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_at_stays_where_a_window_is_shown_as_it_is() {
        let hold = Hold { from: (50.0, 60.0).into(), origin: (10.0, 20.0).into(), shrink: 1.0 };
        assert_eq!(hold.origin_at((300.0, 5.0).into()), (10.0, 20.0).into());
    }

    #[test]
    fn origin_at_makes_steps_longer_in_a_window_that_is_shown_smaller() {
        let hold = Hold { from: (50.0, 60.0).into(), origin: (10.0, 20.0).into(), shrink: 0.5 };
        let at = Point::from((60.0, 64.0));
        // 40 and 40 pixels from the origin at first; ten and four shown pixels are 20 and eight.
        assert_eq!(at - hold.origin_at(at), (60.0, 48.0).into());
    }
}
