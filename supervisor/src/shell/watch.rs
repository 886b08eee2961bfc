//! Tasks that each watch one aspect of a child: its end, or the line by which it announces itself.

use std::{io, os::fd::OwnedFd, time::Duration};

use tokio::{io::AsyncReadExt, net::unix::pipe::Receiver};

use super::{child::Child, spawn::watched};
use crate::lifecycle::Verdict;

/// How often to check a child whose end cannot be watched.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Waits for a child to end and reaps it. `before_reaping` runs while its process id, and so its
/// process group's, still cannot be reused. No thread is blocked: a child that cannot be watched,
/// for want of descriptors or memory, is checked periodically.
pub(super) async fn end(
    child: &Child,
    ended: Option<OwnedFd>,
    before_reaping: impl FnOnce(),
) -> Verdict {
    if let Some(Ok(ended)) = ended.map(watched) {
        // The check below handles any error.
        let _ = ended.readable().await;
    }
    while !child.has_ended() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    before_reaping();
    child.reap()
}

/// The longest announcement that is read.
const LONGEST: usize = 512;

/// Reads the first line of a pipe; `None` when the pipe is closed before the line is complete, or
/// the line is too long.
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

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::Write,
        process::{Command, Stdio},
    };

    use nix::{sys::signal::Signal, unistd::Pid};

    use super::*;

    #[expect(clippy::zombie_processes, reason = "what is tested reaps it")]
    fn sleeper() -> Child {
        let mut command = Command::new("sleep");
        let child = command.arg("1000").stdin(Stdio::null()).spawn().expect("sleep is installed");
        Child::new(Pid::from_raw(child.id().cast_signed()))
    }

    #[tokio::test]
    async fn end_of_a_child_that_cannot_be_watched_holds_up_no_other_task() {
        let no_epoll = || Some(File::open("/proc/self/exe").expect("a file").into());
        for ended in [no_epoll(), None] {
            let child = sleeper();
            // The second is polled only if the first does not block.
            let (verdict, sent) =
                tokio::join!(end(&child, ended, || {}), async { child.signal(Signal::SIGKILL) });
            assert_eq!((verdict, sent), (Verdict::Killed(9), true));
        }
    }

    #[tokio::test]
    async fn child_is_signalled_until_it_is_reaped_and_never_after() {
        let child = sleeper();
        assert!(child.signal(Signal::SIGKILL));
        let mut before = None;
        let descriptor = child.end_descriptor();
        assert!(descriptor.is_some());
        let verdict = end(&child, descriptor, || before = Some(child.signal(Signal::SIGTERM)));
        assert_eq!(verdict.await, Verdict::Killed(9));
        assert_eq!(before, Some(true), "a zombie still has its number");
        assert!(!child.signal(Signal::SIGKILL) && !child.signal_group(Signal::SIGKILL));
    }

    #[tokio::test]
    async fn first_line_of_a_flood_is_the_first_line_or_none() {
        for (flood, line) in [("7\n".repeat(9000), Some("7")), ("7".repeat(9000), None)] {
            let (ready, mut says) = io::pipe().expect("a pipe");
            says.write_all(flood.as_bytes()).expect("room");
            let said = first_line(ready.into()).await.expect("readable");
            assert_eq!(said.as_deref(), line);
        }
    }
}
