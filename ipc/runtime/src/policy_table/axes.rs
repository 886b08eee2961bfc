//! Which arguments of which calls are tried, and with which values.
//!
//! Flags are tried bit by bit and in all pairs of bits: conditions are about single bits, so what
//! holds for every pair holds for every combination. Commands, options, signals and the like are
//! tried in whole ranges that exceed what the kernel knows.

use std::collections::{BTreeMap, BTreeSet};

use libc::{self as c, c_long};

use super::names::{self, Names};
use crate::confine::{Condition, THREAD_FLAGS};

/// One thing about a call that decides whether it is allowed: an argument, or a socket option.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Axis {
    /// What the argument is called in a line of the table.
    pub(super) name: &'static str,
    /// All that is tried, and how the line writes it.
    pub(super) values: BTreeSet<u64>,
    pub(super) names: BTreeMap<u64, String>,
    pub(super) kind: Kind,
}

/// How a value is passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// An `int` (or 32 bits of flags) of which every bit means something.
    Bits(usize),
    /// A request of `ioctl`, and for those that declare something what they declare, the arguments
    /// after the descriptor.
    Request,
    /// Level and option, the arguments after the descriptor.
    SocketOption,
    /// An `int`.
    Value(usize),
    /// A pointer or a length, of which all bits count.
    Word(usize),
}

/// Levels and options are tried below these; the kernel's highest are 287 and 84, apart from
/// netfilter's options.
const LEVELS: u64 = 300;
const OPTIONS: u64 = 128;

/// What a new device declares is tried below this, which is more than all keys and buttons
/// (`KEY_CNT`), kinds and axes.
const DECLARED: u64 = 0x301;

/// Of what a device declares, what every test tries of a running worker: the first ones, a letter, buttons of
/// mice, gamepads and touch screens with their neighbours, and the last one.
const TELLING: [u64; 16] =
    [0, 1, 2, 3, 0x15, 0x1e, 0x110, 0x117, 0x120, 0x12f, 0x130, 0x13f, 0x140, 0x14a, 0x2ff, 0x300];

impl Axis {
    fn bits(name: &'static str, argument: usize, known: Names) -> Self {
        Self::some_bits(name, argument, 32, known)
    }

    /// All bits, and all pairs of those below `paired`: where two sets of flags matter together.
    fn some_bits(name: &'static str, argument: usize, paired: u32, known: Names) -> Self {
        let bit = |bit: u32| 1_u64 << bit;
        let others = |one| if one < paired { 0..=one } else { one..=one };
        let pairs = (0..32).flat_map(|one| others(one).map(move |other| bit(one) | bit(other)));
        let values = pairs.chain([0]).collect();
        Self { name, values, names: named(known), kind: Kind::Bits(argument) }
    }

    /// Also tries `value`, and with each bit changed.
    fn around(mut self, value: i32) -> Self {
        let value = u64::from(value.cast_unsigned());
        self.values.extend((0..32).map(|bit| value ^ 1 << bit).chain([value]));
        self
    }

    fn values(
        name: &'static str,
        argument: usize,
        tried: impl IntoIterator<Item = u64>,
        known: Names,
    ) -> Self {
        let names = named(known);
        let values = tried.into_iter().chain(names.keys().copied()).collect();
        Self { name, values, names, kind: Kind::Value(argument) }
    }

    /// Values with some of a few flags: `bases` and all unions of `flags`.
    fn with_flags(
        name: &'static str,
        argument: usize,
        bases: (std::ops::Range<u64>, Names),
        flags: Names,
    ) -> Self {
        let (range, known) = bases;
        let mut axis = Self::values(name, argument, range, known);
        for (flag, flag_name) in named(flags) {
            for value in axis.values.clone() {
                axis.values.insert(value | flag);
                let base = axis.names.get(&value).cloned().unwrap_or_else(|| value.to_string());
                axis.names.insert(value | flag, format!("{base}|{flag_name}"));
            }
        }
        axis
    }

