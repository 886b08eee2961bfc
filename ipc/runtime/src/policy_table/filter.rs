//! What a compiled filter decides about one call: an interpreter of the kernel's classic BPF, as
//! far as `seccompiler` uses it, so that what is judged is the program the kernel gets and not the
//! data it was made from.

use seccompiler::{BpfProgram, sock_filter};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Verdict {
    /// It is made.
    Allowed,
    /// It traps, and the handler ends the worker.
    Ends,
    /// The kernel kills the process.
    Killed,
    /// It fails with this error (`libc::E*`).
    Refused(u16),
}

/// A call as a filter sees it (`struct seccomp_data`), without the instruction pointer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) number: u32,
    pub(super) architecture: u32,
    pub(super) arguments: [u64; 6],
}

/// A program that no kernel takes, or that this interpreter does not know.
#[derive(Debug, thiserror::Error)]
#[error("instruction {0} of the filter is unknown or out of place")]
pub struct StrangeInstruction(usize);

/// The programs in force together.
#[derive(Debug)]
pub(super) struct Filter(pub(super) Vec<BpfProgram>);

/// The actions of `linux/seccomp.h`, in the upper half of what a program returns.
const KILL_PROCESS: u32 = 0x8000_0000;
const KILL_THREAD: u32 = 0;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
const ACTION: u32 = 0xffff_0000;

impl Filter {
    /// The strictest verdict of all programs: the least action as a signed number.
    pub(super) fn judge(&self, call: &Call) -> Result<Verdict, StrangeInstruction> {
        let mut strictest = i32::MAX.cast_unsigned() & ACTION;
        for program in &self.0 {
            let returned = run(program, call)?;
            if (returned & ACTION).cast_signed() < (strictest & ACTION).cast_signed() {
                strictest = returned;
            }
        }
        Ok(match strictest & ACTION {
            KILL_PROCESS | KILL_THREAD => Verdict::Killed,
            TRAP => Verdict::Ends,
            // The lower half is the error.
            ERRNO => Verdict::Refused(strictest as u16),
            _ => Verdict::Allowed,
        })
    }
}

impl Call {
    /// The 32 bits at `offset` of `struct seccomp_data`, on a little-endian machine.
    fn word(&self, offset: u32) -> Option<u32> {
        const ARGUMENTS: u32 = 16;
        match offset {
            0 => Some(self.number),
            4 => Some(self.architecture),
            ARGUMENTS.. if offset.is_multiple_of(4) => {
                let word = (offset - ARGUMENTS) / 4;
                let argument = *self.arguments.get(word as usize / 2)?;
                Some(if word.is_multiple_of(2) { argument as u32 } else { (argument >> 32) as u32 })
            }
            _ => None,
        }
    }
}

/// Codes of instructions (`linux/bpf_common.h`): class, operation and source of the operand.
const LOAD_WORD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_GREATER: u16 = 0x25;
const JUMP_IF_NOT_LESS: u16 = 0x35;
const RETURN: u16 = 0x06;

fn run(program: &[sock_filter], call: &Call) -> Result<u32, StrangeInstruction> {
    let mut accumulator = 0;
    let mut at = 0;
    loop {
        let strange = StrangeInstruction(at);
        let Some(instruction) = program.get(at) else { return Err(strange) };
        let operand = instruction.k;
        let branch = |taken: bool| usize::from(if taken { instruction.jt } else { instruction.jf });
        // Jumps lead forward only, so every program ends.
        at += 1 + match instruction.code {
            LOAD_WORD => {
                accumulator = call.word(operand).ok_or(strange)?;
                0
            }
            AND => {
                accumulator &= operand;
                0
            }
            JUMP => operand as usize,
            JUMP_IF_EQUAL => branch(accumulator == operand),
            JUMP_IF_GREATER => branch(accumulator > operand),
            JUMP_IF_NOT_LESS => branch(accumulator >= operand),
            RETURN => return Ok(operand),
            _ => return Err(strange),
        };
    }
}
