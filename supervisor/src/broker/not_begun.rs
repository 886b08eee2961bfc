//! Why an attempt to sign in, or an errand to an identity provider, does not begin, and what its browser is told.

use lumen_ipc::login::LoginRefusal;
use tracing::error;

use super::{secret::NoRandomness, throttle::TooMany};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NotBegun {
    TooMany(TooMany),
    NoRandomness(NoRandomness),
}

impl NotBegun {
    /// What the browser is told. Of what is the machine's fault the log says `what` it costs.
    pub(super) fn refusal(self, what: &str) -> LoginRefusal {
        match self {
            Self::TooMany(refusal) => refusal.refusal(),
            Self::NoRandomness(error) => {
                error!(%error, "{what}");
                LoginRefusal::Denied
            }
        }
    }
}
