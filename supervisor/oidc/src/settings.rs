//! What the administrator has written about the provider. Pure.
//!
//! ```toml
//! issuer = "https://id.example.org/realms/staff"
//! client_id = "lumen"
//! claim = "preferred_username"   # the default
//! domain = "example.org"         # if the claim is user@example.org
//! groups = ["desktops"]          # only members of one of these
//! group_claim = "groups"         # the default
//! scopes = ["profile", "email"]  # the default, besides openid
//! ca_file = "/etc/ssl/own.pem"   # instead of the machine's authorities
//! ```
//! The client's secret is not among it: it has a file of its own, which only root reads.

use std::path::PathBuf;

use openidconnect::IssuerUrl;
use serde::Deserialize;

/// Largest file of settings in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    issuer: String,
    client_id: String,
    claim: Option<String>,
    domain: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    group_claim: Option<String>,
    scopes: Option<Vec<String>>,
    ca_file: Option<PathBuf>,
}

/// The settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who states whose a browser is.
    pub issuer: IssuerUrl,
    /// What Lumen is called there.
    pub client_id: String,
    /// What is asked for, besides `openid`.
    pub scopes: Vec<String>,
    /// The certificates of authorities to trust instead of the machine's.
    pub ca_file: Option<PathBuf>,
    /// How the statement names an account.
    pub rules: Rules,
}

/// How a statement names an account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rules {
    /// The claim with the account's name.
    pub claim: String,
    /// What has to follow it, after an `@`; it is no part of the name.
    pub domain: Option<String>,
    /// Groups of which the person must be in one; if there are none, anybody may.
    pub groups: Vec<String>,
    /// The claim with the person's groups.
    pub group_claim: String,
}

/// Why settings are of no use.
#[derive(Debug, thiserror::Error)]
pub enum BadSettings {
    /// They are not what is expected.
    #[error("{0}")]
    Form(#[from] toml::de::Error),
    /// The issuer is no URL.
    #[error("issuer is no URL: expected https://…, as the provider's discovery document has it")]
    Issuer,
    /// Everybody on the way could sign in as anybody.
    #[error(
        "issuer is {0}, but only https:// is safe; http:// is taken for this machine's own addresses only"
    )]
    InClear(String),
    /// Something that must not be empty is.
    #[error("{0} is empty; name it, or leave the line out")]
    Empty(&'static str),
}

impl Settings {
    /// The settings in the text of their file.
    ///
    /// # Errors
    /// [`BadSettings`] with what to change.
    pub fn parse(text: &str) -> Result<Self, BadSettings> {
        let written: Written = toml::from_str(text)?;
        let issuer = IssuerUrl::new(written.issuer).map_err(|_| BadSettings::Issuer)?;
        if !is_safe(issuer.url().as_str()) {
            return Err(BadSettings::InClear(issuer.to_string()));
        }
        let or = |value: Option<String>, usual: &str| value.unwrap_or_else(|| usual.to_owned());
        let usual_scopes = || vec!["profile".to_owned(), "email".to_owned()];
        let rules = Rules {
            claim: or(written.claim, "preferred_username"),
            domain: written.domain,
            groups: written.groups,
            group_claim: or(written.group_claim, "groups"),
        };
        for (name, value) in [
            ("client_id", Some(&written.client_id)),
            ("claim", Some(&rules.claim)),
            ("group_claim", Some(&rules.group_claim)),
            ("domain", rules.domain.as_ref()),
        ] {
            if value.is_some_and(String::is_empty) {
                return Err(BadSettings::Empty(name));
            }
        }
        let scopes = written.scopes.unwrap_or_else(usual_scopes);
        let Written { client_id, ca_file, .. } = written;
        Ok(Self { issuer, client_id, scopes, ca_file, rules })
    }
}

/// Whether nobody between here and there can read or change what is said: by TLS, or inside this machine.
#[must_use]
pub fn is_safe(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    match uri.scheme_str() {
        Some("https") => true,
        Some("http") => uri.host().is_some_and(|host| {
            host.trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback())
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_usual_values_for_all_but_provider_and_client() {
        let settings = Settings::parse("issuer = 'https://id.example.org/a'\nclient_id = 'lumen'")
            .expect("legal");
        assert_eq!(settings.issuer.as_str(), "https://id.example.org/a");
        assert_eq!(settings.scopes, ["profile", "email"]);
        let Rules { claim, domain, groups, group_claim } = settings.rules;
        assert_eq!((claim.as_str(), group_claim.as_str()), ("preferred_username", "groups"));
        assert_eq!((domain, groups), (None, vec![]));
    }

    #[test]
    fn settings_that_would_not_do_what_they_say_are_refused() {
        let with =
            |more: &str| format!("issuer = 'https://id.example.org'\nclient_id = 'lumen'\n{more}");
        for (text, part) in [
            (String::new(), "issuer"),
            ("issuer = 'https://id.example.org'".to_owned(), "client_id"),
            ("issuer = 'x'\nclient_id = 'x'".to_owned(), "no URL"),
            ("issuer = 'http://id.example.org'\nclient_id = 'x'".to_owned(), "only https"),
            ("issuer = 'ftp://127.0.0.1'\nclient_id = 'x'".to_owned(), "only https"),
            (with("group = ['x']"), "group"),
            (with("claim = ''"), "claim is empty"),
            (with("domain = ''"), "domain is empty"),
            (with("client_secret = 'x'"), "client_secret"),
        ] {
            let error = Settings::parse(&text).expect_err(&text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn only_this_machines_own_addresses_are_reached_in_clear() {
        for safe in ["https://id.example.org/", "http://127.0.0.1:3000/x", "http://[::1]:3000"] {
            assert!(is_safe(safe), "{safe}");
        }
        // A name, even localhost, is whatever somebody's resolver says.
        for unsafe_one in [
            "http://id.example.org",
            "http://localhost",
            "http://127.0.0.1.example.org",
            "file:///x",
            "",
        ] {
            assert!(!is_safe(unsafe_one), "{unsafe_one}");
        }
    }
}
