//! `zwp_pointer_constraints`: games and 3D apps that lock or confine the pointer.

use smithay::{
    input::pointer::PointerHandle,
    reexports::wayland_server::protocol::wl_surface::WlSurface,
    utils::{Logical, Point},
    wayland::pointer_constraints::{
        PointerConstraint, PointerConstraintsHandler, with_pointer_constraint,
    },
};

use crate::state::State;

/// A restriction of the pointer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Constraint {
    /// It stays on its surface.
    Confined,
    /// It does not move.
    Locked,
    /// No restriction.
    None,
}

impl PointerConstraintsHandler for State {
    fn new_constraint(&mut self, surface: &WlSurface, pointer: &PointerHandle<Self>) {
        if pointer.current_focus().as_ref() == Some(surface) {
            self.activate_constraint();
        }
    }

    fn cursor_position_hint(
        &mut self,
        surface: &WlSurface,
        pointer: &PointerHandle<Self>,
        location: Point<f64, Logical>,
    ) {
        let active = with_pointer_constraint(surface, pointer, |constraint| {
            constraint.is_some_and(|constraint| constraint.is_active())
        });
        let at = pointer.current_location();
        let origin = self.pointer_origin(surface);
        if let Some(origin) = origin.filter(|_| active) {
            let way = location - (at - origin);
            pointer.set_location(at + way.upscale(self.tree.shrink_under(at)));
        }
    }
}

impl State {
    /// Activates the constraint of the surface under the pointer, if the pointer is in its region.
    pub fn activate_constraint(&self) {
        let pointer = self.pointer();
        let Some(surface) = pointer.current_focus() else { return };
        let Some(origin) = self.pointer_origin(&surface) else { return };
        let within = (pointer.current_location() - origin).to_i32_round();
        with_pointer_constraint(&surface, &pointer, |constraint| {
            if let Some(constraint) = constraint
                && !constraint.is_active()
                && constraint.region().is_none_or(|region| region.contains(within))
            {
                constraint.activate();
            }
        });
    }

    /// The restriction of the pointer at its current place.
    #[must_use]
    pub fn pointer_constraint(&self) -> Constraint {
        let pointer = self.pointer();
        let Some(surface) = pointer.current_focus() else { return Constraint::None };
        with_pointer_constraint(&surface, &pointer, |constraint| {
            match constraint.filter(|constraint| constraint.is_active()).as_deref() {
                Some(PointerConstraint::Locked(_)) => Constraint::Locked,
                Some(PointerConstraint::Confined(_)) => Constraint::Confined,
                None => Constraint::None,
            }
        })
    }

    /// Whether a confined pointer may move to `to`.
    #[must_use]
    pub fn confinement_permits(&self, to: Point<f64, Logical>) -> bool {
        let pointer = self.pointer();
        let Some(surface) = pointer.current_focus() else { return true };
        let under = self.tree.surface_under(to).filter(|(under, _)| *under == surface);
        let Some((_, origin)) = under else { return false };
        let within = (to - origin).to_i32_round();
        with_pointer_constraint(&surface, &pointer, |constraint| {
            constraint.is_none_or(|constraint| {
                constraint.region().is_none_or(|region| region.contains(within))
            })
        })
    }

    /// The position of the surface under the pointer on the output.
    fn pointer_origin(&self, surface: &WlSurface) -> Option<Point<f64, Logical>> {
        let under = self.tree.surface_under(self.pointer().current_location())?;
        (under.0 == *surface).then_some(under.1)
    }
}
