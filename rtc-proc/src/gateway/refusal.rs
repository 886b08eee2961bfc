//! Why a request is refused: a code word for the page and a sentence for people, the same in
//! response and log.
//!
//! If somebody can fix the cause, the sentence says how: which option, or which setting of a proxy.

use axum::{
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, uri::PathAndQuery,
    },
    response::{IntoResponse, Response},
};

use lumen_ipc::{message::oidc::OidcFailure, vouching::VoucherFault};

use super::{forwarded::Sender, login::MAX_LOGIN_BYTES, origin::Host};

/// The header that carries [`Refusal::word`]: a response made by a proxy lacks it.
pub const REFUSAL: HeaderName = HeaderName::from_static("lumen-refusal");
/// The guide to proxies.
const GUIDE: &str = "web/PROXY.md";
/// Most bytes of a header that are quoted.
const MOST_QUOTED_BYTES: usize = 100;

/// All reasons for a refusal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// A trusted proxy wrote a header that cannot be parsed.
    BadForwarded {
        /// Which header.
        header: HeaderName,
    },
    /// `Host` is missing, occurs twice or is malformed (RFC 9112, section 3.2).
    BadHost,
    /// The body is not a login.
    BadLogin,
    /// The account or the answers are wrong, or the account may not sign in.
    Denied,
    /// A header that names an account cannot be believed, or the connection is not the proxy's.
    Distrusted(VoucherFault),
    /// The request comes from a page of another site, or without an origin, or through a proxy that
    /// does not forward the origin's host and scheme.
    ForeignOrigin(Names),
    /// The body of a login is too long.
    LoginTooLong,
    /// The body of a login takes too long.
    LoginTooSlow,
    /// The content type is not that of a login.
    LoginType,
    /// The browser is not logged in, or not any more.
    LoginNeeded,
    /// The proxy is to say whose the browser is, and says nothing.
    NobodyNamed,
    /// The account has no desktop here.
    NoDesktop,
    /// Metrics are asked for too often.
    AskedTooOften,
    /// Somebody watches the account's desktop, and no second one may.
    DesktopInUse,
    /// The identity provider has not said whose the browser is.
    NoIdentity(OidcFailure),
    /// The account's desktop could not be started.
    NotStarted,
    /// No resource has this path.
    NotFound,
    /// Whoever asks may not see how Lumen is.
    NotForYou,
    /// The gateway needs no login and was reached by a name other than localhost.
    NotLoopback {
        /// That name.
        host: Quoted,
    },
    /// The signalling socket was requested without an upgrade to WebSocket.
    NoUpgrade,
    /// The gateway needs no login of the desktop's own user, and the browser is another's.
    OtherUser,
    /// Too many wrong tokens.
    TooManyAttempts {
        /// When the next one is accepted.
        retry_after_seconds: u16,
    },
    /// Too many connections of one address or one login.
    TooManyConnections,
    /// There are as many desktops as there may be.
    TooManyDesktops,
    /// The account has as many desktops as one may have.
    TooManyOwnDesktops {
        /// How many that is.
        most: u16,
    },
    /// The supervisor does not answer.
    Unavailable,
    /// The token is wrong.
    WrongToken,
}

/// The origin of the page, and the host that it seems to have asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Names {
    /// The page's origin.
    pub origin: Quoted,
    /// The host and, if known, the scheme that the request names.
    pub host: Quoted,
    /// The other end of the connection.
    pub sender: Sender,
}

/// A part of a request that can be quoted in a sentence.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Quoted(String);

impl Quoted {
    /// Quotes untrusted text: shortened, and with plain characters only.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let plain = |letter: char| if letter.is_ascii_graphic() { letter } else { '?' };
        Self(text.chars().take(MOST_QUOTED_BYTES).map(plain).collect())
    }
}

/// The answer to a request that came unencrypted to a port that speaks TLS: where a browser finds the page,
/// or what is wrong. What has been sent already is not sent again by itself.
#[must_use]
pub fn tls_needed(method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
    const SAID: &str = "this port speaks TLS: use https:// instead of http://\n";
    let host = Host::of(headers).ok().filter(|_| matches!(*method, Method::GET | Method::HEAD));
    let target = host.and_then(|host| {
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        HeaderValue::try_from(format!("https://{}{path}", host.with_port())).ok()
    });
    match target {
        // Not for good: a later start may be without TLS.
        Some(target) => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, target)], SAID).into_response()
        }
        None => (StatusCode::BAD_REQUEST, SAID).into_response(),
    }
}

