//! The programs of a session: started, ended on request, and reaped with all that they leave.

use std::{collections::BTreeMap, ffi::OsStr, os::unix::process::CommandExt, process::Stdio};

use lumen_ipc::message::login::{AppEnd, AppNumber, Command, DisplayName};
use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, Signal, killpg},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use tracing::{debug, warn};

use super::ffi;

/// Most programs that were asked for and run.
const MOST_APPS: usize = 64;

/// The programs that were asked for.
#[derive(Debug, Default)]
pub(super) struct Apps {
    running: BTreeMap<Pid, AppNumber>,
}

impl Apps {
    /// Starts a program, in a process group of its own; `None` if that fails.
    pub(super) fn start(
        &mut self,
        app: AppNumber,
        command: &Command,
        display: &DisplayName,
    ) -> Option<Pid> {
        let is_taken = self.running.values().any(|number| *number == app);
        let [program, arguments @ ..] = command.words.as_slice() else {
            warn!("a command without words");
            return None;
        };
        if is_taken || self.running.len() >= MOST_APPS {
            warn!(?app, "too many programs, or two of one number");
            return None;
        }
        let mut started = std::process::Command::new(program.as_str());
        started.args(arguments.iter().map(|word| OsStr::new(word.as_str())));
        let variables = command.variables.as_slice().iter();
        started.envs(variables.map(|(name, value)| (name.as_str(), value.as_str())));
        started.env("WAYLAND_DISPLAY", display.as_str());
        started.stdin(Stdio::null()).process_group(0);
        // This process blocks signals that it reads otherwise.
        ffi::before_exec(&mut started, || Ok(SigSet::empty().thread_set_mask()?));
        match started.spawn() {
            Ok(child) => {
                let pid = Pid::from_raw(i32::try_from(child.id()).ok()?);
                self.running.insert(pid, app);
                Some(pid)
            }
            Err(error) => {
                warn!(program = program.as_str(), %error, "cannot start a program");
                None
            }
        }
    }

    /// Ends a program and what it has started in its group.
    pub(super) fn end(&self, app: AppNumber, now: bool) {
        let signal = if now { Signal::SIGKILL } else { Signal::SIGTERM };
        let groups = self.running.iter().filter(|(_, number)| **number == app);
        for (group, _) in groups {
            // It may have ended, but has not been reaped, so the number is still its own.
            let _ = killpg(*group, signal);
        }
    }

    /// Asks every program to end.
    pub(super) fn end_all(&self) {
        for group in self.running.keys() {
            let _ = killpg(*group, Signal::SIGTERM);
        }
    }

    /// Whether none is running.
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Reaps every child that has ended; returns how those ended that were asked for.
    pub(super) fn reap(&mut self) -> Vec<(AppNumber, AppEnd)> {
        let mut ended = Vec::new();
        loop {
            let (pid, end) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, AppEnd::Code(code.to_le_bytes()[0])),
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    (pid, AppEnd::Signal((signal as i32).to_le_bytes()[0]))
                }
                Err(Errno::EINTR) => continue,
                Ok(_) | Err(_) => return ended,
            };
            match self.running.remove(&pid) {
                Some(app) => ended.push((app, end)),
                None => debug!(pid = pid.as_raw(), "reaped an orphan"),
            }
        }
    }
}
