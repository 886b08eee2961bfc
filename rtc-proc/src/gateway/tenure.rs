//! How a WebSocket keeps the login it was opened with: when to resume it, so that an open page
//! counts as used, and when the WebSocket must end. Pure.

use std::time::{Duration, Instant};

use lumen_ipc::login::Login;

/// A login is resumed when half of its time is over, but not more often than this…
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// …and not less often than this: if it was ended elsewhere, its WebSockets end soon after.
const MOST_PAUSE: Duration = Duration::from_secs(60);
/// Time between attempts while the supervisor does not answer.
const RETRY: Duration = Duration::from_secs(10);

/// A WebSocket's hold on its login.
#[derive(Clone, Copy, Debug)]
pub struct Tenure {
    /// When the login ends unless it is resumed; `None` for one that never ends.
    ends: Option<Instant>,
    /// When to resume it.
    next: Option<Instant>,
    /// Whether it has been resumed since the WebSocket opened.
    confirmed: bool,
}

impl Tenure {
    /// Takes a login as the broker described it before the WebSocket opened. It is resumed at once,
    /// because a sign-out in between would not have reached this WebSocket.
    #[must_use]
    pub fn new(now: Instant, login: &Login) -> Self {
        let ends = end_of(now, login);
        Self { ends, next: ends.map(|_| now), confirmed: false }
    }

    /// Handles the broker's answer. Returns whether rtc must be told: the first answer only repeats
    /// what rtc was just told.
    pub fn resumed(&mut self, now: Instant, login: &Login) -> bool {
        self.ends = end_of(now, login);
        self.next = self.ends.map(|ends| {
            let left = ends.saturating_duration_since(now);
            now + (left / 2).clamp(LEAST_PAUSE, MOST_PAUSE)
        });
        std::mem::replace(&mut self.confirmed, true)
    }

    /// When to resume the login.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Handles a missing answer. Returns whether the login has ended meanwhile.
    pub fn unanswered(&mut self, now: Instant) -> bool {
        self.next = self.ends.map(|ends| ends.min(now + RETRY).max(now + LEAST_PAUSE));
        self.ends.is_some_and(|ends| ends <= now)
    }
}

fn end_of(now: Instant, login: &Login) -> Option<Instant> {
    login.expires_in_seconds.map(|seconds| now + Duration::from_secs(seconds.into()))
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
    fn lease_is_confirmed_at_once_and_nobody_needs_to_be_told() {
        let now = Instant::now();
        let mut tenure = Tenure::new(now, &login(Some(600)));
        assert_eq!(tenure.deadline(), Some(now));
        assert!(!tenure.resumed(now, &login(Some(600))));
        assert!(tenure.resumed(now, &login(Some(600))));
        assert_eq!(Tenure::new(now, &login(None)).deadline(), None);
    }

    #[test]
    fn lease_is_renewed_after_half_of_its_time_and_neither_too_often_nor_too_seldom() {
        let now = Instant::now();
        let deadline = |seconds| {
            let mut tenure = Tenure::new(now, &login(seconds));
            tenure.resumed(now, &login(seconds));
            tenure.deadline()
        };
        assert_eq!(deadline(Some(100)), Some(now + Duration::from_secs(50)));
        assert_eq!(deadline(Some(0)), Some(now + LEAST_PAUSE));
        assert_eq!(deadline(Some(86_400)), Some(now + MOST_PAUSE));
        assert_eq!(deadline(None), None);
    }

    #[test]
    fn lease_that_nobody_answers_for_is_asked_for_again_until_it_ends() {
        let now = Instant::now();
        let mut tenure = Tenure::new(now, &login(Some(60)));
        assert!(!tenure.unanswered(now + Duration::from_secs(30)));
        assert_eq!(tenure.deadline(), Some(now + Duration::from_secs(40)));
        assert!(!tenure.unanswered(now + Duration::from_secs(55)));
        assert_eq!(tenure.deadline(), Some(now + Duration::from_secs(60)));
        assert!(tenure.unanswered(now + Duration::from_secs(60)));
    }
}
