//! Tasks that each watch one thing of a child: its end, and the line by which it announces itself.

use std::{io, os::fd::OwnedFd};

use nix::unistd::Pid;
use rustix::process::WaitOptions;
use tokio::{io::AsyncReadExt, net::unix::pipe::Receiver};

use super::{family, spawn::watched};
use crate::lifecycle::Verdict;

/// Waits for a child to end and reaps it. `before_reaping` runs while its process id, and with it
/// its process group's, still cannot be anyone else's.
pub(super) async fn end(pid: Pid, ended: OwnedFd, before_reaping: impl FnOnce()) -> Verdict {
    // Readiness cannot fail for what polls; if it does, the wait below still blocks right.
    if let Ok(ended) = watched(ended) {
        let _ = ended.readable().await;
    }
    before_reaping();
    // Neither stopped nor continued children are asked for, and nobody else reaps ours.
    let Some(status) = family::reap(pid, WaitOptions::empty()) else { return Verdict::Killed(0) };
    let killed = || Verdict::Killed(status.terminating_signal().unwrap_or(0));
    status.exit_status().map_or_else(killed, Verdict::Exited)
}

/// The longest line that is read of whoever announces itself.
const LONGEST: usize = 512;

/// Reads the first line of a pipe; `None` when it is closed before one is whole, or is too long.
pub(super) async fn first_line(pipe: OwnedFd) -> io::Result<Option<String>> {
    let mut pipe = Receiver::from_owned_fd(pipe)?;
    let (mut line, mut buffer) = (Vec::new(), [0_u8; LONGEST]);
    while line.len() < LONGEST {
        let count = pipe.read(&mut buffer).await?;
        let read = buffer.get(..count).unwrap_or_default();
        line.extend(read);
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            line.truncate(end);
            return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
        }
        if count == 0 {
            break;
        }
    }
    Ok(None)
}