    fn socket_option() -> Self {
        let values = (0..LEVELS)
            .flat_map(|level| (0..OPTIONS).map(move |option| level << 32 | option))
            .collect();
        let names = names::LEVELS
            .into_iter()
            .flat_map(|(level, known)| {
                let level = u64::from(level.unsigned_abs()) << 32;
                named(known).into_iter().map(move |(option, name)| (level | option, name))
            })
            .collect();
        Self { name: "option", values, names, kind: Kind::SocketOption }
    }

    /// Requests stand in the upper half of a value, what they declare in the lower. Those that declare
    /// nothing are tried with whatever follows.
    fn request() -> Self {
        let others = requests().filter(|request| declaration(*request).is_none());
        let declarations = named(names::DECLARATIONS).into_keys();
        let declared =
            declarations.flat_map(|request| (0..DECLARED).map(move |what| request << 32 | what));
        let values = others.map(|request| request << 32).chain(declared).collect();
        let known = named(names::REQUESTS).into_iter();
        let names = known.map(|(request, name)| (request << 32, name)).collect();
        Self { name: "request", values, names, kind: Kind::Request }
    }

    /// The process itself, or others: none, the first one, all.
    fn process(argument: usize, own: u32) -> Self {
        let others = [0, 1, u64::from(u32::MAX)];
        let names = [(u64::from(own), "own".to_owned())].into();
        let values = others.into_iter().chain([own.into()]).collect();
        Self { name: "process", values, names, kind: Kind::Value(argument) }
    }

    fn word(name: &'static str, argument: usize) -> Self {
        let names = [(0, "null".to_owned()), (u64::MAX, "any".to_owned())].into();
        Self { name, values: [0, u64::MAX].into(), names, kind: Kind::Word(argument) }
    }

    /// Whether `condition` is about this argument.
    pub(super) fn has(&self, condition: &Condition) -> bool {
        let argument = usize::from(condition.index);
        match self.kind {
            Kind::Bits(own) | Kind::Value(own) | Kind::Word(own) => own == argument,
            Kind::SocketOption | Kind::Request => argument == 1 || argument == 2,
        }
    }

    /// Whether something that is tried satisfies those of these conditions together that are about this
    /// argument.
    pub(super) fn covers(&self, conditions: &[Condition]) -> bool {
        self.values.iter().any(|value| {
            let mut arguments = [0; 6];
            self.pass(*value, 0, &mut arguments);
            conditions.iter().all(|one| !self.has(one) || one.holds(&arguments))
        })
    }

    pub(super) fn is_named(&self, value: u64) -> bool {
        match self.kind {
            Kind::Bits(_) => {
                let known = self.names.keys().fold(0, |known, bit| known | bit);
                value & !known == 0
            }
            Kind::Request => match declaration(value >> 32) {
                Some(_) => TELLING.contains(&(value & u64::from(u32::MAX))),
                None => self.names.contains_key(&value),
            },
            Kind::SocketOption | Kind::Value(_) | Kind::Word(_) => self.names.contains_key(&value),
        }
    }

    /// Passes `value`; `above` is what the register holds above the 32 bits of an `int`.
    pub(super) fn pass(&self, value: u64, above: u64, arguments: &mut [u64; 6]) {
        let above = above << 32;
        match self.kind {
            Kind::Bits(index) | Kind::Value(index) => arguments[index] = value | above,
            Kind::Word(index) => arguments[index] = value,
            Kind::Request => {
                arguments[1] = value >> 32 | above;
                if declaration(value >> 32).is_some() {
                    arguments[2] = value & u64::from(u32::MAX) | above;
                }
            }
            Kind::SocketOption => {
                arguments[1] = value >> 32 | above;
                arguments[2] = value & u64::from(u32::MAX) | above;
            }
        }
    }
}

/// The name of a request that declares something.
pub(super) fn declaration(request: u64) -> Option<&'static str> {
    let mut known = names::DECLARATIONS.iter();
    known.find(|(number, _)| u64::try_from(*number) == Ok(request)).map(|(_, name)| *name)
}

/// The request that declares something, by its name.
pub(super) fn declared_by(name: &str) -> Option<u64> {
    let mut known = names::DECLARATIONS.iter();
    known.find(|(_, its)| *its == name).and_then(|(number, _)| u64::try_from(*number).ok())
}

