//! Turns viewers' actions into apps' input.
//!
//! Viewers share one seat. [`crate::seat`] decides what that means for keys and buttons, `locks`
//! for Caps Lock and Num Lock, [`grab`] which surface has the pointer while a button is down,
//! [`focus`] which has the keyboard; this file applies their decisions, finds the surface under the
//! pointer, and gives the keyboard to the window that is clicked.

pub mod focus;
pub mod grab;
mod locks;

use std::time::Instant;

use lumen_ipc::{
    message::input::{Action, OutputPoint, PointerDelta, PressState, ToCompositor},
    units::{ButtonCode, PeerId},
};
use smithay::{
    backend::input::{ButtonState, KeyState},
    input::{
        keyboard::{FilterResult, Keycode},
        pointer::{AxisFrame, ButtonEvent, Focus, MotionEvent, RelativeMotionEvent},
    },
    reexports::wayland_server::{Resource, protocol::wl_surface::WlSurface},
    utils::{Logical, Point, SERIAL_COUNTER, Serial},
};

use self::grab::HoldGrab;
use crate::{
    handlers::Constraint,
    seat::{Hold, Input, Pressable, scroll},
    state::State,
    tree::{Found, Owner},
};

/// XKB numbers keys eight above the kernel (`xkb_keycode_t`, "evdev + 8").
const XKB_OFFSET: u32 = 8;
/// A relative motion counts sixteenths of a pixel of a frame.
const SIXTEENTHS: f64 = 16.0;
/// The last position that is still on the output: `wl_fixed` counts 256ths.
const EDGE: f64 = 1.0 / 256.0;

impl State {
    /// Applies one message of the `input` link, if its viewer has proved to be there.
    pub fn apply_input(&mut self, message: ToCompositor) {
        let peer = message.peer;
        let releases = matches!(message.action, Action::ReleaseAll | Action::PeerLeft);
        if !releases && !self.seat.leases.permits(self.now(), peer) {
            self.metrics.input_refused.increment();
            return;
        }
        self.metrics.input_events.increment();
        if !releases {
            self.seat.doings.note();
        }
        self.seat.ledger.hear(self.now(), peer);
        match message.action {
            Action::Key { key, state, locks } => {
                if let Some(locks) = locks {
                    self.follow_locks(locks);
                }
                self.press(peer, Pressable::Key(key), state);
            }
            Action::PointerTo(at) => self.point_to(at),
            Action::PointerBy(delta) => self.point_by(delta),
            Action::Button { button, state, at } => self.click(peer, button, state, at),
            Action::Wheel { right_v120, down_v120 } => {
                self.axis(scroll::wheel(self.event_time(), right_v120, down_v120));
            }
            Action::Scroll { right_sixteenths, down_sixteenths } => {
                let time = self.event_time();
                let (way, scale) = ((right_sixteenths, down_sixteenths), self.output.size.scale);
                let frame = self.seat.finger.moved(time, peer, way, scale);
                if let Some(frame) = frame {
                    self.axis(frame);
                }
            }
            Action::ReleaseAll => self.release_peer(peer),
            Action::PeerLeft => {
                self.seat.leases.forget(peer);
                self.release_peer(peer);
            }
            // The ledger has noted already that the peer is there. The compositor takes proofs.
            Action::StillHeld | Action::Proved(_) => {}
        }
    }

    /// Releases what a viewer holds.
    pub fn release_peer(&mut self, peer: PeerId) {
        let released = self.seat.ledger.release_peer(peer);
        self.lift(released);
        let time = self.event_time();
        let stopped = self.seat.finger.lifted(time, peer);
        self.stop_scrolling(stopped);
    }

    /// Handles the loss of all viewers.
    pub fn release_everything(&mut self) {
        self.seat.leases.forget_all();
        let released = self.seat.ledger.release_all();
        self.lift(released);
        let time = self.event_time();
        let stopped = self.seat.finger.all_lifted(time);
        self.stop_scrolling(stopped);
    }

    /// Releases what is held by viewers who have been silent for too long at `asked`, or have not proved
    /// for too long that they are there.
    pub fn release_lapsed(&mut self, asked: Instant) {
        for peer in self.seat.leases.lapse(asked) {
            self.release_peer(peer);
        }
        let lapsed = self.seat.ledger.lapse(asked);
        self.lift(lapsed);
    }

    /// When to look for silent viewers; `None` while nothing is held.
    #[must_use]
    pub fn lapse_due(&self) -> Option<Instant> {
        let silent = self.seat.ledger.due()?;
        Some(self.seat.leases.due().map_or(silent, |absent| absent.min(silent)))
    }

    /// Updates what is under the pointer, after windows moved below it.
    pub fn refresh_pointer(&mut self) {
        if self.seat.pointed.is_none() {
            return;
        }
        let location = self.pointer().current_location();
        if self.tree.surface_under(location) != self.seat.under {
            self.move_pointer(location);
            self.pointer().frame(self);
        }
    }

    fn press(&mut self, peer: PeerId, what: Pressable, state: PressState) {
        let changes = match state {
            PressState::Pressed => self.seat.ledger.press(self.now(), peer, what),
            PressState::Released => self.seat.ledger.release(peer, what),
        };
        if changes {
            self.send_press(what, state);
        }
    }

    fn lift(&mut self, released: Vec<Pressable>) {
        for what in released {
            self.send_press(what, PressState::Released);
        }
    }

