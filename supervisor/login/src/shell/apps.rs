//! The programs of a session: started, ended on request, and reaped with all that they leave.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io,
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    process::Stdio,
};

use lumen_ipc::message::login::{AppEnd, AppNumber, Command, DisplayName, Given, MOST_BESIDE};
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
/// Where a program finds the first descriptor that it gets beside its output.
const FIRST: RawFd = 3;
/// The first number that no program finds a descriptor at.
pub(super) const BEYOND: RawFd = FIRST + MOST_BESIDE as RawFd;

/// The descriptors of a program.
#[derive(Debug)]
struct Passed {
    output: OwnedFd,
    /// Those that it has from 3 on.
    beside: Vec<OwnedFd>,
    /// The program itself, if it was opened.
    program: Option<OwnedFd>,
}

impl Passed {
    /// Sorts descriptors that came with a message.
    fn of(given: Given, descriptors: Vec<OwnedFd>) -> io::Result<Self> {
        let mut descriptors = descriptors.into_iter();
        let lacking = || io::Error::other("too few descriptors");
        let output = descriptors.next().ok_or_else(lacking)?;
        let beside: Vec<_> = descriptors.by_ref().take(given.beside()).collect();
        let program = descriptors.next();
        match beside.len() == given.beside() && program.is_some() == given.program {
            true => Ok(Self { output, beside, program }),
            false => Err(lacking()),
        }
    }
}

/// The programs that were asked for.
#[derive(Debug, Default)]
pub(super) struct Apps {
    running: BTreeMap<Pid, AppNumber>,
}

impl Apps {
    /// Starts a program, in a process group of its own; `None` if that fails.
    pub(super) fn start(
        &mut self,
        (app, command): (AppNumber, &Command),
        (given, descriptors): (Given, Vec<OwnedFd>),
        display: &DisplayName,
    ) -> Option<Pid> {
        if self.running.values().any(|number| *number == app) || self.running.len() >= MOST_APPS {
            warn!(?app, "too many programs, or two of one number");
            return None;
        }
        let program = command.words.as_slice().first().map(|word| word.as_str().to_owned());
        let passed = Passed::of(given, descriptors);
        match passed.and_then(|passed| execute(command, passed, display)) {
            Ok(pid) => {
                self.running.insert(pid, app);
                Some(pid)
            }
            Err(error) => {
                warn!(program, %error, "cannot start a program");
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

/// Executes a program. What it writes goes to whoever asked for it.
fn execute(command: &Command, passed: Passed, display: &DisplayName) -> io::Result<Pid> {
    let [name, arguments @ ..] = command.words.as_slice() else {
        return Err(io::Error::other("a command without words"));
    };
    let Passed { output, beside, program } = passed;
    let mut started = match &program {
        // Executed by descriptor, which exec closes.
        Some(program) => {
            std::process::Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()))
        }
        None => std::process::Command::new(name.as_str()),
    };
    started.arg0(name.as_str()).args(arguments.iter().map(|word| OsStr::new(word.as_str())));
    started.env("WAYLAND_DISPLAY", display.as_str());
    let variables = command.variables.as_slice().iter();
    started.envs(variables.map(|(name, value)| (name.as_str(), value.as_str())));
    started.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
    let placed: Vec<_> = (FIRST..).zip(beside.iter().map(AsRawFd::as_raw_fd)).collect();
    // This process blocks signals that it reads otherwise.
    ffi::before_exec(&mut started, move || {
        for (number, descriptor) in &placed {
            ffi::place(*descriptor, *number)?;
        }
        Ok(SigSet::empty().thread_set_mask()?)
    });
    let child = started.spawn()?;
    drop((beside, program));
    Ok(Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?))
}
