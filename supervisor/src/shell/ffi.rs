//! System calls that no dependency wraps, each behind one safe function.

#![allow(unsafe_code, reason = "raw system calls; every block states why it is sound")]

use std::{
    ffi::{CStr, CString, OsStr},
    io::{self, Read},
    mem::MaybeUninit,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use nix::{
    errno::Errno,
    libc,
    sys::{signal::Signal, wait::waitpid},
    unistd::{ForkResult, Pid, fork},
};

/// Whether this process ignores a signal: its parent chose so, as `nohup` does.
pub(crate) fn is_ignored(signal: Signal) -> io::Result<bool> {
    // SAFETY: all zeroes is a valid sigaction: no flags, empty mask, default handler.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: without a new action nothing changes; the old one is written to `action`, which is
    // large enough and outlives the call.
    let outcome = unsafe { libc::sigaction(signal as i32, ptr::null(), &raw mut action) };
    match outcome {
        0 => Ok(action.sa_sigaction == libc::SIG_IGN),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives every signal its default action. Async-signal-safe.
pub(crate) fn restore_signals() {
    // signal(7): numbers 1 to 64, on every architecture Lumen runs on.
    (1..=64).for_each(restore_signal);
}

/// Gives one signal its default action. Async-signal-safe.
pub(crate) fn restore_signal(number: i32) {
    // SAFETY: the default action runs no code of ours. That the kernel and the C library refuse it
    // for a few numbers is fine: nobody can ignore those.
    let _ = unsafe { libc::signal(number, libc::SIG_DFL) };
}

/// The character set of a locale; `None` for one that is not installed.
pub(crate) fn codeset(locale: &OsStr) -> Option<String> {
    let name = CString::new(locale.as_encoded_bytes()).ok()?;
    // SAFETY: the name is a C string that outlives the call, and no locale is changed by it.
    let found = unsafe { libc::newlocale(libc::LC_ALL_MASK, name.as_ptr(), ptr::null_mut()) };
    if found.is_null() {
        return None;
    }
    // SAFETY: `found` is a locale until it is freed below, and with it lives the string, which the
    // C library ends with a zero.
    let set = unsafe { CStr::from_ptr(libc::nl_langinfo_l(libc::CODESET, found)) };
    let set = set.to_string_lossy().into_owned();
    // SAFETY: `found` came from newlocale, nobody else has it, and nothing of it is used hereafter.
    unsafe { libc::freelocale(found) };
    Some(set)
}

/// Takes over a descriptor with which this process was started, and gives it a number from `least` on. Only
/// for numbers that nothing in this process owns: at the start, before anything is opened.
pub(crate) fn take_over(number: RawFd, least: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC makes another descriptor, or fails if `number` is none.
    let moved = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, least) };
    if moved < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned `moved`, which nothing else owns.
    let moved = unsafe { OwnedFd::from_raw_fd(moved) };
    // SAFETY: `number` is open, or it could not have been duplicated, and by the contract of this function
    // nothing else owns it.
    drop(unsafe { OwnedFd::from_raw_fd(number) });
    Ok(moved)
}

/// Most groups that a process can have (`NGROUPS_MAX` of linux/limits.h).
const MOST_GROUPS: usize = 65_536;

/// The supplementary groups of the process that connected a Unix socket, as they were then.
pub(crate) fn peer_groups(socket: &impl AsRawFd) -> io::Result<Vec<u32>> {
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut bytes = libc::socklen_t::try_from(size_of_val(groups.as_slice()))
            .map_err(|_| io::ErrorKind::InvalidData)?;
        // SAFETY: the kernel writes at most `bytes` bytes to `groups`, which has that many and outlives the
        // call, and then how many there are to `bytes`.
        let outcome = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        let count = usize::try_from(bytes).unwrap_or(usize::MAX) / size_of::<libc::gid_t>();
        if outcome == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        let is_short = error.raw_os_error() == Some(libc::ERANGE);
        if !is_short || count <= groups.len() || count > MOST_GROUPS {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

/// How to mark descriptors as close-on-exec.
#[derive(Debug)]
pub(crate) enum CloseOnExec {
    /// The kernel does it for a range.
    ByRange,
    /// Each one separately, where a container refuses `close_range`: the descriptors that were open
    /// when this was made. The supervisor opens all later ones with the mark.
    Each(Vec<RawFd>),
}

impl CloseOnExec {
    /// Finds the method, before the fork.
    pub(crate) fn find() -> io::Result<Self> {
        // There is no such descriptor: this only tests whether the call is available.
        if close_on_exec_range(u32::MAX).is_ok() {
            return Ok(Self::ByRange);
        }
        let names = std::fs::read_dir("/proc/self/fd")?;
        let numbers = names.map(|entry| Ok(entry?.file_name().to_string_lossy().parse().ok()));
        Ok(Self::Each(numbers.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect()))
    }

    /// Marks every descriptor from `first` on. Async-signal-safe.
    pub(crate) fn mark_from(&self, first: RawFd) -> io::Result<()> {
        match self {
            Self::ByRange => close_on_exec_range(first.unsigned_abs()),
            Self::Each(open) => open
                .iter()
                .filter(|number| **number >= first)
                .try_for_each(|number| close_on_exec(*number)),
        }
    }
}

fn close_on_exec_range(first: u32) -> io::Result<()> {
    let (last, flag) = (u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: close_range(2) with CLOSE_RANGE_CLOEXEC sets a flag and touches no memory.
    match unsafe { libc::syscall(libc::SYS_close_range, first, last, flag) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn close_on_exec(number: RawFd) -> io::Result<()> {
    // SAFETY: F_SETFD sets a flag, whatever the number is.
    match unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            // Closed since the list was made, as is the directory's own descriptor.
            error if error.raw_os_error() == Some(libc::EBADF) => Ok(()),
            error => Err(error),
        },
    }
}

/// Runs `act` in a child, which answers with two numbers, and reaps it. `act` must neither allocate
/// nor lock, as between fork and exec.
pub(crate) fn in_child(act: impl FnOnce() -> [u32; 2]) -> io::Result<[u32; 2]> {
    let (reader, writer) = io::pipe()?;
    // SAFETY: the child makes system calls over memory prepared before the fork, writes a few bytes
    // and ends without running destructors or anything else of this process.
    let child = match unsafe { fork() }? {
        ForkResult::Child => {
            let [first, second] = act();
            let mut answer = [0; 8];
            answer[..4].copy_from_slice(&first.to_ne_bytes());
            answer[4..].copy_from_slice(&second.to_ne_bytes());
            // SAFETY: the pointer and length are those of a live array; _exit takes any number and
            // does not return. Without an answer the parent knows that something is wrong.
            unsafe {
                let _ = libc::write(writer.as_raw_fd(), answer.as_ptr().cast(), answer.len());
                libc::_exit(0)
            }
        }
        ForkResult::Parent { child } => child,
    };
    drop(writer);
    let mut answer = [0; 8];
    let read = (&reader).read_exact(&mut answer);
    while waitpid(child, None) == Err(Errno::EINTR) {}
    read?;
    let [a, b, c, d, e, f, g, h] = answer;
    Ok([u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])])
}

/// Removes every capability from the bounding set, as far as the kernel permits: root and the owner
/// of a new user namespace may. Async-signal-safe.
pub(crate) fn empty_bounding_set() {
    // The kernel returns EINVAL after the last capability; its set has room for 64.
    for capability in 0..64_u64 {
        // SAFETY: PR_CAPBSET_DROP takes a number and touches no memory.
        let outcome =
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0_u64, 0_u64, 0_u64) };
        if outcome != 0 {
            return;
        }
    }
}

