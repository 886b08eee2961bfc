//! What a test orders a liar to do, and what the liar answers.

use lumen_ipc::message::grants::ToWorker;
use serde::{Deserialize, Serialize};

/// An order.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub enum Order {
    /// Make these calls, one after the other, in a child that is confined as the worker is. Answered by
    /// [`Answer::Tried`]. Only before [`Order::Confine`].
    Attempt(Vec<Call>),
    /// Take no further attempts, confine yourself and serve. Answered by [`Answer::Done`] once it does.
    Confine,
    /// Make these calls yourself. Answered by [`Answer::Tried`], unless one of them ends the process.
    Make(Vec<Call>),
    /// Name the descriptors that you hold: before [`Order::Confine`] without lending them. Answered by
    /// [`Answer::Held`] with a copy of each.
    Lend,
    /// Tell the supervisor this summary. Answered by [`Answer::Done`].
    Summarise(String),
}

/// An answer.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub enum Answer {
    /// It is done.
    Done,
    /// The descriptors that it holds.
    Held(Vec<Held>),
    /// What came of calls.
    Tried(Tried),
}

/// A descriptor that the liar holds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Held {
    /// Its number in the liar.
    pub number: i32,
    /// The grant; `None` for those that it was executed with.
    pub grant: Option<ToWorker>,
}

/// A system call.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Call {
    /// Its number (`libc::SYS_*`).
    pub number: i64,
    /// Its arguments; those that are missing are zero.
    pub arguments: Vec<Argument>,
}

/// One argument of a call.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Argument {
    /// A pointer to these bytes, which the kernel may overwrite.
    Bytes(Vec<u8>),
    /// The result of an earlier call of the same order, by its place.
    Earlier(u8),
    /// A pointer to a message header (`msghdr`) with this address and one part.
    Header {
        /// The address; empty for none.
        address: Vec<u8>,
        /// The part.
        body: Vec<u8>,
    },
    /// The id of the process that makes the call.
    OwnPid,
    /// A pointer to a vector (`iovec`) of these bytes as its one part.
    Part(Vec<u8>),
    /// A number.
    Word(u64),
}

/// What came of calls.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Tried {
    /// The results of the calls that returned: a value, or an error as a negative number.
    pub results: Vec<i64>,
    /// How the child ended before it had made every call; `None` if it made all.
    pub ended: Option<Ended>,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Ended {
    /// With this exit code, which is that of a forbidden system call or of a failure to begin.
    Code(i32),
    /// By this signal: SIGALRM if a call did not return.
    Signal(i32),
}

impl Tried {
    /// The result of the last call, if every call returned.
    #[must_use]
    pub fn last(&self) -> Option<i64> {
        self.results.last().copied().filter(|_| self.ended.is_none())
    }

    /// Whether the last of so many calls succeeded. One that executes another program does not return: then
    /// the process ended well before it made them all.
    #[must_use]
    pub fn reaches(&self, calls: usize) -> bool {
        match self.results.get(calls.saturating_sub(1)) {
            Some(result) => *result >= 0,
            None => self.ended.is_none(),
        }
    }
}
