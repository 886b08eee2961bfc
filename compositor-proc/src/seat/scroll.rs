//! What a wheel or a finger does, in the units of `wl_pointer`. Pure.

use lumen_ipc::units::Scale;
use smithay::{
    backend::input::{Axis, AxisSource},
    input::pointer::AxisFrame,
};

/// Steps of one notch, as `wl_pointer.axis_value120` counts them.
const NOTCH_V120: i16 = 120;
/// What libinput reports for one notch of an ordinary wheel: the angle it turns by, in degrees,
/// which apps take as pixels (`wl_pointer.axis`).
const NOTCH_VALUE: f64 = 15.0;
/// A smooth scroll counts sixteenths of a pixel.
const SIXTEENTHS: f64 = 16.0;

/// The axis events of a wheel turned by so many 120ths of a notch.
pub fn wheel(time: u32, right_v120: i16, down_v120: i16) -> AxisFrame {
    let value = |steps: i16| f64::from(steps) / f64::from(NOTCH_V120) * NOTCH_VALUE;
    [(Axis::Horizontal, right_v120), (Axis::Vertical, down_v120)]
        .into_iter()
        .filter(|(_, steps)| *steps != 0)
        .fold(AxisFrame::new(time).source(AxisSource::Wheel), |frame, (axis, steps)| {
            frame.v120(axis, steps.into()).value(axis, value(steps))
        })
}

/// Which axes a finger is scrolling, so that lifting it stops those and no others.
#[derive(Debug, Default)]
pub struct FingerScroll {
    horizontal: bool,
    vertical: bool,
}

impl FingerScroll {
    /// The axis events of a finger that moved by so many sixteenths of a pixel of a frame, of which
    /// `scale` make one of an app's, or was lifted (both zero); `None` when that says nothing new.
    pub fn moved(
        &mut self,
        time: u32,
        (right, down): (i16, i16),
        scale: Scale,
    ) -> Option<AxisFrame> {
        let frame = AxisFrame::new(time).source(AxisSource::Finger);
        if right == 0 && down == 0 {
            return self.lifted(frame);
        }
        self.horizontal |= right != 0;
        self.vertical |= down != 0;
        let value = |sixteenths: i16| f64::from(sixteenths) / SIXTEENTHS / scale.factor();
        Some(frame.value(Axis::Horizontal, value(right)).value(Axis::Vertical, value(down)))
    }

    fn lifted(&mut self, mut frame: AxisFrame) -> Option<AxisFrame> {
        let Self { horizontal, vertical } = std::mem::take(self);
        if horizontal {
            frame = frame.stop(Axis::Horizontal);
        }
        if vertical {
            frame = frame.stop(Axis::Vertical);
        }
        (horizontal || vertical).then_some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wheel_one_notch_down_is_120_and_15() {
        let frame = wheel(7, 0, 120);
        assert_eq!(frame.v120, Some((0, 120)));
        assert_eq!(frame.axis, (0.0, 15.0));
        assert_eq!(frame.source, Some(AxisSource::Wheel));
    }

    #[test]
    fn wheel_fraction_of_a_notch_keeps_its_fraction() {
        assert_eq!(wheel(7, -30, 0).axis, (-3.75, 0.0));
    }

    #[test]
    fn finger_lifted_stops_only_the_axis_it_moved() {
        let mut finger = FingerScroll::default();
        let one = Scale::ONE;
        assert!(finger.moved(1, (0, 24), one).is_some_and(|frame| frame.axis == (0.0, 1.5)));
        assert!(finger.moved(2, (0, 0), one).is_some_and(|frame| frame.stop == (false, true)));
        assert!(finger.moved(3, (0, 0), one).is_none());
    }

    #[test]
    fn finger_on_a_finer_output_moves_as_far_as_its_pixels_go() {
        let frame = FingerScroll::default().moved(1, (-48, 24), Scale::nearest(1.5));
        assert!(frame.is_some_and(|frame| frame.axis == (-2.0, 1.0)));
    }
}
