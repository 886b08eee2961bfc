//! `Host` and `Origin`: by which name the gateway was reached, and which page made the request.
//!
//! Two attacks are stopped here. *Cross-site*: a foreign page in the viewer's browser opens the
//! WebSocket or posts a login; its `Origin` is not the gateway's own name. *DNS rebinding*: a
//! foreign name is made to resolve to the gateway, so that `Origin` and `Host` agree. With a token
//! this gains nothing, because the browser keeps the cookie for the name it logged in under and
//! sends it to no other. Without one ([`lumen_ipc::service::AuthMode::None`], loopback only) `Host`
//! itself must name the loopback.

use std::{fmt, net::IpAddr};

use axum::http::{HeaderMap, HeaderValue, Uri, header, uri::Authority};

use super::refusal::Refusal;

/// How a browser reaches a page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// Unencrypted.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The scheme of a page's origin.
    #[must_use]
    pub fn of_origin(text: &str) -> Option<Self> {
        match text {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }

    /// The scheme of a request as proxies name it; some write that of a WebSocket.
    #[must_use]
    pub fn forwarded(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "http" | "ws" => Some(Self::Http),
            "https" | "wss" => Some(Self::Https),
            _ => None,
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// The name a browser used to reach the gateway.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host {
    name: String,
    port: Option<u16>,
}

/// A page's origin that is the gateway's own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OwnOrigin {
    /// Whether the page was loaded over TLS (which ends in front of the gateway).
    pub secure: bool,
}

