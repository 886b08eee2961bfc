//! `lumen status`: every process in a table.

use lumen_ipc::{
    process::ExitCode,
    service::{AuthMode, ConfinementReport, HostStatus, ProcessStatus},
};
use tarpc::context;

use super::{
    client::{self, AdminError},
    output,
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
        AuthMode::None => "no login",
        AuthMode::Token => "login by token",
    };
    let mut text = format!(
        "listening on {} ({auth}), supervisor pid {}\n",
        status.listen, status.supervisor_pid
    );
    for session in &status.sessions {
        let app =
            session.app.pid.map_or_else(|| "not running".to_owned(), |pid| format!("pid {pid}"));
        text.push_str(&format!("app: {} ({app})\n", session.app.command));
    }
    let mut rows = vec![HEADINGS.map(str::to_owned).to_vec()];
    rows.extend(status.processes().map(row));
    format!("{text}\n{}", output::table(&rows))
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
        confinement(&process.confinement),
        process.summary.to_string(),
    ]
}

/// Its state, and when the next process is tried if it has none.
fn state(process: &ProcessStatus) -> String {
    match process.next_try_millis {
        Some(millis) => format!("{}, next try in {}", process.state, duration(millis)),
        None => process.state.to_string(),
    }
}

/// Processor time as a share of the time it has served.
fn cpu(process: &ProcessStatus) -> String {
    match process.uptime_millis {
        0 => "-".to_owned(),
        uptime => format!("{:.1} %", 100.0 * process.cpu_millis as f64 / uptime as f64),
    }
}

fn confinement(report: &ConfinementReport) -> String {
    if report.seccomp_rules == 0 {
        return "-".to_owned();
    }
    let namespaces = match report.namespaces.is_empty() {
        true => "no namespaces".to_owned(),
        false => report.namespaces.iter().map(|name| name.as_str()).collect::<Vec<_>>().join("+"),
    };
    let landlock = match report.landlock_abi {
        0 => "no Landlock".to_owned(),
        abi => format!("Landlock {abi}"),
    };
    let unlimited: Vec<_> = report.unlimited.iter().map(|limit| limit.as_str()).collect();
    let limits = match unlimited.is_empty() {
        true => String::new(),
        false => format!(", no limit of {}", unlimited.join(" and ")),
    };
    format!("seccomp {} rules, {landlock}, {namespaces}{limits}", report.seccomp_rules)
}

fn duration(millis: u64) -> String {
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
    use lumen_ipc::process::Worker;

    use super::*;

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
