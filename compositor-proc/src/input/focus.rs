//! Which surface has the keyboard, and the menu that grabs it.
//!
//! The keyboard goes to the surface that the [tree](crate::tree) names: at once when a viewer asked
//! for it, by a click, or when it stays within one app; otherwise when nobody types
//! ([`crate::seat::Typing`]). A popup may grab keyboard and pointer only with input that its own
//! app received ([`crate::seat::Given`]), and loses them as soon as the keyboard is to go elsewhere
//! or somebody clicks elsewhere.
//!
//! A window that cannot be seen is lent the keyboard when it appears, until somebody presses a key
//! or clicks: programs without a window of their own, such as `wl-copy`, need the focus to copy and
//! paste, and none of them needs a key.

use std::time::Instant;

use smithay::{
    desktop::{PopupKeyboardGrab, PopupKind, PopupUngrabStrategy, find_popup_root_surface},
    input::pointer::{Focus, PointerGrab},
    reexports::wayland_server::{Resource, backend::ClientId, protocol::wl_surface::WlSurface},
    utils::{IsAlive, SERIAL_COUNTER, Serial},
    wayland::shell::xdg::PopupSurface,
};

use super::grab::HoldGrab;
use crate::{
    seat::{Input, Menu, Turn},
    state::State,
    tree::has_content,
};

fn app_of(surface: &WlSurface) -> Option<ClientId> {
    surface.client().map(|client| client.id())
}

impl State {
    /// Gives the keyboard to its owner, unless somebody types elsewhere: then later.
    pub fn refresh_focus(&mut self) {
        let owner = self.tree.keyboard_owner();
        if self.menu.as_ref().is_some_and(|menu| menu.owner != owner) {
            self.end_menu();
        }
        let owner = self.borrower().or(owner);
        match self.turn_of(owner.as_ref()) {
            Turn::Now => self.move_focus(owner),
            Turn::At(_) | Turn::Released => self.seat.focus_waits = true,
        }
        self.refresh_title();
    }

    /// Lends the keyboard to a window that cannot be seen.
    pub fn lend_keyboard(&mut self, to: WlSurface) {
        self.seat.borrower = Some(to);
        self.refresh_focus();
    }

    /// The window to which the keyboard is lent. A menu would close if it lost the keyboard.
    fn borrower(&mut self) -> Option<WlSurface> {
        self.seat.borrower.take_if(|surface| !surface.alive() || !has_content(surface));
        self.seat.borrower.clone().filter(|_| self.menu.is_none())
    }

    /// Takes back what was lent, before anything is typed.
    pub(super) fn take_back_keyboard(&mut self) {
        if self.seat.borrower.is_some() {
            self.obey_focus();
        }
    }

    /// Gives the keyboard to its owner, because a viewer asked for it.
    pub(super) fn obey_focus(&mut self) {
        self.seat.borrower = None;
        let owner = self.tree.keyboard_owner();
        self.move_focus(owner);
        self.refresh_title();
    }

    /// Gives the keyboard to its owner if that had to wait, and forgets a closed menu.
    pub fn pursue_focus(&mut self) {
        self.forget_closed_menu();
        if self.seat.focus_waits {
            self.refresh_focus();
        }
    }

    /// Forgets a menu that its app has closed. The input that opened it counts as recent from now on,
    /// however long the menu was read: toolkits open the next menu of a bar with it when the pointer
    /// moves there. Not so if the keyboard goes to another app.
    fn forget_closed_menu(&mut self) {
        let Some(menu) = self.menu.as_ref().filter(|menu| menu.grab.has_ended()) else { return };
        let (app, serial) = (menu.app.clone(), menu.grab.serial());
        self.end_menu();
        self.obey_focus();
        if self.keyboard().current_focus().as_ref().and_then(app_of) == Some(app.clone()) {
            self.seat.given.note(self.now(), serial, Input::Press, app);
        }
    }

    /// When to check again whether somebody still types.
    #[must_use]
    pub fn focus_due(&self) -> Option<Instant> {
        let owner = self.seat.focus_waits.then(|| self.keyboard().current_focus()).flatten();
        owner?;
        match self.seat.typing.turn(self.now(), self.seat.ledger.holds_key()) {
            Turn::At(end) => Some(end),
            // It became so while this turn had other things to do.
            Turn::Now => Some(self.now()),
            // The release of a key is an event.
            Turn::Released => None,
        }
    }

