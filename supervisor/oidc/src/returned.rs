//! What a browser brings back from the provider: the query of the page's address (RFC 6749, section 4.1.2). Pure.
//!
//! INVARIANT: a parameter that is there twice is refused, as the RFC wants (section 3.1), and so is a state that is not
//! the attempt's own: whoever gets somebody else's browser to open an address signs it in as nobody.

use lumen_ipc::message::oidc::OidcFailure;
use openidconnect::url::form_urlencoded;

/// An answer of the provider, in which nothing has been believed yet but that it belongs to this attempt.
#[derive(Debug, Eq, PartialEq)]
pub struct Code(pub String);

/// Takes a query apart.
///
/// # Errors
/// [`OidcFailure`] if it is not of the attempt with this state, not of this issuer, or a refusal.
pub fn parse(query: &str, state: &str, issuer: &str) -> Result<Code, OidcFailure> {
    let (mut code, mut found, mut error, mut named) = (None, None, None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let place = match &*name {
            "code" => &mut code,
            "state" => &mut found,
            "error" => &mut error,
            "iss" => &mut named,
            _ => continue,
        };
        if place.replace(value.into_owned()).is_some() {
            return Err(OidcFailure::NotOurs);
        }
    }
    if found.as_deref() != Some(state) {
        return Err(OidcFailure::NotOurs);
    }
    // An answer of another provider's (RFC 9207).
    if named.is_some_and(|named| named != issuer) {
        return Err(OidcFailure::NotOurs);
    }
    match (code, error) {
        (Some(code), None) if !code.is_empty() => Ok(Code(code)),
        (None, Some(_)) => Err(OidcFailure::Refused),
        _ => Err(OidcFailure::NotOurs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://id.example.org";

    #[test]
    fn only_an_answer_with_this_attempts_state_is_taken() {
        let parse = |query| parse(query, "s1", ISSUER);
        assert_eq!(parse("code=a%2Bb&state=s1"), Ok(Code("a+b".to_owned())));
        assert_eq!(
            parse("state=s1&session_state=x&iss=https%3A%2F%2Fid.example.org&code=a"),
            Ok(Code("a".to_owned()))
        );
        for other in [
            "",
            "code=a",
            "code=a&state=",
            "code=a&state=s2",
            "code=a&state=s1&state=s1",
            "code=a&code=b&state=s1",
            "code=&state=s1",
            "state=s1",
            "code=a&state=s1&error=x",
            "code=a&state=s1&iss=https://evil.example.org",
            "error=access_denied&state=s2",
        ] {
            assert_eq!(parse(other), Err(OidcFailure::NotOurs), "{other}");
        }
    }

    #[test]
    fn refusal_of_the_provider_is_told_as_one() {
        let refused = parse("error=access_denied&error_description=no&state=s1", "s1", ISSUER);
        assert_eq!(refused, Err(OidcFailure::Refused));
    }
}
