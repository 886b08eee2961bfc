//! Whether the tests can see the processes that they are about. Where they cannot, they fail and say what is
//! lacking: a suite that looks at nothing would pass.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::home::runs_as_root;

/// `CAP_SYS_PTRACE` (`linux/capability.h`).
const TRACE: u32 = 19;

/// Whether the tests may look into workers, whose memory and descriptors are hidden from all but root. Says so
/// if they may not.
///
/// # Panics
/// If root may not, as in a container without that capability.
#[must_use]
pub fn sees_into_workers() -> bool {
    if !runs_as_root() {
        println!("not root, who alone sees what a worker holds: nothing to test");
        return false;
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    assert!(
        may_trace(&status),
        "this test looks into workers, for which root needs CAP_SYS_PTRACE: start the container with \
         `--cap-add SYS_PTRACE`"
    );
    true
}

/// Fails where `/proc` hides workers from their own user, who are not dumpable.
pub(crate) fn check_proc() -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts")?;
    let status = fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    ensure!(
        may_trace(&status) || !hides_processes(&mounts),
        "/proc is mounted with hidepid, so that these tests do not see the processes they are about: run them as \
         root with CAP_SYS_PTRACE, or mount it with `hidepid=0`"
    );
    Ok(())
}

/// From `/proc/self/status`.
fn may_trace(status: &str) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    effective.is_some_and(|bits| bits & (1 << TRACE) != 0)
}

/// From `/proc/self/mounts`: whether the last file system at `/proc` hides processes, or shows only those that
/// may be traced.
fn hides_processes(mounts: &str) -> bool {
    let mut at_proc = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        (words.nth(1) == Some("/proc")).then(|| words.nth(1)).flatten()
    });
    let hiding = ["hidepid=2", "hidepid=4", "hidepid=invisible", "hidepid=ptraceable"];
    at_proc
        .next_back()
        .is_some_and(|options| options.split(',').any(|option| hiding.contains(&option)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn may_trace_is_about_the_effective_set() {
        let status = |inheritable, effective| {
            format!("Name:\ttest\nCapInh:\t{inheritable}\nCapEff:\t{effective}\n")
        };
        assert!(may_trace(&status("0000000000000000", "000001ffffffffff")));
        // What Docker leaves to root.
        assert!(!may_trace(&status("000001ffffffffff", "00000000a80425fb")));
        assert!(!may_trace("Name:\ttest\n"));
    }

    #[test]
    fn hides_processes_is_about_the_mount_that_is_seen() {
        let proc = |options| format!("proc /proc proc rw,nosuid,{options} 0 0\n");
        for hiding in ["hidepid=2", "relatime,hidepid=invisible,gid=4", "hidepid=ptraceable"] {
            assert!(hides_processes(&proc(hiding)), "{hiding}");
        }
        for open in ["relatime", "hidepid=0", "hidepid=off", "hidepid=1"] {
            assert!(!hides_processes(&proc(open)), "{open}");
        }
        assert!(!hides_processes(&(proc("hidepid=2") + &proc("relatime"))));
        assert!(!hides_processes("proc /srv/jail/proc proc rw,hidepid=2 0 0\n"));
    }
}
