//! The findings of `lumen doctor`, one line each.

use serde::Serialize;

use crate::protection::Loss;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// Lumen cannot run.
    Missing,
    /// All is well.
    Ok,
    /// Lumen runs, but with less.
    Warn,
}

/// One line.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// What was examined.
    pub(super) subject: String,
    pub(super) verdict: Verdict,
    /// What was found.
    pub(super) found: String,
    /// What to do, if anything.
    pub(super) advice: Option<&'static str>,
}

impl Finding {
    pub(super) fn ok(subject: impl Into<String>, found: impl Into<String>) -> Self {
        let (subject, found) = (subject.into(), found.into());
        Self { subject, verdict: Verdict::Ok, found, advice: None }
    }

    pub(super) fn warn(subject: &str, found: impl Into<String>, advice: &'static str) -> Self {
        Self { verdict: Verdict::Warn, advice: Some(advice), ..Self::ok(subject, found) }
    }

    /// A lost protection, in the same words as README.
    pub(super) fn lost(
        subject: &str,
        loss: Loss,
        because: impl std::fmt::Display,
        advice: &'static str,
    ) -> Self {
        Self::warn(subject, format!("{} ({because})", loss.sentence()), advice)
    }

    pub(super) fn missing(
        subject: impl Into<String>,
        found: impl Into<String>,
        advice: &'static str,
    ) -> Self {
        Self { verdict: Verdict::Missing, advice: Some(advice), ..Self::ok(subject, found) }
    }
}
