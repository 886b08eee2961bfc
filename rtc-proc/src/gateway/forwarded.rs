//! The client's address, host and scheme of a request: from the request itself, or from a trusted
//! proxy's headers.
//!
//! Trusts: `X-Forwarded-For`, `-Host` and `-Proto` on connections of the proxies that the
//! administrator named or lets write to the Unix socket; on other connections they are not even
//! read. Of several values the last one counts, which the nearest proxy wrote: the browser may have
//! invented those before it. In the list of addresses, a trusted proxy's address is skipped,
//! because that proxy wrote the one before it. A request is refused if a trusted proxy wrote a
//! value that cannot be parsed. `Forwarded` (RFC 7239) is not read: a proxy that writes one set of
//! headers passes a browser's forgery of the other.

use std::net::{IpAddr, Ipv4Addr};

use axum::http::{HeaderMap, HeaderName, header};
use lumen_ipc::front_door::Network;

use super::{
    origin::{Host, OwnOrigin, Scheme},
    refusal::{Names, Quoted, Refusal},
};

/// Most proxies between a browser and this gateway that are counted; nobody has so many.
const MOST_HOPS: usize = 16;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The other end of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sender {
    /// Its address; `None` on a Unix socket.
    pub address: Option<IpAddr>,
    /// Whether its headers are trusted.
    pub trusted: bool,
}

impl Sender {
    /// Trusts the sender if its address is in one of the `trusted` networks.
    #[must_use]
    pub fn of(address: Option<IpAddr>, trusted: &[Network]) -> Self {
        let is_trusted = |address| trusted.iter().any(|network| network.contains(address));
        Self { address, trusted: address.is_none_or(is_trusted) }
    }
}

/// Who makes a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asker {
    /// The browser's address as far as it is known: limits count by it. A client of the Unix socket
    /// that names no other address is on this machine.
    pub source: IpAddr,
    /// Whether a proxy named the address.
    pub forwarded: bool,
    /// The name by which the browser reached the gateway.
    pub host: Host,
    /// The scheme by which it did; `None` when unknown.
    pub scheme: Option<Scheme>,
    /// The other end of the connection.
    pub sender: Sender,
}

impl Asker {
    /// Reads the head of a request. `secured` says that it came by TLS.
    ///
    /// # Errors
    /// [`Refusal`] for a malformed host, or a malformed header of a trusted proxy.
    pub fn of(
        headers: &HeaderMap,
        (sender, secured): (Sender, bool),
        trusted: &[Network],
    ) -> Result<Self, Refusal> {
        let own = sender.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)).to_canonical();
        if !sender.trusted {
            let host = Host::of(headers)?;
            // Unencrypted, it may come through a proxy that nobody named, which speaks TLS to browsers.
            let scheme = secured.then_some(Scheme::Https);
            return Ok(Self { source: own, forwarded: false, host, scheme, sender });
        }
        let bad = |name: &HeaderName| Refusal::BadForwarded { header: name.clone() };
        let source = source(headers, trusted).map_err(|()| bad(&FOR))?;
        let host = match last(headers, &HOST).map_err(|()| bad(&HOST))? {
            Some(host) => Host::parse(host).ok_or_else(|| bad(&HOST))?,
            None => Host::of(headers)?,
        };
        let scheme = match last(headers, &PROTO).map_err(|()| bad(&PROTO))? {
            Some(scheme) => Some(Scheme::forwarded(scheme).ok_or_else(|| bad(&PROTO))?),
            None => None,
        };
        let forwarded = source.is_some();
        Ok(Self { source: source.unwrap_or(own), forwarded, host, scheme, sender })
    }

    /// Judges the `Origin` of the request.
    ///
    /// # Errors
    /// [`Refusal::ForeignOrigin`] unless there is exactly one, and it is that of the host.
    pub fn judge_origin(&self, headers: &HeaderMap) -> Result<OwnOrigin, Refusal> {
        self.host.judge_origin(headers, self.scheme).ok_or_else(|| {
            let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
            let host = match self.scheme {
                Some(scheme) => format!("{scheme}://{}", self.host),
                None => self.host.to_string(),
            };
            Refusal::ForeignOrigin(Names {
                origin: Quoted::new(origin.unwrap_or("unknown")),
                host: Quoted::new(&host),
                sender: self.sender,
            })
        })
    }
}

