//! Which account of this machine a valid statement names. Pure.
//!
//! INVARIANT: nothing is guessed. A claim that is missing, of another kind, or no possible name of an account names
//! nobody; an e-mail address counts only if the provider says that it has been verified, because people may write
//! anybody's there.

use lumen_ipc::message::login::AccountName;
use serde_json::{Map, Value};

use crate::settings::Rules;

/// What a provider states of a person.
pub type Claims = Map<String, Value>;

/// Why a statement names no account; for the log.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotNamed {
    /// The claim is not there.
    #[error("the provider states no {0}; see `claim` and `scopes` in the settings")]
    Missing(String),
    /// The claim is no text.
    #[error("the provider's {0} is no text")]
    NoText(String),
    /// The address is only what the person says.
    #[error("the provider does not say that it has verified the e-mail address")]
    NotVerified,
    /// It is of another domain.
    #[error("the provider's {claim} does not end with @{domain}")]
    OtherDomain {
        /// Which claim.
        claim: String,
        /// The domain that the settings have.
        domain: String,
    },
    /// No account can have this name.
    #[error("the provider's {0} is no name that an account could have")]
    NoName(String),
    /// The person is in none of the groups.
    #[error("the person is in none of the groups of the settings, by the provider's {0}")]
    NoGroup(String),
}

/// The account that these claims name.
///
/// # Errors
/// [`NotNamed`] if there is none.
pub fn account(claims: &Claims, rules: &Rules) -> Result<AccountName, NotNamed> {
    let claim = || rules.claim.clone();
    let value = claims.get(&rules.claim).ok_or_else(|| NotNamed::Missing(claim()))?;
    let text = value.as_str().ok_or_else(|| NotNamed::NoText(claim()))?;
    if rules.claim == "email" && claims.get("email_verified") != Some(&Value::Bool(true)) {
        return Err(NotNamed::NotVerified);
    }
    let name = match &rules.domain {
        None => text,
        Some(domain) => text
            .rsplit_once('@')
            .filter(|(_, found)| found.eq_ignore_ascii_case(domain))
            .map(|(name, _)| name)
            .ok_or_else(|| NotNamed::OtherDomain { claim: claim(), domain: domain.clone() })?,
    };
    let account = AccountName::new(name).map_err(|_| NotNamed::NoName(claim()))?;
    match rules.groups.is_empty() || is_member(claims, rules) {
        true => Ok(account),
        false => Err(NotNamed::NoGroup(rules.group_claim.clone())),
    }
}

fn is_member(claims: &Claims, rules: &Rules) -> bool {
    let is_named = |value: &Value| {
        value.as_str().is_some_and(|name| rules.groups.iter().any(|group| group == name))
    };
    match claims.get(&rules.group_claim) {
        Some(Value::Array(groups)) => groups.iter().any(is_named),
        // Some providers write a single group without a list.
        Some(group) => is_named(group),
        None => false,
    }
}

/// Whether everything that the rules ask for is among the claims, whatever it says.
#[must_use]
pub fn is_complete(claims: &Claims, rules: &Rules) -> bool {
    let has = |name: &str| claims.contains_key(name);
    has(&rules.claim)
        && (rules.groups.is_empty() || has(&rules.group_claim))
        && (rules.claim != "email" || has("email_verified"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules() -> Rules {
        Rules {
            claim: "preferred_username".to_owned(),
            domain: None,
            groups: vec![],
            group_claim: "groups".to_owned(),
        }
    }

    fn named(claims: Value, rules: &Rules) -> Result<String, NotNamed> {
        let Value::Object(claims) = claims else { panic!("an object") };
        account(&claims, rules).map(|account| account.as_str().to_owned())
    }

    #[test]
    fn claim_names_the_account_and_no_other_claim_does() {
        assert_eq!(named(json!({"preferred_username": "alice"}), &rules()), Ok("alice".to_owned()));
        let claim = || "preferred_username".to_owned();
        for (claims, expected) in [
            (json!({"sub": "alice", "name": "alice"}), NotNamed::Missing(claim())),
            (json!({"preferred_username": 7}), NotNamed::NoText(claim())),
            (json!({"preferred_username": ["alice"]}), NotNamed::NoText(claim())),
            (json!({"preferred_username": ""}), NotNamed::NoName(claim())),
            (json!({"preferred_username": "../alice"}), NotNamed::NoName(claim())),
            (json!({"preferred_username": "-x"}), NotNamed::NoName(claim())),
        ] {
            assert_eq!(named(claims, &rules()), Err(expected));
        }
    }

    #[test]
    fn address_that_nobody_has_verified_names_nobody() {
        let rules =
            Rules { claim: "email".to_owned(), domain: Some("example.org".to_owned()), ..rules() };
        let with =
            |verified: Value| json!({"email": "alice@Example.org", "email_verified": verified});
        assert_eq!(named(with(json!(true)), &rules), Ok("alice".to_owned()));
        for verified in [json!(false), json!("true"), json!(1), Value::Null] {
            assert_eq!(named(with(verified), &rules), Err(NotNamed::NotVerified));
        }
        assert_eq!(
            named(json!({"email": "alice@example.org"}), &rules),
            Err(NotNamed::NotVerified)
        );
    }

    #[test]
    fn domain_has_to_be_the_one_of_the_settings() {
        let rules = Rules { domain: Some("example.org".to_owned()), ..rules() };
        let name = |text: &str| named(json!({"preferred_username": text}), &rules);
        assert_eq!(name("alice@example.org"), Ok("alice".to_owned()));
        for other in [
            "alice",
            "alice@evil.org",
            "alice@example.org.evil.org",
            "alice@xexample.org",
            "example.org",
        ] {
            assert!(matches!(name(other), Err(NotNamed::OtherDomain { .. })), "{other}");
        }
        assert!(name("@example.org").is_err(), "no name is left");
    }

    #[test]
    fn only_members_of_the_groups_are_let_in_where_there_are_some() {
        let rules = Rules { groups: vec!["desktops".to_owned()], ..rules() };
        let with =
            |groups: Value| named(json!({"preferred_username": "alice", "groups": groups}), &rules);
        assert!(with(json!(["staff", "desktops"])).is_ok() && with(json!("desktops")).is_ok());
        for other in
            [json!([]), json!(["desktop"]), json!("desktops2"), json!([["desktops"]]), json!(null)]
        {
            assert_eq!(with(other), Err(NotNamed::NoGroup("groups".to_owned())));
        }
    }
}
