//! The part of the kernel that runs the programs, for tests: enough of an interpreter for the instructions
//! that they are made of. Anything else, and anything that the kernel's verifier refuses, panics.

use std::collections::BTreeSet;

use super::{
    KEY_BYTES,
    assembly::{
        ADD, AND, CALL, EXIT, FROM_NETWORK, Helper, Instruction, JUMP, JUMP_EQUAL, JUMP_LESS,
        JUMP_UNEQUAL, LOAD, LOAD_MAP, List, MOVE, MOVE_REGISTER, SHIFT_LEFT, SHIFT_RIGHT, STORE,
        WIDTH,
    },
};

const STACK_BYTES: usize = 512;
/// Where the stack ends, as an address. What the programs point to lies below.
const STACK_END: u64 = 0x1000;

/// The lists that outlive a run.
#[derive(Default)]
pub(super) struct Kernel {
    learned: BTreeSet<[u8; KEY_BYTES]>,
    near: BTreeSet<[u8; KEY_BYTES]>,
    added: BTreeSet<[u8; KEY_BYTES]>,
}

struct Run<'run> {
    kernel: &'run mut Kernel,
    packet: &'run [u8],
    registers: [u64; 11],
    stack: [u8; STACK_BYTES],
}

impl Kernel {
    pub(super) fn add(&mut self, key: [u8; KEY_BYTES]) {
        self.added.insert(key);
    }

    /// Forgets all senders but those on loopback, as after a flood of others.
    pub(super) fn forget_far(&mut self) {
        self.learned.clear();
    }

    /// Runs a program for a packet; returns whether it lets the packet through.
    pub(super) fn run(&mut self, program: &[Instruction], packet: &[u8]) -> bool {
        let mut registers = [0; 11];
        registers[10] = STACK_END;
        let mut run = Run { kernel: self, packet, registers, stack: [0; STACK_BYTES] };
        let mut next = 0;
        loop {
            let one = program[next];
            if one.code == EXIT {
                return run.registers[0] == 1;
            }
            let jump = run.step(one);
            next += 1 + jump;
        }
    }
}

impl Run<'_> {
    /// Carries out an instruction; returns how many are skipped.
    fn step(&mut self, one: Instruction) -> usize {
        let (to, from) = (usize::from(one.registers & 0xf), usize::from(one.registers >> 4));
        let value = i64::from(one.immediate).cast_unsigned();
        let forward = usize::try_from(one.offset).unwrap_or(usize::MAX);
        match one.code {
            MOVE => self.registers[to] = value,
            MOVE_REGISTER => self.registers[to] = self.registers[from],
            ADD => self.registers[to] = self.registers[to].wrapping_add(value),
            AND => self.registers[to] &= value,
            SHIFT_LEFT => self.registers[to] <<= value,
            SHIFT_RIGHT => self.registers[to] >>= value,
            FROM_NETWORK => {
                let half = u16::try_from(self.registers[to] & 0xffff).expect("two bytes");
                self.registers[to] = u64::from(u16::from_be(half));
            }
            LOAD_MAP => {
                self.registers[to] = value;
                return 1;
            }
            CALL => self.call(one.immediate),
            JUMP => return forward,
            JUMP_EQUAL if self.registers[to] == value => return forward,
            JUMP_LESS if self.registers[to] < value => return forward,
            JUMP_UNEQUAL if self.registers[to] != value => return forward,
            JUMP_EQUAL | JUMP_LESS | JUMP_UNEQUAL => {}
            code if code & !WIDTH == LOAD & !WIDTH => {
                let place = self.place(self.registers[from], one.offset, width(code));
                let mut bytes = [0; 8];
                bytes[..place.len()].copy_from_slice(&self.stack[place]);
                self.registers[to] = u64::from_le_bytes(bytes);
            }
            code if code & !WIDTH == STORE & !WIDTH => {
                let place = self.place(self.registers[to], one.offset, width(code));
                let length = place.len();
                self.stack[place].copy_from_slice(&value.to_le_bytes()[..length]);
            }
            code => panic!("no such instruction: {code:#x}"),
        }
        0
    }

    fn place(&self, base: u64, offset: i16, length: usize) -> std::ops::Range<usize> {
        let address = base.wrapping_add_signed(offset.into());
        let below = usize::try_from(STACK_END - address).expect("below the end of the stack");
        assert!(below >= length && below <= STACK_BYTES && address % length.min(8) as u64 == 0);
        STACK_BYTES - below..STACK_BYTES - below + length
    }

    fn key(&self) -> [u8; KEY_BYTES] {
        let start = STACK_BYTES - usize::try_from(STACK_END - self.registers[2]).expect("a place");
        self.stack[start..start + KEY_BYTES].try_into().expect("its length")
    }

    fn list(&mut self, number: u64) -> &mut BTreeSet<[u8; KEY_BYTES]> {
        match number {
            number if number == List::Learned as u64 => &mut self.kernel.learned,
            number if number == List::Near as u64 => &mut self.kernel.near,
            number if number == List::Added as u64 => &mut self.kernel.added,
            other => panic!("no such list: {other}"),
        }
    }

    fn call(&mut self, helper: i32) {
        let key = |run: &Self| (run.key(), run.registers[1]);
        self.registers[0] = match helper {
            helper if helper == Helper::LoadBytes as i32 => self.load_bytes(),
            helper if helper == Helper::MapLookup as i32 => {
                let (key, list) = key(self);
                u64::from(self.list(list).contains(&key))
            }
            helper if helper == Helper::MapUpdate as i32 => {
                let (key, list) = key(self);
                assert_ne!(list, List::Added as u64, "only senders are learned");
                self.list(list).insert(key);
                0
            }
            other => panic!("no such helper: {other}"),
        };
        // A call leaves nothing in the registers of its arguments.
        self.registers[1..=5].fill(u64::MAX);
    }

    fn load_bytes(&mut self) -> u64 {
        let [_, _, offset, to, length] = [0, 1, 2, 3, 4].map(|number| self.registers[number]);
        let (offset, length) = (offset as usize, length as usize);
        let start = STACK_BYTES - usize::try_from(STACK_END - to).expect("a place");
        match self.packet.get(offset..offset + length) {
            Some(bytes) => {
                self.stack[start..start + length].copy_from_slice(bytes);
                0
            }
            None => u64::MAX,
        }
    }
}

fn width(code: u8) -> usize {
    match code & WIDTH {
        0x10 => 1,
        0x08 => 2,
        0x00 => 4,
        _ => 8,
    }
}
