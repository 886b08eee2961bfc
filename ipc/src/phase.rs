//! The phases of a worker's life, and which requests are allowed in each.
//!
//! INVARIANT: a worker reads no other worker's link before [`Phase::Ready`]: confinement comes
//! first.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A worker's phase. Phases only advance.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Phase {
    /// Running without a configuration.
    Starting,
    /// Configured, receiving its grants.
    Granted,
    /// Holds all it needs and can acquire nothing more.
    Confined,
    /// Serving.
    Ready,
    /// Finishing what has begun; accepts nothing new.
    Draining,
}

/// A request on the `control` link, as far as phases distinguish them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(test, derive(Deserialize))]
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
    /// [`crate::service::Control::set_candidates`], [`crate::service::Control::set_leases`] or
    /// [`crate::service::Control::set_rights`], which change something after the start.
    Change,
}

impl Phase {
    /// Whether a worker in this phase answers `request`.
    #[must_use]
    pub const fn permits(self, request: Request) -> bool {
        match request {
            Request::Hello | Request::Configure => matches!(self, Self::Starting),
            Request::Start => matches!(self, Self::Granted),
            Request::Change => matches!(self, Self::Ready),
            Request::Observe => true,
            Request::Drain => matches!(self, Self::Ready | Self::Draining),
        }
    }

    /// The name in tables and logs.
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
    use crate::variants::variants_of;

    /// The permitted requests of every phase.
    #[test]
    fn permits_each_step_of_life_in_its_phase_and_asking_always() {
        use Phase::{Confined, Draining, Granted, Ready, Starting};
        let phases = [Starting, Granted, Confined, Ready, Draining];
        let steps = [
            (Request::Hello, &[Starting][..]),
            (Request::Configure, &[Starting]),
            (Request::Start, &[Granted]),
            (Request::Observe, &phases),
            (Request::Drain, &[Ready, Draining]),
            (Request::Change, &[Ready]),
        ];
        assert_eq!(phases.map(|phase| format!("{phase:?}")).as_slice(), variants_of::<Phase>());
        let requests = steps.map(|(request, _)| format!("{request:?}"));
        assert_eq!(requests.as_slice(), variants_of::<Request>());
        for (request, permitting) in steps {
            for phase in phases {
                let expected = permitting.contains(&phase);
                assert_eq!(phase.permits(request), expected, "{request:?} while {phase}");
            }
        }
    }
}
