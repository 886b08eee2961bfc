//! The kernel's information on processes: `/proc/PID/stat`, `statm` and `status` (proc(5)).

use std::{fmt, fs};

use nix::unistd::{SysconfVar, sysconf};

/// Processor time and memory of a process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Usage {
    pub(super) cpu_millis: u64,
    pub(super) memory_bytes: u64,
}

/// Field 14 of `/proc/PID/stat`, counted from the field after the name in parentheses, which may
/// contain spaces: time in user mode, followed by time in the kernel.
const UTIME_AFTER_NAME: usize = 11;

/// Reads both; zero for a process that has ended.
pub(super) fn usage(pid: u32) -> Usage {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    Usage {
        cpu_millis: ticks(&stat).saturating_mul(1000) / system(SysconfVar::CLK_TCK, 100),
        memory_bytes: resident_pages(&statm) * system(SysconfVar::PAGE_SIZE, 4096),
    }
}

fn ticks(stat: &str) -> u64 {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let times = after_name.split_whitespace().skip(UTIME_AFTER_NAME).take(2);
    times.filter_map(|time| time.parse::<u64>().ok()).sum()
}

fn resident_pages(statm: &str) -> u64 {
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default()
}

/// Whether a debugger holds a process (`TracerPid` in `/proc/PID/status`).
pub(super) fn is_traced(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    has_tracer(&status)
}

fn has_tracer(status: &str) -> bool {
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0")
}

/// A living process, and its uids: real, effective, saved and of the file system.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Resident {
    name: String,
    pub(super) pid: i32,
    pub(super) users: Vec<u32>,
    /// Whether it has process numbers of its own, as those of containers do: it sees no process of ours.
    pub(super) is_contained: bool,
}

impl fmt::Display for Resident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// The living processes that have one of these uids in any way.
pub(super) fn residents(uids: &[u32]) -> Vec<Resident> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let statuses = entries.filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok());
    let residents = statuses.filter_map(|status| resident(&status));
    residents.filter(|resident| resident.users.iter().any(|user| uids.contains(user))).collect()
}

/// The process with this status; `None` if it has ended.
fn resident(status: &str) -> Option<Resident> {
    let field = |name: &str| {
        status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
    };
    if field("State").is_some_and(|state| state.starts_with(['Z', 'X'])) {
        return None;
    }
    let users = field("Uid")?.split_whitespace().filter_map(|user| user.parse().ok()).collect();
    Some(Resident {
        name: field("Name").unwrap_or_default().to_owned(),
        pid: field("Pid")?.parse().ok()?,
        users,
        // Its number here, and one in each namespace of process numbers below.
        is_contained: field("NSpid").is_some_and(|pids| pids.split_whitespace().count() > 1),
    })
}

fn system(variable: SysconfVar, usual: u64) -> u64 {
    match sysconf(variable) {
        Ok(Some(value)) => value.unsigned_abs().max(1),
        _ => usual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_skips_a_name_with_spaces_and_parentheses() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 99 0 0";
        assert_eq!(ticks(stat), 300);
        assert_eq!(ticks(""), 0);
    }

    #[test]
    fn resident_has_the_users_of_all_its_parts_while_it_lives() {
        let status = |state| {
            format!(
                "Name:\ta\nState:\t{state}\nPid:\t7\nUid:\t1000\t0\t61184\t1000\nGid:\t7\t7\t7\t7\n"
            )
        };
        let alive = resident(&status("S (sleeping)")).expect("alive");
        assert_eq!(
            (alive.to_string().as_str(), &*alive.users),
            ("a (pid 7)", &[1000, 0, 61184, 1000][..])
        );
        assert_eq!(resident(&status("Z (zombie)")), None);
        let own = std::process::id().to_string();
        let here = residents(&[nix::unistd::geteuid().as_raw()]);
        assert!(here.iter().any(|resident| resident.pid.to_string() == own));
    }

    #[test]
    fn resident_of_a_container_has_more_than_one_number() {
        let contained = |numbers| {
            let status = format!("State:\tS\nPid:\t7\n{numbers}Uid:\t1\t1\t1\t1\n");
            resident(&status).expect("alive").is_contained
        };
        assert!(contained("NSpid:\t7\t1\n"));
        assert!(!contained("NSpid:\t7\n") && !contained(""));
    }

    #[test]
    fn tracer_of_a_process_is_any_but_none() {
        assert!(has_tracer("Pid:\t7\nTracerPid:\t12\nUid:\t0\n"));
        assert!(!has_tracer("Pid:\t7\nTracerPid:\t0\nUid:\t0\n") && !has_tracer(""));
    }

    #[test]
    fn resident_pages_is_the_second_field() {
        assert_eq!(resident_pages("1000 250 80 1 0 90 0\n"), 250);
    }
}
