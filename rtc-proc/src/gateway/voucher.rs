//! A trusted proxy's word for whose a browser is: the account that a request's header names.
//!
//! Decides whether that header is believed. It is on connections of the proxy's own socket, of which the
//! supervisor has asked the kernel that they are the proxy's, and nowhere else. What only looks like the header
//! is refused, not skipped: several of them, one spelled with `_` (which programs between may take for `-`), a
//! list, or a value that can be no account's name. A request without the header names nobody, and whoever sent it
//! signs in by themselves.

use axum::http::HeaderMap;
use lumen_ipc::{
    message::login::AccountName,
    vouching::{VoucherFault, VoucherHeader},
};

/// How a connection came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Door {
    /// By the listener for browsers, and for proxies that vouch for nobody.
    Browsers,
    /// By the proxy's socket, and from the proxy.
    Proxy,
    /// By the proxy's socket, and from somebody else, to whom nothing is told but that.
    Strangers,
}

/// The account that a request is made for, as the proxy says; `None` if it says nothing.
///
/// # Errors
/// [`VoucherFault`] for a header that cannot be believed, and for everything that strangers send.
pub fn named(
    headers: &HeaderMap,
    door: Door,
    voucher: Option<&VoucherHeader>,
) -> Result<Option<AccountName>, VoucherFault> {
    if door == Door::Strangers {
        return Err(VoucherFault::Stranger);
    }
    let Some(voucher) = voucher else { return Ok(None) };
    let mut meant = headers.iter().filter(|(name, _)| voucher.resembles(name.as_str()));
    let Some((name, value)) = meant.next() else { return Ok(None) };
    if door != Door::Proxy {
        return Err(VoucherFault::Elsewhere);
    }
    if meant.next().is_some() || name.as_str() != voucher.as_str() {
        return Err(VoucherFault::Repeated);
    }
    // Some proxies join several headers of a name to one with commas (RFC 9110, section 5.3).
    let text = std::str::from_utf8(value.as_bytes()).ok().filter(|text| !text.contains(','));
    let account = text.and_then(|text| AccountName::new(text).ok());
    account.map(Some).ok_or(VoucherFault::NoAccount)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn voucher() -> VoucherHeader {
        "X-Remote-User".parse().expect("legal")
    }

    fn headers(lines: &[(&str, &[u8])]) -> HeaderMap {
        let line = |(name, value): &(&str, &[u8])| {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("legal");
            (name, HeaderValue::from_bytes(value).expect("legal"))
        };
        let mut headers = HeaderMap::new();
        for (name, value) in lines.iter().map(line) {
            headers.append(name, value);
        }
        headers
    }

    fn by_proxy(lines: &[(&str, &[u8])]) -> Result<Option<String>, VoucherFault> {
        let found = named(&headers(lines), Door::Proxy, Some(&voucher()));
        found.map(|account| account.map(|account| account.as_str().to_owned()))
    }

    #[test]
    fn proxys_header_names_the_account_and_a_request_without_it_nobody() {
        for name in ["alice", "user@example.org", "müller"] {
            let lines: [(&str, &[u8]); 2] = [("host", b"desk"), ("X-REMOTE-USER", name.as_bytes())];
            assert_eq!(by_proxy(&lines), Ok(Some(name.to_owned())));
        }
        assert_eq!(by_proxy(&[("host", b"desk"), ("x-remote-users", b"alice")]), Ok(None));
    }

    #[test]
    fn header_that_is_there_twice_in_any_spelling_is_refused() {
        let twice: [&[(&str, &[u8])]; 5] = [
            &[("x-remote-user", b"alice"), ("x-remote-user", b"alice")],
            &[("x-remote-user", b"alice"), ("x_remote_user", b"bob")],
            &[("x_remote_user", b"bob"), ("x-remote-user", b"alice")],
            &[("x-remote_user", b"alice")],
            &[("x_remote_user", b"")],
        ];
        for lines in twice {
            assert_eq!(by_proxy(lines), Err(VoucherFault::Repeated), "{lines:?}");
        }
    }

    #[test]
    fn value_that_no_account_can_have_is_refused() {
        let long = [b'x'; 65];
        let values: [&[u8]; 8] =
            [b"", b"-x", b"alice,bob", b"alice, bob", b"a/b", b"a:b", b"\xff", &long];
        for value in values {
            let refused = by_proxy(&[("x-remote-user", value)]);
            assert_eq!(refused, Err(VoucherFault::NoAccount), "{}", value.escape_ascii());
        }
    }

    #[test]
    fn header_by_another_way_than_the_proxys_socket_is_refused() {
        let voucher = voucher();
        for name in ["x-remote-user", "x_remote_user"] {
            let headers = headers(&[(name, b"alice")]);
            let found = named(&headers, Door::Browsers, Some(&voucher));
            assert_eq!(found, Err(VoucherFault::Elsewhere));
            assert_eq!(named(&headers, Door::Browsers, None), Ok(None), "no header means anything");
        }
        assert_eq!(named(&headers(&[]), Door::Browsers, Some(&voucher)), Ok(None));
    }

    #[test]
    fn stranger_at_the_proxys_socket_is_refused_whatever_it_sends() {
        for headers in [headers(&[]), headers(&[("x-remote-user", b"alice")])] {
            for voucher in [None, Some(&voucher())] {
                let refused = named(&headers, Door::Strangers, voucher);
                assert_eq!(refused, Err(VoucherFault::Stranger));
            }
        }
    }

    proptest! {
        #[test]
        fn account_is_named_only_by_the_one_header_of_the_proxys_own_connection(
            lines in prop::collection::vec(("[xX][-_]remote[-_]user|host", "[ -~]{0,8}"), 0..4),
            door in prop_oneof![Just(Door::Browsers), Just(Door::Proxy), Just(Door::Strangers)],
        ) {
            let lines: Vec<(&str, &[u8])> =
                lines.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
            if let Ok(Some(account)) = named(&headers(&lines), door, Some(&voucher())) {
                prop_assert_eq!(door, Door::Proxy);
                let meant: Vec<_> = lines.iter().filter(|(name, _)| *name != "host").collect();
                prop_assert_eq!(meant.len(), 1);
                prop_assert!(!meant[0].0.contains('_'));
                prop_assert_eq!(account.as_str().as_bytes(), meant[0].1);
            }
        }
    }
}
