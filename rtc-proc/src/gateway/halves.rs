//! The key of a login, which its browser keeps in two halves.
//!
//! A browser sends a cookie to every port of the host, and so to servers of any user of that host.
//! So a cookie alone opens nothing. The other half is in the page's storage, which belongs to the
//! page's origin, port included. The page sends it in a header; a WebSocket request cannot have
//! extra headers, so there it is one of the offered subprotocols. Each half alone has too much
//! randomness to be guessed.
//!
//! The page's half begins with the number of its session, which says which cookie has the other half:
//! two windows of one browser may show two sessions.

use axum::http::{HeaderMap, HeaderName, header};
use lumen_ipc::{text::Secret, units::SessionId};

use super::cookie::LoginCookie;

/// The header in which the page sends its half.
pub const KEY: HeaderName = HeaderName::from_static("lumen-key");
/// The subprotocol that the WebSocket speaks.
pub const PROTOCOL: &str = "lumen";
/// The prefix of the page's half where it is offered as a subprotocol.
const KEY_PROTOCOL: &str = "lumen-key.";

/// The halves of a key.
#[derive(Debug)]
pub struct Halves {
    /// The half that the browser sends by itself.
    pub cookie: Secret,
    /// The half that the page sends, with the number of the session.
    pub stored: Secret,
}

/// A key that cannot be halved: a bug of the supervisor.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the supervisor's key has no two halves")]
pub struct NoHalves;

impl Halves {
    /// Cuts a key for `session` in two.
    ///
    /// # Errors
    /// [`NoHalves`] for a key of odd length, or an empty one.
    pub fn of(session: SessionId, key: &Secret) -> Result<Self, NoHalves> {
        let text = key.reveal();
        let (cookie, stored) = text.split_at_checked(text.len() / 2).ok_or(NoHalves)?;
        if cookie.is_empty() || cookie.len() != stored.len() {
            return Err(NoHalves);
        }
        let stored = Secret::new(format!("{session}.{stored}")).map_err(|_| NoHalves)?;
        Ok(Self { cookie: Secret::new(cookie).map_err(|_| NoHalves)?, stored })
    }

    /// The key of a request and the session that it names; `None` unless the request brings both halves.
    /// The session says which cookie is meant and nothing else: who holds the key knows what it opens.
    #[must_use]
    pub fn joined(cookie: &LoginCookie, headers: &HeaderMap) -> Option<(SessionId, Secret)> {
        let stored = stored(headers)?;
        let (session, stored) = stored.reveal().split_once('.')?;
        let session = SessionId(session.parse().ok()?);
        let cookie = cookie.find(headers, session)?;
        let whole = !cookie.reveal().is_empty() && !stored.is_empty();
        let key = whole.then(|| Secret::new([cookie.reveal(), stored].concat()).ok())??;
        Some((session, key))
    }
}

/// The half that the page sends.
fn stored(headers: &HeaderMap) -> Option<Secret> {
    let named = || {
        let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
        let offered = offered.filter_map(|value| value.to_str().ok());
        offered
            .flat_map(|value| value.split(','))
            .find_map(|protocol| protocol.trim().strip_prefix(KEY_PROTOCOL))
    };
    let shown = headers.get(KEY).and_then(|value| value.to_str().ok());
    shown.or_else(named).filter(|half| !half.is_empty()).and_then(|half| Secret::new(half).ok())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use lumen_ipc::tls::Tls;
    use proptest::prelude::*;

    use super::*;

    fn cookie() -> LoginCookie {
        LoginCookie::of(&"127.0.0.1:8080".parse().expect("an address"), Tls::Off)
    }

    fn joined(headers: &[(HeaderName, &str)]) -> Option<String> {
        let value = |text| HeaderValue::try_from(text).expect("a header value");
        let headers = headers.iter().map(|(name, text)| (name.clone(), value(*text))).collect();
        Halves::joined(&cookie(), &headers).map(|(_, key)| key.reveal().to_owned())
    }

    #[test]
    fn both_halves_make_the_key_and_neither_alone_makes_one() {
        let half = (header::COOKIE, "lumen-8080.3=one; lumen-8080.4=other; lumen-8080.5=");
        let protocols = (header::SEC_WEBSOCKET_PROTOCOL, "lumen, lumen-key.3.two");
        for other in [(KEY, "3.two"), protocols] {
            assert_eq!(joined(&[half.clone(), other.clone()]).as_deref(), Some("onetwo"));
            assert_eq!(joined(&[other]), None);
        }
        let protocols = (header::SEC_WEBSOCKET_PROTOCOL, "lumen, lumen-key.");
        let empty = ["", "two", "3.", ".two", "x.two", "5.two", "6.two"].map(|text| (KEY, text));
        let empty = empty.into_iter().chain([protocols]);
        for other in empty.chain([(header::SEC_WEBSOCKET_PROTOCOL, "lumen")]) {
            assert_eq!(joined(&[half.clone(), other]), None);
        }
        assert_eq!(joined(&[half]), None);
    }

    #[test]
    fn key_without_two_halves_is_refused() {
        for text in ["", "a", "abc", "é"] {
            let key = Secret::new(text).expect("short");
            assert!(Halves::of(SessionId::SOLE, &key).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn halves_of_a_key_make_it_again(key in "([0-9a-f]{2}){1,64}") {
            let secret = Secret::new(key.clone()).expect("short");
            let halves = Halves::of(SessionId(9), &secret).expect("even");
            let stored = halves.stored.reveal().strip_prefix("9.").expect("the session");
            prop_assert_eq!([halves.cookie.reveal(), stored].concat(), key);
        }
    }
}
