//! A provider that lies once and is right in all else. Whoever could change one of its answers, or has a key that is
//! not the provider's, must sign nobody in.

use lumen_ipc::message::oidc::OidcFailure::{self, Invalid, NoAccount, Settings};

use crate::{
    browser::{self, Person},
    program::{SECRET, sign_in},
    provider::Provider,
};

/// Asserts for each lie that it is refused: what the person is told, and a part of what is logged.
fn refused(lies: &[(&str, OidcFailure, &str)]) {
    for (lie, told, why) in lies {
        let (outcome, log) = outcome(lie);
        assert_eq!(outcome, Err(*told), "{lie}: {log}");
        assert!(log.contains(why), "{lie}: {log}");
    }
}

fn outcome(lie: &str) -> (Result<String, OidcFailure>, String) {
    let provider = Provider::liar(lie);
    // Its page signs everybody in at once.
    sign_in(&provider.settings("lumen", ""), Some(SECRET), |url| {
        browser::visit(url, Person::Leaves)
    })
}

#[test]
fn provider_is_believed_when_it_does_not_lie() {
    let (outcome, log) = outcome("none");
    assert_eq!(outcome.as_deref(), Ok("alice"), "{log}");
}

#[test]
fn statement_for_somebody_else_or_another_time_is_not_believed() {
    refused(&[
        ("nonce", Invalid, "nonce mismatch"),
        ("nonce-missing", Invalid, "missing nonce"),
        ("audience", Invalid, "must contain `lumen`"),
        ("audience-beside", Invalid, "`another` is not a trusted audience"),
        ("issuer", Invalid, "Invalid issuer"),
        ("expired", Invalid, "ID token expired"),
        ("expiry-missing", Invalid, "missing field `exp`"),
        ("other-access-token", Invalid, "the access token is not the one"),
    ]);
}

#[test]
fn statement_that_the_providers_key_has_not_signed_is_not_believed() {
    refused(&[
        ("key-unpublished", Invalid, "Signature was wrong"),
        ("signature-broken", Invalid, "Signature was wrong"),
        ("signature-none", Invalid, "No signature found"),
        ("signature-secret", Invalid, "Disallowed signature algorithm"),
        ("signature-public-key", Invalid, "Disallowed signature algorithm"),
    ]);
}

#[test]
fn statement_that_names_nobody_signs_nobody_in() {
    refused(&[
        ("claim-missing", NoAccount, "states no preferred_username"),
        ("claim-number", Invalid, "preferred_username: invalid type"),
        ("claim-path", NoAccount, "no name that an account could have"),
        ("userinfo-other-subject", Invalid, "Invalid subject"),
    ]);
}

#[test]
fn answer_that_is_not_as_the_standard_has_it_signs_nobody_in() {
    refused(&[
        ("discovery-issuer", Settings, "unexpected issuer"),
        ("endpoint-in-clear", Settings, "not https://"),
        ("token-missing", Invalid, "no ID token"),
        ("answer-malformed", Invalid, "Failed to parse server response"),
        ("answer-endless", Settings, "larger than"),
        ("answer-redirected", Invalid, "empty error response"),
    ]);
}
