//! System calls no crate of ours wraps, each behind one safe function.

#![allow(unsafe_code, reason = "raw system calls; every block states why it is sound")]

use std::{io, mem::MaybeUninit, ptr};

use nix::{libc, sys::signal::Signal};

/// Whether this process ignores a signal: whoever started it chose so, as `nohup` does.
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
