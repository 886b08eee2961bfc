//! Raw system calls, and the fork of a process with one thread.

#![allow(unsafe_code, reason = "raw system calls; every block states why it is sound")]

use std::{io, os::fd::BorrowedFd};

/// Makes any system call: a value, or an error as a negative number.
pub(crate) fn call(number: i64, arguments: [u64; 6]) -> i64 {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: none is promised. An intruder's calls may do anything to the process that makes them;
    // the test that orders them passes pointers to memory that is never freed, or invalid ones.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    match result {
        -1 => -i64::from(io::Error::last_os_error().raw_os_error().unwrap_or(0)),
        result => result,
    }
}

/// Forks; `None` in the child. Only while the process has one thread.
pub(crate) fn fork() -> io::Result<Option<i32>> {
    // SAFETY: the process has one thread, so no lock is held by a thread that the child lacks.
    match unsafe { libc::fork() } {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        child => Ok(Some(child)),
    }
}

/// Has SIGALRM end the process after so many seconds.
pub(crate) fn end_after(seconds: u32) {
    // SAFETY: only sets a timer of this process.
    unsafe { libc::alarm(seconds) };
}

/// Ends the process without running anything.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: ends the process; no code runs in it afterwards.
    unsafe { libc::_exit(code) }
}

/// The descriptor of this number.
pub(crate) fn borrowed(number: i32) -> BorrowedFd<'static> {
    // SAFETY: only called with the numbers of the sockets that a worker inherits, which are open as
    // long as the process lives.
    unsafe { BorrowedFd::borrow_raw(number) }
}
