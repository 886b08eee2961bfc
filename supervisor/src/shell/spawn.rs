//! Executes programs, and sets up their processes between fork and exec.
//!
//! A worker starts with descriptors 0 (`/dev/null`), 1 and 2 (its log pipe), 3 (`control`), 4
//! (`grants`) and no others. It has no environment, its own session and namespaces, runs as its user
//! without a way back, and gets a signal when the supervisor dies. The app starts as its user would
//! start it: the supervisor's descriptors are closed, and nothing is confined.
//!
//! INVARIANT: between fork and exec nothing allocates, locks or panics, because another thread may
//! hold the allocator's lock at the moment of the fork. Strings and lists are made before the fork.

#![allow(
    unsafe_code,
    reason = "pre_exec, raw system calls, AsyncFd; each block states why it is sound"
)]

use std::{
    ffi::{CStr, CString, OsString},
    io,
    os::{
        fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
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
    session_group::Entrance,
};
use crate::{environment::Environment, plan::Identity};

/// Where a worker finds its control socket.
const CONTROL: RawFd = 3;
/// Where a worker finds its grants socket.
const GRANTS: RawFd = 4;
/// The descriptor at which a helper reports that it is ready.
const READINESS: RawFd = 3;
/// A helper's connection to the compositor, if it has one.
pub(super) const CONNECTION: RawFd = 4;

/// Keeps the numbers 3 and 4 in use in this process, so that no descriptor that a child needs until
/// exec has one of them: `dup2` would overwrite it.
#[derive(Debug)]
pub(crate) struct ReservedNumbers(
    #[expect(dead_code, reason = "held for their numbers")] Vec<OwnedFd>,
);

impl ReservedNumbers {
    /// Call this before anything else is opened.
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
    pub(crate) child: Arc<Child>,
    /// Readable when the child has ended; `None` where the system does not support that.
    pub(crate) ended: Option<OwnedFd>,
    /// Its standard output and error.
    pub(crate) output: OwnedFd,
}

/// How to start a worker.
#[derive(Debug)]
pub(crate) struct WorkerLaunch<'launch> {
    pub(crate) worker: Worker,
    /// Its program, executed by descriptor: a restart executes the same file as the start, and the worker's
    /// user needs no access to the directory.
    pub(crate) program: BorrowedFd<'launch>,
    /// The user to become; `None` to stay the current one.
    pub(crate) identity: Option<Identity>,
    pub(crate) namespaces: Namespaces,
    /// The way into the control group of its session's workers, if there is one.
    pub(crate) group: Option<&'launch Entrance>,
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
    // SAFETY: `Prepared::worker` only makes system calls with memory prepared before the fork, which is
    // what a child of a process that may have threads is allowed to do. The descriptors it duplicates
    // outlive `launch`, hence the fork.
    unsafe { command.pre_exec(move || prepared.worker()) };
    execute(command)
}

/// How to start the app or a helper.
#[derive(Clone, Debug)]
pub(crate) struct AppLaunch {
    pub(crate) program: PathBuf,
    /// Its `argv[0]`, if that is not the program's path.
    pub(crate) name: Option<&'static str>,
    pub(crate) arguments: Vec<OsString>,
    /// Its whole environment.
    pub(crate) environment: Environment,
    /// Its working directory is the first of these that its user may enter.
    pub(crate) directories: Vec<PathBuf>,
    /// The user to become, with all its groups; `None` to stay the current one.
    pub(crate) identity: Option<(Identity, Vec<Gid>)>,
    /// Files that the app sees in place of the real ones, if root may mount them.
    pub(crate) bound: Vec<BoundFile>,
    /// The way into the control group of its session's guests, if there is one.
    pub(crate) group: Option<Entrance>,
}

/// A file that the app sees in place of another.
#[derive(Clone, Debug)]
pub(crate) struct BoundFile {
    /// The file it sees.
    pub(crate) copy: CString,
    /// The path where it sees that file.
    pub(crate) real: CString,
}

/// Executes the app.
pub(crate) fn app(launch: &AppLaunch) -> io::Result<Spawned> {
    guest(launch, &[])
}

/// Executes a helper, which reports by the first of `given` that it is ready; all are its descriptors from 3 on.
pub(crate) fn helper(launch: &AppLaunch, given: &[BorrowedFd<'_>]) -> io::Result<Spawned> {
    guest(launch, given)
}

/// Executes a program that is not a worker; it gets `given` as its descriptors from 3 on.
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
    let group = launch.group.clone();
    let (parent, descriptors) = (unistd::getpid(), CloseOnExec::find()?);
    let given: Vec<_> = (READINESS..).zip(given.iter().map(AsRawFd::as_raw_fd)).collect();
    let beyond = given.last().map_or(READINESS, |(number, _)| number + 1);
    // SAFETY: the closure only makes system calls with memory prepared before the fork, which is what a
    // child of a process that may have threads is allowed to do.
    unsafe {
        command.pre_exec(move || {
            enter(group.as_ref())?;
            for (number, descriptor) in &given {
                place(*descriptor, *number)?;
            }
            descriptors.mark_from(beyond)?;
            forget_signals()?;
            unistd::setsid()?;
            if !bound.is_empty() {
                // A container's root often may not mount; then the app sees the real files.
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

/// Enters a control group. One that took a process at the start takes others, unless somebody removes it;
/// then nothing is executed, because it would outlive the session.
fn enter(group: Option<&Entrance>) -> io::Result<()> {
    group.map_or(Ok(()), Entrance::enter)
}

/// Mounts files over others for this process and its children. What is mounted outside later appears
/// here, too; these mounts do not appear outside.
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
    // If the user may not have more, the default size is enough.
    let _ = fcntl(&output, FcntlArg::F_SETPIPE_SZ(log::PIPE_BYTES));
    command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input);
    let child = command.spawn()?;
    // Whoever learns of the child's end reaps it; `std`'s handle does nothing when dropped.
    let child = Child::new(Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?));
    Ok(Spawned { ended: child.end_descriptor(), child: Arc::new(child), output })
}

/// Everything a worker's child needs between fork and exec.
struct Prepared {
    group: Option<Entrance>,
    control: RawFd,
    grants: RawFd,
    descriptors: CloseOnExec,
    fence: Fence,
}

impl Prepared {
    fn for_worker(launch: &WorkerLaunch<'_>) -> io::Result<Self> {
        Ok(Self {
            group: launch.group.cloned(),
            control: launch.control.as_raw_fd(),
            grants: launch.grants.as_raw_fd(),
            descriptors: CloseOnExec::find()?,
            fence: Fence::new(launch.identity, launch.namespaces)?,
        })
    }

    fn worker(&self) -> io::Result<()> {
        enter(self.group.as_ref())?;
        place(self.control, CONTROL)?;
        place(self.grants, GRANTS)?;
        self.descriptors.mark_from(GRANTS + 1)?;
        forget_signals()?;
        unistd::setsid()?;
        Ok(self.fence.put_up()?)
    }
}

/// Resets every signal to its default, as after a login: exec would preserve the signals that the
/// supervisor blocks and those that its caller ignores.
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
    // SAFETY: both are plain numbers; `ReservedNumbers` ensures that no other descriptor is
    // overwritten at `to`.
    let outcome = unsafe { libc::dup2(from, to) };
    if outcome == to { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Registers a descriptor with the event loop.
pub(crate) fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open and stays the same descriptor for as long as it exists, and it
    // exists as long as the `AsyncFd` that owns it.
    Ok(unsafe { AsyncFd::register(descriptor) }?)
}
