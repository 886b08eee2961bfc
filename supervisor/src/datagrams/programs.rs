//! The rules of [`super`] as two programs for the kernel, which runs them for each packet of a socket's
//! group (`BPF_PROG_TYPE_CGROUP_SKB`). A program returns 1 to let a packet through. The packet begins with
//! its IP header.

use super::assembly::{
    AND, Assembler, Helper, Instruction, JUMP_EQUAL, JUMP_LESS, JUMP_UNEQUAL, Label, List,
    Register, SHIFT_LEFT, SHIFT_RIGHT, Width,
};

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Direction {
    /// To the socket.
    In,
    /// From the socket.
    Out,
}

/// On the stack: what was read of the packet last, the value of a learned sender, and the key.
const READ: i16 = -8;
const VALUE: i16 = -16;
const KEY: i16 = -40;
/// The parts of the key.
const KEY_IP: i16 = KEY;
const KEY_FIFTH_WORD: i16 = KEY + 8;
const KEY_MAPPED: i16 = KEY + 10;
const KEY_IPV4: i16 = KEY + 12;
const KEY_PORT: i16 = KEY + 16;

/// The protocol number of UDP (RFC 768).
const UDP: i32 = 17;
/// Ports below are those of well-known services.
const FIRST_HIGH_PORT: i32 = 1024;
/// The length of an IPv6 header (RFC 8200), and the least of an IPv4 header (RFC 791).
const IPV6_HEADER: i32 = 40;
const LEAST_IPV4_HEADER: i32 = 20;

const IPV4: Label = Label("IPv4");
const PORT: Label = Label("port");
const KNOWN: Label = Label("known");
const OTHER: Label = Label("other");
const IPV6_OF_THIS_MACHINE: Label = Label("IPv6 of this machine");
const NEAR: Label = Label("near");
const FAR: Label = Label("far");

/// The program for packets that go one way.
pub(crate) fn program(direction: Direction) -> Vec<Instruction> {
    use Register::{R0, R1, R2, R6, R7};
    // Where the other side's address and port are in the headers.
    let (ipv4, ipv6, port) = match direction {
        Direction::In => (12, 8, 0),
        Direction::Out => (16, 24, 2),
    };
    let start = Assembler::default()
        .copy(R6, R1)
        .store(Width::Double, KEY, 0)
        .store(Width::Double, KEY + 8, 0)
        .store(Width::Word, KEY_PORT, 0)
        .store(Width::Double, VALUE, 1);
    // The version is the upper half of the first byte.
    let version = read(start, 0, 1, READ)
        .load(Width::Byte, R7, READ)
        .copy(R0, R7)
        .compute(SHIFT_RIGHT, R0, 4)
        .jump_if(JUMP_EQUAL, R0, 4, IPV4)
        .jump_if(JUMP_UNEQUAL, R0, 6, OTHER);
    let is_udp = |program, at| {
        read(program, at, 1, READ).load(Width::Byte, R0, READ).jump_if(JUMP_UNEQUAL, R0, UDP, OTHER)
    };
    let of_ipv6 = read(is_udp(version, 6), ipv6, 16, KEY_IP).set(R7, IPV6_HEADER).jump(PORT);
    // The header's length in words is the lower half of the first byte.
    let of_ipv4 = of_ipv6.label(IPV4).compute(AND, R7, 15).compute(SHIFT_LEFT, R7, 2).jump_if(
        JUMP_LESS,
        R7,
        LEAST_IPV4_HEADER,
        OTHER,
    );
    let of_ipv4 = read(is_udp(of_ipv4, 9), ipv4, 4, KEY_IPV4).store(Width::Half, KEY_MAPPED, -1);
    let of_port = of_ipv4.label(PORT).copy(R2, R7).compute(super::assembly::ADD, R2, port);
    let whole = read_at(of_port, 2, KEY_PORT);
    match direction {
        Direction::In => learn(whole),
        Direction::Out => [List::Added, List::Near, List::Learned]
            .into_iter()
            .fold(whole, look_up)
            .label(OTHER)
            .exit(0)
            .label(KNOWN)
            .exit(1),
    }
    .finish()
}

/// Reads bytes of the packet from a fixed place to the stack.
fn read(program: Assembler, at: i32, length: i32, to: i16) -> Assembler {
    read_at(program.set(Register::R2, at), length, to)
}

/// Reads bytes from where the second register says.
fn read_at(program: Assembler, length: i32, to: i16) -> Assembler {
    program
        .copy(Register::R1, Register::R6)
        .point(Register::R3, i32::from(to))
        .set(Register::R4, length)
        .call(Helper::LoadBytes)
        .jump_if(JUMP_UNEQUAL, Register::R0, 0, OTHER)
}

/// Learns the sender, in one of two lists, so that those from elsewhere cannot take the places of those on
/// loopback.
fn learn(program: Assembler) -> Assembler {
    let near = note(sort(program).label(NEAR), List::Near).exit(1);
    let far = near
        .label(FAR)
        .load(Width::Half, Register::R0, KEY_PORT)
        .read_network_order(Register::R0)
        .jump_if(JUMP_LESS, Register::R0, FIRST_HIGH_PORT, OTHER);
    note(far, List::Learned).label(OTHER).exit(1)
}

fn note(program: Assembler, list: List) -> Assembler {
    use Register::{R1, R2, R3, R4};
    program
        .load_list(R1, list)
        .point(R2, i32::from(KEY))
        .point(R3, i32::from(VALUE))
        .set(R4, 0)
        .call(Helper::MapUpdate)
}

/// Tells a sender in 127.0.0.0/8 or at ::1 from any other.
fn sort(program: Assembler) -> Assembler {
    use Register::R0;
    program
        .load(Width::Double, R0, KEY_IP)
        .jump_if(JUMP_UNEQUAL, R0, 0, FAR)
        .load(Width::Half, R0, KEY_FIFTH_WORD)
        .jump_if(JUMP_UNEQUAL, R0, 0, FAR)
        .load(Width::Half, R0, KEY_MAPPED)
        .jump_if(JUMP_EQUAL, R0, 0, IPV6_OF_THIS_MACHINE)
        .jump_if(JUMP_UNEQUAL, R0, 0xffff, FAR)
        .load(Width::Byte, R0, KEY_IPV4)
        .jump_if(JUMP_EQUAL, R0, 127, NEAR)
        .jump(FAR)
        .label(IPV6_OF_THIS_MACHINE)
        .load(Width::Word, R0, KEY_IPV4)
        .jump_if(JUMP_UNEQUAL, R0, i32::from_ne_bytes([0, 0, 0, 1]), FAR)
}

fn look_up(program: Assembler, list: List) -> Assembler {
    program
        .load_list(Register::R1, list)
        .point(Register::R2, i32::from(KEY))
        .call(Helper::MapLookup)
        .jump_if(JUMP_UNEQUAL, Register::R0, 0, KNOWN)
}
