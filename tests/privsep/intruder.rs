//! A compromised worker: system calls that a running worker's own thread makes, under its own
//! filter and with the descriptors it holds.
//!
//! The worker is traced. Its main thread is moved to a system call instruction, with the arguments
//! of the attempt, and is restored afterwards as if nothing had happened. A call that the filter
//! forbids raises SIGSYS; the tracer keeps that from the worker, so one process can make many
//! attempts. Only the main thread is stopped meanwhile.

use std::{
    fs::{self, File, OpenOptions},
    os::{fd::OwnedFd, unix::fs::FileExt},
};

use anyhow::{Context, Result, bail};
use lumen_tests::process::Process;
use nix::{
    libc::{c_long, user_regs_struct},
    sys::{
        ptrace,
        signal::Signal,
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};
use rustix::{
    net::{AddressFamily, SocketType, sockopt},
    process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

/// The outcome of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// The filter ends the worker.
    Ends,
    /// It returned: a result, or an error as a negative number.
    Returned(i64),
}

/// What a held descriptor is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Held {
    /// A connection to the world, or a link to another process.
    Connection,
    /// A socket that sends to any address.
    Datagrams,
    /// A listening socket.
    Listener,
    /// Not a socket.
    Other,
}

/// A worker under the intruder's control, until this is dropped.
pub(crate) struct Intruder {
    pid: Pid,
    memory: File,
    before: user_regs_struct,
    /// The address of the system call instruction, and the code that it replaced.
    gate: u64,
    covered: [u8; machine::GATE.len()],
    /// The address of the attempt's data: below the stack, where nothing else is.
    scratch: u64,
    scratch_before: [u8; SCRATCH_BYTES],
}

const SCRATCH_BYTES: usize = 512;
/// Below what the interrupted code may use under its stack pointer (the ABI's red zone).
const BELOW_THE_STACK: u64 = 4096;
/// The address of the program's first instruction, in `/proc/PID/auxv` (`AT_ENTRY`).
const ENTRY: u64 = 9;

impl Intruder {
    /// Takes the process over.
    pub(crate) fn enter(process: Process) -> Result<Self> {
        let pid = Pid::from_raw(i32::try_from(process.0)?);
        let memory = OpenOptions::new()
            .read(true)
            .write(true)
            .open(format!("/proc/{pid}/mem"))
            .context("the worker's memory")?;
        // Code that runs once, at the start, so no thread is ever there.
        let gate = entry_of(pid)?;
        ptrace::attach(pid).context("tracing the worker")?;
        waitpid(pid, None)?;
        let before = ptrace::getregs(pid)?;
        let scratch = (machine::stack(&before) - BELOW_THE_STACK) & !0xf;
        let (mut covered, mut scratch_before) = ([0; machine::GATE.len()], [0; SCRATCH_BYTES]);
        memory.read_exact_at(&mut covered, gate)?;
        memory.write_all_at(&machine::GATE, gate)?;
        memory.read_exact_at(&mut scratch_before, scratch)?;
        Ok(Self { pid, memory, before, gate, covered, scratch, scratch_before })
    }

    /// Writes bytes into its memory, at `offset` of an area of [`SCRATCH_BYTES`]; returns the
    /// address.
    pub(crate) fn put(&self, offset: u64, bytes: &[u8]) -> Result<u64> {
        self.memory.write_all_at(bytes, self.scratch + offset)?;
        Ok(self.scratch + offset)
    }

    /// Makes a call.
    pub(crate) fn call(&self, number: c_long, arguments: [u64; 6]) -> Result<Outcome> {
        let mut registers = self.before;
        machine::prepare(&mut registers, self.gate, number, arguments);
        ptrace::setregs(self.pid, registers)?;
        loop {
            ptrace::cont(self.pid, None)?;
            match waitpid(self.pid, None)? {
                WaitStatus::Stopped(_, Signal::SIGSYS) => return Ok(Outcome::Ends),
                WaitStatus::Stopped(_, Signal::SIGTRAP) => {
                    let registers = ptrace::getregs(self.pid)?;
                    return Ok(Outcome::Returned(machine::result(&registers)));
                }
                WaitStatus::Stopped(_, Signal::SIGSEGV | Signal::SIGILL | Signal::SIGBUS) => {
                    bail!("the call of {number} crashed")
                }
                // Meant for the worker, which has no signals that matter here.
                WaitStatus::Stopped(..) => {}
                other => bail!("the call of {number} ended the worker: {other:?}"),
            }
        }
    }

