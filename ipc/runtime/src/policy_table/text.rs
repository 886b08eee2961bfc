//! A table as text, and back: one line per call and set of arguments, sorted by name.
//!
//! `accept4 flags=[SOCK_NONBLOCK,SOCK_CLOEXEC]` means those bits and no others; `A+[B]` needs A,
//! `[^A]` is any bit but A. `UI_SET_KEYBIT/30` declares key 30. Other values are lists of names, numbers and ranges. An argument that
//! is not named may have any value. A refused call says with which error after a colon.

use std::{collections::BTreeSet, fmt::Write};

use libc::c_long;
use nix::errno::Errno;

use super::{
    Counts, Line, NUMBERS, Table, Verdict,
    axes::{Axis, Kind, declaration, declared_by},
};
use crate::confine::syscall_name;

/// Why a text is no table.
#[derive(Debug, thiserror::Error)]
#[error("not a line of a table: {0}")]
pub struct ParseError(String);

/// The widest line.
const WIDTH: usize = 100;

const INTRODUCTION: &str = "\
# What this program's system call filter lets through. A call that no line names ends the program.
# Made from the compiled filter for x86-64: `make tables` writes it anew. [A,B] are bits of which
# any may be set, [^A,B] are all bits but these, A+ is a bit that must be set.
";

pub(super) fn call(syscall: c_long) -> String {
    syscall_name(syscall).map_or_else(|| syscall.to_string(), str::to_owned)
}

impl Table {
    /// The table as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = INTRODUCTION.to_owned();
        for (name, count) in self.counts().named() {
            // Writing to a string does not fail.
            let _ = writeln!(text, "# {name} {count}");
        }
        let mut lines: Vec<_> = self
            .calls
            .iter()
            .flat_map(|(syscall, lines)| lines.iter().map(|line| self.line(*syscall, line)))
            .collect();
        lines.sort();
        for line in lines {
            wrap(&line, &mut text);
        }
        text
    }

    fn line(&self, syscall: c_long, line: &Line) -> String {
        let mut text = call(syscall);
        for (axis, values) in self.axes(syscall).iter().zip(&line.values) {
            if let Some(values) = values {
                let _ = write!(text, " {}={}", axis.name, axis.text(values));
            }
        }
        match line.verdict {
            Verdict::Allowed => {}
            Verdict::Refused(errno) => {
                let _ = write!(text, " : {}", error_name(errno));
            }
            verdict @ (Verdict::Ends | Verdict::Killed) => {
                let _ = write!(text, " : {verdict:?}");
            }
        }
        text
    }

    /// The table of a process, `own`, from its text.
    ///
    /// # Errors
    /// [`ParseError`] with the line that is not understood.
    pub fn parse(text: &str, own: u32) -> Result<Self, ParseError> {
        let mut table = Self::empty(own);
        for line in unwrapped(text) {
            let understood = match line.strip_prefix("# ") {
                Some(comment) => {
                    table.counts.read(comment);
                    Some(())
                }
                None => table.read(&line),
            };
            understood.ok_or(ParseError(line))?;
        }
        Ok(table)
    }

    fn read(&mut self, line: &str) -> Option<()> {
        let (call, verdict) = match line.split_once(" : ") {
            None => (line, Verdict::Allowed),
            Some((call, errno)) => (call, refusal(errno)?),
        };
        let mut words = call.split(' ');
        let name = words.next()?;
        let syscall = (0..NUMBERS).find(|syscall| self::call(*syscall) == name)?;
        let axes = self.axes(syscall);
        let mut values = vec![None; axes.len()];
        for word in words {
            let (name, text) = word.split_once('=')?;
            let place = axes.iter().position(|axis| axis.name == name)?;
            values[place] = Some(axes[place].read(text)?);
        }
        self.calls.entry(syscall).or_default().push(Line { values, verdict });
        Some(())
    }
}

/// As the C library calls it: `ENOSYS`.
fn error_name(errno: u16) -> String {
    format!("{:?}", Errno::from_raw(errno.into()))
}

fn refusal(name: &str) -> Option<Verdict> {
    (1..=133).find(|errno| error_name(*errno) == name).map(Verdict::Refused)
}

