//! Which window lies where, above which, and which one has the keyboard. Pure: sizes and ids in,
//! places out.
//!
//! One desktop is one screen, so there is nothing to arrange: ordinary windows fill the screen,
//! the newest on top; dialogs keep their size and are centred over the window they belong to. An
//! app may draw another size than it was told: what is smaller is centred, what is larger is shown
//! smaller ([`Place`]).
//!
//! INVARIANT (stack): a dialog lies above its parent. INVARIANT (focus): the focused window is
//! mapped; while any window is mapped, one is focused. INVARIANT (place): all of a mapped window
//! lies in the room that it may have.

mod place;

use smithay::utils::{Logical, Rectangle, Size};

pub use self::place::Place;

/// Names one window for as long as it exists.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct WindowId(pub u32);

/// What a window says about itself.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Hints {
    /// The window it belongs to.
    pub parent: Option<WindowId>,
    /// Its size, if it cannot have another.
    pub fixed: Option<Size<i32, Logical>>,
    /// It asked to cover the whole output, panels included.
    pub fullscreen: bool,
}

/// What a commit did to the content of a window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// It has some for the first time, or again.
    New,
    /// It has another size than before.
    Resized,
    /// It is as large as before.
    Unchanged,
}

/// The size a window is asked to have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// Exactly this, as a maximised window.
    Fill(Size<i32, Logical>),
    /// Exactly this, as a full-screen window.
    FillOutput(Size<i32, Logical>),
    /// Whatever it likes, preferably within this.
    Within(Size<i32, Logical>),
    /// Exactly `size`, because what it liked is not within `bounds`.
    Cut {
        /// Its own size, as much of it as there is room for.
        size: Size<i32, Logical>,
        /// The room.
        bounds: Size<i32, Logical>,
    },
}

/// The screen windows are placed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Screen {
    /// The whole output.
    pub output: Rectangle<i32, Logical>,
    /// What panels leave of it.
    pub free: Rectangle<i32, Logical>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    Dialog,
    Main,
}

#[derive(Debug)]
struct Entry {
    id: WindowId,
    hints: Hints,
    role: Role,
    /// Size of its content while it has one.
    mapped: Option<Size<i32, Logical>>,
}

/// All windows of the desktop, the lowest first.
#[derive(Debug, Default)]
pub struct Stack {
    entries: Vec<Entry>,
    focused: Option<WindowId>,
}

impl Stack {
    /// A window appeared; it has no content yet.
    pub fn insert(&mut self, id: WindowId) {
        self.entries.push(Entry { id, hints: Hints::default(), role: Role::Main, mapped: None });
    }

    /// A window says something new about itself.
    pub fn describe(&mut self, id: WindowId, hints: Hints, screen: Screen) {
        let parent = hints.parent.filter(|parent| *parent != id && !self.descends(*parent, id));
        let hints = Hints { parent, ..hints };
        let alone = self.entries.iter().all(|entry| entry.id == id || entry.mapped.is_none());
        let small = hints
            .fixed
            .is_some_and(|fixed| fixed.w < screen.free.size.w || fixed.h < screen.free.size.h);
        let Some(entry) = self.entry_mut(id) else { return };
        entry.hints = hints;
        if entry.mapped.is_none() || parent.is_some() {
            let is_dialog = parent.is_some() || (small && !alone);
            entry.role = if is_dialog { Role::Dialog } else { Role::Main };
        }
        if entry.mapped.is_some() && parent.is_some() {
            self.move_up(id);
            self.raise_descendants(id);
        }
    }

    /// A window has content of this size. One that had none before is raised and focused.
    pub fn set_content(&mut self, id: WindowId, size: Size<i32, Logical>) -> Content {
        let Some(entry) = self.entry_mut(id) else { return Content::Unchanged };
        match entry.mapped.replace(size) {
            None => {
                self.focus(id);
                Content::New
            }
            Some(before) if before == size => Content::Unchanged,
            Some(_) => Content::Resized,
        }
    }