/// Gives up every capability. Async-signal-safe.
pub(crate) fn drop_capabilities() -> Result<(), Errno> {
    // linux/capability.h: `_LINUX_CAPABILITY_VERSION_3` and the own process; then the effective,
    // permitted and inheritable sets, twice 32 bits each.
    let (mut header, sets) = ([0x2008_0522_u32, 0], [0_u32; 6]);
    // SAFETY: header and sets are as large as this version has them, and outlive the call, which writes
    // to the header only if it does not know the version.
    let outcome = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, &raw const sets) };
    if outcome == 0 { Ok(()) } else { Err(Errno::last()) }
}

/// A child that has ended and has not been reaped, if there is one, whatever signal ended it: nix
/// has no names for real-time signals and fails on them.
pub(crate) fn ended_child() -> Option<Pid> {
    // SAFETY: all zeroes is a valid siginfo_t; the kernel leaves it so where it has nothing to say.
    let mut info: libc::siginfo_t = unsafe { MaybeUninit::zeroed().assume_init() };
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the answer is written to `info`, which is large enough and outlives the call.
    let outcome = unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, flags) };
    // SAFETY: what waitid says of a child has this field; without one it is zero, as above.
    let pid = unsafe { info.si_pid() };
    (outcome == 0 && pid != 0).then(|| Pid::from_raw(pid))
}

/// Whether a seccomp filter can be installed, tried in a child with one that allows all calls.
pub(crate) fn takes_a_filter() -> io::Result<()> {
    // BPF_RET | BPF_K (linux/bpf_common.h) with SECCOMP_RET_ALLOW.
    let mut allow = [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW }];
    let program = libc::sock_fprog { len: 1, filter: allow.as_mut_ptr() };
    tried(|| {
        // SAFETY: `program` and the one instruction it points to outlive the call, which only reads
        // them; the flags are none. The child whose filter it is ends right after.
        unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1_u64, 0_u64, 0_u64, 0_u64) == 0
                && libc::syscall(
                    libc::SYS_seccomp,
                    libc::SECCOMP_SET_MODE_FILTER,
                    0_u32,
                    &raw const program,
                ) == 0
        }
    })
}

/// The version of Landlock that a process can really use, tried in a child
/// (<https://docs.kernel.org/userspace-api/landlock.html>, "Landlock ABI versions").
pub(crate) fn landlock_abi() -> io::Result<u8> {
    const CREATE_RULESET_VERSION: u32 = 1;
    let nothing = ptr::null::<libc::c_void>();
    // SAFETY: with this flag the call takes a null pointer and a size of zero, makes nothing and
    // returns the version.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, CREATE_RULESET_VERSION)
    };
    if version <= 0 {
        return Err(io::Error::last_os_error());
    }
    // The first field of struct landlock_ruleset_attr: rights on files, of which this is to execute.
    let execute = 1_u64;
    tried(|| {
        // SAFETY: the attribute outlives the call that reads its eight bytes; the other call takes
        // two numbers. The child whose restriction it is ends right after.
        unsafe {
            let attribute = &raw const execute;
            let ruleset =
                libc::syscall(libc::SYS_landlock_create_ruleset, attribute, 8_usize, 0_u32);
            ruleset >= 0
                && libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1_u64, 0_u64, 0_u64, 0_u64) == 0
                && libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0_u32) == 0
        }
    })?;
    Ok(u8::try_from(version).unwrap_or(u8::MAX))
}

/// Tries something in a child that ends right after.
fn tried(act: impl FnOnce() -> bool) -> io::Result<()> {
    let [failed, errno] = in_child(|| match act() {
        true => [0, 0],
        false => [1, Errno::last_raw().unsigned_abs()],
    })?;
    if failed == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno.cast_signed())) }
}
