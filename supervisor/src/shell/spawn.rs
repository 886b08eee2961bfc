//! Executing programs: what a child gives up, keeps, and is between fork and exec.
//!
//! A worker begins with descriptors 0 (`/dev/null`), 1 and 2 (its log pipe), 3 (`control`), 4
//! (`grants`) and no other, no environment, a session of its own, namespaces of its own, the user
//! it is meant to be and no way back, and a signal when the supervisor dies. The app begins as its
//! user would begin it: everything of the supervisor's closed, nothing confined.
//!
//! INVARIANT: between fork and exec nothing allocates, locks or panics, because another thread may
//! hold the allocator's lock at the moment of the fork. Strings and lists are made before.

#![allow(
    unsafe_code,
    reason = "pre_exec, raw system calls, AsyncFd; each block states why it is sound"
)]

use std::{
    ffi::{CStr, CString, OsString},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
};

use lumen_ipc::process::Worker;
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl, open},
    libc,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::{
        signal::{SigSet, Signal},
        stat::Mode,
    },
    unistd::{self, Gid, Pid},
};
use tokio::io::unix::AsyncFd;

use super::{
    child::Child,
    fence::{Fence, Namespaces, become_user, die_with},
    ffi::{self, CloseOnExec},
    log,
};
use crate::{environment::Environment, plan::Identity};

/// Where a worker finds its control socket.
const CONTROL: RawFd = 3;
/// Where a worker finds its grants socket.
const GRANTS: RawFd = 4;
/// Where a helper says that it serves, and where it finds its connection to the compositor, if it has one.
const READINESS: RawFd = 3;
pub(super) const CONNECTION: RawFd = 4;

/// Keeps the numbers 3 and 4 taken in this process, so that no descriptor a child needs until exec
/// can have them: `dup2` would overwrite it.
#[derive(Debug)]
pub(crate) struct ReservedNumbers(
    #[expect(dead_code, reason = "held for their numbers")] Vec<OwnedFd>,
);

impl ReservedNumbers {
    /// To be called before anything else is opened.
    pub(crate) fn take() -> io::Result<Self> {
        let mut held = Vec::new();
        loop {
            let descriptor = open(c"/dev/null", OFlag::O_CLOEXEC, Mode::empty())?;
            if descriptor.as_raw_fd() > GRANTS {
                return Ok(Self(held));
            }
            held.push(descriptor);
        }
    }
}

/// A child that has been executed.
#[derive(Debug)]
pub(crate) struct Spawned {
    /// Its process.
    pub(crate) child: Arc<Child>,
    /// Readable when it has ended, where the system lets anything be so.
    pub(crate) ended: Option<OwnedFd>,
    /// What it writes to standard output and error.
    pub(crate) output: OwnedFd,
}

/// What a worker's process is made from.
#[derive(Debug)]
pub(crate) struct WorkerLaunch<'launch> {
    /// Which.
    pub(crate) worker: Worker,
    /// Its program. Executed by descriptor: a restart executes what the start did, and the user it
    /// runs as needs no way to the directory.
    pub(crate) program: BorrowedFd<'launch>,
    /// The user to become; `None` to stay who we are.
    pub(crate) identity: Option<Identity>,
    /// Its namespaces.
    pub(crate) namespaces: Namespaces,
    /// Its end of `control`.
    pub(crate) control: BorrowedFd<'launch>,
    /// Its end of `grants`.
    pub(crate) grants: BorrowedFd<'launch>,
}

/// Executes a worker.
pub(crate) fn worker(launch: &WorkerLaunch<'_>) -> io::Result<Spawned> {
    let mut command = Command::new(format!("/proc/self/fd/{}", launch.program.as_raw_fd()));
    command.arg0(launch.worker.binary()).env_clear().current_dir("/");
    let prepared = Prepared::for_worker(launch)?;
    // SAFETY: `Prepared::worker` makes system calls over memory prepared before the fork and does
    // nothing else, which is what a child of a process that may have threads is allowed to do. The
    // descriptors it duplicates outlive `launch`, hence the fork.
    unsafe { command.pre_exec(move || prepared.worker()) };
    execute(command)
}

/// What the app's process is made from.
#[derive(Clone, Debug)]
pub(crate) struct AppLaunch {
    /// Its program.
    pub(crate) program: PathBuf,
    /// Its name, where the program's path says none.
    pub(crate) name: Option<&'static str>,
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
    /// All of its environment.
    pub(crate) environment: Environment,
    /// Where it starts: in the first of these that its user may enter.
    pub(crate) directories: Vec<PathBuf>,
    /// The user to become, and all its groups; `None` to stay who we are.
    pub(crate) identity: Option<(Identity, Vec<Gid>)>,
    /// Files that the app sees in the place of the real ones, where root may arrange that.
    pub(crate) bound: Vec<BoundFile>,
}

/// A file that the app sees in the place of another.
#[derive(Clone, Debug)]
pub(crate) struct BoundFile {
    /// What it sees.
    pub(crate) copy: CString,
    /// Where.
    pub(crate) real: CString,
}

/// Executes the app.
pub(crate) fn app(launch: &AppLaunch) -> io::Result<Spawned> {
    guest(launch, &[])
}

