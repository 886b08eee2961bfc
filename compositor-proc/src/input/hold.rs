//! While a button is down, the pointer belongs to the surface on which it went down.
//!
//! Smithay has a grab for that, which two things call for replacing. A popup that an app opens when
//! a button goes down takes the pointer at once: the app then sees the button go up on the popup, and
//! GTK 3 closes it. So the popup's grab begins when the last button is up. And in a window that is
//! shown smaller than it is, a step of the pointer is a longer one for the app.

use smithay::{
    desktop::{PopupGrab, PopupPointerGrab},
    input::pointer::{
        AxisFrame, ButtonEvent, Focus, GestureHoldBeginEvent, GestureHoldEndEvent,
        GesturePinchBeginEvent, GesturePinchEndEvent, GesturePinchUpdateEvent,
        GestureSwipeBeginEvent, GestureSwipeEndEvent, GestureSwipeUpdateEvent, GrabStartData,
        MotionEvent, PointerGrab, PointerInnerHandle, RelativeMotionEvent,
    },
    reexports::wayland_server::protocol::wl_surface::WlSurface,
    utils::{Logical, Point},
};

use crate::state::State;

type Target = Option<(WlSurface, Point<f64, Logical>)>;

/// Where a button went down, and how a surface's pixels follow the pointer from there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hold {
    /// Where the pointer was on the output.
    pub from: Point<f64, Logical>,
    /// Where the surface's origin was on the output for that place of the pointer.
    pub origin: Point<f64, Logical>,
    /// The length of a pixel of the surface on the output, above 0.
    pub shrink: f64,
}

impl Hold {
    /// Where the surface's origin has to be for the pointer at `at` to be seen where it is.
    #[must_use]
    pub fn origin_at(self, at: Point<f64, Logical>) -> Point<f64, Logical> {
        let moved = at - self.from;
        self.origin + moved - moved.downscale(self.shrink)
    }
}

/// The grab while a button is down, and what comes after it.
#[derive(Debug)]
pub struct HoldGrab {
    hold: Hold,
    start: GrabStartData<State>,
    popup: Option<PopupGrab<State>>,
}

impl HoldGrab {
    /// The grab of an ordinary press.
    #[must_use]
    pub const fn new(hold: Hold, start: GrabStartData<State>) -> Self {
        Self { hold, start, popup: None }
    }

    /// The same, followed by the grab of a popup that was opened meanwhile.
    #[must_use]
    pub const fn before(hold: Hold, start: GrabStartData<State>, popup: PopupGrab<State>) -> Self {
        Self { hold, start, popup: Some(popup) }
    }
}

impl PointerGrab<State> for HoldGrab {
    fn motion(
        &mut self,
        state: &mut State,
        handle: &mut PointerInnerHandle<'_, State>,
        _: Target,
        event: &MotionEvent,
    ) {
        let surface = self.start.focus.as_ref().map(|(surface, _)| surface.clone());
        let target = surface.map(|surface| (surface, self.hold.origin_at(event.location)));
        handle.motion(state, target, event);
    }

    fn relative_motion(
        &mut self,
        state: &mut State,
        handle: &mut PointerInnerHandle<'_, State>,
        target: Target,
        event: &RelativeMotionEvent,
    ) {
        handle.relative_motion(state, target, event);
    }

    fn button(
        &mut self,
        state: &mut State,
        handle: &mut PointerInnerHandle<'_, State>,
        event: &ButtonEvent,
    ) {
        handle.button(state, event);
        if !handle.current_pressed().is_empty() {
            return;
        }
        state.input.forget_hold();
        state.pointer_stale = true;
        match self.popup.take().filter(|popup| !popup.has_ended()) {
            Some(popup) => {
                let grab = PopupPointerGrab::new(&popup);
                handle.set_grab(self, state, event.serial, Focus::Keep, grab);
            }
            None => handle.unset_grab(self, state, event.serial, event.time, false),
        }
    }

    fn axis(
        &mut self,
        state: &mut State,
        handle: &mut PointerInnerHandle<'_, State>,
        details: AxisFrame,
    ) {
        handle.axis(state, details);
    }

    fn frame(&mut self, state: &mut State, handle: &mut PointerInnerHandle<'_, State>) {
        handle.frame(state);
    }

    fn gesture_swipe_begin(
        &mut self,
        state: &mut State,
        handle: &mut PointerInnerHandle<'_, State>,
        event: &GestureSwipeBeginEvent,
    ) {
        handle.gesture_swipe_begin(state, event);
    }

    fn gesture_swipe_update(
        &mut self,
        state: &mut State,
        handle: &mut PointerInnerHandle<'_, State>,
        event: &GestureSwipeUpdateEvent,
    ) {
        handle.gesture_swipe_update(state, event);
    }

    fn gesture_swipe_end(
        &mut self,
        state: &mut State,
        handle: &mut PointerInnerHandle<'_, State>,
        event: &GestureSwipeEndEvent,
    ) {
        handle.gesture_swipe_end(state, event);
    }

    fn gesture_pinch_begin(
        &mut self,
        state: &mut State,
        handle: &mut PointerInnerHandle<'_, State>,
        event: &GesturePinchBeginEvent,
    ) {
        handle.gesture_pinch_begin(state, event);
    }

    fn gesture_pinch_update(
        &mut self,
        state: &mut State,
        handle: &mut PointerInnerHandle<'_, State>,
        event: &GesturePinchUpdateEvent,
    ) {
        handle.gesture_pinch_update(state, event);
    }

    fn gesture_pinch_end(
        &mut self,
        state: &mut State,
        handle: &mut PointerInnerHandle<'_, State>,
        event: &GesturePinchEndEvent,
    ) {
        handle.gesture_pinch_end(state, event);
    }

    fn gesture_hold_begin(
        &mut self,
        state: &mut State,
        handle: &mut PointerInnerHandle<'_, State>,
        event: &GestureHoldBeginEvent,
    ) {
        handle.gesture_hold_begin(state, event);
    }

    fn gesture_hold_end(
        &mut self,
        state: &mut State,
        handle: &mut PointerInnerHandle<'_, State>,
        event: &GestureHoldEndEvent,
    ) {
        handle.gesture_hold_end(state, event);
    }

    fn start_data(&self) -> &GrabStartData<State> {
        &self.start
    }

    fn unset(&mut self, state: &mut State) {
        state.input.hold = None;
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
