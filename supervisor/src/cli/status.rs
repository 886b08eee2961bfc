//! `lumen status`: a table of all processes, the host's first and then those of each session.

use lumen_ipc::{
    graphics::{GraphicsStatus, Rung},
    process::{ExitCode, Worker},
    service::{AuthMode, ConfinementReport, HostStatus, ProcessStatus, SessionStatus, Shortages},
    text::counted,
    tls::Tls,
    visible::visible,
};
use tarpc::context;

use super::{
    client::{self, AdminError},
    output,
    sessions::labelled,
};
use crate::config::InstanceName;

const HEADINGS: [&str; 10] = [
    "WORKER",
    "PID",
    "UID",
    "STATE",
    "UPTIME",
    "RESTARTS",
    "CPU",
    "MEMORY",
    "CONFINEMENT",
    "DOING",
];

pub(super) fn run(name: &InstanceName, json: bool) -> Result<ExitCode, AdminError> {
    let status = client::with(name, async |admin| Ok(admin.status(context::current()).await?))?;
    Ok(if json { output::json(&status) } else { output::print(&text(&status)) })
}

fn text(status: &HostStatus) -> String {
    let auth = match status.auth {
        AuthMode::None => "no login for browsers of its user",
        AuthMode::Password => "login by password or token",
        AuthMode::Token => "login by token",
    };
    let mut text = format!(
        "listening on {} ({}{auth}), supervisor pid {}{}\n",
        status.listen,
        tls(status.tls),
        status.supervisor_pid,
        restraint(&status.restraint)
    );
    if !status.waiting.is_empty() {
        let options: Vec<&str> = status.waiting.iter().map(|option| option.as_str()).collect();
        text.push_str(&format!("a restart is due: {} changed\n", visible(&options.join(", "))));
    }
    if let Some(fingerprint) = &status.fingerprint {
        text.push_str(&format!("certificate SHA-256 {fingerprint}\n"));
    }
    // One table, so that all parts have the same column widths.
    let sessions = status.sessions.iter().flat_map(|session| &session.workers);
    let mut rows = vec![HEADINGS.map(str::to_owned).to_vec()];
    rows.extend(status.workers.iter().chain(sessions).map(row));
    let table = output::table(&rows);
    let mut lines = table.split_inclusive('\n');
    text.push('\n');
    text.extend(lines.by_ref().take(1 + status.workers.len()));
    for session in &status.sessions {
        text.push_str(&format!("\n{}\n{}", heading(session), graphics(session)));
        text.extend(lines.by_ref().take(session.workers.len()));
    }
    text
}

/// Whether browsers connect by TLS, and with whose certificate.
fn tls(tls: Tls) -> &'static str {
    match tls {
        Tls::Off => "",
        Tls::Given => "TLS, ",
        Tls::Own => "TLS by a certificate of Lumen's own, ",
    }
}

/// The line about a session before its workers.
fn heading(session: &SessionStatus) -> String {
    let label = labelled(session.id.to_string(), session.name.as_str());
    let app = match (session.app.command.as_str(), session.app.pid) {
        ("", _) if session.workers.is_empty() => "it does not answer".to_owned(),
        (command, Some(pid)) => format!("app {command} (pid {pid})"),
        (command, None) => format!("app {command} (not running)"),
    };
    let group = match session.control_group {
        Some(false) => "; no control group of its own",
        Some(true) | None => "",
    };
    let times = |count: u32, what: &str, happened: &str| match count {
        0 => String::new(),
        _ => format!("; {} {happened}", counted(count.try_into().unwrap_or(usize::MAX), what)),
    };
    let Shortages { ended_for_memory, not_started } = session.shortages;
    let ended = times(ended_for_memory, "program", "ended for memory");
    let refused = times(not_started, "start", "failed for --app-tasks");
    let line = format!(
        "session {label}, supervisor pid {}: {app}{group}{ended}{refused}",
        session.supervisor_pid
    );
    visible(&line).into_owned()
}

