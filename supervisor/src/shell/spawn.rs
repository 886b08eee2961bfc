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
};

use lumen_ipc::process::Worker;
use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    libc,
    sched::{CloneFlags, unshare},
    sys::{
        prctl,
        resource::{Resource, setrlimit},
        signal::{SigSet, Signal},
        stat::Mode,
    },
    unistd::{self, Gid, Pid, Uid},
};
use rustix::process::{Pid as PidFdPid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;

use super::ffi;
use crate::{environment::Environment, plan::Identity};

/// Where a worker finds its control socket.
const CONTROL: RawFd = 3;
/// Where a worker finds its grants socket.
const GRANTS: RawFd = 4;

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
    /// Its process id, valid until it is reaped.
    pub(crate) pid: Pid,
    /// Readable when it has ended.
    pub(crate) pidfd: OwnedFd,
    /// What it writes to standard output and error.
    pub(crate) output: OwnedFd,
}

/// The namespaces a worker gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Namespaces {
    /// None: the kernel forbids them.
    Shared,
    /// Network, IPC and host name, made with root's privilege.
    Privileged,
    /// The same and a user namespace, which an ordinary user needs to make them. It maps the user
    /// to itself, so that no capability outlives exec.
    WithUser,
}

impl Namespaces {
    /// Their names, as `/proc/self/ns` has them.
    pub(crate) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Shared => &[],
            Self::Privileged => &["net", "ipc", "uts"],
            Self::WithUser => &["user", "net", "ipc", "uts"],
        }
    }

    fn flags(self) -> CloneFlags {
        let apart = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
        match self {
            Self::Shared => CloneFlags::empty(),
            Self::Privileged => apart,
            Self::WithUser => apart | CloneFlags::CLONE_NEWUSER,
        }
    }
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
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
    /// All of its environment.
    pub(crate) environment: Environment,
    /// Where it starts: in the first of these that its user may enter.
    pub(crate) directories: Vec<PathBuf>,
    /// The user to become, and all its groups; `None` to stay who we are.
    pub(crate) identity: Option<(Identity, Vec<Gid>)>,
}

/// Executes the app.
pub(crate) fn app(launch: &AppLaunch) -> io::Result<Spawned> {
    let mut command = Command::new(&launch.program);
    command.args(&launch.arguments).env_clear().envs(launch.environment.iter());
    let directories = launch
        .directories
        .iter()
        .map(|directory| CString::new(directory.as_os_str().as_bytes()))
        .collect::<Result<Vec<_>, _>>()?;
    let (identity, groups) = match &launch.identity {
        Some((identity, groups)) => (Some(*identity), groups.clone()),
        None => (None, Vec::new()),
    };
    let parent = unistd::getpid();
    // SAFETY: the closure makes system calls over memory prepared before the fork and does nothing
    // else, which is what a child of a process that may have threads is allowed to do.
    unsafe {
        command.pre_exec(move || {
            close_on_exec_from(CONTROL)?;
            forget_signals()?;
            unistd::setsid()?;
            if let Some(identity) = identity {
                become_user(identity, &groups)?;
            }
            enter_first(&directories)?;
            die_with(parent, Signal::SIGTERM)
        })
    };
    execute(command)
}

fn execute(mut command: Command) -> io::Result<Spawned> {
    let (output, input) = unistd::pipe2(OFlag::O_CLOEXEC)?;
    command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input);
    let child = command.spawn()?;
    // The child is reaped through its pidfd; `Child` does nothing when dropped.
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let named = PidFdPid::from_raw(pid).ok_or_else(|| io::Error::other("process id zero"))?;
    let pidfd = pidfd_open(named, PidfdFlags::empty())?;
    Ok(Spawned { pid: Pid::from_raw(pid), pidfd, output })
}

/// Everything a worker's child needs between fork and exec.
struct Prepared {
    control: RawFd,
    grants: RawFd,
    parent: Pid,
    identity: Option<Identity>,
    namespaces: Namespaces,
    uid_map: CString,
    gid_map: CString,
}

impl Prepared {
    fn for_worker(launch: &WorkerLaunch<'_>) -> io::Result<Self> {
        let (uid, gid) = (unistd::geteuid(), unistd::getegid());
        Ok(Self {
            control: launch.control.as_raw_fd(),
            grants: launch.grants.as_raw_fd(),
            parent: unistd::getpid(),
            identity: launch.identity,
            namespaces: launch.namespaces,
            uid_map: CString::new(format!("{uid} {uid} 1"))?,
            gid_map: CString::new(format!("{gid} {gid} 1"))?,
        })
    }

