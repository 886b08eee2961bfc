//! The body of a login: `{"token":"…"}`.

use lumen_ipc::text::Secret;
use serde::Deserialize;

use super::refusal::Refusal;

/// Largest body of a login in bytes.
pub const MAX_LOGIN_BYTES: usize = 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    token: String,
}

/// Whether a request with this `Content-Type` can carry a login. A form on a foreign page can send
/// other types without a preflight.
#[must_use]
pub fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// The token in a body.
///
/// # Errors
/// [`Refusal::BadLogin`] for anything but the one legal object. It gives no reason, which would
/// quote the token.
pub fn parse(body: &[u8]) -> Result<Secret, Refusal> {
    let body: Body = serde_json::from_slice(body).map_err(|_| Refusal::BadLogin)?;
    Secret::new(body.token).map_err(|_| Refusal::BadLogin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_takes_the_token_and_nothing_else() {
        assert_eq!(parse(br#"{"token":"abc"}"#).expect("legal").reveal(), "abc");
        let long = format!(r#"{{"token":"{}"}}"#, "x".repeat(257));
        for body in ["", "{}", "[]", "\"abc\"", r#"{"token":1}"#, r#"{"token":"a","b":1}"#, &long] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn is_json_knows_parameters_and_refuses_what_forms_send() {
        assert!(is_json("application/json") && is_json("Application/JSON; charset=utf-8"));
        for other in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
            assert!(!is_json(other), "{other}");
        }
    }
}
