//! How much a session's guests (the app, the helpers and all that they start) may use together.

use std::str::FromStr;

/// The limits of a session's guests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GuestLimits {
    /// Of their memory.
    pub memory: Limit<MemoryLimit>,
    /// Of their processes and threads.
    pub tasks: Limit<TaskLimit>,
}

/// A limit that an option sets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limit<T> {
    /// The limit; `None` for none.
    pub most: Option<T>,
    /// Whether somebody chose it, who is not to get less than that.
    pub is_chosen: bool,
}

impl GuestLimits {
    /// Whether a session must not start without them.
    #[must_use]
    pub fn are_required(&self) -> bool {
        self.memory.is_required() || self.tasks.is_required()
    }
}

impl<T> Limit<T> {
    fn is_required(&self) -> bool {
        self.is_chosen && self.most.is_some()
    }
}

/// A limit of memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MemoryLimit(Memory);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Memory {
    Bytes(u64),
    Percent(u8),
}

/// A value is not a limit; says what is one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected {0}, or none")]
pub struct NoLimit(&'static str);

impl MemoryLimit {
    /// Below this no desktop works.
    const LEAST: u64 = 32 << 20;

    /// The limit in bytes, where there are `whole` bytes in all.
    #[must_use]
    pub fn bytes(self, whole: u64) -> u64 {
        match self.0 {
            Memory::Bytes(bytes) => bytes,
            Memory::Percent(percent) => whole / 100 * u64::from(percent),
        }
    }
}

impl FromStr for MemoryLimit {
    type Err = NoLimit;

    fn from_str(text: &str) -> Result<Self, NoLimit> {
        let refusal =
            NoLimit("memory, such as 512M, 4G or 80% of this machine's, and at least 32M");
        if let Some(percent) = text.strip_suffix('%') {
            let percent = number(percent).filter(|percent| (1..=100).contains(percent));
            let percent = percent.and_then(|percent| u8::try_from(percent).ok()).ok_or(refusal)?;
            return Ok(Self(Memory::Percent(percent)));
        }
        let units = [('K', 1 << 10), ('M', 1 << 20), ('G', 1 << 30), ('T', 1 << 40)];
        let (count, unit) = units
            .into_iter()
            .find_map(|(letter, unit)| Some((text.strip_suffix(letter)?, unit)))
            .unwrap_or((text, 1));
        let bytes = number(count).and_then(|count| count.checked_mul(unit)).ok_or(refusal)?;
        match bytes >= Self::LEAST && i64::try_from(bytes).is_ok() {
            true => Ok(Self(Memory::Bytes(bytes))),
            false => Err(refusal),
        }
    }
}

/// A limit of processes and threads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TaskLimit(u32);

impl TaskLimit {
    /// Below this no desktop works; above that no kernel counts.
    const LEAST: u64 = 32;
    const MOST: u64 = 4_194_304;

    /// How many.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0
    }
}

impl FromStr for TaskLimit {
    type Err = NoLimit;

    fn from_str(text: &str) -> Result<Self, NoLimit> {
        let count = number(text).filter(|count| (Self::LEAST..=Self::MOST).contains(count));
        let count = count.and_then(|count| u32::try_from(count).ok());
        count.map(Self).ok_or(NoLimit("a number, 32 to 4194304"))
    }
}

/// Digits only: `parse` takes a sign, too.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Invocation, parse},
        *,
    };

    fn bytes(text: &str) -> Option<u64> {
        text.parse().ok().map(|limit: MemoryLimit| limit.bytes(10_000_000_000))
    }

    #[test]
    fn memory_limit_is_read_with_its_unit() {
        assert_eq!(bytes("33554432"), Some(32 << 20));
        assert_eq!(bytes("32768K"), Some(32 << 20));
        assert_eq!(bytes("512M"), Some(512 << 20));
        assert_eq!(bytes("4G"), Some(4 << 30));
        assert_eq!(bytes("1T"), Some(1 << 40));
        assert_eq!(bytes("80%"), Some(8_000_000_000));
        assert_eq!(bytes("100%"), Some(10_000_000_000));
    }

    #[test]
    fn memory_limit_that_is_none_is_refused() {
        for text in [
            "",
            "M",
            "%",
            "0",
            "31M",
            "0%",
            "101%",
            "256%",
            "-1G",
            "+1G",
            "1.5G",
            "1 G",
            "4GB",
            "4g",
            "99999999T",
            "18446744073709551616",
            "8388608T",
            "none",
        ] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn task_limit_is_a_number_that_the_kernel_takes() {
        let count = |text: &str| text.parse().ok().map(TaskLimit::count);
        assert_eq!(count("32"), Some(32));
        assert_eq!(count("4194304"), Some(4_194_304));
        for text in ["", "31", "4194305", "-40", "+40", "4k", "4294967328"] {
            assert_eq!(count(text), None, "{text}");
        }
    }

    fn limits(line: &str) -> Result<GuestLimits, String> {
        let parsed = parse(line.split_whitespace().map(Into::into), &|_: &str| None);
        match parsed.map_err(|error| error.to_string())?.0 {
            Invocation::Run(config) => Ok(config.session.limits),
            other => Err(format!("not run: {other:?}")),
        }
    }

    #[test]
    fn limits_that_nobody_chose_are_not_required() {
        let default = limits("run").expect("legal");
        assert_eq!(default.memory.most.map(|most| most.bytes(1000)), Some(800));
        assert_eq!(default.tasks.most.map(TaskLimit::count), Some(4096));
        assert!(!default.are_required());
        for chosen in ["run --app-memory 80%", "run --app-tasks=64 --app-memory=none"] {
            assert!(limits(chosen).expect("legal").are_required(), "{chosen}");
        }
        let none = limits("run --app-memory none --app-tasks none").expect("legal");
        assert!(none.memory.most.is_none() && none.tasks.most.is_none() && !none.are_required());
    }

    #[test]
    fn limit_that_is_none_is_refused_with_what_was_expected() {
        let refusal = |line| limits(line).expect_err("illegal");
        assert!(refusal("run --app-memory 4GB").contains("expected memory, such as 512M"));
        assert!(refusal("run --app-tasks 5").contains("expected a number, 32 to 4194304, or none"));
    }
}
