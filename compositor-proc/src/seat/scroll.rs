//! Events of wheels and fingers in the units of `wl_pointer`. Pure.

use std::collections::BTreeMap;

use lumen_ipc::units::{PeerId, Scale};
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

/// Which axes fingers are scrolling, and whose, so that lifting a finger stops these axes and no
/// others.
///
/// Apps see one finger: an axis stops when the last viewer who scrolls it lifts the finger, or
/// leaves.
#[derive(Debug, Default)]
pub struct FingerScroll {
    scrolling: BTreeMap<PeerId, Axes>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Axes {
    horizontal: bool,
    vertical: bool,
}

impl FingerScroll {
    /// Most peers that scroll at once. Rtc admits far fewer; the bound keeps a hostile rtc from
    /// filling our memory with invented peers.
    const MAX_PEERS: usize = 256;

    /// The axis events when a finger of `peer` moved by so many sixteenths of a frame pixel, of
    /// which `scale` make one app pixel, or was lifted (both zero); `None` when nothing changes.
    pub fn moved(
        &mut self,
        time: u32,
        peer: PeerId,
        (right, down): (i16, i16),
        scale: Scale,
    ) -> Option<AxisFrame> {
        if right == 0 && down == 0 {
            return self.lifted(time, peer);
        }
        if self.scrolling.len() < Self::MAX_PEERS || self.scrolling.contains_key(&peer) {
            let axes = self.scrolling.entry(peer).or_default();
            axes.horizontal |= right != 0;
            axes.vertical |= down != 0;
        }
        let value = |sixteenths: i16| f64::from(sixteenths) / SIXTEENTHS / scale.factor();
        let frame = AxisFrame::new(time).source(AxisSource::Finger);
        Some(frame.value(Axis::Horizontal, value(right)).value(Axis::Vertical, value(down)))
    }

    /// The axis events when `peer` lifts its finger, or leaves; `None` if it had none down.
    pub fn lifted(&mut self, time: u32, peer: PeerId) -> Option<AxisFrame> {
        let before = self.axes();
        self.scrolling.remove(&peer);
        self.stopped_since(time, before)
    }

    /// The axis events when everybody lifts their fingers; `None` if none was down.
    pub fn all_lifted(&mut self, time: u32) -> Option<AxisFrame> {
        let before = self.axes();
        self.scrolling.clear();
        self.stopped_since(time, before)
    }

    fn stopped_since(&self, time: u32, before: Axes) -> Option<AxisFrame> {
        let after = self.axes();
        let mut frame = AxisFrame::new(time).source(AxisSource::Finger);
        if before.horizontal && !after.horizontal {
            frame = frame.stop(Axis::Horizontal);
        }
        if before.vertical && !after.vertical {
            frame = frame.stop(Axis::Vertical);
        }
        (before != after).then_some(frame)
    }

    /// The axes that somebody scrolls.
    fn axes(&self) -> Axes {
        Axes {
            horizontal: self.scrolling.values().any(|axes| axes.horizontal),
            vertical: self.scrolling.values().any(|axes| axes.vertical),
        }
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

    const ALICE: PeerId = PeerId(1);
    const BOB: PeerId = PeerId(2);

    #[test]
    fn finger_lifted_stops_only_the_axis_it_moved() {
        let mut finger = FingerScroll::default();
        let mut moved = |time, way| finger.moved(time, ALICE, way, Scale::ONE);
        assert!(moved(1, (0, 24)).is_some_and(|frame| frame.axis == (0.0, 1.5)));
        assert!(moved(2, (0, 0)).is_some_and(|frame| frame.stop == (false, true)));
        assert!(moved(3, (0, 0)).is_none());
    }

    #[test]
    fn finger_of_one_who_leaves_stops_what_nobody_else_scrolls() {
        let mut finger = FingerScroll::default();
        finger.moved(1, ALICE, (16, 16), Scale::ONE);
        finger.moved(2, BOB, (0, 16), Scale::ONE);
        assert!(finger.lifted(3, PeerId(3)).is_none());
        assert!(finger.lifted(4, ALICE).is_some_and(|frame| frame.stop == (true, false)));
        assert!(finger.all_lifted(5).is_some_and(|frame| frame.stop == (false, true)));
        assert!(finger.lifted(6, BOB).is_none());
    }

    #[test]
    fn fingers_of_invented_peers_take_no_room() {
        let mut finger = FingerScroll::default();
        for peer in 0..10_000 {
            assert!(finger.moved(1, PeerId(peer), (0, 16), Scale::ONE).is_some());
        }
        assert_eq!(finger.scrolling.len(), FingerScroll::MAX_PEERS);
    }

    #[test]
    fn finger_on_a_finer_output_moves_as_far_as_its_pixels_go() {
        let frame = FingerScroll::default().moved(1, ALICE, (-48, 24), Scale::nearest(1.5));
        assert!(frame.is_some_and(|frame| frame.axis == (-2.0, 1.0)));
    }
}
