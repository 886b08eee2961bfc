//! How a WebSocket keeps the login it was opened with: when it has it resumed, so that an open page
//! counts as used, and when it has to end. Pure.

use std::time::{Duration, Instant};

use lumen_ipc::login::Login;

/// A login is resumed when half of its time is over, but not more often than this.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// And when the supervisor has not answered, after this.
const RETRY: Duration = Duration::from_secs(10);

/// A WebSocket's hold on its login.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// When the login ends, unless it is resumed; `None` for one that never ends.
    ends: Option<Instant>,
    /// When to resume it.
    next: Option<Instant>,
}

impl Lease {
    /// A login as the broker has just described it.
    #[must_use]
    pub fn new(now: Instant, login: &Login) -> Self {
        let left = login.expires_in_seconds.map(|seconds| Duration::from_secs(seconds.into()));
        let next = left.map(|left| now + (left / 2).max(LEAST_PAUSE));
        Self { ends: left.map(|left| now + left), next }
    }

    /// When to have the login resumed.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// It could not be resumed, because nobody answered. Returns whether it has ended meanwhile.
    pub fn unanswered(&mut self, now: Instant) -> bool {
        self.next = self.ends.map(|ends| ends.min(now + RETRY).max(now + LEAST_PAUSE));
        self.ends.is_some_and(|ends| ends <= now)
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::{
        login::{LoginId, Rights},
        units::SessionId,
    };

    use super::*;

    fn login(expires_in_seconds: Option<u32>) -> Login {
        let rights = Rights { control: true };
        Login { id: LoginId(1), session: SessionId::SOLE, rights, expires_in_seconds }
    }

    #[test]
    fn lease_is_renewed_after_half_of_its_time_and_never_without_a_pause() {
        let now = Instant::now();
        let deadline = |seconds| Lease::new(now, &login(seconds)).deadline();
        assert_eq!(deadline(Some(600)), Some(now + Duration::from_secs(300)));
        assert_eq!(deadline(Some(0)), Some(now + LEAST_PAUSE));
        assert_eq!(deadline(None), None);
    }

    #[test]
    fn lease_that_nobody_answers_for_is_asked_for_again_until_it_ends() {
        let now = Instant::now();
        let mut lease = Lease::new(now, &login(Some(60)));
        assert!(!lease.unanswered(now + Duration::from_secs(30)));
        assert_eq!(lease.deadline(), Some(now + Duration::from_secs(40)));
        assert!(!lease.unanswered(now + Duration::from_secs(55)));
        assert_eq!(lease.deadline(), Some(now + Duration::from_secs(60)));
        assert!(lease.unanswered(now + Duration::from_secs(60)));
    }
}
