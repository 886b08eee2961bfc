//! Decides whether browsers connect by TLS: because a certificate was named, or because the page can be
//! reached from elsewhere.

use lumen_ipc::front_door::FrontDoor;

use super::{
    super::{PageTls, UsageError, table::Key},
    Values,
};

/// What a proxy at a Unix socket speaks.
const PLAIN: &str =
    "a Unix socket is for a proxy, which has the certificate and speaks plain HTTP to Lumen";

impl Values {
    /// How the page is served. A stranger's browser never gets plain HTTP unless somebody says so.
    pub(in super::super) fn page_tls(&self, front_door: &FrontDoor) -> Result<PageTls, UsageError> {
        let given = match (self.path(Key::TlsCert), self.path(Key::TlsKey)) {
            (Some(certificate), Some(key)) => Some(PageTls::Given { certificate, key }),
            (Some(_), None) => return Err(self.bad(Key::TlsCert, "needs --tls-key too")),
            (None, Some(_)) => return Err(self.bad(Key::TlsKey, "needs --tls-cert too")),
            (None, None) => None,
        };
        let address = front_door.listen.tcp();
        match (self.text(Key::Tls).0, given, address) {
            ("off", None, _) => Ok(PageTls::Off),
            ("off", Some(_), _) => {
                Err(self.bad(Key::Tls, "--tls-cert needs TLS; leave one of the two out"))
            }
            ("auto" | "on", Some(_), None) => Err(self.bad(Key::TlsCert, PLAIN)),
            ("on", None, None) => Err(self.bad(Key::Tls, PLAIN)),
            ("auto" | "on", Some(given), Some(_)) => Ok(given),
            ("auto", None, _) => Ok(PageTls::by_address(&front_door.listen)),
            ("on", None, Some(_)) => Ok(PageTls::Own),
            _ => Err(self.bad(Key::Tls, "expected auto, on or off")),
        }
    }

    /// Whether that follows from the address.
    pub(in super::super) fn is_tls_by_address(&self) -> bool {
        self.text(Key::Tls).0 == "auto" && self.path(Key::TlsCert).is_none()
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::front_door::Listen;

    use super::{
        super::super::{HostConfig, Invocation, parse},
        *,
    };

    fn host(line: &str) -> HostConfig {
        let (invocation, _) =
            parse(line.split_whitespace().map(Into::into), &|_: &str| None).expect("legal");
        match invocation {
            Invocation::Run(config) => config.host,
            Invocation::Serve(config) => *config,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_that_contradict_each_other_are_refused_with_the_reason() {
        for (line, reason) in [
            ("run --tls maybe", "auto, on or off"),
            ("run --tls-cert a.pem", "--tls-key"),
            ("run --tls-key a.pem", "--tls-cert"),
            ("run --tls off --tls-cert a.pem --tls-key b.pem", "leave one of the two out"),
            ("run --tls on --listen unix:/run/a.sock", "speaks plain HTTP"),
            ("run --tls-cert a --tls-key b --listen unix:/run/a.sock", "speaks plain HTTP"),
        ] {
            let refused = parse(line.split_whitespace().map(Into::into), &|_: &str| None);
            let said = refused.expect_err("illegal").to_string();
            assert!(said.contains(reason), "{said}");
        }
    }

    #[test]
    fn password_is_never_asked_for_by_plain_http_from_elsewhere() {
        for line in [
            "serve --auth password --listen 0.0.0.0:80 --tls off",
            "serve --auth password --listen [::]:80 --tls off",
            "run --auth password --listen 192.0.2.7:80 --tls off --trusted-proxy 192.0.2.1",
        ] {
            let refused = parse(line.split_whitespace().map(Into::into), &|_: &str| None);
            let said = refused.expect_err("in clear").to_string();
            assert!(said.contains("in clear") && said.contains("--tls-cert"), "{said}");
        }
        for line in [
            "serve --auth password",
            "serve --auth password --listen 127.0.0.1:80 --tls off",
            "serve --auth password --listen unix:/run/a.sock",
            "serve --auth password --listen 0.0.0.0:443",
            "serve --auth token --listen 0.0.0.0:80 --tls off",
        ] {
            assert!(!host(line).shows_passwords(), "{line}");
        }
        // A socket that the service manager passes is judged by its own address.
        let passed = |line: &str| {
            let listen = Listen::Tcp("0.0.0.0:80".parse().expect("an address"));
            host(line).reached_at(listen).shows_passwords()
        };
        assert!(passed("serve --auth password --tls off") && !passed("serve --auth password"));
    }

    #[test]
    fn page_is_plain_only_for_this_machine_and_proxies_unless_somebody_says_so() {
        let given = PageTls::Given { certificate: "c.pem".into(), key: "k.pem".into() };
        for (line, expected) in [
            ("run", PageTls::Off),
            ("run --listen [::1]:0", PageTls::Off),
            ("run --listen unix:/run/a.sock", PageTls::Off),
            ("run --listen 0.0.0.0:80", PageTls::Own),
            ("run --listen 192.0.2.7:80 --trusted-proxy 192.0.2.1", PageTls::Own),
            ("run --listen 0.0.0.0:80 --tls off", PageTls::Off),
            ("run --tls on", PageTls::Own),
            ("run --tls-cert c.pem --tls-key k.pem", given.clone()),
            ("serve --listen 0.0.0.0:443 --tls on --tls-cert c.pem --tls-key k.pem", given),
        ] {
            assert_eq!(host(line).tls, expected, "{line}");
        }
    }

    #[test]
    fn page_at_a_socket_that_was_passed_is_judged_by_the_address_of_that() {
        let listen = |text: &str| Listen::Tcp(text.parse().expect("an address"));
        let at = |line: &str, address: &str| host(line).reached_at(listen(address)).tls;
        assert_eq!(at("serve", "0.0.0.0:443"), PageTls::Own);
        assert_eq!(at("serve --listen 0.0.0.0:443", "127.0.0.1:80"), PageTls::Off);
        assert_eq!(at("serve --tls off", "0.0.0.0:443"), PageTls::Off);
        assert_eq!(at("serve --tls on", "127.0.0.1:443"), PageTls::Own);
        let given = PageTls::Given { certificate: "c.pem".into(), key: "k.pem".into() };
        assert_eq!(at("serve --tls-cert c.pem --tls-key k.pem", "127.0.0.1:443"), given);
    }

    #[test]
    fn relay_has_the_certificate_of_the_page_unless_it_has_its_own() {
        let certificate = |line: &str| {
            let tls = host(line).relay.and_then(|relay| relay.tls);
            tls.map(|tls| tls.certificate.display().to_string())
        };
        let line = "run --tls-cert c.pem --tls-key k.pem";
        assert_eq!(certificate(line).as_deref(), Some("c.pem"));
        let own = format!("{line} --relay-cert r.pem --relay-key s.pem");
        assert_eq!(certificate(&own).as_deref(), Some("r.pem"));
        assert_eq!(certificate("run --tls on"), None, "no client of the relay would trust it");
    }
}
