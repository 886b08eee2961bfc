//! The bodies of a sign-in: a token, an account's name, or the answers to what that account's sign-in has asked;
//! and the answer that asks something.
//!
//! ```json
//! {"token":"…"}
//! {"account":"alice"}
//! {"attempt":"…","answers":["…"]}
//! {"attempt":"…"}
//! {"proxy":true}
//! {"provider":true}
//! {"attempt":"…","returned":"code=…&state=…"}
//! ```
//! An attempt alone is given up. `proxy` signs in as the account that a trusted proxy names, `provider` by an identity
//! provider, to which the answer sends the browser; when it is back, the page shows the query that it came with.

use lumen_ipc::{
    login::MAX_RETURN_BYTES,
    message::login::{AccountName, Answers, Prompts, Style},
    text::{Secret, Text},
};
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;

/// Largest body of a login in bytes: as many answers as can be asked for, of some length, or a long query.
pub const MAX_LOGIN_BYTES: usize = MAX_RETURN_BYTES + 1024;

/// What a body asks for.
#[derive(Debug, Eq, PartialEq)]
pub enum Wish {
    /// To give an attempt up.
    Abandon(Secret),
    /// To begin an attempt as this account.
    Account(AccountName),
    /// To answer.
    Answer(Secret, Answers),
    /// To sign in by the identity provider.
    Provider,
    /// To sign in as the account that the proxy names.
    Proxy,
    /// To go on with what the identity provider has sent the browser back with.
    Returned(Secret, Text<MAX_RETURN_BYTES>),
    /// To sign in by a token.
    Token(Secret),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    account: Option<String>,
    answers: Option<Vec<Secret>>,
    attempt: Option<Secret>,
    provider: Option<bool>,
    proxy: Option<bool>,
    returned: Option<String>,
    token: Option<Secret>,
}

/// Where the page has to send its browser.
#[derive(Debug, Serialize)]
pub struct Visit<'attempt> {
    attempt: &'attempt str,
    visit: &'attempt str,
}

impl<'attempt> Visit<'attempt> {
    /// To this address; the page keeps the attempt until its browser is back.
    #[must_use]
    pub fn new(attempt: &'attempt Secret, url: &'attempt str) -> Self {
        Self { attempt: attempt.reveal(), visit: url }
    }
}

/// What the page is asked.
#[derive(Debug, Serialize)]
pub struct Question<'prompts> {
    attempt: &'prompts str,
    prompts: Vec<Shown<'prompts>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Shown<'prompts> {
    style: &'static str,
    text: &'prompts str,
}

impl<'prompts> Question<'prompts> {
    /// What an attempt asks.
    #[must_use]
    pub fn new(attempt: &'prompts Secret, prompts: &'prompts Prompts) -> Self {
        Self { attempt: attempt.reveal(), prompts: shown(prompts) }
    }
}

/// Prompts as the page knows them.
pub(crate) fn shown(prompts: &Prompts) -> Vec<Shown<'_>> {
    let style = |style| match style {
        Style::Error => "error",
        Style::Info => "info",
        Style::Secret => "secret",
        Style::Visible => "visible",
    };
    let shown = |prompt: &lumen_ipc::message::login::Prompt| style(prompt.style);
    let prompts = prompts.as_slice().iter();
    prompts.map(|prompt| Shown { style: shown(prompt), text: prompt.text.as_str() }).collect()
}