    fn worker(&self) -> io::Result<()> {
        place(self.control, CONTROL)?;
        place(self.grants, GRANTS)?;
        close_on_exec_from(GRANTS + 1)?;
        forget_signals()?;
        unistd::setsid()?;
        // A core dump would hold keys.
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
        unshare(self.namespaces.flags())?;
        if self.namespaces == Namespaces::WithUser {
            write_file(c"/proc/self/setgroups", c"deny")?;
            write_file(c"/proc/self/uid_map", &self.uid_map)?;
            write_file(c"/proc/self/gid_map", &self.gid_map)?;
        }
        if self.identity.is_some() || self.namespaces == Namespaces::WithUser {
            empty_bounding_set()?;
        }
        if let Some(identity) = self.identity {
            become_user(identity, &[])?;
        }
        prctl::set_no_new_privs()?;
        // After the change of user, which resets it.
        die_with(self.parent, Signal::SIGKILL)
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

/// Marks every descriptor from `first` on to be closed by exec.
fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    let (first, last) = (first.unsigned_abs(), u32::MAX);
    // SAFETY: close_range(2) with CLOSE_RANGE_CLOEXEC sets a flag and touches no memory.
    let outcome =
        unsafe { libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes every capability out of the set that exec could ever give back, by the privilege that root
/// has, or the owner of a new user namespace.
fn empty_bounding_set() -> io::Result<()> {
    // Numbers end where the kernel says EINVAL; 64 is what its set has room for.
    for capability in 0..64_u64 {
        // SAFETY: PR_CAPBSET_DROP takes a number and touches no memory.
        let outcome =
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0_u64, 0_u64, 0_u64) };
        if outcome != 0 {
            let error = io::Error::last_os_error();
            let is_last = error.raw_os_error() == Some(libc::EINVAL) && capability > 0;
            return if is_last { Ok(()) } else { Err(error) };
        }
    }
    Ok(())
}

/// Becomes a user for good. Every step is checked, the outcome is read back, and the way back must
/// be closed: a worker that is still root is worse than none.
fn become_user(identity: Identity, groups: &[Gid]) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    unistd::setgroups(groups)?;
    unistd::setresgid(gid, gid, gid)?;
    unistd::setresuid(uid, uid, uid)?;
    let (users, own) = (unistd::getresuid()?, unistd::getresgid()?);
    let is_uid = users.real == uid && users.effective == uid && users.saved == uid;
    let is_gid = own.real == gid && own.effective == gid && own.saved == gid;
    let way_back = !uid.is_root() && unistd::setuid(Uid::from_raw(0)).is_ok();
    if is_uid && is_gid && !way_back { Ok(()) } else { Err(Errno::EPERM.into()) }
}

/// Asks for a signal when the supervisor dies, and dies now if it has already. The signal follows
/// the thread that forked: the supervisor has one.
fn die_with(parent: Pid, signal: Signal) -> io::Result<()> {
    prctl::set_pdeathsig(signal)?;
    if unistd::getppid() == parent { Ok(()) } else { Err(Errno::ESRCH.into()) }
}

fn write_file(path: &CStr, content: &CStr) -> io::Result<()> {
    let file = open(path, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let written = unistd::write(file.as_fd(), content.to_bytes())?;
    if written == content.count_bytes() { Ok(()) } else { Err(Errno::EIO.into()) }
}

/// Watches a descriptor by the event loop.
pub(crate) fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open and stays the same descriptor for as long as it exists, and it
    // exists as long as the `AsyncFd` that owns it.
    Ok(unsafe { AsyncFd::register(descriptor) }?)
}

/// The version of Landlock the kernel offers, zero for none
/// (<https://docs.kernel.org/userspace-api/landlock.html>, "Landlock ABI versions"). Here because
/// this file is the crate's only one with system calls that no crate wraps.
pub(crate) fn landlock_abi() -> u8 {
    const CREATE_RULESET_VERSION: u32 = 1;
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the call takes a null pointer and a size of zero, makes nothing and
    // returns the version.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, CREATE_RULESET_VERSION)
    };
    u8::try_from(version).unwrap_or_default()
}
