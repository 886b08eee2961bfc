//! What is recorded of who signed in, watched, restarted, stopped and revoked: one line of fields for each
//! deed. Pure.
//!
//! Decides what a line says and how many there may be. Nothing in it could sign anybody in: no token, key
//! or answer. A name that a stranger typed is left out unless somebody has signed in by it before, because
//! people type passwords in its place; PAM's own lines name accounts that exist. Values have no control
//! characters. Strangers cause lines, so lines are limited by source, and in all; each line says how many
//! were left out before it.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    time::{Duration, Instant},
};

use lumen_ipc::{
    login::{LoginId, LoginRefusal, Visitor},
    message::login::AccountName,
    process::ProcessId,
    units::SessionId,
    visible::visible,
    vouching::VoucherFault,
};

use super::{
    limits::Cause,
    throttle::{Allowance, Meters, network_of},
};
use crate::pace::Pace;

/// Refusals of one source that are recorded.
const REFUSALS: Allowance = Allowance { most: 10, refill: Duration::from_secs(6) };
/// Other deeds of one source that are recorded.
const OTHERS: Allowance = Allowance { most: 60, refill: Duration::from_secs(1) };
/// Lines that strangers may cause, whatever their sources, per second in the long run,
const LINES_PER_SECOND: u32 = 20;
/// and at once.
const LINES_AT_ONCE: u32 = 400;
/// Most accounts whose names are known to be no secrets.
const MOST_ACCOUNTS: usize = 4096;
/// Longest value of a field, in bytes before it is made visible.
const MOST_VALUE_BYTES: usize = 256;

/// How somebody signs in, in a word.
pub type MethodName = &'static str;

/// Who does something to a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum By {
    /// A user of the machine.
    Uid(u32),
    /// A page with this login.
    Page(LoginId),
}

/// Something that is recorded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Deed {
    /// A browser signed in.
    SignedIn {
        /// To this session.
        session: SessionId,
        /// With this login.
        login: LoginId,
        /// How.
        method: MethodName,
        /// As this account, if it named one.
        account: Option<AccountName>,
        /// From where.
        from: IpAddr,
    },
    /// A browser was refused.
    Refused {
        /// How it tried.
        method: MethodName,
        /// As which account, if it named one.
        account: Option<AccountName>,
        /// From where.
        from: IpAddr,
        /// Why.
        refusal: LoginRefusal,
    },
    /// A request was refused, because a header that names an account cannot be believed.
    Distrusted {
        /// Why.
        fault: VoucherFault,
        /// From where.
        from: IpAddr,
    },
    /// Somebody else than the proxy connected to its socket.
    StrangeProxy {
        /// Who.
        by: u32,
    },
    /// A browser signed out.
    SignedOut {
        /// Of this session.
        session: SessionId,
        /// Of this login.
        login: LoginId,
    },
    /// A request showed a key that its browser had replaced, so that the login was ended.
    Copied {
        /// To this session.
        session: SessionId,
        /// Which login.
        login: LoginId,
    },
    /// Somebody ended a login.
    Revoked {
        /// To this session.
        session: SessionId,
        /// Which.
        login: LoginId,
        /// Who.
        by: By,
    },
    /// Somebody began to watch.
    Watches(Visitor),
    /// Somebody has left, who had watched for so long.
    Left(Visitor, Duration),
    /// Somebody restarted a worker.
    Restarted {
        /// Which.
        process: ProcessId,
        /// Who.
        by: u32,
    },
    /// Somebody stopped a session.
    Stopped {
        /// Which.
        session: SessionId,
        /// Who.
        by: u32,
    },
    /// A session was ended by a limit.
    Ended {
        /// Which.
        session: SessionId,
        /// Why.
        cause: Cause,
    },
    /// A user asked for something that they may not do.
    Forbidden {
        /// What, in a word.
        what: &'static str,
        /// Who.
        by: u32,
    },
}

/// A line: what it says in words, and its fields.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// A sentence for people.
    pub message: String,
    /// Whether an administrator should look at it.
    pub warns: bool,
    /// Names after those of systemd.journal-fields(7), and values.
    pub fields: Vec<(&'static str, String)>,
}

/// Limits how much is recorded.
#[derive(Debug)]
pub struct Recorder {
    refusals: Meters<IpAddr>,
    others: Meters<IpAddr>,
    pace: Pace,
    accounts: BTreeSet<AccountName>,
    suppressed: u64,
}