    fn send_press(&mut self, what: Pressable, state: PressState) {
        let (serial, time) = (SERIAL_COUNTER.next_serial(), self.event_time());
        match what {
            Pressable::Key(key) => {
                let code = Keycode::new(u32::from(key.value()) + XKB_OFFSET);
                let state = match state {
                    PressState::Pressed => KeyState::Pressed,
                    PressState::Released => KeyState::Released,
                };
                self.seat.typing.note(self.now());
                self.take_back_keyboard();
                self.note_given(serial, self.keyboard().current_focus().as_ref());
                self.keyboard().input::<(), _>(self, code, state, serial, time, |_, _, _| {
                    FilterResult::Forward
                });
            }
            Pressable::Button(button) => {
                let state = match state {
                    PressState::Pressed => ButtonState::Pressed,
                    PressState::Released => ButtonState::Released,
                };
                let button = button.value().into();
                let (pointer, was_grabbed) = (self.pointer(), self.pointer().is_grabbed());
                self.note_given(serial, pointer.current_focus().as_ref());
                pointer.button(self, &ButtonEvent { serial, time, button, state });
                if !was_grabbed {
                    self.begin_hold(serial);
                }
                pointer.frame(self);
            }
        }
    }

    /// Records that `to` receives a key or button with this serial.
    fn note_given(&mut self, serial: Serial, to: Option<&WlSurface>) {
        if let Some(client) = to.and_then(Resource::client) {
            self.seat.given.note(self.now(), serial, Input::Press, client.id());
        }
    }

    /// Replaces the grab that a button's press has begun.
    fn begin_hold(&mut self, serial: Serial) {
        let pointer = self.pointer();
        let Some(start) = pointer.grab_start_data() else { return };
        let from = start.location;
        let origin = start.focus.as_ref().map_or(from, |(_, origin)| *origin);
        let hold = Hold { from, origin, shrink: self.tree.shrink_under(from) };
        self.seat.hold = Some(hold);
        pointer.set_grab(self, HoldGrab::new(hold, start), serial, Focus::Keep);
    }

    fn click(&mut self, peer: PeerId, button: ButtonCode, state: PressState, at: OutputPoint) {
        self.point_to(at);
        if state == PressState::Pressed && self.seat.hold.is_none() {
            let target = self.tree.surface_under(self.pointer().current_location());
            self.dismiss_menu_unless_on(target.as_ref().map(|(surface, _)| surface));
            if !self.pointer().is_grabbed() {
                self.focus_under_pointer();
            }
        }
        self.press(peer, Pressable::Button(button), state);
    }

    fn focus_under_pointer(&mut self) {
        let at = self.pointer().current_location();
        match self.tree.under(at) {
            Some(Found { owner: Owner::Window(id), .. }) => {
                self.tree.focused_layer = None;
                self.tree.windows.stack.focus(id);
            }
            Some(Found { owner: Owner::Layer(layer), .. })
                if layer.can_receive_keyboard_focus() =>
            {
                self.tree.focused_layer = Some(layer);
            }
            _ => return,
        }
        self.obey_focus();
        self.rearranged();
    }

    fn point_to(&mut self, at: OutputPoint) {
        let to = self.on_output(at.on(self.output.size).into());
        let from = self.seat.pointed.unwrap_or(to);
        self.travel(to, to - from);
    }

    fn point_by(&mut self, delta: PointerDelta) {
        let unit = SIXTEENTHS * self.output.size.scale.factor();
        let delta = Point::from((f64::from(delta.dx) / unit, f64::from(delta.dy) / unit));
        let to = self.on_output(self.pointer().current_location() + delta);
        self.travel(to, delta);
    }

    /// Moves the pointer as far as its constraint permits; the app that constrains it still
    /// receives the whole motion.
    fn travel(&mut self, to: Point<f64, Logical>, delta: Point<f64, Logical>) {
        self.seat.pointed = Some(to);
        let pointer = self.pointer();
        if delta != Point::default() {
            let utime = self.micros().0;
            let event = RelativeMotionEvent { delta, delta_unaccel: delta, utime };
            let under = self.tree.surface_under(pointer.current_location());
            pointer.relative_motion(self, under, &event);
        }
        let may_move = match self.pointer_constraint() {
            Constraint::None => true,
            Constraint::Confined => self.confinement_permits(to),
            Constraint::Locked => false,
        };
        if may_move {
            self.move_pointer(to);
        }
        pointer.frame(self);
    }

    fn move_pointer(&mut self, location: Point<f64, Logical>) {
        let under = self.tree.surface_under(location);
        self.seat.under.clone_from(&under);
        let (serial, time) = (SERIAL_COUNTER.next_serial(), self.event_time());
        self.pointer().motion(self, under, &MotionEvent { location, serial, time });
        self.activate_constraint();
        if self.drag_icon.is_some() {
            self.changed();
        }
    }

    fn stop_scrolling(&mut self, stopped: Option<AxisFrame>) {
        if let Some(frame) = stopped {
            self.axis(frame);
        }
    }

    fn axis(&mut self, frame: AxisFrame) {
        let pointer = self.pointer();
        pointer.axis(self, frame);
        pointer.frame(self);
    }

    fn on_output(&self, at: Point<f64, Logical>) -> Point<f64, Logical> {
        let (width, height) = self.output.size.logical();
        let within = |value: f64, side: i32| value.clamp(0.0, f64::from(side) - EDGE);
        Point::from((within(at.x, width), within(at.y, height)))
    }
}