/// Whether a request with this `Content-Type` can carry a login. A form on a foreign page can send
/// other types without a preflight.
#[must_use]
pub fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// What a body asks for.
///
/// # Errors
/// [`Refusal::BadLogin`] for anything but one of the legal objects. It gives no reason, which would
/// quote a secret. A name that no account can have is one that no account has.
pub fn parse(body: &[u8]) -> Result<Wish, Refusal> {
    let body: Body = serde_json::from_slice(body).map_err(|_| Refusal::BadLogin)?;
    let Body { account, answers, attempt, provider, proxy, returned, token } = body;
    let (by_another, back) = ((provider, proxy), (attempt, answers, returned));
    match (token, account, by_another, back) {
        (Some(token), None, (None, None), (None, None, None)) => Ok(Wish::Token(token)),
        (None, Some(name), (None, None), (None, None, None)) => {
            AccountName::new(&name).map(Wish::Account).map_err(|_| Refusal::Denied)
        }
        (None, None, (None, None), (Some(attempt), Some(answers), None)) => {
            let answers = Answers::new(answers).map_err(|_| Refusal::BadLogin)?;
            Ok(Wish::Answer(attempt, answers))
        }
        (None, None, (None, None), (Some(attempt), None, Some(query))) => {
            let query = Text::new(query).map_err(|_| Refusal::BadLogin)?;
            Ok(Wish::Returned(attempt, query))
        }
        (None, None, (None, None), (Some(attempt), None, None)) => Ok(Wish::Abandon(attempt)),
        (None, None, (None, Some(true)), (None, None, None)) => Ok(Wish::Proxy),
        (None, None, (Some(true), None), (None, None, None)) => Ok(Wish::Provider),
        _ => Err(Refusal::BadLogin),
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::{message::login::Prompt, text::Text};

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text).expect("short")
    }

    #[test]
    fn parse_takes_each_of_the_seven_bodies_and_nothing_else() {
        assert_eq!(parse(br#"{"token":"abc"}"#), Ok(Wish::Token(secret("abc"))));
        let alice = AccountName::new("alice").expect("legal");
        assert_eq!(parse(br#"{"account":"alice"}"#), Ok(Wish::Account(alice)));
        let answers = Answers::new(vec![secret("a"), secret("")]).expect("few");
        let answered = parse(br#"{"attempt":"x","answers":["a",""]}"#);
        assert_eq!(answered, Ok(Wish::Answer(secret("x"), answers)));
        assert_eq!(parse(br#"{"attempt":"x"}"#), Ok(Wish::Abandon(secret("x"))));
        assert_eq!(parse(br#"{"proxy":true}"#), Ok(Wish::Proxy));
        assert_eq!(parse(br#"{"provider":true}"#), Ok(Wish::Provider));
        let query = Text::new("code=a&state=b").expect("short");
        let returned = parse(br#"{"attempt":"x","returned":"code=a&state=b"}"#);
        assert_eq!(returned, Ok(Wish::Returned(secret("x"), query)));
        let endless =
            format!(r#"{{"attempt":"x","returned":"{}"}}"#, "x".repeat(MAX_RETURN_BYTES + 1));
        let long = format!(r#"{{"token":"{}"}}"#, "x".repeat(257));
        let many = format!(r#"{{"attempt":"x","answers":[{}]}}"#, ["\"a\""; 17].join(","));
        for body in [
            "",
            "{}",
            "[]",
            "\"abc\"",
            r#"{"token":1}"#,
            r#"{"token":"a","b":1}"#,
            r#"{"token":"a","account":"alice"}"#,
            r#"{"proxy":false}"#,
            r#"{"proxy":true,"account":"alice"}"#,
            r#"{"answers":["a"]}"#,
            r#"{"attempt":"x","answers":"a"}"#,
            r#"{"provider":false}"#,
            r#"{"provider":true,"proxy":true}"#,
            r#"{"returned":"a"}"#,
            r#"{"attempt":"x","answers":["a"],"returned":"a"}"#,
            &endless,
            &long,
            &many,
        ] {
            assert_eq!(parse(body.as_bytes()), Err(Refusal::BadLogin), "{body}");
        }
    }

    #[test]
    fn parse_of_a_name_that_no_account_can_have_is_refused_like_a_wrong_password() {
        for name in ["", "a b", "-x", "a:b", &"x".repeat(65)] {
            let body = format!(r#"{{"account":"{name}"}}"#);
            assert_eq!(parse(body.as_bytes()), Err(Refusal::Denied), "{name:?}");
        }
    }

    #[test]
    fn question_has_the_attempt_and_each_prompt_with_its_style() {
        let prompt = |style, text| Prompt { style, text: Text::truncated(text) };
        let prompts = vec![prompt(Style::Info, "Hello"), prompt(Style::Secret, "Password: ")];
        let prompts = Prompts::new(prompts).expect("few");
        let attempt = secret("x");
        let json = serde_json::to_string(&Question::new(&attempt, &prompts)).expect("JSON");
        assert_eq!(
            json,
            r#"{"attempt":"x","prompts":[{"style":"info","text":"Hello"},{"style":"secret","text":"Password: "}]}"#
        );
    }

    #[test]
    fn is_json_knows_parameters_and_refuses_what_forms_send() {
        assert!(is_json("application/json") && is_json("Application/JSON; charset=utf-8"));
        for other in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
            assert!(!is_json(other), "{other}");
        }
    }
}
