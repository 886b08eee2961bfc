//! The login cookie: one half of a browser's key ([`super::halves`]).
//!
//! Cookies do not know ports: two desktops on one host would overwrite each other's. So the
//! cookie's name contains the port, or a hash of the socket's path, and the session: a browser may be
//! signed in to several sessions of one host.
//!
//! Over TLS the name begins as RFC 6265bis prescribes (section 4.1.3): then browsers take it only over TLS
//! and, with `__Host-`, only from this very host, so that no other server of its domain can plant one.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hasher},
};

use axum::http::{HeaderMap, HeaderValue, header, header::InvalidHeaderValue};
use lumen_ipc::{front_door::Listen, text::Secret, tls::Tls, units::SessionId};

/// Beginnings of the names of cookies that browsers take over TLS only, the stricter first. The first is
/// for cookies of every path.
const PREFIXES: [&str; 2] = ["__Host-", "__Secure-"];

/// Most sessions that one browser stays signed in to: servers and proxies limit the size of a request.
const MOST_SESSIONS: usize = 16;

/// A cookie in a request.
struct Found<'request> {
    session: SessionId,
    /// How far its name protects it, the best first.
    rank: usize,
    value: &'request str,
}

/// The cookies of one gateway, one for each session.
#[derive(Clone, Debug)]
pub struct LoginCookie {
    name: String,
    /// Whether one without a prefix counts, too: of a browser without TLS, or signed in when there was none.
    plain_counts: bool,
}

impl LoginCookie {
    /// The cookie of the gateway that listens at `listen`.
    #[must_use]
    pub fn of(listen: &Listen, tls: Tls) -> Self {
        let name = match listen {
            Listen::Tcp(address) => format!("lumen-{}", address.port()),
            Listen::Unix(path) => {
                // The hash only tells sockets apart; two that collide gain nothing.
                let mut hasher = DefaultHasher::new();
                hasher.write(path.as_str().as_bytes());
                format!("lumen-{:016x}", hasher.finish())
            }
        };
        Self { name, plain_counts: tls == Tls::Off }
    }

    /// The half of a key for `session` in a request's cookie, if it has the form of one. One with a prefix
    /// counts before one without.
    #[must_use]
    pub fn find(&self, headers: &HeaderMap, session: SessionId) -> Option<Secret> {
        let own = self.all(headers).filter(|found| found.session == session);
        Secret::new(own.min_by_key(|found| found.rank)?.value).ok()
    }

    /// The sessions whose cookies a browser should give up when it keeps one for `session`, too: those
    /// that came first.
    #[must_use]
    pub fn surplus(&self, headers: &HeaderMap, session: SessionId) -> Vec<SessionId> {
        let others = self.all(headers).map(|found| found.session).filter(|other| *other != session);
        let others: BTreeSet<SessionId> = others.collect();
        let surplus = (others.len() + 1).saturating_sub(MOST_SESSIONS);
        others.into_iter().take(surplus).collect()
    }

