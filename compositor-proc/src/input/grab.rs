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

use crate::{seat::Hold, state::State};

type Target = Option<(WlSurface, Point<f64, Logical>)>;

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
        state.seat.forget_hold();
        state.seat.pointer_stale = true;
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
        state.seat.hold = None;
    }
}