impl Recorder {
    /// Nothing has been recorded.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            refusals: Meters::new(REFUSALS),
            others: Meters::new(OTHERS),
            pace: Pace::new(now, LINES_PER_SECOND, LINES_AT_ONCE),
            accounts: BTreeSet::new(),
            suppressed: 0,
        }
    }

    /// The line for a deed, unless there are too many.
    pub fn line(&mut self, now: Instant, deed: &Deed) -> Option<Line> {
        if !self.has_room(now, deed) {
            self.suppressed += 1;
            return None;
        }
        let mut line = describe(deed);
        if let Deed::SignedIn { account, .. } | Deed::Refused { account, .. } = deed {
            self.name(&mut line, account.as_ref(), matches!(deed, Deed::SignedIn { .. }));
        }
        if let suppressed @ 1.. = std::mem::take(&mut self.suppressed) {
            line.message.push_str(&format!("; {suppressed} lines before this were left out"));
            line.fields.push(("LUMEN_SUPPRESSED", suppressed.to_string()));
        }
        line.message = plain(&line.message);
        for (_, value) in &mut line.fields {
            *value = plain(value);
        }
        Some(line)
    }

    fn has_room(&mut self, now: Instant, deed: &Deed) -> bool {
        let Some(source) = source(deed) else { return true };
        let meters = match deed {
            Deed::Distrusted { .. } | Deed::Refused { .. } => &mut self.refusals,
            _ => &mut self.others,
        };
        if meters.spend(now, network_of(source)).is_err() || self.pace.left(now) == 0 {
            return false;
        }
        self.pace.spend(now, 1);
        true
    }

    /// Adds the account's name if it is one.
    fn name(&mut self, line: &mut Line, account: Option<&AccountName>, accepted: bool) {
        let Some(account) = account else { return };
        if accepted && (self.accounts.len() < MOST_ACCOUNTS) {
            self.accounts.insert(account.clone());
        }
        if accepted || self.accounts.contains(account) {
            line.message.push_str(&format!(", as {}", account.as_str()));
            line.fields.push(("LUMEN_ACCOUNT", account.as_str().to_owned()));
        }
    }
}

/// Whose lines a deed counts among; `None` for those of the machine's own users.
fn source(deed: &Deed) -> Option<IpAddr> {
    match deed {
        Deed::Distrusted { from, .. }
        | Deed::SignedIn { from, .. }
        | Deed::Refused { from, .. } => Some(*from),
        Deed::Watches(visitor) | Deed::Left(visitor, _) => Some(visitor.from),
        // One for each login, and they are bounded.
        Deed::SignedOut { .. } | Deed::Copied { .. } | Deed::Revoked { .. } => None,
        Deed::Ended { .. } | Deed::Restarted { .. } | Deed::Stopped { .. } => None,
        // Users have no addresses; each is a source like one.
        Deed::Forbidden { by, .. } | Deed::StrangeProxy { by } => Some(IpAddr::V4((*by).into())),
    }
}

/// Text without control characters and not too long.
fn plain(text: &str) -> String {
    let cut = text.floor_char_boundary(MOST_VALUE_BYTES);
    visible(text.get(..cut).unwrap_or_default()).into_owned()
}

/// A login's number as commands take it.
#[must_use]
pub fn login_number(login: LoginId) -> String {
    format!("{:016x}", login.0)
}

/// A deed in a word, whether an administrator should look at it, a sentence, and its fields.
type Part = (&'static str, bool, String, Vec<(&'static str, String)>);