impl Refusal {
    /// The code word for the page.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::AskedTooOften => "asked-too-often",
            Self::BadForwarded { .. } => "bad-forwarded",
            Self::BadHost => "bad-host",
            Self::BadLogin => "bad-login",
            Self::Denied => "denied",
            Self::DesktopInUse => "desktop-in-use",
            Self::Distrusted(_) => "distrusted",
            Self::ForeignOrigin(_) => "foreign-origin",
            Self::LoginTooLong => "login-too-long",
            Self::LoginTooSlow => "login-too-slow",
            Self::LoginType => "login-type",
            Self::LoginNeeded => "login-needed",
            Self::NobodyNamed => "nobody-named",
            Self::NoDesktop => "no-desktop",
            Self::NoIdentity(_) => "no-identity",
            Self::NotStarted => "not-started",
            Self::NotFound => "not-found",
            Self::NotForYou => "forbidden",
            Self::NotLoopback { .. } => "not-loopback",
            Self::NoUpgrade => "no-upgrade",
            Self::OtherUser => "other-user",
            Self::TooManyAttempts { .. } => "too-many-attempts",
            Self::TooManyConnections => "too-many-connections",
            Self::TooManyDesktops | Self::TooManyOwnDesktops { .. } => "too-many-desktops",
            Self::Unavailable => "unavailable",
            Self::WrongToken => "wrong-token",
        }
    }

    /// The HTTP status of the response.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Distrusted(VoucherFault::Stranger) => StatusCode::FORBIDDEN,
            Self::BadForwarded { .. }
            | Self::BadHost
            | Self::BadLogin
            | Self::Distrusted(_)
            | Self::NobodyNamed => StatusCode::BAD_REQUEST,
            Self::ForeignOrigin(_)
            | Self::NotForYou
            | Self::NotLoopback { .. }
            | Self::OtherUser => StatusCode::FORBIDDEN,
            Self::LoginTooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::LoginTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::LoginType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Denied | Self::LoginNeeded | Self::NoIdentity(_) | Self::WrongToken => {
                StatusCode::UNAUTHORIZED
            }
            Self::DesktopInUse | Self::NoDesktop | Self::TooManyOwnDesktops { .. } => {
                StatusCode::CONFLICT
            }
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::NoUpgrade => StatusCode::UPGRADE_REQUIRED,
            Self::AskedTooOften | Self::TooManyAttempts { .. } | Self::TooManyConnections => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::NotStarted | Self::TooManyDesktops | Self::Unavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// What the log adds to the sentence: an address that is not shown to strangers.
    #[must_use]
    pub fn for_the_log(&self) -> String {
        match self {
            Self::ForeignOrigin(Names { sender: Sender { trusted: false, address }, .. }) => {
                address
                    .filter(|address| !address.is_loopback())
                    .map(|address| format!(" That is --trusted-proxy {}.", address.to_canonical()))
                    .unwrap_or_default()
            }
            _ => String::new(),
        }
    }

    /// After how many seconds it is worth trying again, if that is known.
    #[must_use]
    pub const fn retry_after_seconds(&self) -> Option<u16> {
        match self {
            Self::TooManyAttempts { retry_after_seconds } => Some(*retry_after_seconds),
            Self::AskedTooOften | Self::TooManyConnections | Self::Unavailable => Some(1),
            _ => None,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AskedTooOften => f.write_str("This is asked too often."),
            Self::NotForYou => f.write_str("Forbidden."),
            Self::BadForwarded { header } => write!(
                f,
                "The proxy sent a {header} header that cannot be understood; see {GUIDE}."
            ),
            Self::BadHost => f.write_str("The Host header is missing or malformed."),
            Self::BadLogin => {
                f.write_str(
                    "A login is a JSON object with a token of at most 256 bytes, with an account, or with \
                     an attempt and its answers.",
                )
            }
            Self::Denied => f.write_str(
                "The user name or an answer is wrong, or this account may not sign in here.",
            ),
            Self::Distrusted(fault) => write!(f, "{} See {GUIDE}.", distrusted(*fault)),
            Self::ForeignOrigin(names) => names.fmt(f),
            Self::LoginTooLong => write!(f, "A login has at most {MAX_LOGIN_BYTES} bytes."),
            Self::LoginTooSlow => f.write_str("The login took too long."),
            Self::LoginType => f.write_str("A login is application/json."),
            Self::LoginNeeded => f.write_str("Nobody is logged in, or the login has expired."),
            Self::NobodyNamed => write!(
                f,
                "The proxy does not say whose this browser is: it has to send the header of \
                 --proxy-header; see {GUIDE}."
            ),
            Self::NoDesktop => f.write_str("There is no desktop of this account here."),
            Self::DesktopInUse => f.write_str(
                "Your desktop is open elsewhere, and may be open in one place at a time. Close it there, and \
                 sign in again.",
            ),
            Self::NoIdentity(failure) => write!(f, "You could not be signed in: {failure}."),
            Self::NotStarted => f.write_str(
                "Your desktop could not be started. Try again in a moment; if it does not help, the \
                 administrator finds the reason in the machine's log.",
            ),
            Self::NotFound => write!(
                f,
                "There is nothing here. If a proxy shows Lumen under a path, name it with \
                 --base-path; see {GUIDE}."
            ),
            Self::NotLoopback { host } => write!(
                f,
                "Started with --auth none, Lumen answers to localhost only, not to {}.",
                host.0
            ),
            Self::NoUpgrade => write!(
                f,
                "The WebSocket arrived as a plain request: the proxy has to pass the Upgrade and \
                 Connection headers on; see {GUIDE}."
            ),
            Self::OtherUser => f.write_str(
                "Started with --auth none, Lumen lets in the browsers of the desktop's own user and of \
                 root only, and this one is another user's, or comes through a program of one. Without \
                 --auth none the printed address has a token that lets in any browser.",
            ),
            Self::TooManyAttempts { retry_after_seconds } => {
                write!(f, "Too many attempts. Try again in {retry_after_seconds} s.")
            }
            Self::TooManyConnections => {
                f.write_str("There are too many connections from this address or of this login.")
            }
            Self::TooManyDesktops => f.write_str(
                "This machine has as many desktops as it may have, so yours was not started. Try again later, \
                 or ask the administrator.",
            ),
            Self::TooManyOwnDesktops { most: 1 } => {
                f.write_str("You have a desktop on this machine, and may have no other.")
            }
            Self::TooManyOwnDesktops { most } => write!(
                f,
                "You have {most} desktops on this machine, and may have no more. End one of them first."
            ),
            Self::Unavailable => {
                f.write_str("The gateway cannot reach its supervisor. Try again in a moment.")
            }
            Self::WrongToken => f.write_str("This token is wrong or has expired."),
        }
    }
}

