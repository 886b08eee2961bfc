//! Who may see the desktop. The gateway asks, because it must not know the answer beforehand.
//!
//! Decides: whether a token or cookie opens the session, and how often somebody may try. Trusts the
//! gateway to tell the browser's address, for throttling only: a gateway that lies gets its own
//! attempts counted for everyone. Cookies live here, so they survive the gateway's restart; they end
//! with the desktop. Credentials for the relay are minted here too ([`relay`]).

pub mod relay;
mod secret;
mod throttle;

use std::{
    collections::VecDeque,
    net::IpAddr,
    time::{Duration, Instant},
};

use lumen_ipc::{
    message::signalling::Rights,
    service::{AuthMode, Login, LoginRefusal},
    text::Secret,
    units::SessionId,
};

use secret::Key;
pub use secret::NoRandomness;
use throttle::{Throttle, TooMany};

/// Most cookies remembered; the one used longest ago makes room.
const MOST_COOKIES: usize = 256;
/// The one session there is.
const SESSION: SessionId = SessionId::SOLE;

/// The access token, the cookies given for it, and who tried.
pub struct Access {
    mode: AuthMode,
    token: Key,
    /// The one used last is last.
    cookies: VecDeque<Key>,
    throttle: Throttle,
}

impl Access {
    /// A new token, and nobody logged in.
    ///
    /// # Errors
    /// [`NoRandomness`] when the kernel gives none.
    pub fn new(mode: AuthMode) -> Result<Self, NoRandomness> {
        Ok(Self {
            mode,
            token: Key::random()?,
            cookies: VecDeque::new(),
            throttle: Throttle::default(),
        })
    }

    /// The token: for the line that is printed once, nothing else.
    #[must_use]
    pub fn token(&self) -> &str {
        self.token.reveal()
    }

    /// Trades the token for a login.
    ///
    /// # Errors
    /// [`LoginRefusal`] when the token is wrong or `from` has tried too often.
    pub fn authenticate(
        &mut self,
        now: Instant,
        token: &Secret,
        from: IpAddr,
    ) -> Result<Login, LoginRefusal> {
        self.throttle.attempt(now, from).map_err(refused)?;
        let open = self.mode == AuthMode::None;
        if !open && !self.token.matches(token) {
            return Err(LoginRefusal::Wrong);
        }
        self.throttle.succeeded(from);
        let cookie = Key::random().map_err(|_| LoginRefusal::Wrong)?;
        let login = login(&cookie);
        if self.cookies.len() >= MOST_COOKIES {
            self.cookies.pop_front();
        }
        self.cookies.push_back(cookie);
        Ok(login)
    }

    /// Recognises a cookie.
    ///
    /// # Errors
    /// [`LoginRefusal::Wrong`] when nobody was given it.
    pub fn resume(&mut self, cookie: &Secret) -> Result<Login, LoginRefusal> {
        // Compares with every cookie, so that the time taken does not tell which one is near.
        let found = self.cookies.iter().enumerate().fold(None, |found, (place, known)| {
            if known.matches(cookie) { Some(place) } else { found }
        });
        let known =
            found.and_then(|place| self.cookies.remove(place)).ok_or(LoginRefusal::Wrong)?;
        let login = login(&known);
        self.cookies.push_back(known);
        Ok(login)
    }
}

fn login(cookie: &Key) -> Login {
    let rights = Rights { control: true };
    Login { cookie: cookie.to_secret(), session: SESSION, rights }
}

fn refused(refusal: TooMany) -> LoginRefusal {
    let whole = refusal.retry_after + Duration::from_millis(999);
    let retry_after_seconds = u16::try_from(whole.as_secs()).unwrap_or(u16::MAX);
    LoginRefusal::TooMany { retry_after_seconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn browser() -> IpAddr {
        "192.0.2.7".parse().expect("an address")
    }

    fn access() -> Access {
        Access::new(AuthMode::Token).expect("random")
    }

    fn log_in(access: &mut Access, now: Instant) -> Login {
        let token = access.token.to_secret();
        access.authenticate(now, &token, browser()).expect("right token")
    }

    #[test]
    fn right_token_gives_a_cookie_that_resumes() {
        let mut access = access();
        let login = log_in(&mut access, Instant::now());
        assert_eq!(access.resume(&login.cookie), Ok(login.clone()));
        assert_eq!(access.resume(&login.cookie), Ok(login));
    }

    #[test]
    fn wrong_token_and_unknown_cookie_are_refused() {
        let mut access = access();
        let wrong = Secret::new("0".repeat(64)).expect("short enough");
        let answer = access.authenticate(Instant::now(), &wrong, browser());
        assert_eq!(answer, Err(LoginRefusal::Wrong));
        assert_eq!(access.resume(&wrong), Err(LoginRefusal::Wrong));
    }

    #[test]
    fn token_is_no_cookie() {
        let mut access = access();
        let token = access.token.to_secret();
        assert_eq!(access.resume(&token), Err(LoginRefusal::Wrong));
    }

    #[test]
    fn too_many_wrong_tokens_shut_out_the_right_one_for_a_while() {
        let (mut access, now) = (access(), Instant::now());
        let wrong = Secret::new("guess").expect("short enough");
        for _ in 0..5 {
            let answer = access.authenticate(now, &wrong, browser());
            assert_eq!(answer, Err(LoginRefusal::Wrong));
        }
        let token = access.token.to_secret();
        let refusal = access.authenticate(now, &token, browser());
        assert_eq!(refusal, Err(LoginRefusal::TooMany { retry_after_seconds: 6 }));
        assert!(access.authenticate(now + Duration::from_secs(6), &token, browser()).is_ok());
    }

    #[test]
    fn oldest_cookie_makes_room_when_the_table_is_full() {
        let (mut access, now) = (access(), Instant::now());
        let first = log_in(&mut access, now);
        let second = log_in(&mut access, now);
        access.resume(&first.cookie).expect("still known");
        for second in 1..=u64::try_from(MOST_COOKIES - 1).expect("small") {
            log_in(&mut access, now + Duration::from_secs(second));
        }
        assert!(access.resume(&first.cookie).is_ok(), "used last, so kept");
        assert!(access.resume(&second.cookie).is_err());
    }
}