    /// Every cookie of this gateway.
    fn all<'request>(&self, headers: &'request HeaderMap) -> impl Iterator<Item = Found<'request>> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter_map(|(name, value)| {
                let prefixed = PREFIXES.iter().enumerate();
                let mut stripped =
                    prefixed.filter_map(|(rank, prefix)| Some((rank, name.strip_prefix(prefix)?)));
                let plain = self.plain_counts.then_some((PREFIXES.len(), name));
                let (rank, name) = stripped.next().or(plain)?;
                let number = name.strip_prefix(&self.name)?.strip_prefix('.')?;
                Some(Found { session: SessionId(number.parse().ok()?), rank, value })
            })
    }

    /// The header with which a browser keeps `login` for `session` and sends it under `path`, which must
    /// be valid in a header. `secure` keeps it off unencrypted connections.
    ///
    /// # Errors
    /// When the login is not a legal header value: a bug of the supervisor.
    pub fn keep(
        &self,
        session: SessionId,
        login: &Secret,
        path: &str,
        secure: bool,
    ) -> Result<HeaderValue, InvalidHeaderValue> {
        self.header(session, login.reveal(), path, (secure, ""))
    }

    /// The header with which a browser forgets the login for `session` that it sends under `path`.
    ///
    /// # Errors
    /// When the path is not valid in a header.
    pub fn forget(
        &self,
        session: SessionId,
        path: &str,
        secure: bool,
    ) -> Result<HeaderValue, InvalidHeaderValue> {
        self.header(session, "", path, (secure, "; Max-Age=0"))
    }

    fn header(
        &self,
        session: SessionId,
        login: &str,
        path: &str,
        (secure, end): (bool, &str),
    ) -> Result<HeaderValue, InvalidHeaderValue> {
        let [host, anywhere] = PREFIXES;
        let (prefix, secure) = match (secure, path) {
            (true, "/") => (host, "; Secure"),
            (true, _) => (anywhere, "; Secure"),
            (false, _) => ("", ""),
        };
        let name = &self.name;
        let mut value = HeaderValue::try_from(format!(
            "{prefix}{name}.{session}={login}; Path={path}; HttpOnly; SameSite=Strict{secure}{end}"
        ))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(cookies: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, HeaderValue::from_static(cookie));
        }
        headers
    }

    fn of_port(port: u16) -> LoginCookie {
        LoginCookie::of(&Listen::Tcp(([127, 0, 0, 1], port).into()), Tls::Off)
    }

    #[test]
    fn cookies_of_two_sockets_have_two_names() {
        let of = |path: &str| LoginCookie::of(&path.parse().expect("legal"), Tls::Off).name;
        assert_ne!(of("unix:/run/a.sock"), of("unix:/run/b.sock"));
        assert_eq!(of("unix:/run/a.sock"), of("unix:/run/a.sock"));
    }

    #[test]
    fn find_picks_the_cookie_of_its_port_and_session() {
        let headers = request(&["a=b; lumen-8080.1=one", "lumen-8081.1=two; lumen-8080.12=three"]);
        let found = |port, session| {
            let found = of_port(port).find(&headers, SessionId(session));
            found.map(|secret| secret.reveal().to_owned())
        };
        assert_eq!(found(8080, 1).as_deref(), Some("one"));
        assert_eq!(found(8081, 1).as_deref(), Some("two"));
        assert_eq!(found(8080, 12).as_deref(), Some("three"));
        assert_eq!((found(80, 1), found(8080, 2), found(8081, 12)), (None, None, None));
    }

    #[test]
    fn find_prefers_what_no_other_server_can_plant_and_takes_nothing_else_under_tls() {
        let under_tls = LoginCookie::of(&Listen::Tcp(([0, 0, 0, 0], 443).into()), Tls::Own);
        let behind_a_proxy = of_port(443);
        let found = |cookie: &LoginCookie, text: &'static str| {
            let found = cookie.find(&request(&[text]), SessionId(1));
            found.map(|secret| secret.reveal().to_owned()).unwrap_or_default()
        };
        let all = "lumen-443.1=plain; __Secure-lumen-443.1=secure; __Host-lumen-443.1=host";
        for (cookie, text, expected) in [
            (&under_tls, all, "host"),
            (&under_tls, "lumen-443.1=plain; __Secure-lumen-443.1=secure", "secure"),
            (&under_tls, "lumen-443.1=plain", ""),
            (&behind_a_proxy, all, "host"),
            (&behind_a_proxy, "lumen-443.1=plain", "plain"),
            (&behind_a_proxy, "__Host-__Secure-lumen-443.1=x", ""),
        ] {
            assert_eq!(found(cookie, text), expected, "{text}");
        }
    }

    #[test]
    fn find_malformed_cookies_is_none() {
        let malformed =
            ["lumen-8080", ";;=", "lumen-80800.1=x", " = ", "lumen-8080=x", "lumen-8080.=x"];
        assert_eq!(of_port(8080).find(&request(&malformed), SessionId(1)), None);
    }

    #[test]
    fn surplus_is_what_came_first_and_never_the_session_itself() {
        let cookies = |count: u32| -> HeaderMap {
            let cookie = |number| format!("lumen-8080.{number}=x; lumen-8081.{number}=y");
            let value = |number| HeaderValue::try_from(cookie(number)).expect("legal");
            (1..=count).map(|number| (header::COOKIE, value(number))).collect()
        };
        let surplus = |count, session| of_port(8080).surplus(&cookies(count), SessionId(session));
        assert_eq!(surplus(15, 99), []);
        assert_eq!(surplus(16, 1), []);
        assert_eq!(surplus(17, 1), [SessionId(2)]);
        assert_eq!(surplus(18, 99), [SessionId(1), SessionId(2), SessionId(3)]);
    }

    #[test]
    fn keep_is_out_of_reach_of_scripts_and_other_sites() {
        let cookie = of_port(8080);
        let secret = Secret::new("s3cret").expect("short");
        let session = SessionId(7);
        let plain = cookie.keep(session, &secret, "/", false).expect("legal");
        assert_eq!(plain, "lumen-8080.7=s3cret; Path=/; HttpOnly; SameSite=Strict");
        let secure = cookie.keep(session, &secret, "/desk/", true).expect("legal");
        assert_eq!(
            secure,
            "__Secure-lumen-8080.7=s3cret; Path=/desk/; HttpOnly; SameSite=Strict; Secure"
        );
        let whole = cookie.keep(session, &secret, "/", true).expect("legal");
        assert_eq!(whole, "__Host-lumen-8080.7=s3cret; Path=/; HttpOnly; SameSite=Strict; Secure");
        assert!(!format!("{secure:?}").contains("s3cret"));
    }

    #[test]
    fn forget_names_the_same_cookie_and_ends_it() {
        let gone = of_port(8080).forget(SessionId(7), "/desk/", true).expect("legal");
        assert_eq!(
            gone,
            "__Secure-lumen-8080.7=; Path=/desk/; HttpOnly; SameSite=Strict; Secure; Max-Age=0"
        );
    }
}
