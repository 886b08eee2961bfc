//! The place of each window, their order, and which one has the keyboard. Pure: sizes and ids in,
//! places out.
//!
//! A desktop is a single screen, so there is nothing to arrange: ordinary windows fill the screen,
//! the newest on top; dialogs keep their size and are centred over their parent window. An app may
//! draw another size than requested: a smaller window is centred, a larger one is shown smaller
//! ([`Place`]).
//!
//! INVARIANT (stack): a dialog is above its parent. INVARIANT (focus): the focused window is
//! mapped; while any window is visible, one is focused; an invisible one is focused only by a
//! click. INVARIANT (place): a mapped window is entirely within the space available to it.
//! INVARIANT (cache): a cached place equals the one that would be computed.
//!
//! Every frame and every motion of the pointer asks for the places of windows, so places are
//! cached, and computed when something changes: a window's content, its parent, the screen. The
//! cost of a change is at most proportional to the number of windows that depend on it.

mod place;

use std::collections::{HashMap, HashSet};

use smithay::utils::{Logical, Rectangle, Size};

pub use self::place::Place;

/// Identifies a window for as long as it exists.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct WindowId(pub u32);

/// What a window says about itself.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Hints {
    /// Its parent window.
    pub parent: Option<WindowId>,
    /// Its size, if it cannot have another.
    pub fixed: Option<Size<i32, Logical>>,
    /// It asked to cover the whole output, panels included.
    pub fullscreen: bool,
}

/// What a commit did to a window's content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// The content became visible, for the first time or again.
    New,
    /// The content is not visible any more.
    Faded,
    /// The content has another size than before.
    Resized,
    /// The content is as large as before.
    Unchanged,
}

/// The size requested of a window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// Exactly this, as a maximised window.
    Fill(Size<i32, Logical>),
    /// Exactly this, as a full-screen window.
    FillOutput(Size<i32, Logical>),
    /// Its own choice, preferably within this.
    Within(Size<i32, Logical>),
    /// Exactly `size`, because the size it chose is not within `bounds`.
    Cut {
        /// Its own size, reduced to the space available.
        size: Size<i32, Logical>,
        /// The space available.
        bounds: Size<i32, Logical>,
    },
}

/// The screen windows are placed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Screen {
    /// The whole output.
    pub output: Rectangle<i32, Logical>,
    /// The part that panels leave free.
    pub free: Rectangle<i32, Logical>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Role {
    Dialog,
    #[default]
    Main,
}

#[derive(Debug, Default)]
struct Entry {
    hints: Hints,
    role: Role,
    /// Size of its content while it has one.
    mapped: Option<Size<i32, Logical>>,
    /// Whether its content is visible.
    shows: bool,
    /// Its child windows.
    children: Vec<WindowId>,
    /// The place of its content while it has one.
    place: Option<Place>,
}

/// All windows of the desktop.
#[derive(Debug)]
pub struct Stack {
    screen: Screen,
    windows: HashMap<WindowId, Entry>,
    /// The mapped windows, the lowest first.
    order: Vec<WindowId>,
    focused: Option<WindowId>,
    covers_panels: bool,
}

impl Stack {
    /// An empty stack on `screen`.
    #[must_use]
    pub fn new(screen: Screen) -> Self {
        Self {
            screen,
            windows: HashMap::new(),
            order: Vec::new(),
            focused: None,
            covers_panels: false,
        }
    }

    /// Adds a window without content; one that is there already stays as it is.
    pub fn insert(&mut self, id: WindowId) {
        self.windows.entry(id).or_default();
    }

    /// Sets the sizes of output and panels. Returns whether they have changed.
    pub fn set_screen(&mut self, screen: Screen) -> bool {
        let changes = screen != self.screen;
        self.screen = screen;
        if changes {
            // The space of every window changes, even if its parent stays in place.
            for id in self.parents_first() {
                let place = self.placed(id);
                if let Some(entry) = self.windows.get_mut(&id) {
                    entry.place = place;
                }
            }
        }
        changes
    }

