//! A policy as data: which system calls under which conditions, which paths, how many
//! descriptors, each with its reason.

use libc::c_long;

/// What a worker may do while it serves. Everything else ends it.
#[derive(Clone, Debug)]
pub struct Policy {
    rules: Vec<Rule>,
    refusals: Vec<Refused>,
    paths: Vec<ReadPath>,
    open_files: u64,
    private_memory: u64,
    connects: bool,
    survives: bool,
}

/// One permission.
#[derive(Clone, Debug)]
pub struct Rule {
    /// `libc::SYS_*`.
    pub syscall: c_long,
    /// All must hold; none means always.
    pub conditions: Vec<Condition>,
    /// Why the worker needs it.
    pub reason: &'static str,
}

/// A call that fails with an error instead of ending the worker, because a library makes it and
/// works without.
#[derive(Clone, Debug)]
pub struct Refused {
    /// `libc::SYS_*`.
    pub syscall: c_long,
    /// `libc::E*`.
    pub errno: i32,
    /// Why the worker needs it.
    pub reason: &'static str,
}

/// Files below a path that stay readable.
#[derive(Clone, Debug)]
pub struct ReadPath {
    /// The path of the directory.
    pub path: &'static str,
    /// Why the worker needs it.
    pub reason: &'static str,
}

/// A condition on one argument of a system call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Condition {
    pub(crate) index: u8,
    pub(crate) mask: u64,
    pub(crate) value: u64,
}

/// One argument of a system call, counted from zero.
#[derive(Clone, Copy, Debug)]
pub struct Argument(u8);

/// The bits of an `int` argument that the kernel reads. Callers may leave anything above them.
const INT_BITS: u64 = 0xffff_ffff;

impl Condition {
    /// The argument the condition is about.
    #[must_use]
    pub const fn arg(index: u8) -> Argument {
        Argument(index)
    }

    /// Whether a call with these arguments satisfies it.
    #[cfg(feature = "test-support")]
    pub(crate) fn holds(&self, arguments: &[u64; 6]) -> bool {
        let argument = arguments.get(usize::from(self.index));
        argument.is_some_and(|argument| argument & self.mask == self.value)
    }

    /// Changes the arguments to satisfy it.
    #[cfg(feature = "test-support")]
    pub(crate) fn impose(&self, arguments: &mut [u64; 6]) {
        if let Some(argument) = arguments.get_mut(usize::from(self.index)) {
            *argument = *argument & !self.mask | self.value;
        }
    }
}

impl Argument {
    /// It equals `value`. If the value fits in 32 bits only 32 bits are compared, as the kernel
    /// does with an `int`; so this is for flags, commands and descriptors, not for addresses and
    /// lengths.
    #[must_use]
    pub fn equals(self, value: impl TryInto<i64>) -> Condition {
        // A value that no argument can hold becomes all ones, which no legal call passes.
        let value = value.try_into().map_or(u64::MAX, i64::cast_unsigned);
        let fits = value <= INT_BITS || value > !(INT_BITS >> 1);
        let mask = if fits { INT_BITS } else { u64::MAX };
        Condition { index: self.0, mask, value: value & mask }
    }

    /// It is a null pointer or zero, in all 64 bits.
    #[must_use]
    pub const fn is_zero(self) -> Condition {
        Condition { index: self.0, mask: u64::MAX, value: 0 }
    }

    /// Its bits under `mask` are `value`.
    #[must_use]
    pub const fn masked_equals(self, mask: u64, value: u64) -> Condition {
        Condition { index: self.0, mask, value: value & mask }
    }

    /// None of `bits` is set.
    #[must_use]
    pub const fn lacks(self, bits: u64) -> Condition {
        self.masked_equals(bits, 0)
    }

    /// It is an `int` with no bits set but some of `bits`: for flags.
    #[must_use]
    pub const fn only(self, bits: i32) -> Condition {
        self.lacks(INT_BITS & !(bits.cast_unsigned() as u64))
    }

    /// It is an `int` that equals `value` except for some of `bits`: for a command with flags.
    #[must_use]
    pub const fn is_with_any_of(self, value: i32, bits: i32) -> Condition {
        self.masked_equals(INT_BITS & !(bits.cast_unsigned() as u64), value.cast_unsigned() as u64)
    }
}

