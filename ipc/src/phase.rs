//! The phases of a worker's life and what its supervisor may ask in each.
//!
//! INVARIANT: a worker reads nothing from a peer before [`Phase::Ready`]: confinement comes first.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where in its life a worker is. Phases only ever advance.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Phase {
    /// Running, knows nothing yet.
    Starting,
    /// Has its configuration and is taking its grants.
    Granted,
    /// Holds all it needs and has given up the means to get more.
    Confined,
    /// Serving.
    Ready,
    /// Finishing what it has begun; takes nothing new.
    Draining,
}

/// A request on the `control` link, as far as phases care.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Request {
    /// [`crate::service::Control::hello`].
    Hello,
    /// [`crate::service::Control::configure`].
    Configure,
    /// [`crate::service::Control::start`].
    Start,
    /// [`crate::service::Control::status`] or [`crate::service::Control::metrics`].
    Observe,
    /// [`crate::service::Control::drain`].
    Drain,
}

impl Phase {
    /// Whether a worker in this phase answers `request`.
    #[must_use]
    pub const fn permits(self, request: Request) -> bool {
        match request {
            Request::Hello | Request::Configure => matches!(self, Self::Starting),
            Request::Start => matches!(self, Self::Granted),
            Request::Observe => true,
            Request::Drain => matches!(self, Self::Ready | Self::Draining),
        }
    }

    /// The word used for it in tables and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Granted => "granted",
            Self::Confined => "confined",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_each_life_step_in_exactly_one_phase() {
        let phases =
            [Phase::Starting, Phase::Granted, Phase::Confined, Phase::Ready, Phase::Draining];
        let permitting = |request| phases.iter().filter(|phase| phase.permits(request)).count();
        assert_eq!(permitting(Request::Hello), 1);
        assert_eq!(permitting(Request::Configure), 1);
        assert_eq!(permitting(Request::Start), 1);
    }
}
