//! The key of a login, which its browser keeps in two halves.
//!
//! A browser sends a cookie to every port of the host, and so to servers of any user of that host.
//! So a cookie alone opens nothing. The other half is in the page's storage, which belongs to the
//! page's origin, port included. The page sends it in a header; a WebSocket request cannot have
//! extra headers, so there it is one of the offered subprotocols. Each half alone has too much
//! randomness to be guessed.

use axum::http::{HeaderMap, HeaderName, header};
use lumen_ipc::text::Secret;

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
    /// The half that the page sends.
    pub stored: Secret,
}

/// A key that cannot be halved: a bug of the supervisor.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the supervisor's key has no two halves")]
pub struct NoHalves;

impl Halves {
    /// Cuts a key in two.
    ///
    /// # Errors
    /// [`NoHalves`] for a key of odd length, or an empty one.
    pub fn of(key: &Secret) -> Result<Self, NoHalves> {
        let text = key.reveal();
        let (cookie, stored) = text.split_at_checked(text.len() / 2).ok_or(NoHalves)?;
        if cookie.is_empty() || cookie.len() != stored.len() {
            return Err(NoHalves);
        }
        let half = |text| Secret::new(text).map_err(|_| NoHalves);
        Ok(Self { cookie: half(cookie)?, stored: half(stored)? })
    }

    /// The key of a request; `None` unless it brings both halves.
    #[must_use]
    pub fn joined(cookie: &LoginCookie, headers: &HeaderMap) -> Option<Secret> {
        let (cookie, stored) = (cookie.find(headers)?, stored(headers)?);
        Secret::new([cookie.reveal(), stored.reveal()].concat()).ok()
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
    use proptest::prelude::*;

    use super::*;

    fn cookie() -> LoginCookie {
        LoginCookie::of(&"127.0.0.1:8080".parse().expect("an address"))
    }

    fn joined(headers: &[(HeaderName, &str)]) -> Option<String> {
        let value = |text| HeaderValue::try_from(text).expect("a header value");
        let headers = headers.iter().map(|(name, text)| (name.clone(), value(*text))).collect();
        Halves::joined(&cookie(), &headers).map(|key| key.reveal().to_owned())
    }

    #[test]
    fn both_halves_make_the_key_and_neither_alone_makes_one() {
        let half = (header::COOKIE, "lumen-8080=one");
        let protocols = (header::SEC_WEBSOCKET_PROTOCOL, "lumen, lumen-key.two");
        for other in [(KEY, "two"), protocols] {
            assert_eq!(joined(&[half.clone(), other.clone()]).as_deref(), Some("onetwo"));
            assert_eq!(joined(&[other]), None);
        }
        let empty = [(KEY, ""), (header::SEC_WEBSOCKET_PROTOCOL, "lumen, lumen-key.")];
        for other in empty.into_iter().chain([(header::SEC_WEBSOCKET_PROTOCOL, "lumen")]) {
            assert_eq!(joined(&[half.clone(), other]), None);
        }
        assert_eq!(joined(&[half]), None);
    }

    #[test]
    fn key_without_two_halves_is_refused() {
        for text in ["", "a", "abc", "é"] {
            assert!(Halves::of(&Secret::new(text).expect("short")).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn halves_of_a_key_make_it_again(key in "([0-9a-f]{2}){1,64}") {
            let halves = Halves::of(&Secret::new(key.clone()).expect("short")).expect("even");
            prop_assert_eq!([halves.cookie.reveal(), halves.stored.reveal()].concat(), key);
        }
    }
}
