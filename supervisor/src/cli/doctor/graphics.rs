//! `lumen doctor --gpu`: what a graphics processor is worth, on the terminal and in a file that can be sent to us.
//!
//! INVARIANT: nothing in it names the user, the machine or what is on its disks and screens.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use lumen_ipc::{process::ExitCode, service::ConfinementReport, visible::visible};
use serde::Serialize;

use super::kernel_file::read;
use crate::{
    cli::output,
    config::DoctorConfig,
    graphics::{NoNode, Node},
    lifecycle::Verdict,
    shell::{
        programs, render_node,
        trial::{self, Outcome},
        users,
    },
};

/// How the line of a call begins that media's policy forbids (`confine::trap`).
const FORBIDDEN: &str = "lumen-media: forbidden system call ";
/// More of a line would flood a terminal; the report has all of it.
const MOST_OF_A_LINE: usize = 160;

#[derive(Debug, Eq, PartialEq, Serialize)]
struct Finding {
    subject: String,
    found: String,
}

fn finding(subject: impl Into<String>, found: impl Into<String>) -> Finding {
    Finding { subject: subject.into(), found: found.into() }
}

/// Tries it, prints, and writes the report.
pub(super) fn run(config: &DoctorConfig) -> ExitCode {
    let (mut findings, video) = examine(config);
    let mut written = ExitCode::Ok;
    if let Some(path) = &config.report {
        match write(path, &findings, &video) {
            Ok(films) => findings.push(finding(
                "report",
                format!("{} and {}; nothing of yours is in them", path.display(), films.display()),
            )),
            Err(error) => {
                findings.push(finding("report", format!("not written: {error}")));
                written = ExitCode::Failed;
            }
        }
    }
    let printed = match config.json {
        true => output::json(&findings),
        false => output::print(&text(&findings, MOST_OF_A_LINE)),
    };
    if written == ExitCode::Ok { printed } else { written }
}

fn write(path: &Path, findings: &[Finding], video: &[u8]) -> io::Result<PathBuf> {
    let films = path.with_extension("h264");
    if films == path {
        return Err(io::Error::other("its name is to have another ending than h264"));
    }
    fs::write(path, text(findings, usize::MAX))?;
    fs::write(&films, video)?;
    Ok(films)
}

fn text(findings: &[Finding], most: usize) -> String {
    let row = |Finding { subject, found }: &Finding| {
        let found = visible(found);
        let cut = found.char_indices().nth(most).map(|(at, _)| at);
        let found = match cut {
            Some(at) => format!("{}…", &found[..at]),
            None => found.into_owned(),
        };
        vec![visible(subject).into_owned(), found]
    };
    output::table(&findings.iter().map(row).collect::<Vec<_>>())
}

fn examine(config: &DoctorConfig) -> (Vec<Finding>, Vec<u8>) {
    let kernel = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut findings = vec![
        finding("lumen", env!("CARGO_PKG_VERSION")),
        finding("kernel", kernel),
        finding("processor", processor()),
    ];
    let node = match choose(config) {
        Ok(node) => node,
        Err(reason) => {
            findings.push(finding("node", reason));
            None
        }
    };
    findings.extend(node.as_ref().map(|node| finding("node", described(node))));
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("lumen"));
    let directories = programs::worker_directories(config.workers_dir.as_deref(), &own);
    match trial::run(node.as_ref(), &directories) {
        Ok(outcome) => {
            findings.extend(judge(&outcome));
            (findings, outcome.video)
        }
        Err(reason) => {
            findings.push(finding("trial", format!("not possible: {reason}")));
            (findings, Vec::new())
        }
    }
}

/// The node that a session of this user would get, or why it gets none.
fn choose(config: &DoctorConfig) -> Result<Option<Node>, String> {
    let sudo = std::env::var("SUDO_USER").ok();
    let mut user = users::example_owner(sudo.as_deref()).map_err(|error| error.to_string())?;
    // The report is not to say whose it is.
    user.name = "the desktop's user".into();
    match render_node::choose(&config.gpu, &user) {
        Ok(node) => Ok(Some(node)),
        Err(NoNode { path: Some(path), driver, reason }) => {
            Err(format!("none: {} ({driver}): {reason}", path.display()))
        }
        Err(NoNode { reason, .. }) => Err(format!("none: {reason}")),
    }
}

