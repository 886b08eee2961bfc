//! Ends a program that makes a forbidden system call: a handler for `SIGSYS` writes the program's and
//! the call's name to standard error and exits with [`ExitCode::ForbiddenSyscall`].
//!
//! INVARIANT: the handler is async-signal-safe. It formats into its own array and calls only
//! `write` and `_exit`, both of which every policy allows.

#![allow(unsafe_code, reason = "sigaction and siginfo; every block states why it is sound")]

use std::{
    io,
    mem::MaybeUninit,
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

use libc::{c_int, c_void, siginfo_t};
use lumen_ipc::process::ExitCode;

use super::syscalls::syscall_name;
use crate::ffi::exit_now;

/// The program that the handler names; null until [`install`].
static NAME: AtomicPtr<&'static str> = AtomicPtr::new(ptr::null_mut());

/// Where `si_syscall` lies in `siginfo_t`, counted in `int`s: after signo, errno, code and, aligned
/// to eight bytes, the calling address (`asm-generic/siginfo.h`, `_sigsys`; the same on every
/// 64-bit architecture). The libc crate does not name the field.
const SI_SYSCALL: usize = 6;

/// Installs the handler. `program` is leaked, once per process, because the handler may run until
/// the end.
pub(super) fn install(program: &'static str) -> io::Result<()> {
    NAME.store(Box::leak(Box::new(program)), Ordering::Release);
    // SAFETY: all zeroes is a valid sigaction: no flags, empty mask, default handler.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = on_forbidden as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: `action` is initialised, names a handler of SA_SIGINFO's signature that is
    // async-signal-safe (see the module), and outlives the call; the old action is not asked for.
    let outcome = unsafe { libc::sigaction(libc::SIGSYS, &raw const action, ptr::null_mut()) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

extern "C" fn on_forbidden(_signal: c_int, info: *mut siginfo_t, _context: *mut c_void) {
    // SAFETY: the kernel passes a complete siginfo_t to a handler installed with SA_SIGINFO; for
    // SIGSYS the int at SI_SYSCALL is the call's number, and it lies inside the structure.
    let number = unsafe { info.cast::<c_int>().add(SI_SYSCALL).read() };
    // SAFETY: the pointer is null or the name that `install` leaked, which nobody changes or frees.
    let program = unsafe { NAME.load(Ordering::Acquire).as_ref() };
    let mut line = Line::new();
    line.push(program.copied().unwrap_or("lumen"));
    line.push(": forbidden system call ");
    line.push_number(number.unsigned_abs());
    line.push(" (");
    line.push(syscall_name(number.into()).unwrap_or("not in our table"));
    line.push("); its policy does not allow it\n");
    // SAFETY: the pointer and length are those of a live array's used part.
    let written = unsafe { libc::write(2, line.bytes().as_ptr().cast(), line.bytes().len()) };
    // Without standard error the exit code still tells the reason.
    let _ = written;
    exit_now(ExitCode::ForbiddenSyscall)
}

/// Text in an array: nothing is allocated, and text that does not fit is cut.
struct Line {
    text: [u8; 160],
    used: usize,
}

impl Line {
    const fn new() -> Self {
        Self { text: [0; 160], used: 0 }
    }

    fn push(&mut self, text: &str) {
        for byte in text.bytes() {
            self.push_byte(byte);
        }
    }

    fn push_number(&mut self, number: u32) {
        if number >= 10 {
            self.push_number(number / 10);
        }
        // A remainder of ten is one digit.
        self.push_byte(b'0' + (number % 10) as u8);
    }

    fn push_byte(&mut self, byte: u8) {
        if let Some(place) = self.text.get_mut(self.used) {
            *place = byte;
            self.used += 1;
        }
    }

    fn bytes(&self) -> &[u8] {
        self.text.get(..self.used).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_cuts_what_does_not_fit() {
        let mut line = Line::new();
        (0..50).for_each(|_| line.push_number(4_294_967_295));
        assert_eq!(line.bytes().len(), 160);
        assert!(line.bytes().starts_with(b"4294967295429"));
    }
}
