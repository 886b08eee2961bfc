//! Who may see how Lumen is: a program of this machine, or one that has the token for it.
//!
//! The token is the administrator's. This process knows its digest only, and compares digests.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, header};
use lumen_ipc::message::session::TokenDigest;
use sha2::{Digest, Sha256};

use super::forwarded::Asker;

/// The scheme of the token (RFC 6750, section 2.1).
const BEARER: &str = "Bearer ";

/// Headers of a proxy: who sends one passes on the request of somebody else.
const FORWARDED: [HeaderName; 4] = [
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-real-ip"),
];

/// Whether `asker` may see how Lumen is. A proxy's own address is nobody's, however near it is: whatever a
/// proxy passes on needs the token.
#[must_use]
pub fn may_observe(asker: &Asker, headers: &HeaderMap, token: Option<&TokenDigest>) -> bool {
    let near = |address: IpAddr| address.to_canonical().is_loopback();
    let is_here = !asker.sender.trusted
        && asker.sender.address.is_some_and(near)
        && asker.host.is_loopback()
        && !FORWARDED.iter().any(|name| headers.contains_key(name));
    is_here || token.is_some_and(|token| has(headers, token))
}

fn has(headers: &HeaderMap, token: &TokenDigest) -> bool {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.strip_prefix(BEARER));
    shown.is_some_and(|shown| Sha256::digest(shown.as_bytes()).as_slice() == token.0)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use lumen_ipc::front_door::Network;

    use super::{super::forwarded::Sender, *};

    fn allowed(
        from: Option<&str>,
        host: &'static str,
        more: &[(&'static str, &'static str)],
    ) -> bool {
        let trusted: [Network; 1] = ["10.0.0.0/24".parse().expect("a network")];
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        for (name, value) in more {
            let name = HeaderName::from_static(name);
            headers.insert(name, HeaderValue::from_static(value));
        }
        let address = from.map(|text| text.parse().expect("an address"));
        let sender = Sender::of(address, &trusted);
        let asker = Asker::of(&headers, (sender, false), &trusted).expect("legal");
        let token = TokenDigest(Sha256::digest(b"right").into());
        let with_token = may_observe(&asker, &headers, Some(&token));
        assert!(with_token || !may_observe(&asker, &headers, None), "a token takes nothing away");
        with_token
    }

    #[test]
    fn observer_is_of_this_machine_and_no_proxy_stands_between() {
        assert!(allowed(Some("127.0.0.1"), "127.0.0.1:8080", &[]));
        assert!(allowed(Some("::ffff:127.0.0.9"), "localhost", &[]));
        assert!(allowed(Some("::1"), "[::1]:8080", &[]));
        for (from, host) in [
            (Some("192.0.2.7"), "127.0.0.1"),
            (Some("127.0.0.1"), "desk.example"),
            (Some("10.0.0.1"), "127.0.0.1"),
            (None, "localhost"),
        ] {
            assert!(!allowed(from, host, &[]), "{from:?} {host}");
        }
        for (name, value) in [
            ("x-forwarded-for", "127.0.0.1"),
            ("forwarded", "for=127.0.0.1"),
            ("via", "1.1 proxy"),
            ("x-real-ip", "127.0.0.1"),
        ] {
            assert!(!allowed(Some("127.0.0.1"), "localhost", &[(name, value)]), "{name}");
        }
        let forged = [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-host", "localhost")];
        assert!(!allowed(Some("10.0.0.1"), "desk.example", &forged), "a trusted proxy's word");
    }

    #[test]
    fn observer_from_elsewhere_needs_the_very_token() {
        let with = |value| allowed(Some("192.0.2.7"), "desk.example", &[("authorization", value)]);
        assert!(with("Bearer right"));
        for value in
            ["Bearer wrong", "Bearer ", "Bearer right ", "bearer right", "Basic right", "right"]
        {
            assert!(!with(value), "{value}");
        }
    }
}
