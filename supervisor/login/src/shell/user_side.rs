//! The user's side of a session: the same program, executed as the account's user. It makes the Wayland socket,
//! starts programs as the host asks, and reaps them; it has no right that the user lacks. A user who interferes
//! with it spoils their own session, of which the host believes nothing that concerns others.

use std::{
    env,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use lumen_ipc::{
    message::login::{AppEnd, DisplayName, ToLeader, ToSupervisor},
    text::Text,
};
use lumen_ipc_runtime::channel::{Received, SendError};
use nix::sys::{
    prctl,
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{Mode, OFlags},
    io::Errno,
};
use tracing::{error, info, warn};

use super::{
    apps::{Apps, BEYOND},
    display::{Display, NoDisplay},
    link::{Link, Lost, NoLink, timespec},
};

/// The option by which root's side starts this one; the name of the Wayland socket follows.
pub(super) const OPTION: &str = "--user-side";
/// How long programs may take to end when the session does.
const PARTING: Duration = Duration::from_secs(2);

/// Why the user's side ends without having served.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    NoLink(#[from] NoLink),
    #[error("cannot keep numbers of descriptors: {0}")]
    Numbers(#[from] Errno),
    #[error("cannot watch the session's programs: {0}")]
    Children(#[from] nix::errno::Errno),
    #[error("there is no Wayland socket: {0}")]
    NoDisplay(#[from] NoDisplay),
    #[error("the host does not hear: {0}")]
    Send(#[from] SendError),
    #[error("the session ends: {0}")]
    Lost(#[from] Lost),
}

/// Runs the user's side.
pub(super) fn run(name: &DisplayName) -> ExitCode {
    match serve(name) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn serve(name: &DisplayName) -> Result<(), Failure> {
    let _reserved = reserve()?;
    let link = Link::take()?;
    let opened = open(&link, name);
    if opened.is_err() {
        link.send(&ToSupervisor::NotOpened, &[])?;
    }
    let (signals, _display) = opened?;
    let mut session = Session { link, signals, apps: Apps::default(), name };
    let ended = session.serve();
    session.part();
    match ended {
        Failure::Lost(Lost::Closed) => Ok(()),
        failure => Err(failure),
    }
}

/// Keeps the numbers at which programs find descriptors in use in this process, so that none that it needs
/// between fork and exec has one of them.
fn reserve() -> Result<Vec<OwnedFd>, Errno> {
    let mut held = Vec::new();
    loop {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let null = rustix::fs::open(c"/dev/null", flags, Mode::empty())?;
        if null.as_raw_fd() >= BEYOND {
            return Ok(held);
        }
        held.push(null);
    }
}

/// Prepares everything, and passes the Wayland socket on.
fn open(link: &Link, name: &DisplayName) -> Result<(SignalFd, Display), Failure> {
    let home = env::var_os("HOME").unwrap_or_default();
    if let Err(error) = env::set_current_dir(&home) {
        warn!(%error, "cannot enter the home directory");
    }
    prctl::set_child_subreaper(true)?;
    let mut blocked = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM] {
        blocked.add(signal);
    }
    blocked.thread_block()?;
    let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
    let signals = SignalFd::with_flags(&blocked, flags)?;
    let runtime_dir = env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty());
    let runtime_dir = PathBuf::from(runtime_dir.ok_or(NoDisplay::NoDirectory)?);
    let (display, listener) = Display::make(&runtime_dir, name)?;
    let runtime_dir = Text::truncated(display.runtime_dir.to_string_lossy());
    link.send(&ToSupervisor::Opened { runtime_dir }, &[listener.as_fd()])?;
    info!(display = name.as_str(), "the session is ready");
    Ok((signals, display))
}

struct Session<'run> {
    link: Link,
    signals: SignalFd,
    apps: Apps,
    name: &'run DisplayName,
}

impl Session<'_> {
    /// Serves until the link ends or this process is to end; returns why.
    fn serve(&mut self) -> Failure {
        loop {
            match self.turn() {
                Ok(true) => {}
                Ok(false) => return Failure::Lost(Lost::Closed),
                Err(failure) => return failure,
            }
        }
    }

    /// Waits for news and handles them; false when this process is to end.
    fn turn(&mut self) -> Result<bool, Failure> {
        self.wait(None)?;
        let is_ended = self.read_signals()?;
        for (app, end) in self.apps.reap() {
            self.link.send(&ToSupervisor::Ended { app, end }, &[])?;
        }
        while let Some(received) = self.link.receive_now()? {
            self.obey(received)?;
        }
        Ok(!is_ended)
    }

    fn obey(
        &mut self,
        Received { message, descriptors }: Received<ToLeader>,
    ) -> Result<(), Failure> {
        match message {
            ToLeader::Start { app, command, given } => {
                let pid = self.apps.start((app, &command), (given, descriptors), self.name);
                let started = match pid {
                    Some(pid) => ToSupervisor::Started { app, pid: pid.as_raw().unsigned_abs() },
                    None => ToSupervisor::Ended { app, end: AppEnd::NotStarted },
                };
                self.link.send(&started, &[])?;
            }
            ToLeader::End { app, now } => self.apps.end(app, now),
            ToLeader::Answers(_) | ToLeader::Begin { .. } | ToLeader::Open { .. } => {
                warn!("the host asks for something that belongs to an attempt");
            }
        }
        Ok(())
    }

    /// Whether a signal asks this process to end.
    fn read_signals(&self) -> Result<bool, Failure> {
        let mut is_ended = false;
        while let Some(read) = self.signals.read_signal()? {
            is_ended |= read.ssi_signo == Signal::SIGTERM as u32;
        }
        Ok(is_ended)
    }

    /// Asks all programs to end, and waits a while. Root's side ends what is left.
    fn part(&mut self) {
        self.apps.end_all();
        let deadline = Instant::now() + PARTING;
        while !self.apps.is_empty() && Instant::now() < deadline {
            if self.wait(Some(deadline)).is_err() || self.read_signals().is_err() {
                return;
            }
            self.apps.reap();
        }
    }

    /// Waits for a signal, or while there is no deadline for a message.
    fn wait(&self, deadline: Option<Instant>) -> Result<(), Failure> {
        let link = PollFd::new(&self.link, PollFlags::IN);
        let mut polled = [PollFd::new(&self.signals, PollFlags::IN), link];
        let waited = if deadline.is_some() { &mut polled[..1] } else { &mut polled[..] };
        let left = deadline.map(|deadline| timespec(deadline, Instant::now()));
        match poll(waited, left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(Lost::Io(error.into()).into()),
        }
    }
}