/// What is wrong with a request that names an account, or with where it comes from.
const fn distrusted(fault: VoucherFault) -> &'static str {
    match fault {
        VoucherFault::Elsewhere => {
            "This request names an account in a header that only the proxy may send, and only over the socket \
             of --proxy-socket."
        }
        VoucherFault::NoAccount => {
            "The header in which the proxy names the account has no account's name in it."
        }
        VoucherFault::Repeated => {
            "The header in which the proxy names the account came more than once, or spelled with _: the \
             proxy has to remove what browsers send of it."
        }
        VoucherFault::Stranger => {
            "This socket is for the proxy that runs as the user of --proxy-user, and for nobody else."
        }
    }
}

impl std::fmt::Display for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { origin, host, sender } = self;
        write!(f, "The page is {}, but the request is for {}. ", origin.0, host.0)?;
        match (sender.trusted, sender.address) {
            (true, _) => write!(
                f,
                "The proxy has to tell the browser's own host and scheme by X-Forwarded-Host and \
                 X-Forwarded-Proto; see {GUIDE}."
            ),
            // Strangers need not learn a proxy's address in an inner network; the log has it.
            (false, Some(address)) if address.is_loopback() => write!(
                f,
                "If a proxy stands between, start Lumen with --trusted-proxy {address} and see \
                 {GUIDE}."
            ),
            (false, _) => write!(
                f,
                "If a proxy stands between, start Lumen with --trusted-proxy and the proxy's \
                 address, which `lumen logs gateway` shows, and see {GUIDE}."
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(address: Option<&str>, trusted: bool) -> Refusal {
        let address = address.map(|text| text.parse().expect("an address"));
        let names = Names {
            origin: Quoted::new("http://desk.example"),
            host: Quoted::new("127.0.0.1:8080"),
            sender: Sender { address, trusted },
        };
        Refusal::ForeignOrigin(names)
    }

    #[test]
    fn foreign_origin_says_what_was_seen_and_what_to_set() {
        let stranger = foreign(Some("127.0.0.1"), false).to_string();
        assert!(
            stranger
                .contains("The page is http://desk.example, but the request is for 127.0.0.1:8080")
        );
        assert!(stranger.contains("--trusted-proxy 127.0.0.1"), "{stranger}");
        let proxy = foreign(Some("127.0.0.1"), true).to_string();
        assert!(proxy.contains("X-Forwarded-Host") && !proxy.contains("--trusted"), "{proxy}");
        assert!(foreign(None, true).to_string().contains("X-Forwarded-Host"));
    }

    #[test]
    fn foreign_origin_keeps_a_proxys_inner_address_to_the_log() {
        let refusal = foreign(Some("::ffff:10.1.2.3"), false);
        let answer = refusal.to_string();
        assert!(!answer.contains("10.1.2.3") && answer.contains("lumen logs gateway"), "{answer}");
        assert_eq!(refusal.for_the_log(), " That is --trusted-proxy 10.1.2.3.");
        for plain in [foreign(Some("127.0.0.1"), false), foreign(Some("10.1.2.3"), true)] {
            assert_eq!(plain.for_the_log(), "");
        }
    }

    #[test]
    fn quoted_is_short_and_plain() {
        assert_eq!(Quoted::new("a\n<b> \u{e9}").0, "a?<b>??");
        assert_eq!(Quoted::new(&"x".repeat(1000)).0.len(), MOST_QUOTED_BYTES);
    }
}