fn named(names: Names) -> BTreeMap<u64, String> {
    let int = |value: i64| value.cast_unsigned() & u64::from(u32::MAX);
    names.iter().map(|(value, name)| (int(*value), (*name).to_owned())).collect()
}

/// What is tried of `syscall`. `own` is the process that the filter belongs to.
#[must_use]
pub(super) fn axes(syscall: c_long, own: u32) -> Vec<Axis> {
    let messages = |argument| Axis::bits("flags", argument, names::SEND_OR_RECEIVE);
    match syscall {
        c::SYS_accept4 => vec![Axis::bits("flags", 3, names::SOCKET_FLAGS)],
        c::SYS_recvfrom | c::SYS_recvmmsg | c::SYS_sendmmsg => vec![messages(3)],
        c::SYS_recvmsg | c::SYS_sendmsg => vec![messages(2)],
        c::SYS_sendto => vec![messages(3), Axis::word("address", 4)],
        c::SYS_shutdown => vec![Axis::values("how", 1, 0..8, names::SHUTDOWN)],
        c::SYS_getsockopt | c::SYS_setsockopt => vec![Axis::socket_option()],
        c::SYS_socket | c::SYS_socketpair => vec![
            Axis::values("family", 0, 0..64, names::FAMILIES),
            Axis::with_flags("kind", 1, (0..16, names::SOCKET_KINDS), names::SOCKET_FLAGS),
            Axis::values("protocol", 2, 0..8, names::PROTOCOLS),
        ],
        c::SYS_ioctl => vec![Axis::request()],
        c::SYS_fcntl => vec![
            Axis::values("command", 1, (0..48).chain(1024..1056), names::FCNTL),
            Axis::bits("flags", 2, names::DESCRIPTOR_FLAGS),
        ],
        c::SYS_openat => vec![Axis::bits("flags", 2, names::OPEN)],
        c::SYS_pipe2 => vec![Axis::bits("flags", 1, names::OPEN)],
        c::SYS_memfd_create => vec![Axis::bits("flags", 1, names::MEMFD)],
        c::SYS_splice => vec![Axis::bits("flags", 5, names::SPLICE)],
        c::SYS_mmap => vec![
            Axis::some_bits("protection", 2, 8, names::PROTECTION),
            Axis::some_bits("flags", 3, 20, names::MAP),
        ],
        c::SYS_mprotect => vec![Axis::bits("protection", 2, names::PROTECTION)],
        c::SYS_mremap => vec![Axis::bits("flags", 3, names::MREMAP)],
        c::SYS_madvise => {
            let mut axis = Axis::values("advice", 2, 0..256, names::ADVICE);
            axis.names.extend(named(names::NEW_ADVICE));
            vec![axis]
        }
        c::SYS_futex => {
            vec![Axis::with_flags("operation", 1, (0..128, names::FUTEX), names::FUTEX_FLAGS)]
        }
        c::SYS_rt_sigaction => vec![Axis::values("signal", 0, 0..65, names::SIGNALS)],
        c::SYS_clone => vec![Axis::bits("flags", 0, names::CLONE).around(THREAD_FLAGS)],
        c::SYS_prctl => vec![Axis::values("operation", 0, 0..128, names::PRCTL)],
        c::SYS_kill | c::SYS_tkill | c::SYS_tgkill => vec![Axis::process(0, own)],
        c::SYS_prlimit64 => vec![
            Axis::process(0, own),
            Axis::values("resource", 1, 0..32, names::RESOURCES),
            Axis::word("limit", 2),
        ],
        _ => Vec::new(),
    }
}

/// All that fit in 16 bits, as most do; and those of input devices and uinput with all directions
/// and some sizes of their data (`asm-generic/ioctl.h`).
fn requests() -> impl Iterator<Item = u64> {
    const SIZES: [u64; 8] = [0, 4, 8, 12, 16, 28, 92, 104];
    let groups = [b'E', b'U'].map(|group| u64::from(group) << 8);
    let wide = groups.into_iter().flat_map(|group| {
        (0..256).flat_map(move |number| {
            let forms = SIZES.into_iter().flat_map(|size| (0..4).map(move |way| way << 14 | size));
            forms.map(move |form| form << 16 | group | number)
        })
    });
    (0..0x1_0000).chain(wide)
}
