//! What Lumen's processes hold: memory and descriptors.

use std::collections::BTreeMap;

use anyhow::Result;
use lumen_tests::{patience::wait_for, process::Process, rig::Rig};

/// Of each program, the bytes of memory and the number of descriptors.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held(BTreeMap<String, (u64, usize)>);

impl Held {
    /// What is held once two counts of descriptors in a row are equal: connections that end are being closed before.
    ///
    /// # Errors
    /// When they never are.
    pub(crate) fn settled(rig: &Rig) -> Result<Self> {
        let mut last = Self::default();
        wait_for("as many descriptors twice", || {
            let held = Self::count(rig).ok()?;
            let same = held.differences(&last).is_empty();
            last = held;
            same.then(|| last.clone())
        })
    }

    fn count(rig: &Rig) -> Result<Self> {
        let status = rig.status()?;
        let workers = status.processes().filter_map(|worker| {
            Some((worker.process.kind().binary().to_owned(), Process(worker.pid?)))
        });
        let lumen = ("lumen".to_owned(), Process(status.supervisor_pid));
        let mut held = BTreeMap::new();
        for (name, process) in workers.chain([lumen]) {
            let counts = (process.unnamed_memory()?, process.descriptors()?.len());
            held.insert(name, counts);
        }
        Ok(Self(held))
    }

    /// The programs' names.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// A program's memory in bytes, none if it does not run.
    pub(crate) fn memory(&self, name: &str) -> f64 {
        self.0.get(name).map_or(0.0, |(memory, _)| *memory as f64)
    }

    /// Which programs hold another number of descriptors in `other`, with both numbers.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let of = |held: &Self, name: &String| held.0.get(name).map_or(0, |(_, count)| *count);
        let all = self.0.keys().chain(other.0.keys().filter(|name| !self.0.contains_key(*name)));
        all.filter(|name| of(self, name) != of(other, name))
            .map(|name| format!("{name}: {} descriptors, then {}", of(self, name), of(other, name)))
            .collect()
    }
}
