//! What goes wrong at the browser, at the provider, or with the settings.

use lumen_ipc::message::oidc::{OIDC_HASH, OidcFailure, OidcHash};
use openidconnect::url::form_urlencoded;

use crate::{
    browser::{self, Person},
    program::{Attempt, SECRET, sign_in},
    provider::{Nobody, Provider, settings},
};

const ALICE: Person<'_> = Person::Agrees("alice");

/// An attempt whose browser is back with this query, which has not been told.
fn back(provider: &Provider) -> (Attempt, String) {
    let mut attempt = Attempt::start(Some(&provider.settings("lumen", "")), Some(SECRET));
    let visit = attempt.begin().expect("the provider answers");
    let query = browser::visit(&visit, ALICE);
    (attempt, query)
}

/// A query with another value of this parameter.
fn with(query: &str, name: &str, value: &str) -> String {
    assert_ne!(parameter(query, name), value);
    let pairs = form_urlencoded::parse(query.as_bytes());
    let pairs = pairs.map(|(found, old)| match found == name {
        true => (found, value.to_owned()),
        false => (found, old.into_owned()),
    });
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn parameter(query: &str, name: &str) -> String {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let pair = pairs.find(|(found, _)| found == name);
    pair.unwrap_or_else(|| panic!("no {name} in {query}")).1.into_owned()
}

/// Asserts that nobody is signed in, for this reason, which is logged so.
#[track_caller]
fn refused(attempt: Attempt, outcome: Result<String, OidcFailure>, told: OidcFailure, why: &str) {
    let log = attempt.log();
    assert_eq!(outcome, Err(told), "{log}");
    assert!(log.contains(why), "{log}");
}

#[test]
fn answer_for_another_attempt_signs_nobody_in() {
    let provider = Provider::real();
    let why = "no code for this attempt";
    let (mut victim, own) = back(&provider);
    let (mut attacker, foreign) = back(&provider);
    let outcome = victim.finish(&foreign);
    refused(victim, outcome, OidcFailure::NotOurs, why);
    let state = parameter(&own, "state");
    // The attacker's own attempt knows its own state only.
    let outcome = attacker.finish(&with(&foreign, "state", &state));
    refused(attacker, outcome, OidcFailure::NotOurs, why);
    for (name, value) in [("state", "forged"), ("state", ""), ("iss", "https://other.example.org")]
    {
        let (mut attempt, query) = back(&provider);
        let outcome = attempt.finish(&with(&query, name, value));
        refused(attempt, outcome, OidcFailure::NotOurs, why);
    }
}

#[test]
fn code_of_another_attempt_is_worth_nothing() {
    let provider = Provider::real();
    let why = "gives nothing for the code";
    let (_waiting, query) = back(&provider);
    let code = parameter(&query, "code");
    // Not used yet: what stops it is that the other attempt has another verifier.
    let (mut other, own) = back(&provider);
    let outcome = other.finish(&with(&own, "code", &code));
    refused(other, outcome, OidcFailure::Refused, why);
    let (mut guess, own) = back(&provider);
    let outcome = guess.finish(&with(&own, "code", "guessed"));
    refused(guess, outcome, OidcFailure::Refused, why);
    let (mut first, query) = back(&provider);
    let outcome = first.finish(&query);
    assert_eq!(outcome.as_deref(), Ok("alice"), "{}", first.log());
    let (mut replay, own) = back(&provider);
    let outcome = replay.finish(&with(&own, "code", &parameter(&query, "code")));
    refused(replay, outcome, OidcFailure::Refused, why);
}

#[test]
fn person_who_does_not_consent_is_not_signed_in() {
    let provider = Provider::real();
    for person in [Person::Objects("alice"), Person::Leaves] {
        let (outcome, log) = sign_in(&provider.settings("lumen", ""), Some(SECRET), |url| {
            let query = browser::visit(url, person);
            assert_eq!(parameter(&query, "error"), "access_denied");
            query
        });
        assert_eq!(outcome, Err(OidcFailure::Refused), "{person:?}: {log}");
    }
}

#[test]
fn wrong_secret_gets_nothing_and_is_for_the_administrator_to_mend() {
    for (method, secret) in [
        ("client_secret_basic", Some("another")),
        ("client_secret_post", Some("another")),
        ("client_secret_basic", None),
    ] {
        let provider = Provider::real_by(method);
        let (outcome, log) =
            sign_in(&provider.settings("lumen", ""), secret, |url| browser::visit(url, ALICE));
        assert_eq!(outcome, Err(OidcFailure::Settings), "{method}, {secret:?}: {log}");
        assert!(log.contains("invalid_client"), "{method}, {secret:?}: {log}");
    }
}

#[test]
fn provider_that_is_away_is_told_as_such() {
    let nobody = Nobody::new();
    let mut attempt = Attempt::start(Some(&settings(&nobody.issuer, "lumen", "")), Some(SECRET));
    let outcome = attempt.begin().map(String::from);
    refused(attempt, outcome, OidcFailure::Unreachable, &nobody.issuer);

    let provider = Provider::real();
    let (mut attempt, query) = back(&provider);
    let nobody = provider.end();
    let outcome = attempt.finish(&query);
    refused(attempt, outcome, OidcFailure::Unreachable, &nobody.issuer);
}

#[test]
fn settings_that_are_of_no_use_are_told_as_such() {
    let in_clear = settings("http://id.example.org", "lumen", "");
    for (text, secret, why) in [
        (None, SECRET, "/etc/lumen/oidc.toml"),
        (Some("issuer"), SECRET, "/etc/lumen/oidc.toml"),
        (Some(&*in_clear), SECRET, "only https"),
        (Some("issuer = 'https://id.example.org'\nclient_id = 'x'"), "", "oidc-secret"),
    ] {
        let mut attempt = Attempt::start(text, Some(secret));
        let outcome = attempt.begin().map(String::from);
        refused(attempt, outcome, OidcFailure::Settings, why);
    }
}

#[test]
fn host_of_another_build_is_told_so() {
    let provider = Provider::liar("none");
    let mut attempt = Attempt::start(Some(&provider.settings("lumen", "")), Some(SECRET));
    let outcome = attempt.begin_as(OidcHash(!OIDC_HASH.0)).map(String::from);
    refused(attempt, outcome, OidcFailure::OtherBuild, "another build");
}

#[test]
fn process_ends_with_its_link() {
    let provider = Provider::liar("none");
    let mut attempt = Attempt::start(Some(&provider.settings("lumen", "")), Some(SECRET));
    attempt.begin().expect("the provider answers");
    attempt.log();
}

#[test]
fn name_that_nobody_knows_is_told_as_such() {
    // The C library looks it up inside the fence: in files, and by asking a name server that is not there.
    let issuer = "https://id.example.invalid";
    let mut attempt = Attempt::start(Some(&settings(issuer, "lumen", "")), Some(SECRET));
    let outcome = attempt.begin().map(String::from);
    refused(attempt, outcome, OidcFailure::Unreachable, issuer);
}
