//! Which session a command means: the one it names, or the only one.

use lumen_ipc::{
    log::LogSource,
    service::{AdminClient, SessionSummary},
    units::SessionId,
};
use tarpc::{client::RpcError, context};

use crate::config::{SessionOperand, nearest::hint, operands::source_names};

/// The sessions of a host, in the order of their numbers.
pub(super) struct Sessions(pub(super) Vec<SessionSummary>);

/// Why it is not clear which session a command means.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Unclear {
    /// There is no session.
    #[error("the host has no session; `lumen session` starts one")]
    NoSession,
    /// There are several, and the command names none.
    #[error("which session? {sessions}: {example}")]
    Several {
        /// All of them, as a clause.
        sessions: String,
        /// The correct form of the command.
        example: String,
    },
    /// There is no session of that name or number.
    #[error("there is no session {word}{hint}; {sessions}")]
    Unknown {
        /// The word.
        word: String,
        /// The nearest known word, as a clause.
        hint: String,
        /// All of them, as a clause.
        sessions: String,
    },
    /// The word is neither a session nor a source of the log.
    #[error(
        "`{word}` is neither a session nor anybody who logs{hint}; {sessions}; {}",
        source_names()
    )]
    UnknownSource {
        /// The word.
        word: String,
        /// The nearest known word, as a clause.
        hint: String,
        /// All of them, as a clause.
        sessions: String,
    },
}

impl Sessions {
    /// Requests the list of sessions.
    pub(super) async fn of(admin: &AdminClient) -> Result<Self, RpcError> {
        Ok(Self(admin.sessions(context::current()).await?))
    }

    /// The session that a command means; `example` is its form with a session named.
    pub(super) fn meant(
        &self,
        named: Option<&SessionOperand>,
        example: &str,
    ) -> Result<&SessionSummary, Unclear> {
        let Some(operand) = named else { return self.only(example) };
        self.named(operand).ok_or_else(|| Unclear::Unknown {
            word: operand.to_string(),
            hint: self.nearest(operand, &[]),
            sessions: self.clause(),
        })
    }

    /// The session that a command names where a source of the log would also be legal.
    pub(super) fn named_for_log(
        &self,
        operand: &SessionOperand,
    ) -> Result<&SessionSummary, Unclear> {
        self.named(operand).ok_or_else(|| Unclear::UnknownSource {
            word: operand.to_string(),
            hint: self.nearest(operand, &LogSource::ALL.map(LogSource::name)),
            sessions: self.clause(),
        })
    }

    /// " of session 2 (work)" for the session's workers; empty if it is the only session.
    pub(super) fn whose(&self, session: &SessionSummary) -> String {
        match self.0.len() {
            0 | 1 => String::new(),
            _ => format!(" of session {}", label(session)),
        }
    }

    /// What a session is called, or "host" for the host.
    pub(super) fn name_of(&self, session: Option<SessionId>) -> String {
        let Some(session) = session else { return "host".to_owned() };
        let known = self.0.iter().find(|known| known.id == session);
        known.map_or_else(|| session.to_string(), |known| known.name.to_string())
    }

    fn named(&self, operand: &SessionOperand) -> Option<&SessionSummary> {
        self.0.iter().find(|session| match operand {
            SessionOperand::Name(name) => session.name.as_str() == name.as_str(),
            SessionOperand::Number(number) => session.id == *number,
        })
    }

    fn only(&self, example: &str) -> Result<&SessionSummary, Unclear> {
        match self.0.as_slice() {
            [] => Err(Unclear::NoSession),
            [session] => Ok(session),
            _ => Err(Unclear::Several { sessions: self.clause(), example: example.to_owned() }),
        }
    }

    fn nearest(&self, operand: &SessionOperand, others: &[&str]) -> String {
        let names = self.0.iter().map(|session| session.name.as_str());
        hint(&operand.to_string(), names.chain(others.iter().copied()), "")
    }

    fn clause(&self) -> String {
        let all: Vec<String> = self.0.iter().map(label).collect();
        match all.as_slice() {
            [] => "there is no session".to_owned(),
            [one] => format!("the only session is {one}"),
            _ => format!("sessions are {}", all.join(", ")),
        }
    }
}

/// A session's number, and its name if it has one.
fn label(session: &SessionSummary) -> String {
    labelled(session.id.to_string(), session.name.as_str())
}

/// A number, followed by the name in brackets if that differs.
pub(super) fn labelled(number: String, name: &str) -> String {
    match name == number {
        true => number,
        false => format!("{number} ({name})"),
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::{message::session::SessionName, text::Text};

    use super::*;

    const EXAMPLE: &str = "lumen stop SESSION";

    fn sessions(all: &[(u32, &str)]) -> Sessions {
        let summary = |(id, name): &(u32, &str)| SessionSummary {
            id: SessionId(*id),
            name: Text::truncated(*name),
            shares_log: false,
            owner: 1000,
            supervisor_pid: 1,
            age_seconds: 0,
            ends: None,
            watchers: Vec::new(),
        };
        Sessions(all.iter().map(summary).collect())
    }

    fn name(name: &str) -> SessionOperand {
        SessionOperand::Name(SessionName::new(name).expect("legal"))
    }

    fn meant(sessions: &Sessions, named: Option<&SessionOperand>) -> Result<u32, String> {
        let found = sessions.meant(named, EXAMPLE).map(|session| session.id.0);
        found.map_err(|unclear| unclear.to_string())
    }

    #[test]
    fn only_session_needs_no_name() {
        assert_eq!(meant(&sessions(&[(4, "4")]), None), Ok(4));
        assert_eq!(meant(&sessions(&[(4, "work")]), None), Ok(4));
    }

    #[test]
    fn session_is_found_by_its_number_and_by_its_name() {
        let all = sessions(&[(1, "work"), (7, "7")]);
        assert_eq!(meant(&all, Some(&name("work"))), Ok(1));
        for number in [1, 7] {
            let operand = SessionOperand::Number(SessionId(number));
            assert_eq!(meant(&all, Some(&operand)), Ok(number));
        }
    }

    #[test]
    fn one_of_several_must_be_named_and_all_are_listed() {
        let all = sessions(&[(1, "work"), (2, "2")]);
        assert_eq!(
            meant(&all, None),
            Err("which session? sessions are 1 (work), 2: lumen stop SESSION".to_owned())
        );
        assert_eq!(meant(&sessions(&[]), None), Err(Unclear::NoSession.to_string()));
    }

    #[test]
    fn unknown_word_names_the_nearest_known_one() {
        let all = sessions(&[(1, "work"), (2, "play")]);
        let said = meant(&all, Some(&name("wrok"))).expect_err("unknown");
        assert!(said.contains("did you mean work?") && said.contains("2 (play)"), "{said}");
        let of_log = |word| all.named_for_log(&name(word)).expect_err("unknown").to_string();
        assert!(of_log("rct").contains("did you mean rtc?"), "{}", of_log("rct"));
        assert!(of_log("pley").contains("did you mean play?"), "{}", of_log("pley"));
        assert!(of_log("nobody").contains("those who log are lumen, app"), "{}", of_log("nobody"));
    }
}
