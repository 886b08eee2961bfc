//! The results of a transfer's step in either direction, and rtc's violations.

use lumen_ipc::{
    codec::{ProtocolViolation, Violation},
    flow::BadFlow,
    link::LinkName,
};

/// The state of a transfer after a step.
pub(super) enum Step {
    /// It continues when the pipe is ready.
    Blocked,
    /// It continues when a message arrives.
    Idle,
    /// It has ended.
    Over,
}

pub(super) fn illegal(what: &'static str) -> ProtocolViolation {
    ProtocolViolation { link: LinkName::Transfer, what: Violation::Illegal(what) }
}

pub(super) fn bad_flow(error: BadFlow) -> ProtocolViolation {
    illegal(match error {
        BadFlow::BadCredit => "more credit than a window",
        BadFlow::BeyondCredit => "more bytes than the credit allows",
        BadFlow::TooLarge => "more bytes than a transfer may have",
    })
}
