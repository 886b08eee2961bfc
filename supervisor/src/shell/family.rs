//! The processes that descend from this one: the app, what it started and left behind, and daemons.
//! They become this process's children when their parents end (it is their "subreaper", prctl(2)),
//! so none is lost, and none remains a zombie.
//!
//! INVARIANTS
//! - Children that existed before this program was executed are reaped but otherwise left alone.
//! - A process that a task of `watch` waits for is reaped by that task alone, which needs its
//!   status.
//! - No signal goes to a number that may belong to another process: a pidfd is opened first, and
//!   the family relation is read again afterwards. Where a container refuses pidfds, only children
//!   of this process are signalled, whose numbers stay theirs until it reaps them. Processes
//!   further down become its children when their parents end.
//!
//! Trusts `/proc`, which may be that of another pid namespace (`unshare --pid --fork` leaves it
//! so): numbers are translated by its `NSpid` lines, and invisible processes are not signalled.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use nix::{
    sys::{
        prctl,
        signal::{SigSet, Signal, kill},
        signalfd::{SfdFlags, SignalFd},
    },
    unistd::Pid,
};
use rustix::{
    io::Errno,
    process::{
        Pid as PidFdPid, PidfdFlags, Signal as PidFdSignal, WaitOptions, WaitStatus, pidfd_open,
        pidfd_send_signal, waitpid,
    },
};
use tracing::{debug, warn};

use super::ffi;

/// The descendants of this process that belong to the desktop.
#[derive(Debug)]
pub(super) struct Family {
    /// Children that this process had before it was executed, for example by a script's `PROGRAM &
    /// exec lumen run`. They and their descendants do not belong to the desktop.
    strangers: BTreeSet<Pid>,
}

/// Makes this process the new parent of its descendants' orphans, and returns a descriptor that is
/// readable when children end. Must be called before any child is made.
pub(super) fn adopt() -> io::Result<(Family, SignalFd)> {
    if let Err(error) = prctl::set_child_subreaper(true) {
        warn!(%error, "cannot adopt what the app leaves behind and end it with the desktop");
    }
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    signals.thread_block()?;
    let news = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    // Without `/proc` no descendant is signalled, so strangers need not be known.
    let strangers = Proc::own().map(|proc| proc.children()).unwrap_or_default();
    Ok((Family { strangers }, news))
}

impl Family {
    /// Reaps every child that has ended, except those that are `watched`.
    pub(super) fn reap_orphans(&mut self, watched: impl Fn(Pid) -> bool) {
        while let Some(ended) = ffi::ended_child() {
            // Orphans behind it come to the front once its task has reaped it.
            if watched(ended) || reap(ended, WaitOptions::NOHANG).is_none() {
                return;
            }
            // Its number may be reused for a process of the desktop.
            self.strangers.remove(&ended);
            debug!(pid = ended.as_raw(), "reaped an orphan");
        }
    }

    /// Sends a signal to every descendant except those that are `spared`; returns how many there
    /// are.
    pub(super) fn signal(&self, signal: Signal, spared: impl Fn(Pid) -> bool) -> io::Result<usize> {
        let proc = Proc::own()?;
        let found = self.descendants(&proc, spared);
        for entry in &found {
            debug!(pid = entry.pid.as_raw(), name = entry.name, %signal, "ending a leftover process");
            if let Err(error) = send(&proc, entry, signal) {
                debug!(pid = entry.pid.as_raw(), %error, "cannot signal a leftover process");
            }
        }
        Ok(found.len())
    }

    /// The number of descendants except those that are `spared`.
    pub(super) fn count(&self, spared: impl Fn(Pid) -> bool) -> io::Result<usize> {
        Ok(self.descendants(&Proc::own()?, spared).len())
    }

    fn descendants(&self, proc: &Proc, spared: impl Fn(Pid) -> bool) -> Vec<Entry> {
        let mut found = descendants(&proc.all(), proc.own, &self.strangers);
        found.retain(|entry| !spared(entry.pid));
        found
    }
}

/// Reaps a child; `None` when it has not ended or is not a child.
pub(super) fn reap(child: Pid, options: WaitOptions) -> Option<WaitStatus> {
    let child = PidFdPid::from_raw(child.as_raw())?;
    waitpid(Some(child), options).ok().flatten().map(|(_, status)| status)
}

fn send(proc: &Proc, entry: &Entry, signal: Signal) -> io::Result<()> {
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let pid = PidFdPid::from_raw(entry.pid.as_raw()).ok_or_else(gone)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty());
    // The descriptor refers to the process that was found only if the number still has the same
    // parent, or this process in its place.
    let still = proc.entry(entry.number).ok_or_else(gone)?;
    if still.parent != entry.parent && still.parent != proc.own {
        return Err(gone());
    }
    let by_pidfd = match signal {
        Signal::SIGKILL => PidFdSignal::KILL,
        _ => PidFdSignal::TERM,
    };
    match pidfd.and_then(|pidfd| pidfd_send_signal(pidfd, by_pidfd)) {
        Err(Errno::PERM | Errno::NOSYS) if still.parent == proc.own => Ok(kill(still.pid, signal)?),
        sent => Ok(sent?),
    }
}

