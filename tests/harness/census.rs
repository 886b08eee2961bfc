//! Counts what a host and its sessions hold: processes, descriptors by kind, mapped memory, files. The
//! difference between two counts names what leaks.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use lumen_ipc::service::HostStatus;

use crate::{
    hosted::HostRig,
    insight::sees_into_workers,
    patience::wait_until,
    process::{Process, descendants, zombies_of},
};

/// The counts, by name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Census(BTreeMap<String, usize>);

impl Census {
    /// Counts everything. That includes connections of viewers, so the same viewers must watch at the
    /// next census.
    fn take(host: &HostRig) -> Result<Self> {
        let (status, mut census) = (host.status()?, Self::default());
        census.supervisor("host", Process(status.supervisor_pid))?;
        for session in &status.sessions {
            let name = format!("session {}", session.id);
            census.supervisor(&name, Process(session.supervisor_pid))?;
        }
        census.workers(&status)?;
        census.files(host.runtime_folder())?;
        Ok(census)
    }

    /// The census once two in a row are equal; with `expected`, once it equals that, or the last one after a
    /// timeout.
    ///
    /// # Errors
    /// When a process cannot be inspected, or the counts keep changing.
    pub fn settled(host: &HostRig, expected: Option<&Self>) -> Result<Self> {
        let mut last = Self::take(host)?;
        let settled = wait_until("the census settles", || {
            let Ok(census) = Self::take(host) else { return false };
            let same = expected.map_or(census == last, |expected| census == *expected);
            last = census;
            same
        });
        // With `expected`, the caller compares, and reports the difference by name.
        if expected.is_none() {
            settled?;
        }
        Ok(last)
    }

    /// The names whose counts differ in `other`, each with both counts.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Vec<String> {
        let of = |census: &Self, what: &String| census.0.get(what).copied().unwrap_or_default();
        let all = self.0.keys().chain(other.0.keys().filter(|what| !self.0.contains_key(*what)));
        all.filter(|what| of(self, what) != of(other, what))
            .map(|what| format!("{what}: {} before, {} after", of(self, what), of(other, what)))
            .collect()
    }

    /// The sum of all counts whose name ends with `ending`.
    #[must_use]
    pub fn total(&self, ending: &str) -> usize {
        let all = self.0.iter().filter(|(what, _)| what.ends_with(ending));
        all.map(|(_, count)| count).sum()
    }

    fn supervisor(&mut self, name: &str, process: Process) -> Result<()> {
        self.process(name, process)?;
        self.add(format!("{name}: descendants"), descendants(process).len());
        self.add(format!("{name}: zombies"), zombies_of(process).len());
        Ok(())
    }

    fn workers(&mut self, status: &HostStatus) -> Result<()> {
        for worker in status.processes() {
            let ready = worker.pid.filter(|_| worker.state.as_str() == "ready");
            let pid = ready.with_context(|| format!("{} is not ready", worker.process))?;
            // From others a worker hides what it holds.
            if sees_into_workers() {
                self.process(&worker.process.to_string(), Process(pid))?;
            }
        }
        Ok(())
    }

    fn process(&mut self, name: &str, process: Process) -> Result<()> {
        for target in process.descriptors()?.into_values() {
            self.add(format!("{name}: {} descriptors", kind(&target)), 1);
        }
        let mapped = process.memory_mappings()?;
        self.add(format!("{name}: mapped memory files"), mapped.files);
        self.add(format!("{name}: memory mapped twice"), mapped.repeated);
        Ok(())
    }

    fn files(&mut self, folder: &Path) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                self.files(&path)?;
            }
            self.add(format!("file {}", path.display()), 1);
        }
        Ok(())
    }

    fn add(&mut self, what: String, count: usize) {
        *self.0.entry(what).or_default() += count;
    }
}

/// The kind of a descriptor, by the target of its link in `/proc` (proc(5)).
fn kind(target: &str) -> &str {
    match target.split_once(":[") {
        Some(("anon_inode", _)) => target,
        Some((kind, _)) => kind,
        None if target.starts_with("/memfd:") => "memfd",
        None => target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_is_the_same_for_any_two_of_a_kind() {
        assert_eq!(kind("socket:[123]"), "socket");
        assert_eq!(kind("pipe:[9]"), "pipe");
        assert_eq!(kind("anon_inode:[pidfd]"), "anon_inode:[pidfd]");
        assert_eq!(kind("/memfd:lumen-frame (deleted)"), "memfd");
        assert_eq!(kind("/dev/null"), "/dev/null");
    }

    #[test]
    fn difference_names_what_has_come_and_what_has_gone() {
        let of = |counts: &[(&str, usize)]| {
            Census(counts.iter().map(|(what, count)| ((*what).to_owned(), *count)).collect())
        };
        let before = of(&[("1 rtc: socket descriptors", 3), ("file a", 1), ("host: zombies", 0)]);
        let after = of(&[("1 rtc: socket descriptors", 4), ("file b", 1), ("host: zombies", 0)]);
        let expected = [
            "1 rtc: socket descriptors: 3 before, 4 after",
            "file a: 1 before, 0 after",
            "file b: 0 before, 1 after",
        ];
        assert_eq!(before.difference(&after), expected);
        assert_eq!(after.total("descriptors"), 4);
    }
}
