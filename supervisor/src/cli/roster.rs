//! `lumen sessions` and `lumen users`: whose sessions there are, how they are, who watches and who signed in.

use std::collections::BTreeMap;

use lumen_ipc::{
    login::SignIn,
    process::ExitCode,
    service::{EndCause, Ends, SessionStatus, SessionSummary, Watcher},
};
use nix::unistd::{Uid, User};
use serde::Serialize;
use tarpc::context;

use super::{
    client::{self, AdminError},
    output,
    sessions::labelled,
    status::duration,
};
use crate::{broker::audit::login_number, config::InstanceName};

/// A session, as `lumen sessions` shows it.
#[derive(Debug, Serialize)]
struct Session {
    id: u32,
    name: String,
    user: String,
    uid: u32,
    supervisor_pid: u32,
    age_seconds: u64,
    /// The state of each worker, by its name; empty if the session does not answer.
    workers: BTreeMap<String, String>,
    watchers: Vec<Watcher>,
    ends: Option<Ends>,
}

/// A user, as `lumen users` shows it.
#[derive(Debug, Serialize)]
struct UserEntry {
    user: String,
    uid: u32,
    sessions: Vec<UsersSession>,
}

#[derive(Debug, Serialize)]
struct UsersSession {
    id: u32,
    name: String,
    sign_ins: Vec<Entry>,
}

/// A sign-in; its number as `lumen revoke` takes it.
#[derive(Debug, Serialize)]
struct Entry {
    number: String,
    #[serde(flatten)]
    sign_in: SignIn,
}

pub(super) fn sessions(name: &InstanceName, json: bool) -> Result<ExitCode, AdminError> {
    let sessions = client::with(name, async |admin| {
        let summaries = admin.sessions(context::current()).await?;
        let status = admin.status(context::current()).await?;
        Ok(rows(summaries, &status.sessions, name_of))
    })?;
    Ok(if json { output::json(&sessions) } else { output::print(&sessions_text(&sessions)) })
}

pub(super) fn users(name: &InstanceName, json: bool) -> Result<ExitCode, AdminError> {
    let users = client::with(name, async |admin| {
        let summaries = admin.sessions(context::current()).await?;
        let sign_ins = admin.sign_ins(context::current()).await?;
        Ok(by_user(&summaries, &sign_ins, name_of))
    })?;
    Ok(if json { output::json(&users) } else { output::print(&users_text(&users)) })
}

