//! Tasks that each watch one thing of a child: its end, and what it writes.

use std::{io, os::fd::OwnedFd};

use nix::{
    sys::wait::{WaitPidFlag, WaitStatus, waitpid},
    unistd::Pid,
};
use tokio::{io::AsyncReadExt, net::unix::pipe::Receiver};

use super::spawn::watched;
use crate::{admin::ring::LineSplitter, lifecycle::Verdict};

/// Waits for a child to end and reaps it. `before_reaping` runs while its process id, and with it
/// its process group's, still cannot be anyone else's.
pub(super) async fn end(pid: Pid, ended: OwnedFd, before_reaping: impl FnOnce()) -> Verdict {
    // Readiness cannot fail for what polls; if it does, the wait below still blocks right.
    if let Ok(ended) = watched(ended) {
        let _ = ended.readable().await;
    }
    before_reaping();
    match waitpid(pid, Some(WaitPidFlag::empty())) {
        Ok(WaitStatus::Exited(_, code)) => Verdict::Exited(code),
        Ok(WaitStatus::Signaled(_, signal, _)) => Verdict::Killed(signal as i32),
        // Neither stopped nor continued children are asked for, and nobody else reaps ours.
        _ => Verdict::Killed(0),
    }
}

/// Reads what a child writes, line by line, until it and all who inherited its output are gone.
pub(super) async fn lines<Report: Future<Output = ()>>(
    output: OwnedFd,
    report: impl Fn(String) -> Report,
) -> io::Result<()> {
    let mut output = Receiver::from_owned_fd(output)?;
    let (mut splitter, mut buffer) = (LineSplitter::default(), [0_u8; 4096]);
    loop {
        let count = output.read(&mut buffer).await?;
        let mut finished = Vec::new();
        match buffer.get(..count).filter(|read| !read.is_empty()) {
            Some(read) => splitter.push(read, |line| finished.push(line)),
            None => splitter.finish(&mut |line| finished.push(line)),
        }
        for line in finished {
            report(line).await;
        }
        if count == 0 {
            return Ok(());
        }
    }
}