/// The line about who draws.
fn graphics(session: &SessionStatus) -> String {
    let Some(graphics) = &session.graphics else { return String::new() };
    let GraphicsStatus { rung, node, driver, renderer, encoder, reason } = &**graphics;
    let node = match (node.as_str(), driver.as_str()) {
        ("", _) => String::new(),
        (node, "") => format!(" ({node})"),
        (node, driver) => format!(" ({node}, {driver})"),
    };
    let what = match (rung, renderer.as_str()) {
        (Rung::Encoded, renderer) => {
            let compared = if reason.as_str().is_empty() { "" } else { ": " };
            format!(
                "drawn by {renderer} and encoded by {encoder}{node}, without a copy{compared}{reason}"
            )
        }
        (Rung::Drawn, "") => format!("a graphics processor is to draw{node}"),
        (Rung::Drawn, renderer) => {
            let encoded = match (encoder.as_str(), reason.as_str()) {
                ("", "") => "the processor".to_owned(),
                ("", reason) => format!("the processor: {reason}"),
                (encoder, "") => encoder.to_owned(),
                (encoder, reason) => format!("{encoder}: {reason}"),
            };
            format!("drawn by {renderer}{node}, encoded by {encoded}")
        }
        (Rung::Processor, _) => format!("drawn and encoded by the processor{node}: {reason}"),
    };
    format!("{}\n", visible(&format!("graphics rung {}: {what}", rung.number())))
}

fn row(process: &ProcessStatus) -> Vec<String> {
    vec![
        process.process.kind().to_string(),
        process.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
        process.uid.to_string(),
        state(process),
        duration(process.uptime_millis),
        process.restarts.to_string(),
        cpu(process),
        format!("{:.1} MiB", process.memory_bytes as f64 / (1024.0 * 1024.0)),
        confinement(process.process.kind(), &process.confinement),
        process.summary.to_string(),
    ]
}

/// Its state, and when the next start is due if it is not running.
fn state(process: &ProcessStatus) -> String {
    match process.next_try_millis {
        Some(millis) => format!("{}, next try in {}", process.state, duration(millis)),
        None => process.state.to_string(),
    }
}

/// CPU time as a share of the uptime.
fn cpu(process: &ProcessStatus) -> String {
    match process.uptime_millis {
        0 => "-".to_owned(),
        uptime => format!("{:.1} %", 100.0 * process.cpu_millis as f64 / uptime as f64),
    }
}

/// What the host's supervisor has given up, if no app descends from it.
fn restraint(report: &ConfinementReport) -> String {
    match report.seccomp_rules {
        0 => String::new(),
        rules => format!(" (seccomp denies {rules} calls, {})", landlock(report)),
    }
}

fn landlock(report: &ConfinementReport) -> String {
    match report.landlock_abi {
        0 => "no Landlock".to_owned(),
        abi => format!("Landlock {abi}"),
    }
}

fn confinement(worker: Worker, report: &ConfinementReport) -> String {
    if report.seccomp_rules == 0 {
        return "-".to_owned();
    }
    let namespaces = match report.namespaces.is_empty() {
        true => "no namespaces".to_owned(),
        false => report.namespaces.iter().map(|name| name.as_str()).collect::<Vec<_>>().join("+"),
    };
    let landlock = landlock(report);
    let unlimited: Vec<_> = report.unlimited.iter().map(|limit| limit.as_str()).collect();
    let limits = match unlimited.is_empty() {
        true => String::new(),
        false => format!(", no limit of {}", unlimited.join(" and ")),
    };
    let datagrams = match (worker, report.only_answers) {
        (Worker::Rtc | Worker::Turn, true) => ", UDP answers only",
        (Worker::Rtc | Worker::Turn, false) => ", UDP to any address",
        _ => "",
    };
    format!("seccomp {} rules, {landlock}, {namespaces}{limits}{datagrams}", report.seccomp_rules)
}

