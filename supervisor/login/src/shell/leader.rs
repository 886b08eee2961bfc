//! Root's side of a session: opens it in PAM, starts the user's side, waits, and closes it.
//!
//! INVARIANT: when this returns, the PAM session is closed, its credentials are deleted, and no process that
//! descends from here is left, whether the session could be opened or not.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use lumen_ipc::message::login::{DisplayName, ToSupervisor};
use nix::sys::{
    prctl,
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};
use pam_client2::{Context, ErrorCode, Flag, Session, SessionToken};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal as PidFdSignal, pidfd_open, pidfd_send_signal},
};
use tracing::{error, info, warn};

use super::{
    account::Account, become_user::become_user, ffi, link::timespec, orphans, pam::Pam, talk::Talk,
    tell, user_side,
};
use crate::environment;

/// How long the user's side may take to end what it has started.
const PARTING: Duration = Duration::from_secs(5);

/// Why a session could not be opened.
#[derive(Debug, thiserror::Error)]
enum NotOpened {
    #[error("the account's groups cannot be taken: {0}")]
    Groups(#[from] nix::errno::Errno),
    #[error("PAM does not open the session: {0} ({code:?})", code = .0.code())]
    Pam(#[from] pam_client2::Error),
    #[error("the user's side cannot be started: {0}")]
    UserSide(#[source] io::Error),
}

/// Opens the account's session and leads it to its end.
pub(super) fn lead(mut pam: Pam, account: &Account, display: &DisplayName) {
    let name = account.person.name.as_str();
    if let Err(failure) = try_to_lead(&mut pam, account, display) {
        error!(account = name, "there is no session: {failure}");
        tell(&pam.context.conversation().link, &ToSupervisor::NotOpened);
    }
}

fn try_to_lead(pam: &mut Pam, account: &Account, display: &DisplayName) -> Result<(), NotOpened> {
    // Blocked, not obeyed at once: the session must be closed first.
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block()?;
    let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
    let signals = SignalFd::with_flags(&signals, flags)?;
    prctl::set_child_subreaper(true)?;
    account.take_groups()?;
    let link = pam.context.conversation().link.duplicate().map_err(NotOpened::UserSide)?;
    let session = open(&mut pam.context)?;
    info!(account = account.person.name, "the session is open");
    let variables = session.envlist();
    let variables = variables.iter_tuples().map(|(name, value)| (name.into(), value.into()));
    let variables = environment::variables(&account.person, variables);
    let mut command = Command::new("/proc/self/exe");
    command.arg0("lumen-login").args([user_side::OPTION, display.as_str()]);
    command.env_clear().envs(variables).current_dir("/");
    let outcome = wait_for_end(&mut command, account, link, &signals);
    orphans::end_all();
    if let Err(failed) = session.close(Flag::NONE) {
        warn!(account = account.person.name, error = %failed, "PAM did not close the session well");
    }
    info!(account = account.person.name, "the session is closed");
    outcome.map_err(NotOpened::UserSide)
}

/// Opens the session in PAM, as a whole or not at all: the modules before the one that fails have opened it.
fn open(context: &mut Context<Talk>) -> Result<Session<'_, Talk>, NotOpened> {
    match context.open_session(Flag::NONE).map(Session::leak) {
        Ok(token) => Ok(context.unleak_session(token)),
        Err(error) => {
            // Credentials come first: if these fail no module has been asked to open anything.
            let is_before = matches!(
                error.code(),
                ErrorCode::CRED_ERR | ErrorCode::CRED_EXPIRED | ErrorCode::CRED_UNAVAIL
            );
            if !is_before {
                drop(context.unleak_session(SessionToken::FullSession));
            }
            Err(NotOpened::Pam(error))
        }
    }
}

/// Starts the user's side, and waits until it has ended, or the host or the administrator ends it.
fn wait_for_end(
    command: &mut Command,
    account: &Account,
    link: OwnedFd,
    signals: &SignalFd,
) -> io::Result<()> {
    let (uid, gid) = (account.uid, account.gid);
    command.stdin(Stdio::from(link.try_clone()?));
    ffi::before_exec(command, move || become_user(uid, gid));
    let mut child = command.spawn()?;
    let waited = attend(&child, link.as_fd(), signals.as_fd());
    if waited.is_err() {
        // Nothing is known of it, so it cannot stay.
        child.kill()?;
    }
    child.wait()?;
    waited
}

/// Waits for the end of the user's side; once the link or this process is to end, not for ever.
fn attend(child: &Child, link: BorrowedFd<'_>, signals: BorrowedFd<'_>) -> io::Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("a process without a number"))?;
    let end = pidfd_open(pid, PidfdFlags::empty())?;
    let ended = PollFd::new(&end, PollFlags::IN);
    let hung_up = PollFd::from_borrowed_fd(link, PollFlags::RDHUP);
    let signalled = PollFd::from_borrowed_fd(signals, PollFlags::IN);
    let mut polled = [ended, hung_up, signalled];
    await_any(&mut polled, None)?;
    if !polled[0].revents().is_empty() {
        return Ok(());
    }
    // It sees the end of the link by itself, but not that this process is to end.
    pidfd_send_signal(&end, PidFdSignal::TERM)?;
    if !await_any(&mut polled[..1], Some(Instant::now() + PARTING))? {
        warn!("the user's side does not end by itself");
        pidfd_send_signal(&end, PidFdSignal::KILL)?;
    }
    Ok(())
}

/// Waits until one of these has news; false when the deadline came first.
fn await_any(polled: &mut [PollFd<'_>], deadline: Option<Instant>) -> io::Result<bool> {
    loop {
        let left = deadline.map(|deadline| timespec(deadline, Instant::now()));
        match poll(polled, left.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
