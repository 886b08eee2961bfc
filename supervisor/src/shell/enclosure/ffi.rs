//! The system call bpf(2), for the few commands that [`super`] needs.

#![allow(unsafe_code, reason = "a raw system call; every block states why it is sound")]

use std::{
    io,
    mem::size_of,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::libc::{self, c_long};

use crate::datagrams::{Instruction, KEY_BYTES};

/// Commands (`linux/bpf.h`, `enum bpf_cmd`).
const MAP_CREATE: c_long = 0;
const MAP_UPDATE_ELEM: c_long = 2;
const MAP_DELETE_ELEM: c_long = 3;
const PROG_LOAD: c_long = 5;
const PROG_ATTACH: c_long = 8;

/// `BPF_PROG_TYPE_CGROUP_SKB`.
const CGROUP_SKB: u32 = 8;
/// `BPF_F_ALLOW_MULTI`: beside the programs of the groups above, as systemd's are.
const ALLOW_MULTI: u32 = 2;

/// Kinds of lists (`enum bpf_map_type`).
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Whatever is added stays.
    Hash = 1,
    /// What was not used for longest makes room.
    LeastRecentlyUsed = 9,
}

/// Points at which a program can be attached to a group (`enum bpf_attach_type`).
#[derive(Clone, Copy, Debug)]
pub(super) enum Point {
    /// `BPF_CGROUP_INET_INGRESS`.
    Ingress = 0,
    /// `BPF_CGROUP_INET_EGRESS`.
    Egress = 1,
}

/// The argument of `BPF_MAP_CREATE`.
#[repr(C)]
struct MapCreate {
    kind: u32,
    key_size: u32,
    value_size: u32,
    most: u32,
    flags: u32,
}

/// The argument of `BPF_MAP_UPDATE_ELEM`, and of `BPF_MAP_DELETE_ELEM` without a value.
#[repr(C)]
struct MapUpdate {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The argument of `BPF_PROG_LOAD`, as far as it is used.
#[repr(C)]
struct ProgramLoad {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The argument of `BPF_PROG_ATTACH`.
#[repr(C)]
struct ProgramAttach {
    target: u32,
    program: u32,
    point: u32,
    flags: u32,
}

/// Makes a list of addresses.
pub(super) fn list(kind: Kind, most: u32) -> io::Result<OwnedFd> {
    let key_size = u32::try_from(KEY_BYTES).map_err(io::Error::other)?;
    let mut argument = MapCreate { kind: kind as u32, key_size, value_size: 8, most, flags: 0 };
    // SAFETY: the kernel only reads numbers from the argument.
    let list = unsafe { call(MAP_CREATE, &mut argument) }?;
    Ok(owned(list))
}

/// Adds an address to a list.
pub(super) fn add(list: BorrowedFd<'_>, key: &[u8; KEY_BYTES]) -> io::Result<()> {
    let value = 1_u64;
    let mut argument = MapUpdate {
        map: list.as_raw_fd().cast_unsigned(),
        padding: 0,
        key: key.as_ptr() as u64,
        value: (&raw const value) as u64,
        flags: 0,
    };
    // SAFETY: key and value have the sizes that every list is made with, and outlive the call, which only
    // reads them.
    unsafe { call(MAP_UPDATE_ELEM, &mut argument) }.map(drop)
}

/// Takes an address from a list.
pub(super) fn remove(list: BorrowedFd<'_>, key: &[u8; KEY_BYTES]) -> io::Result<()> {
    let map = list.as_raw_fd().cast_unsigned();
    let mut argument = MapUpdate { map, padding: 0, key: key.as_ptr() as u64, value: 0, flags: 0 };
    // SAFETY: the key has the size that every list is made with, and outlives the call, which only reads it.
    unsafe { call(MAP_DELETE_ELEM, &mut argument) }.map(drop)
}

/// Has the kernel check a program and keep it.
pub(super) fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let mut argument = ProgramLoad {
        kind: CGROUP_SKB,
        count: u32::try_from(program.len()).map_err(io::Error::other)?,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    // SAFETY: instructions and licence outlive the call, which only reads them: as many instructions as it
    // is told, each with the kernel's layout, and the licence up to its zero.
    let program = unsafe { call(PROG_LOAD, &mut argument) }?;
    Ok(owned(program))
}

/// Attaches a program to a group.
pub(super) fn attach(
    program: BorrowedFd<'_>,
    group: BorrowedFd<'_>,
    point: Point,
) -> io::Result<()> {
    let mut argument = ProgramAttach {
        target: group.as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        point: point as u32,
        flags: ALLOW_MULTI,
    };
    // SAFETY: the kernel only reads numbers from the argument.
    unsafe { call(PROG_ATTACH, &mut argument) }.map(drop)
}

/// # Safety
/// What the argument points to must be as the command wants it.
unsafe fn call<Argument>(command: c_long, argument: &mut Argument) -> io::Result<RawFd> {
    let size = size_of::<Argument>();
    // SAFETY: the argument outlives the call and is as long as the kernel is told; the rest is the caller's
    // promise.
    let outcome = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *argument, size) };
    match RawFd::try_from(outcome) {
        Ok(outcome) if outcome >= 0 => Ok(outcome),
        _ => Err(io::Error::last_os_error()),
    }
}

fn owned(descriptor: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made the descriptor, close-on-exec as all of bpf(2) are, for nobody else.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}