/// The default limit of descriptors: 0–2, control, grants, links, event loop.
const OPEN_FILES: u64 = 64;

/// The default limit of private memory in bytes, several times what a worker needs that keeps no
/// pictures: the stack of its second thread, and a few mebibytes.
const PRIVATE_MEMORY: u64 = 128 * MIB;

/// Bytes in a mebibyte.
pub const MIB: u64 = 1024 * 1024;

impl Policy {
    /// What every worker needs: the C library's memory and threads, the control thread's runtime,
    /// the sockets it holds, the clock, and exiting.
    #[must_use]
    pub fn base() -> Self {
        super::base::policy()
    }

    pub(crate) const fn nothing() -> Self {
        Self {
            rules: Vec::new(),
            refusals: Vec::new(),
            paths: Vec::new(),
            open_files: OPEN_FILES,
            private_memory: PRIVATE_MEMORY,
            connects: false,
            survives: false,
        }
    }

    /// Also allows `syscall`, whatever its arguments.
    #[must_use]
    pub fn allow(self, syscall: c_long, reason: &'static str) -> Self {
        self.allow_when(syscall, &[], reason)
    }

    /// Also allows `syscall` when all `conditions` hold.
    #[must_use]
    pub fn allow_when(
        mut self,
        syscall: c_long,
        conditions: &[Condition],
        reason: &'static str,
    ) -> Self {
        self.rules.push(Rule { syscall, conditions: conditions.to_vec(), reason });
        self
    }

    /// Makes `syscall` fail with `errno` (`libc::E*`) instead of ending the worker: for a library
    /// that makes it and works without. Overrides any permission for the same call.
    #[must_use]
    pub fn refuse(mut self, syscall: c_long, errno: i32, reason: &'static str) -> Self {
        self.refusals.push(Refused { syscall, errno, reason });
        self
    }

    /// Keeps the files below `path` readable (Landlock), for a library that needs them; the calls
    /// that open them need permissions of their own.
    #[must_use]
    pub fn read_path(mut self, path: &'static str, reason: &'static str) -> Self {
        self.paths.push(ReadPath { path, reason });
        self
    }

    /// Leaves connections by TCP to the filter (Landlock): for a program whose task it is to connect. The calls need
    /// permissions of their own. Listening stays denied.
    #[must_use]
    pub const fn connects(mut self) -> Self {
        self.connects = true;
        self
    }

    /// Also lets threads be started, never processes: for a library that starts one of its own late.
    #[must_use]
    pub fn threads(self, reason: &'static str) -> Self {
        super::base::with_threads(self, reason)
    }

    /// At most `limit` descriptors (`RLIMIT_NOFILE`).
    #[must_use]
    pub const fn open_files(mut self, limit: u64) -> Self {
        self.open_files = limit;
        self
    }

    /// At most `limit` bytes of private memory (`RLIMIT_DATA`).
    #[must_use]
    pub const fn private_memory(mut self, limit: u64) -> Self {
        self.private_memory = limit;
        self
    }

    /// A forbidden call is named and fails, and does not end the process: for a trial, which is to find all of
    /// them. What is let through is the same.
    #[must_use]
    pub const fn survived(mut self) -> Self {
        self.survives = true;
        self
    }

    pub(crate) const fn is_connecting(&self) -> bool {
        self.connects
    }

    pub(crate) const fn is_survived(&self) -> bool {
        self.survives
    }

    /// All permissions, in the order in which they were given.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether a permission or refusal names `syscall`.
    #[must_use]
    pub fn mentions(&self, syscall: c_long) -> bool {
        self.rules.iter().any(|rule| rule.syscall == syscall)
            || self.refusals.iter().any(|refused| refused.syscall == syscall)
    }

    /// Every refusal.
    #[must_use]
    pub fn refusals(&self) -> &[Refused] {
        &self.refusals
    }

    /// Every readable path.
    #[must_use]
    pub fn paths(&self) -> &[ReadPath] {
        &self.paths
    }

    pub(crate) const fn open_file_limit(&self) -> u64 {
        self.open_files
    }

    pub(crate) const fn private_memory_limit(&self) -> u64 {
        self.private_memory
    }
}
