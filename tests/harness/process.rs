//! What the kernel says of a process, read from `/proc`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

/// A mapped memory file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MemoryFile {
    /// Which file: equal in two processes that see the same pages.
    pub inode: u64,
    /// Whether writes go to the file's own pages.
    pub shared: bool,
    /// Bytes of it that this process has copies of.
    pub copied: u64,
}

/// A process, by its id. It may be gone; then everything asked of it is an error.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Process(pub u32);

/// What a process has mapped of memory files. How many buffers of an app's file a worker has mapped says
/// nothing: it depends on which of them the app has used so far.
#[derive(Clone, Copy, Debug)]
pub struct MemoryMappings {
    /// How many files.
    pub files: usize,
    /// Mappings of a place that is mapped already.
    pub repeated: usize,
}

impl Process {
    /// Whether it exists and is not a zombie.
    #[must_use]
    pub fn is_alive(self) -> bool {
        self.status_field("State").is_ok_and(|state| !state.starts_with('Z'))
    }

    /// A line of `/proc/PID/status`, without its name.
    ///
    /// # Errors
    /// When the process is gone or the kernel has no such line.
    pub fn status_field(self, name: &str) -> Result<String> {
        let status = self.read("status")?;
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(value
            .with_context(|| format!("no {name} in the status of {}", self.0))?
            .trim()
            .to_owned())
    }