/// A user's name; the number if there is none.
fn name_of(uid: u32) -> String {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

fn rows(
    summaries: Vec<SessionSummary>,
    status: &[SessionStatus],
    name_of: impl Fn(u32) -> String,
) -> Vec<Session> {
    let row = |summary: SessionSummary| {
        let status = status.iter().find(|status| status.id == summary.id);
        let workers = status.map_or(&[][..], |status| &status.workers);
        let state = |worker: &lumen_ipc::service::ProcessStatus| {
            (worker.process.kind().to_string(), worker.state.to_string())
        };
        Session {
            id: summary.id.0,
            name: summary.name.to_string(),
            user: name_of(summary.owner),
            uid: summary.owner,
            supervisor_pid: summary.supervisor_pid,
            age_seconds: summary.age_seconds,
            workers: workers.iter().map(state).collect(),
            watchers: summary.watchers,
            ends: summary.ends,
        }
    };
    summaries.into_iter().map(row).collect()
}

fn sessions_text(sessions: &[Session]) -> String {
    if sessions.is_empty() {
        return "there is no session\n".to_owned();
    }
    let headings = ["SESSION", "USER", "SINCE", "STATE", "WATCHED FROM", "ENDS"];
    let mut table = vec![headings.map(str::to_owned).to_vec()];
    for session in sessions {
        table.push(vec![
            labelled(session.id.to_string(), &session.name),
            session.user.clone(),
            duration(session.age_seconds.saturating_mul(1000)),
            state(session),
            watched(&session.watchers),
            end(session.ends.as_ref()),
        ]);
    }
    output::table(&table)
}

/// How a session's workers are: those that are not ready are named.
fn state(session: &Session) -> String {
    if session.workers.is_empty() {
        return "does not answer".to_owned();
    }
    let others = session.workers.iter().filter(|(_, state)| *state != "ready");
    let others: Vec<String> = others.map(|(worker, state)| format!("{worker} {state}")).collect();
    if others.is_empty() { "ready".to_owned() } else { others.join(", ") }
}

fn watched(watchers: &[Watcher]) -> String {
    if watchers.is_empty() {
        return "-".to_owned();
    }
    let watcher = |watcher: &Watcher| {
        let pages =
            if watcher.pages > 1 { format!(", {} pages", watcher.pages) } else { String::new() };
        format!(
            "{} ({}{pages})",
            watcher.from,
            duration(watcher.since_seconds.saturating_mul(1000))
        )
    };
    watchers.iter().map(watcher).collect::<Vec<_>>().join(", ")
}

/// When a session ends by itself, and why.
fn end(ends: Option<&Ends>) -> String {
    let Some(Ends { in_seconds, because }) = ends else { return "-".to_owned() };
    let because = match because {
        EndCause::Idle => "nobody uses it",
        EndCause::Unwatched => "nobody watches it",
    };
    format!("in {} ({because})", duration(in_seconds.saturating_mul(1000)))
}

fn by_user(
    summaries: &[SessionSummary],
    sign_ins: &[SignIn],
    name_of: impl Fn(u32) -> String,
) -> Vec<UserEntry> {
    let mut users: BTreeMap<u32, Vec<UsersSession>> = BTreeMap::new();
    for summary in summaries {
        let own = sign_ins.iter().filter(|sign_in| sign_in.session == summary.id);
        let entry =
            |sign_in: &SignIn| Entry { number: login_number(sign_in.id), sign_in: sign_in.clone() };
        users.entry(summary.owner).or_default().push(UsersSession {
            id: summary.id.0,
            name: summary.name.to_string(),
            sign_ins: own.map(entry).collect(),
        });
    }
    let user = |(uid, sessions)| UserEntry { user: name_of(uid), uid, sessions };
    users.into_iter().map(user).collect()
}

fn users_text(users: &[UserEntry]) -> String {
    if users.is_empty() {
        return "there is no session\n".to_owned();
    }
    let headings = ["USER", "SESSION", "SIGN-IN", "BY", "FROM", "SIGNED IN", "LAST USED", "PAGES"];
    let mut table = vec![headings.map(str::to_owned).to_vec()];
    for user in users {
        for session in &user.sessions {
            let label = labelled(session.id.to_string(), &session.name);
            let row = |cells: [String; 6]| {
                [user.user.clone(), label.clone()].into_iter().chain(cells).collect()
            };
            if session.sign_ins.is_empty() {
                table.push(row(["-"; 6].map(str::to_owned)));
            }
            table.extend(session.sign_ins.iter().map(|entry| row(cells(entry))));
        }
    }
    output::table(&table)
}

fn cells(entry: &Entry) -> [String; 6] {
    let ago = |seconds: u64| format!("{} ago", duration(seconds.saturating_mul(1000)));
    let SignIn { method, from, given_seconds, used_seconds, pages, .. } = &entry.sign_in;
    [
        entry.number.clone(),
        method.name().to_owned(),
        from.to_string(),
        ago(*given_seconds),
        ago(*used_seconds),
        pages.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use lumen_ipc::{
        login::{LoginId, SignInMethod},
        process::{ProcessId, Worker},
        service::{AppStatus, ConfinementReport, ProcessStatus, Shortages},
        text::Text,
        units::SessionId,
    };

    use super::*;

    fn summary(id: u32, owner: u32, watchers: Vec<Watcher>) -> SessionSummary {
        SessionSummary {
            id: SessionId(id),
            name: Text::truncated(if id == 1 { "work".to_owned() } else { id.to_string() }),
            shares_log: false,
            owner,
            supervisor_pid: 7,
            age_seconds: 3700,
            watchers,
            ends: (id == 2).then_some(Ends { in_seconds: 65, because: EndCause::Unwatched }),
        }
    }

    fn worker(session: u32, worker: Worker, state: &str) -> ProcessStatus {
        ProcessStatus {
            process: ProcessId::serving(SessionId(session), worker),
            pid: Some(100),
            uid: 7,
            state: Text::truncated(state),
            uptime_millis: 1000,
            restarts: 0,
            next_try_millis: None,
            cpu_millis: 10,
            memory_bytes: 1 << 20,
            confinement: ConfinementReport::default(),
            summary: Text::default(),
        }
    }

    fn status(session: u32, workers: Vec<ProcessStatus>) -> SessionStatus {
        SessionStatus {
            id: SessionId(session),
            name: Text::default(),
            supervisor_pid: 7,
            app: AppStatus { command: Text::default(), pid: None },
            control_group: None,
            shortages: Shortages::default(),
            graphics: None,
            workers,
        }
    }

    fn named(uid: u32) -> String {
        if uid == 1000 { "alice\u{1b}[2J".to_owned() } else { uid.to_string() }
    }

    #[test]
    fn sessions_are_listed_with_whose_they_are_how_they_are_and_who_watches() {
        let watcher = Watcher { from: [192, 0, 2, 7].into(), since_seconds: 65, pages: 2 };
        let ready = vec![worker(1, Worker::Rtc, "ready"), worker(1, Worker::Media, "ready")];
        let failed = vec![worker(2, Worker::Rtc, "failed"), worker(2, Worker::Media, "ready")];
        let rows = rows(
            vec![
                summary(1, 1000, vec![watcher]),
                summary(2, 1001, Vec::new()),
                summary(3, 0, Vec::new()),
            ],
            &[status(1, ready), status(2, failed), status(3, Vec::new())],
            named,
        );
        assert_eq!(
            sessions_text(&rows),
            "SESSION   USER            SINCE  STATE            WATCHED FROM                ENDS\n\
             1 (work)  alice\\u{1b}[2J  1h01m  ready            192.0.2.7 (1m05s, 2 pages)  -\n\
             2         1001            1h01m  rtc failed       -                           in 1m05s (nobody watches it)\n\
             3         0               1h01m  does not answer  -                           -\n"
        );
        let json = serde_json::to_value(&rows).expect("JSON");
        assert_eq!(json[1]["workers"]["rtc"], "failed");
        assert_eq!(json[1]["ends"]["because"], "unwatched");
        assert_eq!(json[0]["watchers"][0]["from"], "192.0.2.7");
    }

    #[test]
    fn users_are_listed_with_the_sign_ins_to_each_of_their_sessions() {
        let sign_in = SignIn {
            id: LoginId(0x3f1c),
            session: SessionId(1),
            method: SignInMethod::Password,
            from: [192, 0, 2, 7].into(),
            given_seconds: 7200,
            used_seconds: 3,
            pages: 1,
        };
        let users = by_user(
            &[summary(1, 1000, Vec::new()), summary(2, 1001, Vec::new())],
            &[sign_in],
            |uid| uid.to_string(),
        );
        assert_eq!(
            users_text(&users),
            "USER  SESSION   SIGN-IN           BY        FROM       SIGNED IN  LAST USED  PAGES\n\
             1000  1 (work)  0000000000003f1c  password  192.0.2.7  2h00m ago  3s ago     1\n\
             1001  2         -                 -         -          -          -          -\n"
        );
        let json = serde_json::to_value(&users).expect("JSON");
        assert_eq!(json[0]["sessions"][0]["sign_ins"][0]["number"], "0000000000003f1c");
        assert_eq!(json[0]["sessions"][0]["sign_ins"][0]["method"], "password");
    }
}
