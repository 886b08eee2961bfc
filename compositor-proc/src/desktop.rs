//! The desktop's state besides the picture, and which of it rtc has not been told. Pure.
//!
//! INVARIANT: on a new link end every fact is stated once; afterwards only changed facts are, each with
//! its latest value only.

use lumen_ipc::{
    line::Line,
    message::desktop::{Cursor, Statement},
    text::Text,
    units::OutputSize,
};

/// The facts, and whether rtc was told each of them.
#[derive(Debug)]
pub struct Desktop {
    cursor: Fact<Cursor>,
    size: Fact<OutputSize>,
    title: Fact<Line<256>>,
}

#[derive(Debug)]
struct Fact<T> {
    value: T,
    told: bool,
}

impl<T: PartialEq> Fact<T> {
    const fn new(value: T) -> Self {
        Self { value, told: false }
    }

    fn set(&mut self, value: T) {
        if self.value != value {
            *self = Self::new(value);
        }
    }
}

impl Desktop {
    /// A desktop of `size` with the default pointer and no window.
    #[must_use]
    pub fn new(size: OutputSize) -> Self {
        Self {
            cursor: Fact::new(Cursor::Named(Text::truncated("default"))),
            size: Fact::new(size),
            title: Fact::new(Line::default()),
        }
    }

    /// Sets the look of the pointer.
    pub fn set_cursor(&mut self, cursor: Cursor) {
        self.cursor.set(cursor);
    }

    /// Sets the size of the output.
    pub fn set_size(&mut self, size: OutputSize) {
        self.size.set(size);
    }

    /// Sets the title of the focused window.
    pub fn set_title(&mut self, title: &str) {
        self.title.set(Line::of(title));
    }

    /// A new rtc knows none of the facts.
    pub const fn forget_told(&mut self) {
        self.cursor.told = false;
        self.size.told = false;
        self.title.told = false;
    }

    /// The next statement for rtc; confirm it with [`Desktop::told`].
    #[must_use]
    pub fn untold(&self) -> Option<Statement> {
        if !self.size.told {
            Some(Statement::OutputResized(self.size.value))
        } else if !self.cursor.told {
            Some(Statement::CursorChanged(self.cursor.value.clone()))
        } else if !self.title.told {
            Some(Statement::TitleChanged(self.title.value.clone()))
        } else {
            None
        }
    }

    /// Rtc was told what [`Desktop::untold`] returned.
    pub const fn told(&mut self, fact: &Statement) {
        match fact {
            Statement::CursorChanged(_) => self.cursor.told = true,
            Statement::OutputResized(_) => self.size.told = true,
            Statement::TitleChanged(_) => self.title.told = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::units::Scale;

    use super::*;

    fn tell_all(desktop: &mut Desktop) -> Vec<Statement> {
        let mut facts = Vec::new();
        while let Some(fact) = desktop.untold() {
            desktop.told(&fact);
            facts.push(fact);
        }
        facts
    }

    fn desktop() -> Desktop {
        Desktop::new(OutputSize::nearest(640, 480, Scale::ONE))
    }

    #[test]
    fn untold_after_a_new_end_is_everything() {
        let mut desktop = desktop();
        assert_eq!(tell_all(&mut desktop).len(), 3);
        desktop.forget_told();
        assert_eq!(tell_all(&mut desktop).len(), 3);
    }

    #[test]
    fn untold_after_a_change_is_its_latest_value_only() {
        let mut desktop = desktop();
        tell_all(&mut desktop);
        desktop.set_title("one");
        desktop.set_title("two");
        assert_eq!(tell_all(&mut desktop), [Statement::TitleChanged(Line::of("two"))]);
        desktop.set_title("two");
        assert!(tell_all(&mut desktop).is_empty());
    }
}