/// Executes a helper; returns what it writes to its descriptor 3, too.
pub(crate) fn helper(
    launch: &AppLaunch,
    connection: Option<BorrowedFd<'_>>,
) -> io::Result<(Spawned, OwnedFd)> {
    let (ready, says) = unistd::pipe2(OFlag::O_CLOEXEC)?;
    let given: Vec<_> = [says.as_fd()].into_iter().chain(connection).collect();
    Ok((guest(launch, &given)?, ready))
}

/// Executes a program that is no worker, which has `given` as its descriptors from 3 on.
fn guest(launch: &AppLaunch, given: &[BorrowedFd<'_>]) -> io::Result<Spawned> {
    let mut command = Command::new(&launch.program);
    command.args(&launch.arguments).env_clear().envs(launch.environment.iter());
    if let Some(name) = launch.name {
        command.arg0(name);
    }
    let directories = launch
        .directories
        .iter()
        .map(|directory| CString::new(directory.as_os_str().as_bytes()))
        .collect::<Result<Vec<_>, _>>()?;
    let (identity, groups) = match &launch.identity {
        Some((identity, groups)) => (Some(*identity), groups.clone()),
        None => (None, Vec::new()),
    };
    let bound = launch.bound.clone();
    let (parent, descriptors) = (unistd::getpid(), CloseOnExec::find()?);
    let given: Vec<_> = (READINESS..).zip(given.iter().map(AsRawFd::as_raw_fd)).collect();
    let beyond = given.last().map_or(READINESS, |(number, _)| number + 1);
    // SAFETY: the closure makes system calls over memory prepared before the fork and does nothing
    // else, which is what a child of a process that may have threads is allowed to do.
    unsafe {
        command.pre_exec(move || {
            for (number, descriptor) in &given {
                place(*descriptor, *number)?;
            }
            descriptors.mark_from(beyond)?;
            forget_signals()?;
            unistd::setsid()?;
            if !bound.is_empty() {
                // A container's root often may not; the app is no worse off than without.
                let _ = bind(&bound);
            }
            if let Some(identity) = identity {
                become_user(identity, &groups)?;
            }
            enter_first(&directories)?;
            Ok(die_with(parent, Signal::SIGTERM)?)
        })
    };
    execute(command)
}

/// Puts files in the place of others, for this process and its children. What the host mounts later
/// arrives here all the same, and nothing of this arrives there.
fn bind(files: &[BoundFile]) -> io::Result<()> {
    const NOTHING: Option<&CStr> = None;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(NOTHING, c"/", NOTHING, MsFlags::MS_REC | MsFlags::MS_SLAVE, NOTHING)?;
    for file in files {
        let (copy, real) = (file.copy.as_c_str(), file.real.as_c_str());
        mount(Some(copy), real, NOTHING, MsFlags::MS_BIND, NOTHING)?;
    }
    Ok(())
}

fn execute(mut command: Command) -> io::Result<Spawned> {
    let (output, input) = unistd::pipe2(OFlag::O_CLOEXEC)?;
    // Where the user may have no more, the usual size does.
    let _ = fcntl(&output, FcntlArg::F_SETPIPE_SZ(log::PIPE_BYTES));
    command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input);
    let child = command.spawn()?;
    // The child is reaped by whom its end is told; `std`'s does nothing when dropped.
    let child = Child::new(Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?));
    Ok(Spawned { ended: child.end_descriptor(), child: Arc::new(child), output })
}

/// Everything a worker's child needs between fork and exec.
struct Prepared {
    control: RawFd,
    grants: RawFd,
    descriptors: CloseOnExec,
    fence: Fence,
}

impl Prepared {
    fn for_worker(launch: &WorkerLaunch<'_>) -> io::Result<Self> {
        Ok(Self {
            control: launch.control.as_raw_fd(),
            grants: launch.grants.as_raw_fd(),
            descriptors: CloseOnExec::find()?,
            fence: Fence::new(launch.identity, launch.namespaces)?,
        })
    }

    fn worker(&self) -> io::Result<()> {
        place(self.control, CONTROL)?;
        place(self.grants, GRANTS)?;
        self.descriptors.mark_from(GRANTS + 1)?;
        forget_signals()?;
        unistd::setsid()?;
        Ok(self.fence.put_up()?)
    }
}

/// Makes every signal do what it does by default, as after a login: exec would pass on which ones
/// the supervisor blocks, and which ones whoever started it ignores.
fn forget_signals() -> io::Result<()> {
    ffi::restore_signals();
    Ok(SigSet::empty().thread_set_mask()?)
}

/// Enters the first of these directories that this user may enter.
fn enter_first(directories: &[CString]) -> io::Result<()> {
    let mut outcome = Ok(());
    for directory in directories {
        outcome = unistd::chdir(directory.as_c_str());
        if outcome.is_ok() {
            break;
        }
    }
    Ok(outcome?)
}

/// Duplicates `from` to the number `to`, open across exec.
fn place(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: both are plain numbers; that overwriting `to` takes it from nobody is what
    // `ReservedNumbers` is for.
    let outcome = unsafe { libc::dup2(from, to) };
    if outcome == to { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Watches a descriptor by the event loop.
pub(crate) fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open and stays the same descriptor for as long as it exists, and it
    // exists as long as the `AsyncFd` that owns it.
    Ok(unsafe { AsyncFd::register(descriptor) }?)
}