    /// Updates a window's hints.
    pub fn describe(&mut self, id: WindowId, hints: Hints) {
        let parent = hints.parent.filter(|parent| {
            self.windows.contains_key(parent) && *parent != id && !self.descends(*parent, id)
        });
        let alone = self.order.iter().all(|other| *other == id);
        let free = self.screen.free.size;
        let small = hints.fixed.is_some_and(|fixed| fixed.w < free.w || fixed.h < free.h);
        let Some(entry) = self.windows.get_mut(&id) else { return };
        let old = std::mem::replace(&mut entry.hints, Hints { parent, ..hints });
        if entry.mapped.is_none() || parent.is_some() {
            let is_dialog = parent.is_some() || (small && !alone);
            entry.role = if is_dialog { Role::Dialog } else { Role::Main };
        }
        let is_mapped = entry.mapped.is_some();
        if old.parent != parent {
            self.disown(id, old.parent);
            if let Some(parent) = parent.and_then(|parent| self.windows.get_mut(&parent)) {
                parent.children.push(id);
            }
        }
        if is_mapped && parent.is_some() {
            self.raise(id);
        }
        self.place_anew(vec![id]);
        self.look_at_panels();
    }

    /// Sets the size of a window's content and whether it is visible. A window that becomes visible
    /// is raised and focused.
    pub fn set_content(&mut self, id: WindowId, size: Size<i32, Logical>, shows: bool) -> Content {
        let Some(entry) = self.windows.get_mut(&id) else { return Content::Unchanged };
        let before = entry.mapped.replace(size);
        let showed = std::mem::replace(&mut entry.shows, shows);
        if before != Some(size) {
            self.place_anew(vec![id]);
        }
        if before.is_none() {
            self.order.push(id);
            self.raise(id);
            self.look_at_panels();
        }
        match (showed, shows) {
            (false, true) => {
                self.focus(id);
                Content::New
            }
            (true, false) => {
                self.pass_focus_on(id);
                Content::Faded
            }
            _ if before == Some(size) => Content::Unchanged,
            _ => Content::Resized,
        }
    }

    /// Removes a window's content. Returns whether it had some.
    pub fn unmap(&mut self, id: WindowId) -> bool {
        let Some(entry) = self.windows.get_mut(&id) else { return false };
        entry.shows = false;
        let was_mapped = entry.mapped.take().is_some();
        if was_mapped {
            self.order.retain(|other| *other != id);
            self.place_anew(vec![id]);
            self.look_at_panels();
        }
        self.pass_focus_on(id);
        was_mapped
    }

    /// `id` became invisible: passes the focus to its parent, or to the foremost visible window.
    fn pass_focus_on(&mut self, id: WindowId) {
        if self.focused == Some(id) {
            let parent = self.windows.get(&id).and_then(|entry| entry.hints.parent);
            let foremost = self.order.iter().rev().copied();
            self.focused = parent.into_iter().chain(foremost).find(|id| self.shows(*id));
        }
    }

    fn shows(&self, id: WindowId) -> bool {
        self.windows.get(&id).is_some_and(|entry| entry.shows)
    }

    /// Removes a window.
    pub fn remove(&mut self, id: WindowId) {
        self.unmap(id);
        let Some(entry) = self.windows.remove(&id) else { return };
        self.disown(id, entry.hints.parent);
        for child in &entry.children {
            if let Some(child) = self.windows.get_mut(child) {
                child.hints.parent = None;
            }
        }
        self.place_anew(entry.children);
    }

    /// Raises a mapped window, its dialogs above it, and gives it the keyboard.
    pub fn focus(&mut self, id: WindowId) {
        if self.is_mapped(id) {
            self.raise(id);
            self.focused = Some(id);
            self.look_at_panels();
        }
    }

    /// Whether a window's visibility may matter: one that becomes visible may get the keyboard, and
    /// one that has it may lose it.
    #[must_use]
    pub fn depends_on_sight(&self, id: WindowId) -> bool {
        !self.shows(id) || self.focused == Some(id)
    }

    /// The window that has the keyboard.
    #[must_use]
    pub const fn focused(&self) -> Option<WindowId> {
        self.focused
    }

    /// Mapped windows, the lowest first.
    pub fn mapped(&self) -> impl DoubleEndedIterator<Item = WindowId> + ExactSizeIterator {
        self.order.iter().copied()
    }