    /// The descriptors that it holds, by number.
    pub(crate) fn descriptors(&self) -> Result<Vec<(u32, Held)>> {
        let worker = rustix::process::Pid::from_raw(self.pid.as_raw()).context("a process id")?;
        let worker = pidfd_open(worker, PidfdFlags::empty())?;
        let held = Process(self.pid.as_raw().unsigned_abs()).descriptors()?;
        let kind = |number: &u32| -> Result<(u32, Held)> {
            let number = *number;
            let copy = pidfd_getfd(&worker, number.cast_signed(), PidfdGetfdFlags::empty())?;
            Ok((number, kind(&copy)))
        };
        held.keys().map(kind).collect()
    }
}

fn kind(descriptor: &OwnedFd) -> Held {
    let Ok(kind) = sockopt::socket_type(descriptor) else { return Held::Other };
    let listens = sockopt::socket_acceptconn(descriptor).unwrap_or(false);
    let domain = sockopt::socket_domain(descriptor).ok();
    match kind {
        _ if listens => Held::Listener,
        SocketType::DGRAM if domain != Some(AddressFamily::UNIX) => Held::Datagrams,
        _ => Held::Connection,
    }
}

impl Drop for Intruder {
    fn drop(&mut self) {
        // A worker that has ended has nothing to restore.
        let _ = self.memory.write_all_at(&self.covered, self.gate);
        let _ = self.memory.write_all_at(&self.scratch_before, self.scratch);
        let _ = ptrace::setregs(self.pid, self.before);
        let _ = ptrace::detach(self.pid, None);
    }
}

fn entry_of(pid: Pid) -> Result<u64> {
    let words: Vec<u64> = fs::read(format!("/proc/{pid}/auxv"))?
        .as_chunks::<8>()
        .0
        .iter()
        .map(|word| u64::from_ne_bytes(*word))
        .collect();
    let pairs = words.as_chunks::<2>().0;
    let entry = pairs.iter().find(|[kind, _]| *kind == ENTRY);
    entry.map(|[_, address]| *address).context("where the program begins")
}

/// The system call instruction on x86-64.
#[cfg(target_arch = "x86_64")]
mod machine {
    use super::{c_long, user_regs_struct};

    /// `syscall; int3`.
    pub(super) const GATE: [u8; 3] = [0x0f, 0x05, 0xcc];

    pub(super) fn stack(registers: &user_regs_struct) -> u64 {
        registers.rsp
    }

    pub(super) fn prepare(
        registers: &mut user_regs_struct,
        gate: u64,
        number: c_long,
        arguments: [u64; 6],
    ) {
        registers.rip = gate;
        registers.rax = number.cast_unsigned();
        // The thread is not in a system call that the kernel would have to restart.
        registers.orig_rax = u64::MAX;
        [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9] =
            arguments;
    }

    pub(super) fn result(registers: &user_regs_struct) -> i64 {
        registers.rax.cast_signed()
    }
}

/// The system call instruction on 64-bit ARM.
#[cfg(target_arch = "aarch64")]
mod machine {
    use super::{c_long, user_regs_struct};

    /// `svc #0; brk #0`.
    pub(super) const GATE: [u8; 8] = [0x01, 0x00, 0x00, 0xd4, 0x00, 0x00, 0x20, 0xd4];

    pub(super) fn stack(registers: &user_regs_struct) -> u64 {
        registers.sp
    }

    pub(super) fn prepare(
        registers: &mut user_regs_struct,
        gate: u64,
        number: c_long,
        arguments: [u64; 6],
    ) {
        registers.pc = gate;
        registers.regs[8] = number.cast_unsigned();
        registers.regs[..6].copy_from_slice(&arguments);
    }

    pub(super) fn result(registers: &user_regs_struct) -> i64 {
        registers.regs[0].cast_signed()
    }
}
