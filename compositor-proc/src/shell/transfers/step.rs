//! How a step of a transfer may end, in either direction, and what rtc must not do.

use lumen_ipc::{
    codec::{ProtocolViolation, Violation},
    flow::BadFlow,
    link::LinkName,
};

/// How a step of a transfer left it.
pub(super) enum Step {
    /// It goes on when the pipe does.
    Blocked,
    /// It goes on when the other end of the link says something.
    Idle,
    /// It is over.
    Over,
}

pub(super) fn illegal(what: &'static str) -> ProtocolViolation {
    ProtocolViolation { link: LinkName::Transfer, what: Violation::Illegal(what) }
}

pub(super) fn bad_flow(error: BadFlow) -> ProtocolViolation {
    illegal(match error {
        BadFlow::BadCredit => "more credit than a window",
        BadFlow::BeyondCredit => "more bytes than there was credit for",
        BadFlow::TooLarge => "more bytes than a transfer may have",
    })
}
