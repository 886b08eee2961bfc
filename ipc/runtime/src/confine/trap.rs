//! Ends a program that makes a forbidden system call: a handler for `SIGSYS` writes the program's and
//! the call's name to standard error and exits with [`ExitCode::ForbiddenSyscall`]. In a trial another handler
//! names the call and what it was asked for, and the call fails: it has not been made in either case. Which of them
//! there is is decided when it is installed, and by nothing that whoever takes the program over could write to later.
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

use libc::{c_int, c_void, siginfo_t, ucontext_t};
use lumen_ipc::process::ExitCode;

use super::syscalls::syscall_name;
use crate::ffi::exit_now;

/// The program that the handler names; null until [`install`].
static NAME: AtomicPtr<&'static str> = AtomicPtr::new(ptr::null_mut());

/// Where `si_syscall` lies in `siginfo_t`, counted in `int`s: after signo, errno, code and, aligned
/// to eight bytes, the calling address (`asm-generic/siginfo.h`, `_sigsys`; the same on every
/// 64-bit architecture). The libc crate does not name the field.
const SI_SYSCALL: usize = 6;

/// Installs the handler, by which a forbidden call ends the program, or fails if the program `survives` it.
/// `program` is leaked, once per process, because the handler may run until the end.
pub(super) fn install(program: &'static str, survives: bool) -> io::Result<()> {
    NAME.store(Box::leak(Box::new(program)), Ordering::Release);
    // SAFETY: all zeroes is a valid sigaction: no flags, empty mask, default handler.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = match survives {
        true => fail_forbidden as *const () as usize,
        false => end_forbidden as *const () as usize,
    };
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: `action` is initialised, names a handler of SA_SIGINFO's signature that is
    // async-signal-safe (see the module), and outlives the call; the old action is not asked for.
    let outcome = unsafe { libc::sigaction(libc::SIGSYS, &raw const action, ptr::null_mut()) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What the call that was trapped was asked for, its second argument, and what it returns: it fails with EPERM.
///
/// # Safety
/// `context` is the third argument of a handler of `SIGSYS` that a filter sent.
unsafe fn refuse(context: *mut c_void) -> u64 {
    // SAFETY: the kernel passes a handler with SA_SIGINFO the registers of the thread that it interrupted.
    let machine = unsafe { &mut (*context.cast::<ucontext_t>()).uc_mcontext };
    // The kernel's convention for errors.
    let failed = i64::from(-libc::EPERM);
    #[cfg(target_arch = "x86_64")]
    {
        // The numbers of registers are far below the length of the array.
        machine.gregs[libc::REG_RAX as usize] = failed;
        machine.gregs[libc::REG_RSI as usize].cast_unsigned()
    }
    #[cfg(target_arch = "aarch64")]
    {
        machine.regs[0] = failed.cast_unsigned();
        machine.regs[1]
    }
}

extern "C" fn end_forbidden(_signal: c_int, info: *mut siginfo_t, _context: *mut c_void) {
    // SAFETY: the handler's own argument, which the kernel has passed for SIGSYS.
    let mut line = unsafe { named(info) };
    line.push("); its policy does not allow it\n");
    line.write();
    exit_now(ExitCode::ForbiddenSyscall)
}

extern "C" fn fail_forbidden(_signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the handler's own argument, which the kernel has passed for SIGSYS.
    let mut line = unsafe { named(info) };
    line.push(") of ");
    // SAFETY: as above.
    line.push_hexadecimal(unsafe { refuse(context) });
    line.push(": it fails\n");
    line.write();
}

/// The beginning of the line about the call that was trapped.
///
/// # Safety
/// `info` is the second argument of a handler of `SIGSYS` that a filter sent.
unsafe fn named(info: *mut siginfo_t) -> Line {
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
    line
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

    /// Writes it to standard error. Without one the exit code still tells the reason.
    fn write(&self) {
        // SAFETY: the pointer and length are those of a live array's used part.
        let _ = unsafe { libc::write(2, self.bytes().as_ptr().cast(), self.bytes().len()) };
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

    fn push_hexadecimal(&mut self, number: u64) {
        if number >= 16 {
            self.push_hexadecimal(number / 16);
        } else {
            self.push("0x");
        }
        let digit = (number % 16) as u8;
        self.push_byte(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
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

    #[test]
    fn what_was_asked_for_is_written_as_headers_have_it() {
        let mut line = Line::new();
        [0, 0xc010_640b, u64::MAX].into_iter().for_each(|number| line.push_hexadecimal(number));
        assert_eq!(line.bytes(), b"0x00xc010640b0xffffffffffffffff");
    }
}