fn described(node: &Node) -> String {
    let (major, minor) = (nix::libc::major(node.number), nix::libc::minor(node.number));
    let of = |name: &str| read(&format!("/sys/dev/char/{major}:{minor}/device/{name}"));
    let device = match (of("vendor"), of("device")) {
        (Some(vendor), Some(device)) => format!(", device {vendor}:{device}"),
        _ => String::new(),
    };
    format!("{} ({}){device}", node.path.display(), node.driver)
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{count} of {}", model.unwrap_or("an unknown model"))
}

fn judge(outcome: &Outcome) -> Vec<Finding> {
    let told = outcome.findings.iter().map(|(subject, found)| finding(subject, found));
    let mut findings: Vec<Finding> = told.collect();
    findings.extend(outcome.confined.as_ref().map(confinement));
    findings.push(finding("forbidden calls", forbidden(&outcome.complaints)));
    if outcome.verdict != Verdict::Exited(ExitCode::Ok.number().into()) {
        findings.push(finding("media", format!("{}, which ends the trial", outcome.verdict)));
        let said = outcome.complaints.lines().rfind(|line| !line.starts_with(FORBIDDEN));
        findings.extend(said.map(|said| finding("media said", said)));
    }
    findings
}

fn confinement(report: &ConfinementReport) -> Finding {
    let landlock = match report.landlock_abi {
        0 => "no Landlock".to_owned(),
        abi => format!("Landlock ABI {abi}"),
    };
    let rules = report.seccomp_rules;
    finding("confinement", format!("as in a session: {landlock}, {rules} permissions of calls"))
}

/// Which calls media's policy kept a driver from, each once.
fn forbidden(complaints: &str) -> String {
    let mut calls: BTreeMap<&str, usize> = BTreeMap::new();
    for call in complaints.lines().filter_map(|line| line.strip_prefix(FORBIDDEN)) {
        *calls.entry(call.trim_end_matches(": it fails")).or_default() += 1;
    }
    if calls.is_empty() {
        return "none".to_owned();
    }
    let listed: Vec<String> =
        calls.into_iter().map(|(call, times)| format!("{call}, {times} times")).collect();
    format!("{}; in a session each would end media", listed.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(complaints: &str, code: ExitCode) -> Outcome {
        Outcome {
            findings: vec![("pattern".to_owned(), "right".to_owned())],
            complaints: complaints.to_owned(),
            video: Vec::new(),
            confined: None,
            verdict: Verdict::Exited(code.number().into()),
        }
    }

    #[test]
    fn forbidden_calls_are_listed_once_and_counted() {
        let lines = "lumen-media: forbidden system call 41 (socket) of 0x1: it fails\n\
                     lumen-media: forbidden system call 41 (socket) of 0x1: it fails\n\
                     lumen-media: forbidden system call 16 (ioctl) of 0x5401: it fails\n";
        let found = judge(&outcome(lines, ExitCode::Ok)).pop().expect("findings");
        let calls = "16 (ioctl) of 0x5401, 1 times; 41 (socket) of 0x1, 2 times; in a session each would \
                     end media";
        assert_eq!(found, finding("forbidden calls", calls));
        let none = judge(&outcome("", ExitCode::Ok)).pop().expect("findings");
        assert_eq!(none.found, "none");
    }

    #[test]
    fn media_that_ends_early_is_told_with_its_last_words() {
        let said = "error: the graphics processor does not finish\n";
        let findings = judge(&outcome(said, ExitCode::GpuHung));
        let last: Vec<&str> = findings.iter().rev().take(2).map(|it| it.subject.as_str()).collect();
        assert_eq!(last, ["media said", "media"]);
        assert!(findings.iter().any(|it| it.found.contains("GpuHung")));
    }

    #[test]
    fn long_lines_are_cut_on_the_terminal_only() {
        let long = [finding("extensions", "é".repeat(300))];
        let shown = text(&long, MOST_OF_A_LINE);
        assert_eq!(shown.matches('é').count(), MOST_OF_A_LINE);
        assert_eq!(text(&long, usize::MAX).matches('é').count(), 300);
    }
}
