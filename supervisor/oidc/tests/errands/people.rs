//! Who is signed in by a real provider, and as which account.

use lumen_ipc::message::oidc::OidcFailure;

use crate::{
    browser::{self, Person},
    program::{SECRET, sign_in},
    provider::Provider,
};

/// The outcome for this person with client `lumen`, and the log.
fn outcome(provider: &Provider, name: &str, more: &str) -> (Result<String, OidcFailure>, String) {
    let settings = provider.settings("lumen", more);
    sign_in(&settings, Some(SECRET), |url| browser::visit(url, Person::Agrees(name)))
}

#[test]
fn person_is_signed_in_whatever_kind_of_client_lumen_is() {
    for (method, client, secret) in [
        ("client_secret_basic", "lumen", Some(SECRET)),
        ("client_secret_post", "lumen", Some(SECRET)),
        ("client_secret_basic", "public", None),
    ] {
        let provider = Provider::real_by(method);
        let (outcome, log) = sign_in(&provider.settings(client, ""), secret, |url| {
            browser::visit(url, Person::Agrees("alice"))
        });
        assert_eq!(outcome.as_deref(), Ok("alice"), "{method}, {client}: {log}");
    }
}

#[test]
fn only_members_of_a_wanted_group_are_signed_in() {
    let provider = Provider::real();
    let members = "groups = ['desktops', 'admins']";
    let (alice, log) = outcome(&provider, "alice", members);
    assert_eq!(alice.as_deref(), Ok("alice"), "{log}");
    let (bob, log) = outcome(&provider, "bob", members);
    assert_eq!(bob, Err(OidcFailure::NoAccount), "{log}");
    assert!(log.contains("none of the groups"), "{log}");
    let (bob, log) = outcome(&provider, "bob", "");
    assert_eq!(bob.as_deref(), Ok("bob"), "{log}");
}

#[test]
fn verified_address_of_the_domain_names_an_account() {
    let provider = Provider::real();
    let address = "claim = 'email'\ndomain = 'example.org'";
    let (alice, log) = outcome(&provider, "alice", address);
    assert_eq!(alice.as_deref(), Ok("alice"), "{log}");
    let other = "claim = 'email'\ndomain = 'example.com'";
    for (name, settings, why) in
        [("bob", address, "has verified"), ("alice", other, "does not end with @example.com")]
    {
        let (outcome, log) = outcome(&provider, name, settings);
        assert_eq!(outcome, Err(OidcFailure::NoAccount), "{name}: {log}");
        assert!(log.contains(why), "{name}: {log}");
    }
}

#[test]
fn person_whose_name_is_no_accounts_is_not_signed_in() {
    let provider = Provider::real();
    for (name, why) in [
        ("nameless", "states no preferred_username"),
        ("climber", "no name that an account could have"),
    ] {
        let (outcome, log) = outcome(&provider, name, "");
        assert_eq!(outcome, Err(OidcFailure::NoAccount), "{name}: {log}");
        assert!(log.contains(why), "{name}: {log}");
    }
}