    /// A window has no content any more. Returns whether it had some.
    pub fn unmap(&mut self, id: WindowId) -> bool {
        let parent = self.entry(id).and_then(|entry| entry.hints.parent);
        let was_mapped = self.entry_mut(id).and_then(|entry| entry.mapped.take()).is_some();
        if self.focused == Some(id) {
            let below = parent.filter(|parent| self.is_mapped(*parent)).or_else(|| self.top());
            self.focused = below;
        }
        was_mapped
    }

    /// A window is gone.
    pub fn remove(&mut self, id: WindowId) {
        self.unmap(id);
        self.entries.retain(|entry| entry.id != id);
        for entry in &mut self.entries {
            if entry.hints.parent == Some(id) {
                entry.hints.parent = None;
            }
        }
    }

    /// Raises a mapped window, its dialogs above it, and gives it the keyboard.
    pub fn focus(&mut self, id: WindowId) {
        if self.is_mapped(id) {
            self.move_up(id);
            self.raise_descendants(id);
            self.focused = Some(id);
        }
    }

    /// The window that has the keyboard.
    #[must_use]
    pub const fn focused(&self) -> Option<WindowId> {
        self.focused
    }

    /// Mapped windows, the lowest first.
    pub fn mapped(&self) -> impl DoubleEndedIterator<Item = WindowId> + '_ {
        self.entries.iter().filter(|entry| entry.mapped.is_some()).map(|entry| entry.id)
    }

    /// Whether a window has content.
    #[must_use]
    pub fn is_mapped(&self, id: WindowId) -> bool {
        self.entry(id).is_some_and(|entry| entry.mapped.is_some())
    }

    /// Whether the topmost ordinary window covers the whole output, panels included.
    #[must_use]
    pub fn covers_panels(&self) -> bool {
        self.entries
            .iter()
            .rfind(|entry| entry.role == Role::Main && entry.mapped.is_some())
            .is_some_and(|entry| entry.hints.fullscreen)
    }

    /// The size a window is asked to have.
    #[must_use]
    pub fn wanted(&self, id: WindowId, screen: Screen) -> Wanted {
        match self.entry(id) {
            Some(entry) if entry.hints.fullscreen => Wanted::FillOutput(screen.output.size),
            Some(Entry { role: Role::Dialog, mapped, .. }) => {
                let bounds = screen.free.size;
                let too_large = mapped.filter(|size| size.w > bounds.w || size.h > bounds.h);
                too_large.map_or(Wanted::Within(bounds), |size| Wanted::Cut {
                    size: (size.w.min(bounds.w), size.h.min(bounds.h)).into(),
                    bounds,
                })
            }
            _ => Wanted::Fill(screen.free.size),
        }
    }

    /// Where a mapped window's content lies.
    #[must_use]
    pub fn place(&self, id: WindowId, screen: Screen) -> Option<Place> {
        let entry = self.entry(id)?;
        let content = entry.mapped?;
        let parent = entry.hints.parent.and_then(|parent| self.place(parent, screen));
        let room = if entry.hints.fullscreen { screen.output } else { screen.free };
        Some(Place::centred(content, parent.map_or(room, |parent| parent.shown), room))
    }

    fn top(&self) -> Option<WindowId> {
        self.mapped().next_back()
    }

    fn entry(&self, id: WindowId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    fn entry_mut(&mut self, id: WindowId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }

    /// Whether `id` belongs, directly or not, to `ancestor`. Ends, because `describe` refuses a
    /// parent that descends from its child.
    fn descends(&self, id: WindowId, ancestor: WindowId) -> bool {
        let parent = self.entry(id).and_then(|entry| entry.hints.parent);
        parent.is_some_and(|parent| parent == ancestor || self.descends(parent, ancestor))
    }

    fn move_up(&mut self, id: WindowId) {
        if let Some(index) = self.entries.iter().position(|entry| entry.id == id) {
            let entry = self.entries.remove(index);
            self.entries.push(entry);
        }
    }

    fn raise_descendants(&mut self, id: WindowId) {
        let descendants: Vec<WindowId> = self
            .entries
            .iter()
            .map(|entry| entry.id)
            .filter(|other| self.descends(*other, id))
            .collect();
        for descendant in descendants {
            self.move_up(descendant);
        }
    }
}

#[cfg(test)]
mod tests;
