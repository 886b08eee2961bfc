//! Whether a browser that came now could get a picture: the answer of `/readyz`.

use lumen_ipc::{
    process::Worker,
    service::{HostStatus, ProcessStatus, SessionStatus},
};

/// The workers without which a session shows nothing.
const NEEDED: [Worker; 3] = [Worker::Compositor, Worker::Media, Worker::Rtc];

/// The most reasons that are told.
const MOST_REASONS: usize = 16;

/// Why no browser could get a picture; `Ok` if one of at least one session could.
///
/// # Errors
/// A sentence for each thing that is missing.
pub fn judge(status: &HostStatus) -> Result<(), Vec<String>> {
    let mut reasons = Vec::new();
    for session in &status.sessions {
        let missing = missing(session);
        if missing.is_empty() {
            return Ok(());
        }
        reasons.extend(missing);
    }
    if reasons.is_empty() {
        reasons.push("There is no session.".to_owned());
    }
    reasons.truncate(MOST_REASONS);
    Err(reasons)
}

fn missing(session: &SessionStatus) -> Vec<String> {
    let id = session.id;
    let of = |worker| {
        let is_it = |process: &&ProcessStatus| process.process.kind() == worker;
        session.workers.iter().find(is_it)
    };
    if NEEDED.iter().all(|worker| of(*worker).is_none()) {
        return vec![format!("Session {id} does not answer.")];
    }
    let reason = |worker: Worker| match of(worker) {
        Some(process) if process.state.as_str() == "ready" => None,
        Some(process) => Some(format!("The {worker} of session {id} is {}.", process.state)),
        None => Some(format!("Session {id} has no {worker}.")),
    };
    NEEDED.into_iter().filter_map(reason).collect()
}

#[cfg(test)]
mod tests {
    use lumen_ipc::{
        front_door::Listen,
        process::ProcessId,
        service::{AppStatus, AuthMode, ConfinementReport, Shortages},
        text::Text,
        tls::Tls,
        units::SessionId,
    };

    use super::*;

    fn session(id: u32, states: &[(Worker, &str)]) -> SessionStatus {
        let process = |(worker, state): &(Worker, &str)| ProcessStatus {
            process: ProcessId::new(Some(SessionId(id)), *worker).expect("of that scope"),
            pid: None,
            uid: 0,
            state: Text::truncated(*state),
            uptime_millis: 0,
            restarts: 0,
            next_try_millis: None,
            cpu_millis: 0,
            memory_bytes: 0,
            confinement: ConfinementReport::default(),
            summary: Text::default(),
        };
        SessionStatus {
            id: SessionId(id),
            name: Text::default(),
            supervisor_pid: 1,
            app: AppStatus { command: Text::default(), pid: None },
            control_group: None,
            shortages: Shortages::default(),
            graphics: None,
            workers: states.iter().map(process).collect(),
        }
    }

    fn judged(sessions: Vec<SessionStatus>) -> Result<(), Vec<String>> {
        judge(&HostStatus {
            listen: Listen::Tcp(([127, 0, 0, 1], 80).into()),
            auth: AuthMode::Token,
            tls: Tls::Off,
            fingerprint: None,
            supervisor_pid: 1,
            restraint: ConfinementReport::default(),
            waiting: Vec::new(),
            workers: Vec::new(),
            sessions,
        })
    }

    const WHOLE: [(Worker, &str); 4] = [
        (Worker::Compositor, "ready"),
        (Worker::Media, "ready"),
        (Worker::Rtc, "ready"),
        (Worker::Gamepad, "failed"),
    ];

    #[test]
    fn ready_is_a_host_with_one_session_that_has_what_a_picture_needs() {
        assert_eq!(judged(vec![session(1, &WHOLE)]), Ok(()), "a picture needs no gamepad");
        let stuck = session(2, &[(Worker::Compositor, "ready"), (Worker::Media, "stuck")]);
        assert_eq!(judged(vec![stuck, session(1, &WHOLE)]), Ok(()));
    }

    #[test]
    fn unready_is_told_with_everything_that_is_missing() {
        assert_eq!(judged(Vec::new()), Err(vec!["There is no session.".to_owned()]));
        let silent = judged(vec![session(3, &[])]);
        assert_eq!(silent, Err(vec!["Session 3 does not answer.".to_owned()]));
        for (index, worker) in NEEDED.into_iter().enumerate() {
            let mut states = WHOLE;
            states[index].1 = "starting";
            let reason = format!("The {worker} of session 1 is starting.");
            assert_eq!(judged(vec![session(1, &states)]), Err(vec![reason]));
            let without = WHOLE.into_iter().filter(|(other, _)| *other != worker);
            let reason = format!("Session 1 has no {worker}.");
            assert_eq!(judged(vec![session(1, &without.collect::<Vec<_>>())]), Err(vec![reason]));
        }
    }
}