/// One living process, from `/proc/NUMBER/status`.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Entry {
    /// Its number in `/proc`.
    number: i32,
    /// Its parent's number in `/proc`.
    parent: i32,
    /// Its number in this process's namespace.
    pid: Pid,
    name: String,
}

/// `/proc`, and how its numbers relate to those of this process's pid namespace.
struct Proc {
    /// This process's number in it.
    own: i32,
    /// The position in an `NSpid` line of the number that counts in this namespace.
    depth: usize,
}

impl Proc {
    fn own() -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let numbers = namespace_numbers(&status);
        let own =
            *numbers.first().ok_or_else(|| io::Error::other("no Pid in /proc/self/status"))?;
        Ok(Self { own, depth: numbers.len() - 1 })
    }

    fn all(&self) -> Vec<Entry> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter_map(|number| self.entry(number)).collect()
    }

    fn children(&self) -> BTreeSet<Pid> {
        let all = self.all().into_iter();
        all.filter(|entry| entry.parent == self.own).map(|entry| entry.pid).collect()
    }

    /// `None` when it has ended, is a zombie, or is invisible from here.
    fn entry(&self, number: i32) -> Option<Entry> {
        let path: PathBuf = Path::new("/proc").join(number.to_string()).join("status");
        parse(&fs::read_to_string(path).ok()?, number, self.depth)
    }
}

/// One process by the text of its `status` (proc(5)).
fn parse(status: &str, number: i32, depth: usize) -> Option<Entry> {
    let field = |name: &str| {
        status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
    };
    if field("State").is_none_or(|state| state.starts_with(['Z', 'X'])) {
        return None;
    }
    let pid = *namespace_numbers(status).get(depth)?;
    Some(Entry {
        number,
        parent: field("PPid")?.parse().ok()?,
        pid: Pid::from_raw(pid),
        name: field("Name").unwrap_or_default().to_owned(),
    })
}

/// The numbers of a process, from `/proc`'s own namespace down to its innermost one.
fn namespace_numbers(status: &str) -> Vec<i32> {
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let numbers = line("NSpid:").or_else(|| line("Pid:")).unwrap_or_default();
    numbers.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// The descendants of `ancestor`, without `strangers` and theirs.
fn descendants(all: &[Entry], ancestor: i32, strangers: &BTreeSet<Pid>) -> Vec<Entry> {
    let mut children: BTreeMap<i32, Vec<&Entry>> = BTreeMap::new();
    for entry in all.iter().filter(|entry| !strangers.contains(&entry.pid)) {
        children.entry(entry.parent).or_default().push(entry);
    }
    let (mut found, mut waiting) = (Vec::new(), vec![ancestor]);
    while let Some(parent) = waiting.pop() {
        // Removed, because numbers read at different moments could form a cycle.
        for child in children.remove(&parent).into_iter().flatten() {
            waiting.push(child.number);
            found.push(child.clone());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: &str, parent: i32, numbers: &str) -> String {
        format!("Name:\ta b\nState:\t{state}\nPid:\t9\nPPid:\t{parent}\nNSpid:\t{numbers}\n")
    }

    #[test]
    fn parse_takes_the_number_of_its_own_namespace() {
        let nested = parse(&status("S (sleeping)", 1, "4711\t12\t3"), 4711, 1).expect("alive");
        assert_eq!((nested.pid, nested.parent, &*nested.name), (Pid::from_raw(12), 1, "a b"));
        assert_eq!(parse(&status("S (sleeping)", 1, "4711"), 4711, 1), None, "is not in it");
        assert_eq!(parse(&status("Z (zombie)", 1, "4711\t12"), 4711, 1), None);
        assert_eq!(parse("", 4711, 0), None);
    }

    #[test]
    fn namespace_numbers_of_an_old_kernel_are_the_one_there_is() {
        assert_eq!(namespace_numbers("Pid:\t7\nPPid:\t1\n"), [7]);
    }

    #[test]
    fn descendants_are_all_generations_and_no_strangers() {
        let entry = |number, parent| Entry {
            number,
            parent,
            pid: Pid::from_raw(number),
            name: String::new(),
        };
        let all = [entry(5, 4), entry(2, 1), entry(4, 3), entry(3, 2), entry(8, 9), entry(9, 8)];
        let found = |ancestor, strangers: &[i32]| {
            let strangers = strangers.iter().copied().map(Pid::from_raw).collect();
            let found = descendants(&all, ancestor, &strangers);
            let mut found: Vec<i32> = found.into_iter().map(|entry| entry.number).collect();
            found.sort_unstable();
            found
        };
        assert_eq!(found(2, &[]), [3, 4, 5]);
        assert_eq!(found(1, &[3]), [2], "neither the stranger nor what it started");
        assert_eq!(found(8, &[]), [8, 9], "a ring ends");
    }
}
