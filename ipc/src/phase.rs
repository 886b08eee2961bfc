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
    /// [`crate::service::Control::set_candidates`]: what changes after the start.
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
    use crate::variants::variants_of;

    /// Every request in every phase: what is permitted, as the page of the life of a worker has it.
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
