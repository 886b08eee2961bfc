//! The JSON of the sign-ins to a desktop: the list that a page gets, and the one that it ends.
//!
//! ```json
//! {"signIns":[{"id":"000000000000002a","own":true,"by":"token","from":"192.0.2.7","given":60,"used":3,"pages":1}]}
//! {"id":"000000000000002a"}
//! ```

use std::net::IpAddr;

use lumen_ipc::login::{LoginId, SignIn, SignInMethod};
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;

/// Largest body that names a sign-in.
pub const MAX_REVOKE_BYTES: usize = 256;

/// The list, as the page gets it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    sign_ins: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    id: String,
    own: bool,
    by: SignInMethod,
    from: IpAddr,
    given: u64,
    used: u64,
    pages: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Meant {
    id: String,
}

impl Listed {
    /// The list for the page whose login is `own`.
    #[must_use]
    pub fn new(own: LoginId, all: &[SignIn]) -> Self {
        let entry = |sign_in: &SignIn| Entry {
            id: format!("{:016x}", sign_in.id.0),
            own: sign_in.id == own,
            by: sign_in.method,
            from: sign_in.from,
            given: sign_in.given_seconds,
            used: sign_in.used_seconds,
            pages: sign_in.pages,
        };
        Self { sign_ins: all.iter().map(entry).collect() }
    }
}

/// The sign-in that a body names.
///
/// # Errors
/// [`Refusal::BadLogin`] for anything else.
pub fn parse(body: &[u8]) -> Result<LoginId, Refusal> {
    let Meant { id } = serde_json::from_slice(body).map_err(|_| Refusal::BadLogin)?;
    let legal = id.len() == 16 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = u64::from_str_radix(&id, 16).ok().filter(|_| legal);
    number.map(LoginId).ok_or(Refusal::BadLogin)
}

/// What the pages of others are told of a new sign-in.
#[must_use]
pub fn told(method: SignInMethod, from: IpAddr) -> String {
    let by = match method {
        SignInMethod::Oidc => "the identity provider",
        SignInMethod::Password => "a password",
        SignInMethod::Proxy => "the word of a proxy",
        SignInMethod::Token => "the access token",
    };
    format!("Somebody signed in with {by} from {from}. The connection report lists all sign-ins.")
}

#[cfg(test)]
mod tests {
    use lumen_ipc::units::SessionId;

    use super::*;

    #[test]
    fn list_marks_the_pages_own_sign_in_and_its_numbers_are_taken_back() {
        let sign_in = |id| SignIn {
            id: LoginId(id),
            session: SessionId::SOLE,
            method: SignInMethod::Token,
            from: [192, 0, 2, 7].into(),
            given_seconds: 60,
            used_seconds: 3,
            pages: 1,
        };
        let listed = Listed::new(LoginId(42), &[sign_in(42), sign_in(u64::MAX)]);
        let json = serde_json::to_string(&listed).expect("JSON");
        let first = r#"{"id":"000000000000002a","own":true,"by":"token","from":"192.0.2.7","given":60,"used":3,"pages":1}"#;
        assert!(json.starts_with(&format!(r#"{{"signIns":[{first},"#)), "{json}");
        assert!(json.contains(r#"{"id":"ffffffffffffffff","own":false"#), "{json}");
        assert_eq!(parse(br#"{"id":"000000000000002a"}"#), Ok(LoginId(42)));
    }

    #[test]
    fn body_that_names_no_sign_in_is_refused() {
        let bodies: [&[u8]; 7] = [
            b"",
            b"{}",
            br#"{"id":42}"#,
            br#"{"id":"2a"}"#,
            br#"{"id":"+00000000000002a"}"#,
            br#"{"id":"000000000000002g"}"#,
            br#"{"id":"000000000000002a","all":true}"#,
        ];
        for body in bodies {
            assert_eq!(parse(body), Err(Refusal::BadLogin), "{}", String::from_utf8_lossy(body));
        }
    }
}