pub(super) fn duration(millis: u64) -> String {
    let seconds = millis / 1000;
    match (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (0, hours, minutes, _) => format!("{hours}h{minutes:02}m"),
        (days, hours, _, _) => format!("{days}d{hours:02}h"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use lumen_ipc::{
        front_door::Listen, process::ProcessId, service::AppStatus, text::Text, tls::Fingerprint,
        units::SessionId,
    };

    use super::*;

    fn process(session: Option<u32>, worker: Worker) -> ProcessStatus {
        ProcessStatus {
            process: ProcessId::new(session.map(SessionId), worker).expect("of that scope"),
            pid: Some(100),
            uid: 7,
            state: Text::truncated("ready"),
            uptime_millis: 1000,
            restarts: 0,
            next_try_millis: None,
            cpu_millis: 10,
            memory_bytes: 1 << 20,
            confinement: ConfinementReport::default(),
            summary: Text::truncated("idle\nsession 9: app rm"),
        }
    }

    #[test]
    fn text_lists_the_host_and_then_each_session_with_its_app_and_workers() {
        let session = |id, name: &str, command: &str, workers: Vec<_>| SessionStatus {
            id: SessionId(id),
            name: Text::truncated(name),
            supervisor_pid: 20 + id,
            app: AppStatus { command: Text::truncated(command), pid: Some(30 + id) },
            control_group: (!workers.is_empty()).then_some(false),
            shortages: Shortages { ended_for_memory: 2 - id, not_started: 6 - 3 * id },
            graphics: (id == 1).then(|| {
                Box::new(GraphicsStatus {
                    rung: Rung::Processor,
                    node: Text::truncated("/dev/dri/renderD128"),
                    driver: Text::truncated("i915"),
                    renderer: Text::default(),
                    encoder: Text::default(),
                    reason: Text::truncated("its\npicture was wrong"),
                })
            }),
            workers,
        };
        let status = HostStatus {
            listen: Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 8080))),
            auth: AuthMode::Token,
            tls: Tls::Off,
            fingerprint: None,
            supervisor_pid: 12,
            restraint: ConfinementReport { seccomp_rules: 70, ..ConfinementReport::default() },
            waiting: vec![Text::truncated("listen"), Text::truncated("relay-cert, relay-key")],
            workers: vec![process(None, Worker::Gateway)],
            sessions: vec![
                session(1, "work", "foot \u{1b}[2J", vec![process(Some(1), Worker::Rtc)]),
                session(2, "2", "", Vec::new()),
            ],
        };
        let text = text(&status);
        let words: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().take(4).collect()).collect();
        let first = "listening on 127.0.0.1:8080 (login by token), supervisor pid 12";
        assert!(text.starts_with(&format!("{first} (seccomp denies 70 calls, no Landlock)\n")));
        let due = "\na restart is due: listen, relay-cert, relay-key changed\n";
        assert!(text.contains(due), "{text}");
        let row = |worker| vec![worker, "100", "7", "ready"];
        assert_eq!(words[3..5], [vec!["WORKER", "PID", "UID", "STATE"], row("gateway")]);
        assert!(text.contains(
            "\nsession 1 (work), supervisor pid 21: app foot \\u{1b}[2J (pid 31); no control group of its own; \
             1 program ended for memory; 3 starts failed for --app-tasks\n"
        ));
        assert!(text.contains(
            "\ngraphics rung 3: drawn and encoded by the processor (/dev/dri/renderD128, i915): \
             its\\npicture was wrong\n"
        ));
        assert_eq!(words[8], row("rtc"));
        assert!(text.ends_with("\nsession 2, supervisor pid 22: it does not answer\n"), "{text}");
        assert_eq!(text.lines().count(), 11, "{text}");
    }

    #[test]
    fn text_has_the_fingerprint_of_a_certificate_that_lumen_made() {
        let status = |tls, fingerprint| HostStatus {
            listen: Listen::Tcp(SocketAddr::from(([0, 0, 0, 0], 443))),
            auth: AuthMode::Token,
            tls,
            fingerprint,
            supervisor_pid: 12,
            restraint: ConfinementReport::default(),
            waiting: Vec::new(),
            workers: Vec::new(),
            sessions: Vec::new(),
        };
        let own = text(&status(Tls::Own, Some(Fingerprint::new(&[0xab; 32]))));
        assert!(own.contains("(TLS by a certificate of Lumen's own, login by token)"), "{own}");
        assert!(own.contains("\ncertificate SHA-256 AB:AB:AB:"), "{own}");
        let given = text(&status(Tls::Given, None));
        assert!(given.contains("(TLS, login by token)") && !given.contains("SHA-256"), "{given}");
    }

    #[test]
    fn json_spells_workers_and_modes_as_the_command_line_does() {
        for worker in Worker::ALL {
            let json = serde_json::to_value(worker).expect("JSON");
            assert_eq!(json, worker.name());
        }
        let modes = [AuthMode::None, AuthMode::Token].map(|mode| serde_json::to_value(mode).ok());
        assert_eq!(modes, ["none", "token"].map(|mode| Some(mode.into())));
    }

    #[test]
    fn duration_shows_the_two_largest_units() {
        let shown = [0, 59_000, 61_000, 3_660_000, 90_000_000].map(duration);
        assert_eq!(shown, ["0s", "59s", "1m01s", "1h01m", "1d01h"]);
    }
}