/// The elements of a list header, the last first. Several lines are one list (RFC 9110, section
/// 5.3).
fn elements<'headers>(
    headers: &'headers HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Result<&'headers str, ()>> {
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    lines.into_iter().rev().flat_map(|line| {
        let elements: Vec<_> = match line.to_str() {
            Ok(line) => line.rsplit(',').take(MOST_HOPS + 1).map(|text| Ok(text.trim())).collect(),
            Err(_) => vec![Err(())],
        };
        elements
    })
}

/// The last element of a header, if the header is present.
fn last<'headers>(
    headers: &'headers HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'headers str>, ()> {
    elements(headers, name).next().transpose()
}

/// The last address that is not a trusted proxy's, or the first if all are; `None` without the
/// header.
fn source(headers: &HeaderMap, trusted: &[Network]) -> Result<Option<IpAddr>, ()> {
    let mut found = None;
    for (hops, element) in elements(headers, &FOR).enumerate() {
        let address = address(element?).filter(|_| hops < MOST_HOPS).ok_or(())?;
        found = Some(address);
        if !trusted.iter().any(|network| network.contains(address)) {
            break;
        }
    }
    Ok(found)
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn address(text: &str) -> Option<IpAddr> {
    let plain = |text: &str| text.parse::<IpAddr>().ok();
    let bracketed = || {
        let (inner, rest) = text.strip_prefix('[')?.split_once(']')?;
        let port = rest.strip_prefix(':');
        let whole = rest.is_empty() || port.is_some_and(is_port);
        inner.parse().ok().filter(|_| whole).map(IpAddr::V6)
    };
    let with_port = || {
        let (address, port) = text.split_once(':')?;
        address.parse().ok().filter(|_| is_port(port)).map(IpAddr::V4)
    };
    plain(text).or_else(bracketed).or_else(with_port).map(|address| address.to_canonical())
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn trusted() -> Vec<Network> {
        ["10.0.0.0/24", "2001:db8:1::/48"].map(|text| text.parse().expect("a network")).into()
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = HeaderValue::try_from(*value).expect("legal");
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    }

    fn asker(from: &str, lines: &[(&'static str, &str)]) -> Result<Asker, Refusal> {
        let mut headers = headers(lines);
        headers.append(header::HOST, HeaderValue::from_static("127.0.0.1:8080"));
        let address = Some(from.parse().expect("an address"));
        Asker::of(&headers, (Sender::of(address, &trusted()), false), &trusted())
    }

    fn source_of(from: &str, lines: &[(&'static str, &str)]) -> String {
        asker(from, lines).expect("legal").source.to_string()
    }

    fn bad(header: &'static str) -> Result<Asker, Refusal> {
        Err(Refusal::BadForwarded { header: HeaderName::from_static(header) })
    }

    #[test]
    fn stranger_is_not_believed_whatever_it_says() {
        let forged = [
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-host", "desk.example"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=10.0.0.1;host=desk.example;proto=https"),
        ];
        let asker = asker("192.0.2.7", &forged).expect("the headers are not read");
        assert_eq!((asker.source.to_string().as_str(), asker.forwarded), ("192.0.2.7", false));
        assert_eq!((asker.host.to_string().as_str(), asker.scheme), ("127.0.0.1:8080", None));
        assert!(
            Asker::of(&headers(&forged), (asker.sender, false), &trusted()).is_err(),
            "no Host"
        );
    }

    #[test]
    fn source_is_the_last_address_that_is_no_trusted_proxys() {
        for (list, source) in [
            ("192.0.2.7", "192.0.2.7"),
            ("203.0.113.66, 192.0.2.7", "192.0.2.7"),
            ("junk, , 192.0.2.7", "192.0.2.7"),
            ("192.0.2.7, 10.0.0.2 , 10.0.0.3", "192.0.2.7"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("2001:db8::7,2001:db8:1::1", "2001:db8::7"),
            ("192.0.2.7:4711", "192.0.2.7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(source_of(PROXY, &[("x-forwarded-for", list)]), source, "{list}");
        }
    }

    #[test]
    fn source_in_several_lines_is_read_as_one_list() {
        let lines =
            [("x-forwarded-for", "203.0.113.66"), ("x-forwarded-for", "192.0.2.7, 10.0.0.9")];
        assert_eq!(source_of(PROXY, &lines), "192.0.2.7");
    }

    #[test]
    fn source_that_nobody_told_is_the_senders() {
        assert_eq!(source_of(PROXY, &[]), PROXY);
        assert_eq!(source_of("::ffff:10.0.0.1", &[]), PROXY);
        assert_eq!(source_of(PROXY, &[("x_forwarded_for", "192.0.2.7")]), PROXY);
        let mut headers = headers(&[]);
        headers.append(header::HOST, HeaderValue::from_static("desk.example"));
        let socket = Asker::of(&headers, (Sender::of(None, &[]), false), &[]).expect("legal");
        assert_eq!((socket.source.is_loopback(), socket.forwarded), (true, false));
    }

    #[test]
    fn source_that_a_proxy_wrote_and_is_none_is_refused() {
        let many = vec![PROXY; MOST_HOPS + 1].join(",");
        for list in [
            "",
            "unknown",
            "192.0.2.7,",
            "192.0.2.7, _hidden",
            "junk, 10.0.0.2",
            "192.0.2.7:99999",
            "192.0.2.7:+1",
            "[192.0.2.7]",
            "[2001:db8::7",
            "2001:db8::7]:1",
            "[2001:db8::7]x",
            &many,
        ] {
            assert_eq!(
                asker(PROXY, &[("x-forwarded-for", list)]),
                bad("x-forwarded-for"),
                "{list}"
            );
        }
    }

    #[test]
    fn host_and_scheme_are_the_nearest_proxys() {
        for (host, proto, expected) in [
            ("desk.example", "https", ("desk.example", Scheme::Https)),
            (
                "evil.example, desk.example:8443",
                "http, HTTPS",
                ("desk.example:8443", Scheme::Https),
            ),
            ("[2001:db8::7]:81", "ws", ("[2001:db8::7]:81", Scheme::Http)),
            ("desk.example", "wss", ("desk.example", Scheme::Https)),
        ] {
            let lines = [("x-forwarded-host", host), ("x-forwarded-proto", proto)];
            let asker = asker(PROXY, &lines).expect("legal");
            assert_eq!(
                (asker.host.to_string().as_str(), asker.scheme),
                (expected.0, Some(expected.1))
            );
        }
        let twice = [("x-forwarded-host", "evil.example"), ("x-forwarded-host", "desk.example")];
        assert_eq!(asker(PROXY, &twice).expect("legal").host.to_string(), "desk.example");
    }

    #[test]
    fn host_and_scheme_that_a_proxy_wrote_and_are_none_are_refused() {
        for host in ["", "a b", "user@desk.example", "desk.example,", "desk.example:x", "http://a"]
        {
            assert_eq!(
                asker(PROXY, &[("x-forwarded-host", host)]),
                bad("x-forwarded-host"),
                "{host}"
            );
        }
        for proto in ["", "ftp", "https,", "https://"] {
            let refused = asker(PROXY, &[("x-forwarded-proto", proto)]);
            assert_eq!(refused, bad("x-forwarded-proto"), "{proto}");
        }
    }

    #[test]
    fn host_that_no_proxy_told_is_the_requests_own() {
        let asker = asker(PROXY, &[("x-forwarded-for", "192.0.2.7")]).expect("legal");
        assert_eq!((asker.host.to_string().as_str(), asker.scheme), ("127.0.0.1:8080", None));
    }

    proptest! {
        #[test]
        fn source_of_any_bytes_never_panics_and_is_never_a_trusted_proxys_invention(
            forged in "[ -~]{0,60}", viewer in any::<u32>(), hops in 0_usize..4
        ) {
            let viewer = IpAddr::V4(viewer.into());
            prop_assume!(!trusted().iter().any(|network| network.contains(viewer)));
            let mut list = format!("{forged}, {viewer}");
            list.extend(std::iter::repeat_n(", 10.0.0.7", hops));
            prop_assert_eq!(source_of(PROXY, &[("x-forwarded-for", &list)]), viewer.to_string());
        }
    }
}
