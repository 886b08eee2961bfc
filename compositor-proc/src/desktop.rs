//! What rtc is told besides the picture, and what it still has to be told. Pure.
//!
//! INVARIANT: after a new link end everything is stated once; after that only what changed, and
//! only its latest value.

use lumen_ipc::{
    message::desktop::{Cursor, Statement},
    text::Text,
    units::OutputSize,
};

/// The facts, and which of them rtc has not been told.
#[derive(Debug)]
pub struct Desktop {
    cursor: Fact<Cursor>,
    size: Fact<OutputSize>,
    title: Fact<Text<256>>,
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
            title: Fact::new(Text::default()),
        }
    }

    /// The pointer looks like this.
    pub fn set_cursor(&mut self, cursor: Cursor) {
        self.cursor.set(cursor);
    }

    /// The output has this size.
    pub fn set_size(&mut self, size: OutputSize) {
        self.size.set(size);
    }

    /// The focused window is called this.
    pub fn set_title(&mut self, title: String) {
        self.title.set(Text::truncated(title));
    }

    /// Rtc is a new one and knows nothing.
    pub const fn forget_told(&mut self) {
        self.cursor.told = false;
        self.size.told = false;
        self.title.told = false;
    }

    /// The next thing to tell; [`Desktop::told`] says that it was.
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
        desktop.set_title("one".to_owned());
        desktop.set_title("two".to_owned());
        assert_eq!(tell_all(&mut desktop), [Statement::TitleChanged(Text::truncated("two"))]);
        desktop.set_title("two".to_owned());
        assert!(tell_all(&mut desktop).is_empty());
    }
}
