//! System calls that no crate wraps, each behind one safe function.

#![allow(unsafe_code, reason = "raw system calls; every block states why it is sound")]

use std::{
    io,
    os::fd::{FromRawFd, OwnedFd, RawFd},
    sync::Arc,
};

use lumen_ipc::{codec::Message, process::ExitCode};
use tokio::io::unix::AsyncFd;

use crate::{channel::Channel, wake::Waker};

/// Closes every descriptor from `first` on. Only for the first moments of a process, before any
/// descriptor above its inherited ones has an owner.
pub(crate) fn close_from(first: RawFd) -> io::Result<()> {
    let (from, last, flags) = (first.unsigned_abs(), u32::MAX, 0_u32);
    // SAFETY: close_range touches no memory. That no Rust value owns a descriptor it closes is the
    // caller's promise, kept by `bootstrap::run` calling it before it opens anything.
    match unsafe { libc::syscall(libc::SYS_close_range, from, last, flags) } {
        0 => Ok(()),
        // Some containers refuse the call.
        _ => close_each_from(first),
    }
}

/// [`close_from`] by the list of open descriptors.
fn close_each_from(first: RawFd) -> io::Result<()> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_string_lossy().parse::<RawFd>());
    }
    for number in open.into_iter().filter(|number| *number >= first) {
        // SAFETY: close touches no memory; the caller's promise holds here, too. The list's own
        // descriptor is closed already, and closing a number that is not open does nothing.
        unsafe { libc::close(number) };
    }
    Ok(())
}

/// Takes ownership of an inherited descriptor, if it is open. Only for numbers that nothing else in
/// the process owns, once each.
pub(crate) fn take_inherited(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: F_GETFD only reads a flag, whatever the number is.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    // SAFETY: the descriptor is open, as F_GETFD just said, and the caller is its only owner: the
    // number was given to this process at exec, and `bootstrap` takes each once.
    (flags >= 0).then(|| unsafe { OwnedFd::from_raw_fd(number) })
}

/// Gives back to the kernel what is free in the heap, which the allocator keeps for later otherwise.
#[cfg(target_env = "gnu")]
pub(crate) fn trim_heap() {
    // SAFETY: malloc_trim touches nothing but free memory of the allocator's own, under its locks.
    unsafe { libc::malloc_trim(0) };
}

/// Other C libraries keep little.
#[cfg(not(target_env = "gnu"))]
pub(crate) const fn trim_heap() {}

/// Ends the process at once, without destructors and without waiting for other threads.
pub(crate) fn exit_now(code: ExitCode) -> ! {
    exit(i32::from(code.number()))
}

/// [`exit_now`] with any number.
pub(crate) fn exit(number: i32) -> ! {
    // SAFETY: _exit takes any number, touches no memory of ours and does not return.
    unsafe { libc::_exit(number) }
}

/// Makes one raw system call and returns its result or errno. For [`crate::policy_probe`]'s
/// children only, whose last act but `_exit` it is.
#[cfg(feature = "test-support")]
pub(crate) fn call(number: libc::c_long, arguments: [u64; 6]) -> Result<libc::c_long, i32> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the arguments are numbers, pointers to statics the kernel only reads, or pointers
    // with all bits set, which it refuses. A call that does change this process (its memory map,
    // its signal actions) does it to a child that runs no other code afterwards.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result >= 0 {
        return Ok(result);
    }
    Err(io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// Registers a channel with the tokio runtime this is called in.
pub(crate) fn watch<In: Message, Out: Message>(
    channel: Arc<Channel<In, Out>>,
) -> io::Result<AsyncFd<Arc<Channel<In, Out>>>> {
    // SAFETY: a channel owns its descriptor until it is dropped, never replaces it, and
    // `as_raw_fd` always returns that one; `AsyncFd` shares its ownership from here on.
    Ok(unsafe { AsyncFd::register(channel) }?)
}

/// Registers a waker with the tokio runtime this is called in.
pub(crate) fn watch_waker(waker: Waker) -> io::Result<AsyncFd<Waker>> {
    // SAFETY: a waker shares the ownership of its descriptor until it is dropped, never replaces
    // it, and `as_raw_fd` always returns that one; `AsyncFd` owns this share from here on.
    Ok(unsafe { AsyncFd::register(waker) }?)
}