    /// Real, effective, saved and file-system user ids.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn user_ids(self) -> Result<Vec<u32>> {
        let ids = self.status_field("Uid")?;
        ids.split_whitespace().map(|id| id.parse().context("a user id")).collect()
    }

    /// What every open descriptor points to, as `/proc/PID/fd` names it.
    ///
    /// # Errors
    /// When the process is gone or belongs to somebody else. Workers' are root's to see.
    pub fn descriptors(self) -> Result<BTreeMap<u32, String>> {
        let folder = self.folder().join("fd");
        let mut descriptors = BTreeMap::new();
        for entry in fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
            let entry = entry?;
            // Closed since the listing: not open any more, so not listed.
            let Ok(target) = fs::read_link(entry.path()) else { continue };
            let number = entry.file_name().to_string_lossy().parse()?;
            descriptors.insert(number, target.to_string_lossy().into_owned());
        }
        Ok(descriptors)
    }

    /// Descriptors of the same sockets that it holds.
    ///
    /// # Errors
    /// When the process is gone or may not be traced.
    pub fn sockets(self) -> Result<Vec<OwnedFd>> {
        let pid = rustix::process::Pid::from_raw(self.0.cast_signed()).context("a process id")?;
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        let held = self.descriptors()?;
        let sockets = held.into_iter().filter(|(_, target)| target.starts_with("socket:"));
        sockets
            .map(|(number, _)| {
                let number = number.cast_signed();
                Ok(pidfd_getfd(&process, number, PidfdGetfdFlags::empty())?)
            })
            .collect()
    }

    /// Its command line.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn command_line(self) -> Result<String> {
        Ok(self.read("cmdline")?.replace('\0', " ").trim().to_owned())
    }

    /// Its environment, as it was at exec.
    ///
    /// # Errors
    /// When the process is gone or belongs to somebody else.
    pub fn environment(self) -> Result<String> {
        Ok(self.read("environ")?.replace('\0', "\n"))
    }

    /// One of its namespaces, as `/proc/PID/ns` names it.
    ///
    /// # Errors
    /// When the process is gone or belongs to somebody else.
    pub fn namespace(self, kind: &str) -> Result<String> {
        let link = fs::read_link(self.folder().join("ns").join(kind))?;
        Ok(link.to_string_lossy().into_owned())
    }

    /// Processor time used by all its living threads.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn processor_time(self) -> Result<Duration> {
        // Documentation/scheduler/sched-stats.rst: the first field is the time spent running, in
        // nanoseconds; far finer than the ticks of `/proc/PID/stat`.
        let nanos = self.sum_over_threads("schedstat", |text| text.split(' ').next())?;
        Ok(Duration::from_nanos(nanos))
    }

    /// How often its living threads have slept and been woken.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn wake_ups(self) -> Result<u64> {
        self.sum_over_threads("status", |text| {
            text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
        })
    }

    fn sum_over_threads(self, file: &str, number: fn(&str) -> Option<&str>) -> Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(self.folder().join("task"))? {
            // A thread that ended since the listing takes its count with it.
            let Ok(text) = fs::read_to_string(task?.path().join(file)) else { continue };
            let found = number(&text).with_context(|| format!("{file} of {}", self.0))?;
            sum += found.trim().parse::<u64>()?;
        }
        Ok(sum)
    }

    /// Memory in bytes, with shared pages divided among those who share them.
    ///
    /// # Errors
    /// When the process is gone or belongs to somebody else.
    pub fn proportional_memory(self) -> Result<u64> {
        self.kibibytes("smaps_rollup", "Pss:")
    }

    /// Memory in bytes that is in no file: its own, and its part of what it shares with others. What grows by a
    /// leak is there, and the pages of programs are not, which more or fewer processes share from one moment to
    /// the next.
    ///
    /// # Errors
    /// When the process is gone or belongs to somebody else.
    pub fn unnamed_memory(self) -> Result<u64> {
        let of = |kind| self.kibibytes("smaps_rollup", kind);
        Ok(of("Pss_Anon:")? + of("Pss_Shmem:")?)
    }

    /// Memory in bytes, shared pages counted in full.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn resident_memory(self) -> Result<u64> {
        self.kibibytes("status", "VmRSS:")
    }

    /// Bytes it has read and written through calls that copy them (files, pipes, streams; messages
    /// on sockets are not among them).
    ///
    /// # Errors
    /// When the process is gone or belongs to somebody else.
    pub fn bytes_through_calls(self) -> Result<u64> {
        let text = self.read("io")?;
        let counts = ["rchar: ", "wchar: "].map(|name| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.with_context(|| format!("no {name}of {}", self.0))?.parse::<u64>().context("bytes")
        });
        counts.into_iter().sum()
    }

    /// Its mappings of memory files of this name.
    ///
    /// # Errors
    /// When the process is gone or belongs to somebody else.
    pub fn memory_files(self, name: &str) -> Result<Vec<MemoryFile>> {
        let path = format!("/memfd:{name}");
        let mut found: Vec<MemoryFile> = Vec::new();
        let mut inside = false;
        for line in self.read("smaps")?.lines() {
            // proc(5): a mapping begins with addresses, permissions, offset, device, inode, path.
            let fields: Vec<&str> = line.split_whitespace().collect();
            match fields[..] {
                [addresses, permissions, _, _, inode, ref rest @ ..] if addresses.contains('-') => {
                    inside = rest.first() == Some(&path.as_str());
                    if inside {
                        let shared = permissions.ends_with('s');
                        found.push(MemoryFile { inode: inode.parse()?, shared, copied: 0 });
                    }
                }
                ["Anonymous:", kibibytes, "kB"] if inside => {
                    if let Some(file) = found.last_mut() {
                        file.copied = kibibytes.parse::<u64>()? * 1024;
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// Its mappings of memory files, whatever their names.
    ///
    /// # Errors
    /// When the process is gone or belongs to somebody else.
    pub fn memory_mappings(self) -> Result<MemoryMappings> {
        let maps = self.read("maps")?;
        // The range, permissions, offset, device, number of the file and its name (proc_pid_maps(5)).
        let words = maps.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let of_memory = words.filter_map(|words| match words[..] {
            [_, _, offset, _, file, name, ..] if name.starts_with("/memfd:") => {
                Some((file.to_owned(), offset.to_owned()))
            }
            _ => None,
        });
        let all: Vec<_> = of_memory.collect();
        let files: BTreeSet<_> = all.iter().map(|(file, _)| file).collect();
        let places: BTreeSet<_> = all.iter().collect();
        Ok(MemoryMappings { files: files.len(), repeated: all.len() - places.len() })
    }

    /// Its parent.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn parent(self) -> Result<Self> {
        Ok(Self(self.status_field("PPid")?.parse()?))
    }

    fn kibibytes(self, file: &str, name: &str) -> Result<u64> {
        let text = self.read(file)?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let line = line.with_context(|| format!("no {name} of {}", self.0))?;
        let number = line.trim().trim_end_matches(" kB");
        Ok(number.parse::<u64>()? * 1024)
    }

    /// Its folder in `/proc`.
    #[must_use]
    pub fn folder(self) -> PathBuf {
        Path::new("/proc").join(self.0.to_string())
    }

    fn read(self, file: &str) -> Result<String> {
        let path = self.folder().join(file);
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Every process of this machine.
#[must_use]
pub fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Process)).collect()
}

/// The children of `parent` that have ended and that it has not asked about.
#[must_use]
pub fn zombies_of(parent: Process) -> Vec<Process> {
    let is_zombie = |child: &Process| {
        let state = child.status_field("State").unwrap_or_default();
        state.starts_with('Z') && child.parent().is_ok_and(|of| of == parent)
    };
    all().into_iter().filter(is_zombie).collect()
}

/// The living descendants of `ancestor`, without itself.
#[must_use]
pub fn descendants(ancestor: Process) -> Vec<Process> {
    let parents: BTreeMap<Process, Process> =
        all().into_iter().filter_map(|process| Some((process, process.parent().ok()?))).collect();
    let mut family = vec![ancestor];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        let children = parents.iter().filter(|(_, of)| **of == parent).map(|(child, _)| *child);
        family.extend(children);
        next += 1;
    }
    family.split_off(1).into_iter().filter(|process| process.is_alive()).collect()
}