    /// Whether a window has content.
    #[must_use]
    pub fn is_mapped(&self, id: WindowId) -> bool {
        self.windows.get(&id).is_some_and(|entry| entry.mapped.is_some())
    }

    /// Whether the topmost ordinary window covers the whole output, panels included.
    #[must_use]
    pub const fn covers_panels(&self) -> bool {
        self.covers_panels
    }

    /// The size requested of a window.
    #[must_use]
    pub fn wanted(&self, id: WindowId) -> Wanted {
        let bounds = self.screen.free.size;
        match self.windows.get(&id) {
            Some(entry) if entry.hints.fullscreen => Wanted::FillOutput(self.screen.output.size),
            Some(Entry { role: Role::Dialog, mapped, .. }) => {
                let too_large = mapped.filter(|size| size.w > bounds.w || size.h > bounds.h);
                too_large.map_or(Wanted::Within(bounds), |size| Wanted::Cut {
                    size: (size.w.min(bounds.w), size.h.min(bounds.h)).into(),
                    bounds,
                })
            }
            _ => Wanted::Fill(bounds),
        }
    }

    /// The place of a mapped window's content.
    #[must_use]
    pub fn place(&self, id: WindowId) -> Option<Place> {
        self.windows.get(&id)?.place
    }

    /// Places these windows, and their descendants as far as that changes anything.
    fn place_anew(&mut self, mut open: Vec<WindowId>) {
        while let Some(id) = open.pop() {
            let place = self.placed(id);
            if let Some(entry) = self.windows.get_mut(&id)
                && entry.place != place
            {
                entry.place = place;
                open.extend(&entry.children);
            }
        }
    }

    /// Every window, after its parent.
    fn parents_first(&self) -> Vec<WindowId> {
        let roots = self.windows.iter().filter(|(_, entry)| entry.hints.parent.is_none());
        let mut all: Vec<WindowId> = roots.map(|(id, _)| *id).collect();
        let mut next = 0;
        while let Some(entry) = all.get(next).and_then(|id| self.windows.get(id)) {
            all.extend(&entry.children);
            next += 1;
        }
        all
    }

    /// The place of a window whose parent is placed.
    fn placed(&self, id: WindowId) -> Option<Place> {
        let entry = self.windows.get(&id)?;
        let content = entry.mapped?;
        let parent = entry.hints.parent.and_then(|parent| self.place(parent));
        let room = if entry.hints.fullscreen { self.screen.output } else { self.screen.free };
        Some(Place::centred(content, parent.map_or(room, |parent| parent.shown), room))
    }

    fn look_at_panels(&mut self) {
        let mapped = self.order.iter().rev().filter_map(|id| self.windows.get(id));
        let main = mapped.into_iter().find(|entry| entry.role == Role::Main);
        self.covers_panels = main.is_some_and(|main| main.hints.fullscreen);
    }

    /// Removes `id` from the children of `parent`.
    fn disown(&mut self, id: WindowId, parent: Option<WindowId>) {
        if let Some(parent) = parent.and_then(|parent| self.windows.get_mut(&parent)) {
            parent.children.retain(|child| *child != id);
        }
    }

    /// Whether `id` is a descendant of `ancestor`. Terminates, because `describe` refuses a parent
    /// that descends from its child.
    fn descends(&self, id: WindowId, ancestor: WindowId) -> bool {
        let parent_of = |id: &WindowId| self.windows.get(id)?.hints.parent;
        std::iter::successors(parent_of(&id), parent_of).any(|parent| parent == ancestor)
    }

    /// Raises a window, and above it all its descendants, in their order.
    fn raise(&mut self, id: WindowId) {
        let mut raised = HashSet::new();
        let mut open = vec![id];
        while let Some(next) = open.pop() {
            raised.insert(next);
            open.extend(self.windows.get(&next).map_or(&[][..], |entry| &entry.children));
        }
        // The window itself comes first: it may have been mapped after its children.
        raised.remove(&id);
        let above: Vec<WindowId> =
            self.order.iter().copied().filter(|other| raised.contains(other)).collect();
        self.order.retain(|other| *other != id && !raised.contains(other));
        self.order.push(id);
        self.order.extend(above);
    }
}

#[cfg(test)]
mod tests;