    fn turn_of(&self, owner: Option<&WlSurface>) -> Turn {
        let Some(current) = self.keyboard().current_focus() else { return Turn::Now };
        let stays = owner.is_some_and(|owner| app_of(owner) == app_of(&current));
        if stays || !current.alive() || !has_content(&current) {
            return Turn::Now;
        }
        self.seat.typing.turn(self.now(), self.seat.ledger.holds_key())
    }

    fn move_focus(&mut self, owner: Option<WlSurface>) {
        self.seat.focus_waits = false;
        self.tree.windows.activate_focused();
        let keyboard = self.keyboard();
        if keyboard.current_focus() == owner {
            return;
        }
        let (serial, app) = (SERIAL_COUNTER.next_serial(), owner.as_ref().and_then(app_of));
        keyboard.set_focus(self, owner, serial);
        self.seat.given.move_focus(app.as_ref());
        if let Some(app) = app {
            self.seat.given.note(self.now(), serial, Input::Focus, app);
        }
    }

    /// Handles a popup's request to grab pointer and keyboard with the input of this serial.
    pub(crate) fn open_menu(&mut self, popup: PopupSurface, serial: Serial) {
        let kind = PopupKind::Xdg(popup.clone());
        let (Ok(root), Some(app)) = (find_popup_root_surface(&kind), app_of(popup.wl_surface()))
        else {
            return;
        };
        // A submenu may name the input that opened its parent, however old that is.
        let nested = self.menu.as_ref().is_some_and(|menu| {
            menu.app == app && !menu.grab.has_ended() && menu.grab.serial() == serial
        });
        if !nested && !self.seat.given.is_press(self.now(), serial, &app) {
            popup.send_popup_done();
            return;
        }
        let seat = self.seat.wayland.clone();
        // A refusal has dismissed the popup or sent the client an error.
        let Ok(mut grab) = self.tree.popups.grab_popup(root, kind, &seat, serial) else { return };
        let before = grab.previous_serial().unwrap_or(serial);
        let (keyboard, pointer) = (self.keyboard(), self.pointer());
        let ours = keyboard.has_grab(serial) || keyboard.has_grab(before);
        let pointer_ours = pointer.has_grab(serial) || pointer.has_grab(before);
        if (keyboard.is_grabbed() && !ours) || (pointer.is_grabbed() && !pointer_ours) {
            grab.ungrab(PopupUngrabStrategy::All);
            return;
        }
        keyboard.set_focus(self, grab.current_grab(), serial);
        keyboard.set_grab(self, PopupKeyboardGrab::new(&grab), serial);
        match self.seat.hold.zip(pointer.grab_start_data()) {
            // The button that opened it is still down, and belongs to the surface where it was
            // pressed.
            Some((hold, start)) => {
                let grab = HoldGrab::before(hold, start, grab.clone());
                pointer.set_grab(self, grab, serial, Focus::Keep);
                self.seat.hold = Some(hold);
            }
            None => pointer.set_grab(self, HoldGrab::menu(grab.clone()), serial, Focus::Keep),
        }
        let owner = self.tree.keyboard_owner();
        self.menu = Some(Menu { grab, app, owner });
    }

    /// Dismisses the menu of another app when somebody presses a button on `target`.
    pub(super) fn dismiss_menu_unless_on(&mut self, target: Option<&WlSurface>) {
        let Some(menu) = &self.menu else { return };
        if target.and_then(app_of).as_ref() != Some(&menu.app) {
            self.end_menu();
            self.obey_focus();
        }
    }

    /// Dismisses the menu and takes keyboard and pointer from it. The caller gives the keyboard to
    /// its owner.
    fn end_menu(&mut self) {
        let Some(Menu { mut grab, .. }) = self.menu.take() else { return };
        grab.ungrab(PopupUngrabStrategy::All);
        // While a button is down, the grab that holds the pointer notices that the menu is gone.
        let pointer = self.pointer();
        let is_idle = |grab: &dyn PointerGrab<Self>| {
            grab.downcast_ref::<HoldGrab>().is_some_and(HoldGrab::is_idle)
        };
        if pointer.with_grab(|_, grab| is_idle(grab)).unwrap_or(false) {
            let (serial, time) = (SERIAL_COUNTER.next_serial(), self.event_time());
            pointer.unset_grab(self, serial, time);
            self.seat.pointer_stale = true;
        }
        let keyboard = self.keyboard();
        if keyboard.is_grabbed() {
            keyboard.unset_grab(self);
        }
    }
}
