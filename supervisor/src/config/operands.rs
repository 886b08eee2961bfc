//! Operands: which session, worker or source of the log a command is about.
//!
//! A session is named by its number or its name. A name is never a number, a worker or a source of
//! the log ([`SessionName`]), so each word has one meaning whatever sessions there are.

use lumen_ipc::{
    log::LogSource,
    message::session::SessionName,
    process::{Scope, Worker},
    units::SessionId,
};

use super::{SessionOperand, SignInDigits, SignInOperand, UsageError, nearest::hint};

/// `[SESSION]`.
pub(super) fn session(words: &mut Vec<String>) -> Result<Option<SessionOperand>, UsageError> {
    take(words).map(|word| operand(&word)).transpose()
}

/// `[SESSION] WORKER`.
pub(super) fn session_and_worker(
    words: &mut Vec<String>,
) -> Result<(Option<SessionOperand>, Worker), UsageError> {
    let Some(first) = take(words) else {
        return Err(UsageError::Operand(format!("which worker? {}", worker_names())));
    };
    let Some(second) = take(words) else {
        return Ok((None, worker(&first)?));
    };
    if Worker::from_name(&first).is_some() {
        return Err(UsageError::Operand(format!(
            "the session is named before its worker: lumen restart {second} {first}"
        )));
    }
    let worker = worker(&second)?;
    ensure_of_session(worker, "lumen restart")?;
    Ok((Some(operand(&first)?), worker))
}

/// `[SESSION] [SOURCE]`. A single word that is not a source names a session.
pub(super) fn session_and_source(
    words: &mut Vec<String>,
) -> Result<(Option<SessionOperand>, Option<LogSource>), UsageError> {
    let Some(first) = take(words) else { return Ok((None, None)) };
    if let Some(source) = LogSource::from_name(&first) {
        return match take(words) {
            None => Ok((None, Some(source))),
            Some(second) => Err(UsageError::Operand(format!(
                "the session is named before who logs: lumen logs {second} {first}"
            ))),
        };
    }
    let Some(second) = take(words) else {
        return Ok((Some(operand(&first)?), None));
    };
    let source = LogSource::from_name(&second).ok_or_else(|| {
        let names = LogSource::ALL.map(LogSource::name);
        let hint = hint(&second, names, "");
        UsageError::Operand(format!("nobody called `{second}` logs{hint}; {}", source_names()))
    })?;
    if let LogSource::Worker(worker) = source {
        ensure_of_session(worker, "lumen logs")?;
    }
    Ok((Some(operand(&first)?), Some(source)))
}

/// `SIGN-IN | session SESSION | user USER`.
pub(super) fn sign_ins(words: &mut Vec<String>) -> Result<SignInOperand, UsageError> {
    let wrong = |reason: String| UsageError::Operand(reason);
    let Some(first) = take(words) else {
        return Err(wrong(
            "which sign-in? `lumen users` shows their numbers; `lumen revoke user USER` ends all of a user's"
                .to_owned(),
        ));
    };
    match first.as_str() {
        "session" => match take(words) {
            Some(session) => operand(&session).map(SignInOperand::Session),
            None => Err(wrong("which session? lumen revoke session SESSION".to_owned())),
        },
        "user" => match take(words) {
            Some(user) => Ok(SignInOperand::User(user)),
            None => Err(wrong("which user? lumen revoke user USER".to_owned())),
        },
        digits => SignInDigits::new(digits).map(SignInOperand::Number).ok_or_else(|| {
            wrong(format!(
                "`{digits}` is no sign-in, of whose number of `lumen users` the first four digits are enough; \
                 nor is it `session` or `user`"
            ))
        }),
    }
}

/// The sources of the log, as a clause.
pub(crate) fn source_names() -> String {
    format!("those who log are {}", LogSource::ALL.map(LogSource::name).join(", "))
}

fn operand(word: &str) -> Result<SessionOperand, UsageError> {
    let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    if is_number {
        let number = word.parse();
        let none = |_| UsageError::Operand(format!("there is no session {word}"));
        return number.map(|number| SessionOperand::Number(SessionId(number))).map_err(none);
    }
    let name = SessionName::new(word);
    name.map(SessionOperand::Name).map_err(|error| UsageError::Operand(error.to_string()))
}

fn worker(word: &str) -> Result<Worker, UsageError> {
    Worker::from_name(word).ok_or_else(|| {
        let hint = hint(word, Worker::ALL.map(Worker::name), "");
        UsageError::Operand(format!("there is no worker `{word}`{hint}; {}", worker_names()))
    })
}

fn worker_names() -> String {
    format!("workers are {}", Worker::ALL.map(Worker::name).join(", "))
}

fn ensure_of_session(worker: Worker, command: &str) -> Result<(), UsageError> {
    match worker.scope() {
        Scope::Session => Ok(()),
        Scope::Host => Err(UsageError::Operand(format!(
            "{worker} is the host's and serves all sessions: {command} {worker}"
        ))),
    }
}

fn take(words: &mut Vec<String>) -> Option<String> {
    (!words.is_empty()).then(|| words.remove(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn named(name: &str) -> Option<SessionOperand> {
        Some(SessionOperand::Name(SessionName::new(name).expect("legal")))
    }

    #[test]
    fn session_is_a_number_or_a_name() {
        assert_eq!(session(&mut words("3")), Ok(Some(SessionOperand::Number(SessionId(3)))));
        assert_eq!(session(&mut words("work")), Ok(named("work")));
        assert_eq!(session(&mut words("")), Ok(None));
    }

    #[test]
    fn worker_stands_alone_or_after_its_session() {
        assert_eq!(session_and_worker(&mut words("rtc")), Ok((None, Worker::Rtc)));
        assert_eq!(session_and_worker(&mut words("gateway")), Ok((None, Worker::Gateway)));
        assert_eq!(session_and_worker(&mut words("work rtc")), Ok((named("work"), Worker::Rtc)));
    }

    #[test]
    fn source_or_session_of_the_log_may_be_left_out() {
        let rtc = Some(LogSource::Worker(Worker::Rtc));
        let cases = [
            ("", (None, None)),
            ("rtc", (None, rtc)),
            ("lumen", (None, Some(LogSource::Supervisor))),
            ("work", (named("work"), None)),
            ("work rtc", (named("work"), rtc)),
        ];
        for (line, expected) in cases {
            assert_eq!(session_and_source(&mut words(line)), Ok(expected), "{line}");
        }
    }

    #[test]
    fn sign_ins_are_one_by_its_digits_or_all_of_a_session_or_a_user() {
        let digits = SignInOperand::Number(SignInDigits::new("3f1c").expect("digits"));
        let all = |session| SignInOperand::Session(session);
        let cases = [
            ("3F1C", digits),
            ("session work", all(named("work").expect("named"))),
            ("session 3", all(SessionOperand::Number(SessionId(3)))),
            ("user alice", SignInOperand::User("alice".to_owned())),
        ];
        for (line, expected) in cases {
            assert_eq!(sign_ins(&mut words(line)), Ok(expected), "{line}");
        }
        for line in ["", "3f1", "alice", "00000000000000000", "session", "user", "session x y!"] {
            let refused = sign_ins(&mut words(line)).map(|_| words(line).len());
            assert!(refused.is_err() || line.ends_with('!'), "{line}");
        }
    }

    #[test]
    fn word_too_many_is_left_for_the_caller_to_refuse() {
        let mut line = words("work rtc now");
        assert!(session_and_worker(&mut line).is_ok());
        assert_eq!(line, ["now"]);
    }
}
