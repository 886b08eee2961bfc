//! The programs of a login session: what is started, with which descriptors, and how it ended.

use serde::{Deserialize, Serialize};

use super::List;
use crate::text::Text;

/// Most words of a command, and most variables that it gets.
pub const MOST_WORDS: usize = 64;

/// A program to be started as the account's user, with the variables of its login and these.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// The program, found as that user's shell would find it, and its arguments.
    pub words: List<Text<4096>, MOST_WORDS>,
    /// Further variables: names and values.
    pub variables: List<(Text<128>, Text<4096>), MOST_WORDS>,
}

/// Most descriptors that a program gets beside its output.
pub const MOST_BESIDE: u8 = 2;

/// Which descriptors come with the start of a program, after the one to which it writes its output and errors.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "(u8, bool)", into = "(u8, bool)")]
pub struct Given {
    beside: u8,
    /// Whether the last one is the open program, of which the first word is then only the name: its user may
    /// not be able to enter the directory in which it lies.
    pub program: bool,
}

/// More descriptors than a program gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a program gets at most {MOST_BESIDE} descriptors beside its output")]
pub struct TooManyGiven;

impl Given {
    /// So many that the program has as its descriptors from 3 on, and perhaps the program itself.
    ///
    /// # Errors
    /// [`TooManyGiven`] when there are more than [`MOST_BESIDE`].
    pub fn new(beside: u8, program: bool) -> Result<Self, TooManyGiven> {
        if beside <= MOST_BESIDE { Ok(Self { beside, program }) } else { Err(TooManyGiven) }
    }

    /// How many the program has as its descriptors from 3 on.
    #[must_use]
    pub fn beside(self) -> usize {
        self.beside.into()
    }

    /// How many come with the message.
    #[must_use]
    pub fn count(self) -> usize {
        1 + self.beside() + usize::from(self.program)
    }
}

impl TryFrom<(u8, bool)> for Given {
    type Error = TooManyGiven;

    fn try_from((beside, program): (u8, bool)) -> Result<Self, TooManyGiven> {
        Self::new(beside, program)
    }
}

impl From<Given> for (u8, bool) {
    fn from(given: Given) -> Self {
        (given.beside, given.program)
    }
}

/// Identifies a program that was started: the number with which its start was asked for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct AppNumber(pub u32);

/// How a program ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum AppEnd {
    /// By itself, with this code.
    Code(u8),
    /// It could not be started.
    NotStarted,
    /// By this signal.
    Signal(u8),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::LinkName;

    #[test]
    fn program_gets_no_more_descriptors_than_a_message_carries() {
        let most = Given::new(MOST_BESIDE, true).expect("the most");
        assert_eq!((most.count(), LinkName::Login.row().max_descriptors), (4, 4));
        assert_eq!(Given::default().count(), 1, "where it writes");
        assert_eq!(Given::new(MOST_BESIDE + 1, false), Err(TooManyGiven));
        let bytes = [MOST_BESIDE + 1, 0];
        assert!(postcard::from_bytes::<Given>(&bytes).is_err());
    }
}
