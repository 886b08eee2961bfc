//! A taken-over worker: system calls that a running worker's own thread makes, under its own filter and
//! on the descriptors it holds.
//!
//! The worker is traced. Its main thread is sent to a place where a system call stands, with the
//! arguments of the attempt, and is put back afterwards as if nothing had been. A call that the filter
//! forbids raises SIGSYS; the tracer keeps that from the worker, so one process is asked many times.
//! Only the main thread stands still meanwhile.

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

/// What came of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// The filter ends whoever makes it.
    Ends,
    /// It came back: a result, or an error as a negative number.
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
    /// No socket.
    Other,
}

/// A worker under the intruder's control, until this is dropped.
pub(crate) struct Intruder {
    pid: Pid,
    memory: File,
    before: user_regs_struct,
    /// Where the system call stands, and what stood there.
    gate: u64,
    covered: [u8; machine::GATE.len()],
    /// Where the attempt's bytes lie: below the stack, where nothing is.
    scratch: u64,
    scratch_before: [u8; SCRATCH_BYTES],
}

const SCRATCH_BYTES: usize = 512;
/// Below what the code that was interrupted may use under its stack pointer (the ABI's red zone).
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
        // Run once, at the start, so no thread is ever there.
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

    /// Puts bytes into its memory, at `offset` of a place of [`SCRATCH_BYTES`]; returns where.
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
                // Meant for the worker, which has none that matter here.
                WaitStatus::Stopped(..) => {}
                other => bail!("the call of {number} ended the worker: {other:?}"),
            }
        }
    }

    /// What it holds, by number.
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
        // A worker that has ended has nothing to be put back.
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

/// How a system call is made, on x86-64.
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
        // The thread stands in no system call that the kernel would have to begin again.
        registers.orig_rax = u64::MAX;
        [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9] =
            arguments;
    }

    pub(super) fn result(registers: &user_regs_struct) -> i64 {
        registers.rax.cast_signed()
    }
}

/// How a system call is made, on 64-bit ARM.
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
