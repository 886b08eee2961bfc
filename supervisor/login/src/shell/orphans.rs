//! Ends what is left of a session when its user's side has ended: its orphans become this process's children.

use std::fs;

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::waitpid,
    },
    unistd::{Pid, getpid},
};
use tracing::{info, warn};

/// Kills and reaps every descendant. A child's number is its own until it has been reaped, which only this
/// function does, so no signal reaches another process.
pub(super) fn end_all() {
    let own = getpid();
    let mut ended = 0;
    loop {
        for child in children(own) {
            // It may have ended meanwhile.
            let _ = kill(child, Signal::SIGKILL);
        }
        match waitpid(None, None) {
            // What this one has left is a child now.
            Ok(_) => ended += 1,
            Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => break,
            Err(error) => {
                warn!(%error, "cannot wait for what the session has left");
                break;
            }
        }
    }
    if ended > 0 {
        info!(ended, "ended what the session had left");
    }
}

fn children(parent: Pid) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let of_parent = |number: &i32| {
        let status = fs::read_to_string(format!("/proc/{number}/stat"));
        status.ok().and_then(|status| parent_of(&status)) == Some(parent.as_raw())
    };
    numbers.filter(of_parent).map(Pid::from_raw).collect()
}

/// The parent of a process, by the text of its `stat` (proc(5)). Its name, which comes before, can hold
/// anything, parentheses included.
fn parent_of(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parent_is_found_whatever_the_process_is_called() {
        assert_eq!(parent_of("12 (sh) S 7 12 12 0 -1"), Some(7));
        assert_eq!(parent_of("12 (a) S 1 b) S 7 12 12 0 -1"), Some(7));
        for broken in ["", "12 (sh", "12 (sh) S", "12 (sh) S x"] {
            assert_eq!(parent_of(broken), None, "{broken:?}");
        }
    }
}
