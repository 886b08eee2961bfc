//! Instructions of BPF, and the few forms of them that the programs need (RFC 9669).

/// One instruction, as the kernel reads it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C)]
pub(crate) struct Instruction {
    pub(super) code: u8,
    /// The source register above, the destination register below.
    pub(super) registers: u8,
    pub(super) offset: i16,
    pub(super) immediate: i32,
}

/// A register. The first holds results, the next five arguments; calls change all of these. The last is
/// the end of the stack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Register {
    R0,
    R1,
    R2,
    R3,
    R4,
    /// Survives calls, as does the next.
    R6,
    R7,
    Stack = 10,
}

impl Register {
    const fn number(self) -> u8 {
        match self {
            Self::R0 => 0,
            Self::R1 => 1,
            Self::R2 => 2,
            Self::R3 => 3,
            Self::R4 => 4,
            Self::R6 => 6,
            Self::R7 => 7,
            Self::Stack => 10,
        }
    }
}

/// How many bytes are loaded or stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Width {
    Byte = 0x10,
    Half = 0x08,
    Word = 0x00,
    Double = 0x18,
}

/// A function of the kernel (`linux/bpf.h`, `enum bpf_func_id`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Helper {
    MapLookup = 1,
    MapUpdate = 2,
    LoadBytes = 26,
}

/// A list that a program uses. The loader puts its descriptor in the place of its number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum List {
    /// Senders that were learned.
    Learned = 0,
    /// Addresses that the supervisor added.
    Added = 1,
    /// Senders on loopback that were learned.
    Near = 2,
}

/// `BPF_PSEUDO_MAP_FD`: the immediate is the descriptor of a map.
const PSEUDO_MAP: u8 = 1;

pub(super) const LOAD_MAP: u8 = 0x18;
pub(super) const LOAD: u8 = 0x61;
pub(super) const STORE: u8 = 0x62;
pub(super) const MOVE: u8 = 0xb7;
pub(super) const MOVE_REGISTER: u8 = 0xbf;
pub(super) const ADD: u8 = 0x07;
pub(super) const AND: u8 = 0x57;
pub(super) const SHIFT_LEFT: u8 = 0x67;
pub(super) const SHIFT_RIGHT: u8 = 0x77;
pub(super) const FROM_NETWORK: u8 = 0xdc;
pub(super) const JUMP: u8 = 0x05;
pub(super) const JUMP_EQUAL: u8 = 0x15;
pub(super) const JUMP_LESS: u8 = 0xa5;
pub(super) const JUMP_UNEQUAL: u8 = 0x55;
pub(super) const CALL: u8 = 0x85;
pub(super) const EXIT: u8 = 0x95;

/// The bits of a load's or store's code that are its width.
#[cfg(test)]
pub(super) const WIDTH: u8 = 0x18;

const fn instruction(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: from << 4 | to, offset, immediate }
}

impl Instruction {
    /// Whether it is the first half of the load of a list, and of which.
    pub(crate) fn list(self) -> Option<List> {
        match (self.code, self.registers >> 4, self.immediate) {
            (LOAD_MAP, PSEUDO_MAP, 0) => Some(List::Learned),
            (LOAD_MAP, PSEUDO_MAP, 1) => Some(List::Added),
            (LOAD_MAP, PSEUDO_MAP, 2) => Some(List::Near),
            _ => None,
        }
    }

    /// The same with another immediate.
    pub(crate) fn with(self, immediate: i32) -> Self {
        Self { immediate, ..self }
    }
}

/// A place in a program that is jumped to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Label(pub(super) &'static str);

/// A program while it is written.
#[derive(Default)]
pub(super) struct Assembler {
    instructions: Vec<Instruction>,
    /// Jumps, and where to.
    jumps: Vec<(usize, Label)>,
    labels: Vec<(Label, usize)>,
}

impl Assembler {
    fn add(mut self, one: Instruction) -> Self {
        self.instructions.push(one);
        self
    }

    pub(super) fn set(self, to: Register, value: i32) -> Self {
        self.add(instruction(MOVE, to.number(), 0, 0, value))
    }

    pub(super) fn copy(self, to: Register, from: Register) -> Self {
        self.add(instruction(MOVE_REGISTER, to.number(), from.number(), 0, 0))
    }

    /// Adds, masks or shifts by a number.
    pub(super) fn compute(self, code: u8, to: Register, value: i32) -> Self {
        self.add(instruction(code, to.number(), 0, 0, value))
    }

    /// Turns two bytes in the network's order into a number.
    pub(super) fn read_network_order(self, to: Register) -> Self {
        self.add(instruction(FROM_NETWORK, to.number(), 0, 0, 16))
    }

    /// Loads from the stack.
    pub(super) fn load(self, width: Width, to: Register, offset: i16) -> Self {
        let code = LOAD | width as u8;
        self.add(instruction(code, to.number(), Register::Stack.number(), offset, 0))
    }

    /// Stores a number on the stack.
    pub(super) fn store(self, width: Width, offset: i16, value: i32) -> Self {
        self.add(instruction(STORE | width as u8, Register::Stack.number(), 0, offset, value))
    }

    /// Makes a register point to a place on the stack.
    pub(super) fn point(self, to: Register, offset: i32) -> Self {
        self.copy(to, Register::Stack).compute(ADD, to, offset)
    }

    pub(super) fn load_list(self, to: Register, list: List) -> Self {
        self.add(instruction(LOAD_MAP, to.number(), PSEUDO_MAP, 0, list as i32))
            .add(instruction(0, 0, 0, 0, 0))
    }

    pub(super) fn call(self, helper: Helper) -> Self {
        self.add(instruction(CALL, 0, 0, 0, helper as i32))
    }

    pub(super) fn jump(mut self, to: Label) -> Self {
        self.jumps.push((self.instructions.len(), to));
        self.add(instruction(JUMP, 0, 0, 0, 0))
    }

    /// Jumps if a register compares so with a number.
    pub(super) fn jump_if(mut self, code: u8, what: Register, value: i32, to: Label) -> Self {
        self.jumps.push((self.instructions.len(), to));
        self.add(instruction(code, what.number(), 0, 0, value))
    }

    pub(super) fn label(mut self, label: Label) -> Self {
        self.labels.push((label, self.instructions.len()));
        self
    }

    /// Ends the program with a verdict.
    pub(super) fn exit(self, verdict: i32) -> Self {
        self.set(Register::R0, verdict).add(instruction(EXIT, 0, 0, 0, 0))
    }

    /// The program, with all jumps resolved. A jump to a label that is nowhere goes to itself, which no
    /// kernel loads.
    pub(super) fn finish(mut self) -> Vec<Instruction> {
        for (from, label) in &self.jumps {
            let place = self.labels.iter().find(|(known, _)| known == label);
            let distance = place.and_then(|(_, to)| to.checked_sub(from + 1));
            let offset = distance.and_then(|distance| i16::try_from(distance).ok()).unwrap_or(-1);
            if let Some(jump) = self.instructions.get_mut(*from) {
                jump.offset = offset;
            }
        }
        self.instructions
    }
}