fn distrusted(fault: VoucherFault, from: (&'static str, String)) -> Part {
    let message = format!("a request of {} was refused: {fault}", from.1);
    ("distrusted", true, message, vec![from, ("LUMEN_REASON", fault.word().to_owned())])
}

fn strange_proxy(by: (&'static str, String)) -> Part {
    let message = format!("uid {} connected to the proxy's socket, and is not the proxy", by.1);
    ("strange-proxy", true, message, vec![by])
}

fn restarted(process: ProcessId, by: (&'static str, String)) -> Part {
    let worker = process.kind();
    let (whose, field) = match process.session() {
        Some(of) => (format!(" of session {of}"), Some(("LUMEN_SESSION", of.to_string()))),
        None => (String::new(), None),
    };
    let message = format!("uid {} restarted {worker}{whose}", by.1);
    let fields = [("LUMEN_WORKER", worker.to_string()), by];
    ("restarted", false, message, fields.into_iter().chain(field).collect())
}

fn describe(deed: &Deed) -> Line {
    let session = |session: &SessionId| ("LUMEN_SESSION", session.to_string());
    let login = |login: &LoginId| ("LUMEN_LOGIN", login_number(*login));
    let from = |from: &IpAddr| ("LUMEN_FROM", from.to_canonical().to_string());
    let uid = |uid: &u32| ("LUMEN_BY_UID", uid.to_string());
    let (what, warns, message, fields): Part = match deed {
        Deed::SignedIn { session: to, login: with, method, from: source, .. } => (
            "signed-in",
            false,
            format!("{source} signed in to session {to} by {method}"),
            vec![session(to), login(with), ("LUMEN_METHOD", (*method).to_owned()), from(source)],
        ),
        Deed::Refused { method, from: source, refusal, .. } => (
            "refused",
            true,
            format!("{source} was refused a sign-in by {method}: {refusal}"),
            vec![
                ("LUMEN_METHOD", (*method).to_owned()),
                from(source),
                ("LUMEN_REASON", refusal.to_string()),
            ],
        ),
        Deed::Distrusted { fault, from: source } => distrusted(*fault, from(source)),
        Deed::StrangeProxy { by } => strange_proxy(uid(by)),
        Deed::SignedOut { session: of, login: which } => (
            "signed-out",
            false,
            format!("a browser signed out of session {of}"),
            vec![session(of), login(which)],
        ),
        Deed::Copied { session: to, login: which } => (
            "copied",
            true,
            format!(
                "a sign-in to session {to} was ended: a request showed a key that was replaced"
            ),
            vec![session(to), login(which)],
        ),
        Deed::Revoked { session: to, login: which, by } => {
            let (who, field) = match by {
                By::Uid(by) => (format!("uid {by}"), uid(by)),
                By::Page(by) => ("a page".to_owned(), ("LUMEN_BY_LOGIN", login_number(*by))),
            };
            let message = format!("{who} ended a sign-in to session {to}");
            ("revoked", false, message, vec![session(to), login(which), field])
        }
        Deed::Watches(visitor) => (
            "watches",
            false,
            format!("{} watches session {}", visitor.from, visitor.session),
            vec![session(&visitor.session), login(&visitor.login), from(&visitor.from)],
        ),
        Deed::Left(Visitor { session: of, login: which, from: source }, after) => {
            let seconds = after.as_secs().to_string();
            let message = format!("{source} left session {of} after {seconds} s");
            let time = ("LUMEN_SECONDS", seconds);
            ("left", false, message, vec![session(of), login(which), from(source), time])
        }
        Deed::Restarted { process, by } => restarted(*process, uid(by)),
        Deed::Stopped { session: of, by } => {
            ("stopped", false, format!("uid {by} stopped session {of}"), vec![session(of), uid(by)])
        }
        Deed::Ended { session: of, cause } => {
            let fields = vec![session(of), ("LUMEN_REASON", cause.name().to_owned())];
            ("ended", false, format!("session {of} was ended: {cause}"), fields)
        }
        Deed::Forbidden { what, by } => (
            "forbidden",
            true,
            format!("uid {by} may not {what} that"),
            vec![("LUMEN_REQUEST", (*what).to_owned()), uid(by)],
        ),
    };
    let mut all = vec![("LUMEN_AUDIT", what.to_owned())];
    all.extend(fields);
    Line { message, warns, fields: all }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::message::oidc::OidcFailure;
    use proptest::prelude::*;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn account(name: &str) -> Option<AccountName> {
        Some(AccountName::new(name).expect("legal"))
    }

    fn refused(from: IpAddr, name: &str) -> Deed {
        let (method, refusal) = ("password", LoginRefusal::Denied);
        Deed::Refused { method, account: account(name), from, refusal }
    }

    fn signed_in(from: IpAddr, name: &str) -> Deed {
        let (session, login, method) = (SessionId(3), LoginId(0xab), "password");
        Deed::SignedIn { session, login, method, account: account(name), from }
    }

    fn field<'line>(line: &'line Line, name: &str) -> Option<&'line str> {
        let found = line.fields.iter().find(|(other, _)| *other == name);
        found.map(|(_, value)| value.as_str())
    }

    #[test]
    fn line_of_a_sign_in_says_who_from_where_how_and_to_what() {
        let now = Instant::now();
        let line = Recorder::new(now).line(now, &signed_in(HERE, "alice")).expect("the first");
        assert_eq!(line.message, "192.0.2.7 signed in to session 3 by password, as alice");
        let expected = [
            ("LUMEN_AUDIT", "signed-in"),
            ("LUMEN_SESSION", "3"),
            ("LUMEN_LOGIN", "00000000000000ab"),
            ("LUMEN_METHOD", "password"),
            ("LUMEN_FROM", "192.0.2.7"),
            ("LUMEN_ACCOUNT", "alice"),
        ];
        assert_eq!(line.fields, expected.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn line_of_a_session_that_a_limit_ends_says_which_limit() {
        let now = Instant::now();
        let cause = Cause::Idle(Duration::from_secs(1800));
        let ended = Deed::Ended { session: SessionId(3), cause };
        let line = Recorder::new(now).line(now, &ended).expect("the first");
        assert_eq!(line.message, "session 3 was ended: nobody used it for 30 minutes");
        assert_eq!(field(&line, "LUMEN_AUDIT"), Some("ended"));
        assert_eq!(field(&line, "LUMEN_REASON"), Some("idle"));
    }

    #[test]
    fn name_that_may_be_a_password_is_left_out_until_somebody_signed_in_by_it() {
        let now = Instant::now();
        let mut recorder = Recorder::new(now);
        let line = recorder.line(now, &refused(HERE, "hunter2")).expect("few");
        assert!(!format!("{line:?}").contains("hunter2"), "{line:?}");
        recorder.line(now, &signed_in(HERE, "alice")).expect("few");
        let line = recorder.line(now, &refused(HERE, "alice")).expect("few");
        assert_eq!((field(&line, "LUMEN_ACCOUNT"), line.warns), (Some("alice"), true));
    }

    #[test]
    fn line_of_a_sign_in_that_a_provider_did_not_confirm_says_why() {
        let now = Instant::now();
        let refusal = LoginRefusal::Provider(OidcFailure::Refused);
        let deed = Deed::Refused { method: "oidc", account: None, from: HERE, refusal };
        let line = Recorder::new(now).line(now, &deed).expect("the first");
        let reason = "the identity provider has refused it";
        assert_eq!(line.message, format!("192.0.2.7 was refused a sign-in by oidc: {reason}"));
        assert_eq!((field(&line, "LUMEN_REASON"), line.warns), (Some(reason), true));
    }

    #[test]
    fn line_of_a_request_that_was_not_believed_says_why_and_from_where() {
        let now = Instant::now();
        let mut recorder = Recorder::new(now);
        let deed = Deed::Distrusted { fault: VoucherFault::Repeated, from: HERE };
        let line = recorder.line(now, &deed).expect("the first");
        assert_eq!((field(&line, "LUMEN_REASON"), line.warns), (Some("repeated"), true));
        assert!(line.message.starts_with("a request of 192.0.2.7 was refused: "), "{line:?}");
        let line = recorder.line(now, &Deed::StrangeProxy { by: 1000 }).expect("few");
        assert_eq!(field(&line, "LUMEN_BY_UID"), Some("1000"));
        let recorded = (0..100).filter(|_| recorder.line(now, &deed).is_some());
        assert_eq!(recorded.count(), 9, "as few as of wrong passwords");
    }

    #[test]
    fn failures_of_a_stranger_neither_flood_nor_hide_what_others_do() {
        let now = Instant::now();
        let mut recorder = Recorder::new(now);
        let recorded = (0..1000).filter(|_| recorder.line(now, &refused(HERE, "x")).is_some());
        assert_eq!(recorded.count(), 10);
        let line = recorder.line(now, &signed_in(HERE, "alice")).expect("a success is no failure");
        assert_eq!(field(&line, "LUMEN_SUPPRESSED"), Some("990"));
        let elsewhere = [198, 51, 100, 1].into();
        let line = recorder.line(now, &refused(elsewhere, "x")).expect("another source");
        assert_eq!(field(&line, "LUMEN_SUPPRESSED"), None, "each is counted once");
    }

    #[test]
    fn failures_from_any_number_of_sources_are_bounded_and_never_cost_an_administrators_line() {
        let now = Instant::now();
        let mut recorder = Recorder::new(now);
        let sources = (0..4000_u32).map(|bits| IpAddr::V4(bits.into()));
        let recorded =
            sources.filter(|source| recorder.line(now, &refused(*source, "x")).is_some());
        assert_eq!(recorded.count(), LINES_AT_ONCE as usize);
        let stopped = Deed::Stopped { session: SessionId(1), by: 1000 };
        assert!(recorder.line(now, &stopped).is_some());
        let later = now + Duration::from_secs(1);
        assert!(recorder.line(later, &refused(HERE, "x")).is_some(), "they come back");
    }

    proptest! {
        #[test]
        fn line_of_any_name_is_one_line_of_bounded_length(name in "\\PC{0,40}|.{0,40}") {
            let Ok(account) = AccountName::new(&name) else { return Ok(()) };
            let now = Instant::now();
            let (session, login, from) = (SessionId(3), LoginId(1), HERE);
            let deed = Deed::SignedIn { session, login, method: "password", account: Some(account), from };
            let line = Recorder::new(now).line(now, &deed).expect("the first");
            let values = line.fields.iter().map(|(_, value)| value).chain([&line.message]);
            for value in values {
                prop_assert!(!value.chars().any(char::is_control), "{value:?}");
                prop_assert!(value.len() <= 10 * MOST_VALUE_BYTES);
            }
        }
    }
}