impl Counts {
    /// Each count and what it is called.
    #[must_use]
    pub fn named(self) -> [(&'static str, usize); 5] {
        [
            ("rules", self.rules),
            ("calls", self.calls),
            ("calls by argument", self.by_argument),
            ("combinations let through", self.combinations),
            ("combinations tried", self.tried),
        ]
    }

    fn read(&mut self, comment: &str) {
        let Some((name, count)) = comment.rsplit_once(' ') else { return };
        let Ok(count) = count.parse() else { return };
        match name {
            "rules" => self.rules = count,
            "calls" => self.calls = count,
            "calls by argument" => self.by_argument = count,
            "combinations let through" => self.combinations = count,
            "combinations tried" => self.tried = count,
            _ => {}
        }
    }
}

/// Breaks a line at spaces and after commas and plus signs; all but the first part are indented.
fn wrap(line: &str, text: &mut String) {
    let mut width = 0;
    for part in line.split_inclusive([' ', ',', '+']) {
        if width > 0 && width + part.trim_end().len() > WIDTH {
            text.truncate(text.trim_end().len());
            text.push_str("\n    ");
            width = 4;
        }
        text.push_str(part);
        width += part.len();
    }
    text.push('\n');
}

/// Lines as they were before [`wrap`].
fn unwrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("    "), lines.last_mut()) {
            (Some(rest), Some(last)) => {
                if !last.ends_with([',', '+']) {
                    last.push(' ');
                }
                last.push_str(rest);
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

/// Which bits of a set of flags must be set, and which others may.
#[derive(Clone, Copy)]
struct Mask {
    must: u64,
    may: u64,
}

/// All bits of an `int`.
const INT_BITS: u64 = 0xffff_ffff;

impl Mask {
    fn holds(self, value: u64) -> bool {
        value & self.must == self.must && value & !(self.must | self.may) == 0
    }
}

impl Axis {
    fn text(&self, values: &BTreeSet<u64>) -> String {
        match self.kind {
            Kind::Bits(_) => {
                let must = values.iter().fold(INT_BITS, |all, value| all & value);
                let may = values.iter().fold(0, |any, value| any | value) & !must;
                let mask = Mask { must, may };
                if self.within(mask) == *values {
                    return self.mask_text(mask);
                }
                let texts = values.iter().map(|value| self.bit_names(*value).join("|"));
                texts.collect::<Vec<_>>().join(",")
            }
            Kind::Request | Kind::SocketOption | Kind::Value(_) | Kind::Word(_) => {
                self.list(values)
            }
        }
    }

    fn within(&self, mask: Mask) -> BTreeSet<u64> {
        self.values.iter().copied().filter(|value| mask.holds(*value)).collect()
    }

    fn mask_text(&self, mask: Mask) -> String {
        let mut parts: Vec<_> = if mask.must == 0 { Vec::new() } else { self.bit_names(mask.must) };
        let never = INT_BITS & !(mask.must | mask.may);
        if never.count_ones() < mask.may.count_ones() {
            parts.push(format!("[^{}]", self.bit_names(never).join(",")));
        } else if mask.may != 0 {
            parts.push(format!("[{}]", self.bit_names(mask.may).join(",")));
        } else if parts.is_empty() {
            parts.push("0".to_owned());
        }
        parts.join("+")
    }

    /// The names of the bits of `value`.
    fn bit_names(&self, value: u64) -> Vec<String> {
        let bits = (0..64).map(|bit| 1 << bit).filter(|bit| value & bit != 0);
        let names: Vec<_> = bits.map(|bit| self.one(bit)).collect();
        if names.is_empty() { vec!["0".to_owned()] } else { names }
    }

    fn list(&self, values: &BTreeSet<u64>) -> String {
        let mut texts = Vec::new();
        let mut values = values.iter().copied().peekable();
        while let Some(first) = values.next() {
            let mut last = first;
            let is_nameless = |value: &u64| !self.names.contains_key(value);
            if is_nameless(&first) {
                while let Some(next) = values.next_if(|next| *next == last + 1 && is_nameless(next))
                {
                    last = next;
                }
            }
            texts.push(match last == first {
                true => self.one(first),
                false => format!("{}-{}", self.one(first), self.one(last)),
            });
        }
        texts.join(",")
    }

    fn one(&self, value: u64) -> String {
        match self.names.get(&value) {
            Some(name) => name.clone(),
            None if self.kind == Kind::SocketOption => {
                format!("{}/{}", value >> 32, value & INT_BITS)
            }
            None if self.kind == Kind::Request => {
                let request = value >> 32;
                match declaration(request) {
                    Some(name) => format!("{name}/{}", value & INT_BITS),
                    None => format!("{request:#x}"),
                }
            }
            None if value < 4096 => value.to_string(),
            None => format!("{value:#x}"),
        }
    }

    fn read(&self, text: &str) -> Option<BTreeSet<u64>> {
        match self.kind {
            Kind::Bits(_) if text.contains('[') || text.contains('+') => {
                let (must, may) = text.split_once('[').unwrap_or((text, "]"));
                let must = self.read_bits(must.split('+').filter(|name| !name.is_empty()))?;
                let may = may.strip_suffix(']')?;
                let (excludes, names) = match may.strip_prefix('^') {
                    None => (false, may),
                    Some(names) => (true, names),
                };
                let bits = self.read_bits(names.split(',').filter(|name| !name.is_empty()))?;
                let may = if excludes { INT_BITS & !bits & !must } else { bits };
                Some(self.within(Mask { must, may }))
            }
            Kind::Bits(_) => {
                text.split(',').map(|value| self.read_bits(value.split('|'))).collect()
            }
            Kind::Request | Kind::SocketOption | Kind::Value(_) | Kind::Word(_) => {
                let mut values = BTreeSet::new();
                for part in text.split(',') {
                    let (first, last) = part.split_once('-').unwrap_or((part, part));
                    values.extend(self.read_one(first)?..=self.read_one(last)?);
                }
                Some(values)
            }
        }
    }

    fn read_bits<'a>(&self, names: impl Iterator<Item = &'a str>) -> Option<u64> {
        names.map(|name| self.read_one(name)).try_fold(0, |all, bit| Some(all | bit?))
    }

    fn read_one(&self, text: &str) -> Option<u64> {
        if let Some((value, _)) = self.names.iter().find(|(_, name)| *name == text) {
            return Some(*value);
        }
        if self.kind == Kind::Request {
            return read_request(text);
        }
        match (text.split_once('/'), text.strip_prefix("0x")) {
            (Some((level, option)), _) => {
                Some(level.parse::<u64>().ok()? << 32 | option.parse::<u64>().ok()?)
            }
            (None, Some(digits)) => u64::from_str_radix(digits, 16).ok(),
            (None, None) => text.parse().ok(),
        }
    }
}

/// A request without a name, or one that declares something.
fn read_request(text: &str) -> Option<u64> {
    let (name, what) = text.split_once('/').unwrap_or((text, "0"));
    let request = match name.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => declared_by(name)?,
    };
    Some(request << 32 | what.parse::<u64>().ok()?)
}
