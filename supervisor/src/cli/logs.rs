//! `lumen logs`: pages of the supervisors' log rings, once or continuously.

use std::time::{Duration, Instant};

use lumen_ipc::{
    log::LogSource,
    process::{ExitCode, Scope},
    service::{AdminClient, SessionSummary},
    units::SessionId,
};
use tarpc::context;

use super::{
    client::{self, AdminError},
    output,
    sessions::Sessions,
};
use crate::{
    admin::ring::Printer,
    config::{InstanceName, SessionOperand},
};

/// How often `--follow` polls for new lines.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);
/// How often it looks for new sessions.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

pub(super) fn run(
    name: &InstanceName,
    session: Option<&SessionOperand>,
    source: Option<LogSource>,
    follow: bool,
) -> Result<ExitCode, AdminError> {
    client::with(name, async |admin| {
        let mut looked = Instant::now();
        let mut logs = Logs::asked(&Sessions::of(&admin).await?, session, source)?;
        loop {
            let news = logs.print(&admin, source).await?;
            if !news && (!follow || logs.0.is_empty()) {
                return Ok(ExitCode::Ok);
            }
            if !news {
                tokio::time::sleep(FOLLOW_INTERVAL).await;
            }
            if session.is_none() && source.is_none() && looked.elapsed() >= LOOK_INTERVAL {
                looked = Instant::now();
                logs.join(&Sessions::of(&admin).await?);
            }
        }
    })
}

/// The logs to show.
struct Logs(Vec<Log>);

/// One log and how much of it has been printed.
struct Log {
    /// The session; `None` for the host.
    session: Option<SessionId>,
    printer: Printer,
    /// The number of the last line printed.
    after: u64,
}

impl Log {
    /// A log that is shown alone.
    fn alone(session: Option<SessionId>) -> Self {
        Self { session, printer: Printer::default(), after: 0 }
    }

    /// A session's log that is shown among others.
    fn among_others(session: &SessionSummary) -> Self {
        let printer = Printer::of(session.name.as_str());
        Self { session: Some(session.id), printer, after: 0 }
    }

    /// The log of one session, which may be shared with the host.
    fn of(session: &SessionSummary) -> Self {
        Self::alone((!session.shares_log).then_some(session.id))
    }
}

impl Logs {
    /// The logs that a command asks for: of one session, of the only session with such a source, or
    /// of all.
    fn asked(
        sessions: &Sessions,
        session: Option<&SessionOperand>,
        source: Option<LogSource>,
    ) -> Result<Self, AdminError> {
        let one = match (session, source) {
            (Some(session), None) => Log::of(sessions.named_for_log(session)?),
            (None, None) => {
                let mut all = Self(vec![Log::alone(None)]);
                all.join(sessions);
                return Ok(all);
            }
            (None, Some(LogSource::Supervisor)) => Log::alone(None),
            (None, Some(LogSource::Worker(worker))) if worker.scope() == Scope::Host => {
                Log::alone(None)
            }
            (session, Some(source)) => {
                let example = format!("lumen logs SESSION {source}");
                Log::of(sessions.meant(session, &example)?)
            }
        };
        Ok(Self(vec![one]))
    }

    /// Adds sessions that have logs of their own and are not shown yet.
    fn join(&mut self, sessions: &Sessions) {
        for session in sessions.0.iter().filter(|session| !session.shares_log) {
            if !self.0.iter().any(|log| log.session == Some(session.id)) {
                self.0.push(Log::among_others(session));
            }
        }
    }

    /// Prints the next page of each, and removes those that have ended; returns whether it printed
    /// a line.
    async fn print(
        &mut self,
        admin: &AdminClient,
        source: Option<LogSource>,
    ) -> Result<bool, AdminError> {
        let (mut news, mut present) = (false, Vec::new());
        let all = std::mem::take(&mut self.0);
        let alone = all.len() == 1;
        for mut log in all {
            let page = admin.logs(context::current(), log.session, source, log.after).await?;
            let page = match page {
                Ok(Some(page)) => page,
                Err(refusal) if alone => return Err(refusal.into()),
                // It has ended; or it is the host's, which not everybody may read, among others.
                Ok(None) | Err(_) => continue,
            };
            output::print(&log.printer.print(&page.lines));
            if let Some(last) = page.lines.last() {
                (news, log.after) = (true, last.number);
            }
            present.push(log);
        }
        self.0 = present;
        Ok(news)
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::{process::Worker, text::Text};

    use super::*;

    fn sessions(all: &[(u32, bool)]) -> Sessions {
        let summary = |(id, shares_log): &(u32, bool)| SessionSummary {
            id: SessionId(*id),
            name: Text::truncated(id.to_string()),
            shares_log: *shares_log,
            owner: 1000,
            supervisor_pid: 1,
            age_seconds: 0,
            ends: None,
            watchers: Vec::new(),
        };
        Sessions(all.iter().map(summary).collect())
    }

    fn shown(
        sessions: &Sessions,
        session: Option<u32>,
        source: Option<LogSource>,
    ) -> Option<Vec<Option<u32>>> {
        let session = session.map(|number| SessionOperand::Number(SessionId(number)));
        let logs = Logs::asked(sessions, session.as_ref(), source).ok()?;
        Some(logs.0.iter().map(|log| log.session.map(|session| session.0)).collect())
    }

    #[test]
    fn log_that_host_and_session_share_is_shown_once() {
        let run = sessions(&[(1, true)]);
        for (session, source) in [
            (None, None),
            (Some(1), None),
            (None, Some(LogSource::App)),
            (Some(1), Some(LogSource::App)),
        ] {
            assert_eq!(shown(&run, session, source), Some(vec![None]), "{session:?} {source:?}");
        }
    }

    #[test]
    fn logs_of_several_sessions_are_all_shown_unless_one_is_meant() {
        let served = sessions(&[(1, false), (2, false)]);
        let gateway = Some(LogSource::Worker(Worker::Gateway));
        assert_eq!(shown(&served, None, None), Some(vec![None, Some(1), Some(2)]));
        assert_eq!(shown(&served, Some(2), None), Some(vec![Some(2)]));
        assert_eq!(shown(&served, Some(2), Some(LogSource::App)), Some(vec![Some(2)]));
        assert_eq!(shown(&served, None, gateway), Some(vec![None]));
        assert_eq!(shown(&served, None, Some(LogSource::Supervisor)), Some(vec![None]));
        assert_eq!(shown(&served, None, Some(LogSource::App)), None, "which?");
        assert_eq!(shown(&served, Some(3), None), None, "there is no session 3");
    }
}
