//! While a button is down, the pointer belongs to the surface where it was pressed; while a menu is
//! open, to the surfaces of its app.
//!
//! Smithay has a grab for each, which this replaces for three reasons. A popup that an app opens
//! when a button is pressed would take the pointer at once: the app would see the release on the
//! popup, and GTK 3 closes the popup then. So the popup's grab begins when the last button is
//! released. In a menu, too, a pressed button holds the pointer. And in a window that is shown
//! smaller than it is, a motion of the pointer is longer for the app.

use smithay::{
    backend::input::ButtonState,
    desktop::PopupGrab,
    input::pointer::{
        AxisFrame, ButtonEvent, GestureHoldBeginEvent, GestureHoldEndEvent, GesturePinchBeginEvent,
        GesturePinchEndEvent, GesturePinchUpdateEvent, GestureSwipeBeginEvent,
        GestureSwipeEndEvent, GestureSwipeUpdateEvent, GrabStartData, MotionEvent, PointerGrab,
        PointerInnerHandle, RelativeMotionEvent,
    },
    reexports::wayland_server::{Resource, protocol::wl_surface::WlSurface},
    utils::{Logical, Point},
};

use crate::{seat::Hold, state::State};

type Target = Option<(WlSurface, Point<f64, Logical>)>;

/// The grab while a button is down or a menu is open.
#[derive(Debug)]
pub struct HoldGrab {
    held: Option<Held>,
    start: GrabStartData<State>,
    popup: Option<PopupGrab<State>>,
}

/// A button is down.
#[derive(Debug)]
struct Held {
    hold: Hold,
    /// The surface where it was pressed.
    surface: Option<WlSurface>,
}

impl Held {
    fn new(hold: Hold, target: Target) -> Self {
        Self { hold, surface: target.map(|(surface, _)| surface) }
    }
}

impl HoldGrab {
    /// The grab of an ordinary press.
    #[must_use]
    pub fn new(hold: Hold, start: GrabStartData<State>) -> Self {
        Self { held: Some(Held::new(hold, start.focus.clone())), start, popup: None }
    }

    /// The same, followed by the grab of a popup that was opened meanwhile.
    #[must_use]
    pub fn before(hold: Hold, start: GrabStartData<State>, popup: PopupGrab<State>) -> Self {
        Self { popup: Some(popup), ..Self::new(hold, start) }
    }

    /// The grab of a popup while no button is down.
    #[must_use]
    pub fn menu(popup: PopupGrab<State>) -> Self {
        let start = popup.pointer_grab_start_data().clone();
        Self { held: None, start, popup: Some(popup) }
    }

    /// Whether no button is down.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.held.is_none()
    }

    /// The popup, if it still is what has taken the pointer.
    fn open_popup(&self, state: &State) -> Option<&PopupGrab<State>> {
        self.popup.as_ref().filter(|popup| state.menu.is_some() && !popup.has_ended())
    }
}

impl PointerGrab<State> for HoldGrab {
    fn motion(
        &mut self,
        state: &mut State,
        handle: &mut PointerInnerHandle<'_, State>,
        target: Target,
        event: &MotionEvent,
    ) {
        let target = match (&self.held, self.open_popup(state)) {
            (Some(Held { hold, surface }), _) => {
                surface.clone().map(|surface| (surface, hold.origin_at(event.location)))
            }
            // Only the menu's app receives the pointer's position.
            (None, Some(popup)) => target.filter(|(surface, _)| {
                popup.current_grab().is_some_and(|menu| menu.id().same_client_as(&surface.id()))
            }),
            (None, None) => {
                handle.unset_grab(self, state, event.serial, event.time, false);
                target
            }
        };
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
        if event.state == ButtonState::Pressed && self.held.is_none() {
            let (from, target) = (handle.current_location(), handle.current_focus());
            let origin = target.as_ref().map_or(from, |(_, origin)| *origin);
            let hold = Hold { from, origin, shrink: state.tree.shrink_under(from) };
            state.seat.hold = Some(hold);
            self.held = Some(Held::new(hold, target));
        }
        handle.button(state, event);
        if !handle.current_pressed().is_empty() {
            return;
        }
        self.held = None;
        state.seat.forget_hold();
        state.seat.pointer_stale = true;
        if self.open_popup(state).is_none() {
            handle.unset_grab(self, state, event.serial, event.time, false);
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