impl Host {
    /// The host a request names.
    ///
    /// # Errors
    /// [`Refusal::BadHost`] unless there is exactly one and it is well-formed.
    pub fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let value = only(headers, header::HOST).ok_or(Refusal::BadHost)?;
        value.to_str().ok().and_then(Self::parse).ok_or(Refusal::BadHost)
    }

    /// The host in `text`, if it is well-formed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let authority: Authority = text.parse().ok()?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return None;
        }
        // A colon without digits is legal and means the default port.
        let after_host = authority.as_str().get(authority.host().len()..)?;
        let port = match after_host.strip_prefix(':') {
            None | Some("") => None,
            Some(digits) => Some(digits.parse().ok()?),
        };
        Some(Self { name: authority.host().to_ascii_lowercase(), port })
    }

    /// Lets `Host` be what an HTTP/2 request names as its authority, and refuses one that names two (RFC
    /// 9113, section 8.3.1).
    ///
    /// # Errors
    /// [`Refusal::BadHost`] when the two differ.
    pub fn settle(uri: &Uri, headers: &mut HeaderMap) -> Result<(), Refusal> {
        let Some(authority) = uri.authority() else { return Ok(()) };
        match headers.get(header::HOST) {
            Some(host) if host.as_bytes() == authority.as_str().as_bytes() => Ok(()),
            Some(_) => Err(Refusal::BadHost),
            None => {
                let host =
                    HeaderValue::try_from(authority.as_str()).map_err(|_| Refusal::BadHost)?;
                headers.insert(header::HOST, host);
                Ok(())
            }
        }
    }

    /// The name and the port by which a browser reached plain HTTP.
    #[must_use]
    pub fn with_port(&self) -> String {
        format!("{}:{}", self.name, self.port.unwrap_or(Scheme::Http.default_port()))
    }

    /// Whether the name can only mean this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let name = self.name.trim_end_matches('.');
        // RFC 6761, section 6.3: localhost and all names below it.
        if name == "localhost" || name.ends_with(".localhost") {
            return true;
        }
        let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        literal.unwrap_or(name).parse::<IpAddr>().is_ok_and(|address| match address {
            IpAddr::V4(address) => address.is_loopback(),
            IpAddr::V6(address) => address.to_canonical().is_loopback(),
        })
    }

    /// Judges the `Origin` of a request that reached the gateway by this name, and by `scheme` if
    /// it is known; `None` unless there is exactly one, and it is this host's.
    #[must_use]
    pub fn judge_origin(&self, headers: &HeaderMap, scheme: Option<Scheme>) -> Option<OwnOrigin> {
        let origin = self.own_origin(only(headers, header::ORIGIN)?.to_str().ok()?)?;
        scheme.is_none_or(|scheme| (scheme == Scheme::Https) == origin.secure).then_some(origin)
    }

    fn own_origin(&self, origin: &str) -> Option<OwnOrigin> {
        let uri: Uri = origin.parse().ok()?;
        let scheme = Scheme::of_origin(uri.scheme_str()?)?;
        // An origin has no path; the parser turns an empty path into "/".
        if uri.path() != "/" || uri.query().is_some() || origin.ends_with('/') {
            return None;
        }
        let page = Self::parse(uri.authority()?.as_str())?;
        let port = |host: &Self| host.port.unwrap_or_else(|| scheme.default_port());
        let own = page.name == self.name && port(&page) == port(self);
        own.then_some(OwnOrigin { secure: scheme == Scheme::Https })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// The value of a header that occurs exactly once.
fn only(headers: &HeaderMap, name: header::HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(host: &str, origin: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::try_from(host).expect("legal"));
        headers.insert(header::ORIGIN, HeaderValue::try_from(origin).expect("legal"));
        headers
    }

    fn judge(host: &str, origin: &str, scheme: Option<Scheme>) -> Option<OwnOrigin> {
        let headers = request(host, origin);
        Host::of(&headers).expect("well-formed").judge_origin(&headers, scheme)
    }

    #[test]
    fn settle_takes_the_authority_for_the_host_and_refuses_two() {
        let settled = |uri: &str, host: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(host) = host {
                headers.insert(header::HOST, HeaderValue::from_static(host));
            }
            Host::settle(&uri.parse().expect("a URI"), &mut headers)?;
            Host::of(&headers).map(|host| host.to_string())
        };
        let desk = Ok("desk.example:8443".to_owned());
        assert_eq!(settled("https://desk.example:8443/a", None), desk);
        assert_eq!(settled("https://desk.example:8443/a", Some("desk.example:8443")), desk);
        assert_eq!(settled("https://desk.example/a", Some("evil.example")), Err(Refusal::BadHost));
        assert_eq!(settled("/a", Some("desk.example:8443")), desk);
        assert_eq!(settled("/a", None), Err(Refusal::BadHost));
    }

    #[test]
    fn judge_origin_own_page_is_accepted() {
        for (host, origin, secure) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080", false),
            ("LocalHost:8080", "http://localhost:8080", false),
            ("[::1]:8080", "http://[::1]:8080", false),
            ("desk.example", "https://desk.example", true),
            ("desk.example:443", "https://desk.example", true),
            ("desk.example", "http://desk.example:80", false),
        ] {
            assert_eq!(judge(host, origin, None), Some(OwnOrigin { secure }), "{origin} at {host}");
        }
    }

    #[test]
    fn judge_origin_foreign_or_odd_page_is_refused() {
        for (host, origin) in [
            ("127.0.0.1:8080", "http://evil.example"),
            ("127.0.0.1:8080", "http://127.0.0.1:8081"),
            ("127.0.0.1:8080", "http://localhost:8080"),
            ("127.0.0.1:8080", "null"),
            ("127.0.0.1:8080", ""),
            ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("127.0.0.1:8080", "http://127.0.0.1:8080/x"),
            ("127.0.0.1:8080", "http://evil@127.0.0.1:8080"),
            ("127.0.0.1:8080", "file://127.0.0.1:8080"),
            ("desk.example", "https://desk.example.evil.example"),
        ] {
            assert_eq!(judge(host, origin, None), None, "{origin} at {host}");
        }
    }

    #[test]
    fn judge_origin_of_another_scheme_than_the_proxys_is_refused() {
        let (plain, secure) = (OwnOrigin { secure: false }, OwnOrigin { secure: true });
        for (origin, scheme, judged) in [
            ("https://desk.example", Scheme::Https, Some(secure)),
            ("http://desk.example", Scheme::Http, Some(plain)),
            ("http://desk.example", Scheme::Https, None),
            ("https://desk.example", Scheme::Http, None),
            ("http://desk.example:443", Scheme::Https, None),
        ] {
            assert_eq!(judge("desk.example", origin, Some(scheme)), judged, "{origin}, {scheme}");
        }
    }

    #[test]
    fn judge_origin_missing_or_double_is_refused() {
        let mut headers = request("a.example", "http://a.example");
        let host = Host::of(&headers).expect("well-formed");
        headers.append(header::ORIGIN, HeaderValue::from_static("http://a.example"));
        assert_eq!(host.judge_origin(&headers, None), None);
        headers.remove(header::ORIGIN);
        assert_eq!(host.judge_origin(&headers, None), None);
    }

    #[test]
    fn host_malformed_is_refused() {
        for host in ["", "a b", "a@b", "a:b", "a:99999", ":80", "a/b"] {
            let headers = request(host, "http://a.example");
            assert_eq!(Host::of(&headers), Err(Refusal::BadHost), "{host}");
        }
        assert_eq!(Host::of(&HeaderMap::new()), Err(Refusal::BadHost));
    }

    #[test]
    fn is_loopback_knows_names_and_literals() {
        let is_loopback = |host: &str| Host::parse(host).expect("well-formed").is_loopback();
        for host in [
            "localhost",
            "a.localhost:1",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
            "localhost.:80",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1", "[::2]", "0.0.0.0"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
