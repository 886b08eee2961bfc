//! The login cookie: one half of a browser's key ([`super::halves`]).
//!
//! Cookies do not know ports: two desktops on one host would overwrite each other's. So the
//! cookie's name contains the port, or a hash of the socket's path.

use std::hash::{DefaultHasher, Hasher};

use axum::http::{HeaderMap, HeaderValue, header, header::InvalidHeaderValue};
use lumen_ipc::{front_door::Listen, text::Secret};

/// The cookie of one gateway.
#[derive(Clone, Debug)]
pub struct LoginCookie {
    name: String,
}

impl LoginCookie {
    /// The cookie of the gateway that listens at `listen`.
    #[must_use]
    pub fn of(listen: &Listen) -> Self {
        let name = match listen {
            Listen::Tcp(address) => format!("lumen-{}", address.port()),
            Listen::Unix(path) => {
                // The hash only tells sockets apart; two that collide gain nothing.
                let mut hasher = DefaultHasher::new();
                hasher.write(path.as_str().as_bytes());
                format!("lumen-{:016x}", hasher.finish())
            }
        };
        Self { name }
    }

    /// The half of a key in a request's cookie, if it has the form of one.
    #[must_use]
    pub fn find(&self, headers: &HeaderMap) -> Option<Secret> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == self.name)
            .and_then(|(_, value)| Secret::new(value).ok())
    }

    /// The header with which a browser keeps `login` and sends it under `path`, which must be valid
    /// in a header. `secure` keeps it off unencrypted connections.
    ///
    /// # Errors
    /// When the login is not a legal header value: a bug of the supervisor.
    pub fn keep(
        &self,
        login: &Secret,
        path: &str,
        secure: bool,
    ) -> Result<HeaderValue, InvalidHeaderValue> {
        self.header(login.reveal(), path, secure, "")
    }

    /// The header with which a browser forgets the login that it sends under `path`.
    ///
    /// # Errors
    /// When the path is not valid in a header.
    pub fn forget(&self, path: &str, secure: bool) -> Result<HeaderValue, InvalidHeaderValue> {
        self.header("", path, secure, "; Max-Age=0")
    }

    fn header(
        &self,
        login: &str,
        path: &str,
        secure: bool,
        end: &str,
    ) -> Result<HeaderValue, InvalidHeaderValue> {
        let secure = if secure { "; Secure" } else { "" };
        let name = &self.name;
        let mut value = HeaderValue::try_from(format!(
            "{name}={login}; Path={path}; HttpOnly; SameSite=Strict{secure}{end}"
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
        LoginCookie::of(&Listen::Tcp(([127, 0, 0, 1], port).into()))
    }

    #[test]
    fn cookies_of_two_sockets_have_two_names() {
        let of = |path: &str| LoginCookie::of(&path.parse().expect("legal")).name;
        assert_ne!(of("unix:/run/a.sock"), of("unix:/run/b.sock"));
        assert_eq!(of("unix:/run/a.sock"), of("unix:/run/a.sock"));
    }

    #[test]
    fn find_picks_the_cookie_of_its_port() {
        let headers = request(&["a=b; lumen-8080=one", "lumen-8081=two"]);
        let found = |port| of_port(port).find(&headers).map(|secret| secret.reveal().to_owned());
        assert_eq!(found(8080).as_deref(), Some("one"));
        assert_eq!(found(8081).as_deref(), Some("two"));
        assert_eq!(found(80), None);
    }

    #[test]
    fn find_malformed_cookies_is_none() {
        let headers = request(&["lumen-8080", ";;=", "lumen-80800=x", " = "]);
        assert_eq!(of_port(8080).find(&headers), None);
    }

    #[test]
    fn keep_is_out_of_reach_of_scripts_and_other_sites() {
        let cookie = of_port(8080);
        let secret = Secret::new("s3cret").expect("short");
        let plain = cookie.keep(&secret, "/", false).expect("legal");
        assert_eq!(plain, "lumen-8080=s3cret; Path=/; HttpOnly; SameSite=Strict");
        let secure = cookie.keep(&secret, "/desk/", true).expect("legal");
        assert_eq!(secure, "lumen-8080=s3cret; Path=/desk/; HttpOnly; SameSite=Strict; Secure");
        assert!(!format!("{secure:?}").contains("s3cret"));
    }

    #[test]
    fn forget_names_the_same_cookie_and_ends_it() {
        let gone = of_port(8080).forget("/desk/", true).expect("legal");
        assert_eq!(gone, "lumen-8080=; Path=/desk/; HttpOnly; SameSite=Strict; Secure; Max-Age=0");
    }
}
