//! Why a request to the provider has no answer that could be read.

use lumen_ipc::message::oidc::OidcFailure;

/// Why a request has no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoAnswer {
    /// The provider names an address that is not reached by TLS.
    #[error("{0} is not https://, and what is said there could be changed on the way")]
    InClear(String),
    /// The answer has no end, or one that is too far away.
    #[error("{url}: the answer is larger than {most} bytes")]
    TooLong {
        /// Where it comes from.
        url: String,
        /// The limit.
        most: u64,
    },
    /// Anything else.
    #[error("{url}: {why}")]
    Unreachable {
        /// Where it was to come from.
        url: String,
        /// What came in its place.
        why: String,
    },
}

impl NoAnswer {
    /// What the person is told: whether it helps to wait, or an administrator has to mend it.
    #[must_use]
    pub const fn told(&self) -> OidcFailure {
        match self {
            Self::InClear(_) | Self::TooLong { .. } => OidcFailure::Settings,
            Self::Unreachable { .. } => OidcFailure::Unreachable,
        }
    }
}
