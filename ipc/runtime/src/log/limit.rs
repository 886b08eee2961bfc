//! How many lines one place may log: what a remote can cause must not crowd out everything else.
//!
//! A call site of ours has a generous share of lines a second. All call sites of a dependency have a
//! small one together, because nobody here has looked at what makes them log. Lines that are held back
//! are counted, and the count is a line of its own as soon as another second has a line. Below
//! [`Level::INFO`] there is no limit: whoever asks for such lines wants all of them.

use std::collections::HashMap;

use tracing::{Level, Metadata, callsite::Identifier};

/// Lines a second of one call site of ours: more than any of them has at the start of a desktop.
const OWN_LINES: u32 = 50;
/// Lines a second of one dependency.
const FOREIGN_LINES: u32 = 5;
/// How our own targets begin.
pub(super) const OWN: &str = "lumen";

/// Whose lines are counted together.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Source {
    CallSite(Identifier),
    Dependency(&'static str),
}

#[derive(Debug)]
struct Tally {
    target: &'static str,
    /// In the current second.
    lines: u32,
    held_back: u64,
}

/// What has been logged in the current second.
#[derive(Debug, Default)]
pub(super) struct Limits {
    second: u64,
    tallies: HashMap<Source, Tally>,
}

impl Limits {
    /// Whether a line may be written in this second; before it belong the lines that `report` is given.
    pub(super) fn allow(
        &mut self,
        second: u64,
        metadata: &'static Metadata<'static>,
        mut report: impl FnMut(String),
    ) -> bool {
        if self.second != second {
            self.second = second;
            for tally in self.tallies.values().filter(|tally| tally.held_back > 0) {
                let (count, target) = (tally.held_back, tally.target);
                report(format!("WARN {target}: {count} lines of this kind were held back"));
            }
            self.tallies.clear();
        }
        if *metadata.level() > Level::INFO {
            return true;
        }
        let target = metadata.target();
        let (source, most) = match target.starts_with(OWN) {
            true => (Source::CallSite(metadata.callsite()), OWN_LINES),
            false => {
                let name = target.split("::").next().unwrap_or(target);
                (Source::Dependency(name), FOREIGN_LINES)
            }
        };
        let tally = self.tallies.entry(source).or_insert(Tally { target, lines: 0, held_back: 0 });
        let allowed = tally.lines < most;
        match allowed {
            true => tally.lines += 1,
            false => tally.held_back += 1,
        }
        allowed
    }
}
