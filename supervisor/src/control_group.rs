//! Where a process's control group (cgroups(7), version 2) is, and what limits it, from what the kernel says
//! about it. Pure.
//!
//! Other users can name mount points, so names are bytes here, and none is assumed to be text.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::{Component, Path, PathBuf},
};

/// The directory of a process's group, from its `/proc/PID/mountinfo` (proc(5)) and `/proc/PID/cgroup`;
/// `None` where no mount of version 2 shows it.
pub(crate) fn directory(mounts: &[u8], groups: &[u8]) -> Option<PathBuf> {
    let group = lines(groups).find_map(|line| line.strip_prefix(b"0::"))?;
    let group = path(group.to_owned());
    let mounts: Vec<Mount> = lines(mounts).filter_map(Mount::parse).collect();
    mounts.iter().enumerate().find_map(|(index, mount)| {
        let is_covered = mounts.iter().skip(index + 1).any(|later| later.point == mount.point);
        if !mount.is_of_groups || is_covered {
            return None;
        }
        // In a container the mount may show only a part of the tree, and a path that begins with `..` lies
        // outside of what the container's namespace shows.
        let inside = group.strip_prefix(&mount.root).ok()?;
        let is_below = inside.components().all(|part| matches!(part, Component::Normal(_)));
        is_below.then(|| mount.point.iter().chain(inside).collect())
    })
}

/// The names that a list of the kernel's has.
pub(crate) fn within<'name>(names: &[&'name str], list: &str) -> Vec<&'name str> {
    names.iter().copied().filter(|name| is_listed(name, list)).collect()
}

/// The names that a list of the kernel's lacks.
pub(crate) fn without<'name>(names: &[&'name str], list: &str) -> Vec<&'name str> {
    names.iter().copied().filter(|name| !is_listed(name, list)).collect()
}

fn is_listed(name: &str, list: &str) -> bool {
    list.split_whitespace().any(|listed| listed == name)
}

/// What `cgroup.subtree_control` takes to hand controllers down (`+`), or not to any more (`-`).
pub(crate) fn each(sign: char, controllers: &[impl AsRef<str>]) -> String {
    let signed = controllers.iter().map(|name| format!("{sign}{}", name.as_ref()));
    signed.collect::<Vec<_>>().join(" ")
}

/// The bytes of memory that the machine has, from `/proc/meminfo` (proc(5)).
pub(crate) fn total_memory(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// Of what there may be too little.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Resource {
    /// Memory, for lack of which the kernel ends guests.
    Memory,
    /// Processes and threads, of which no more can be started.
    Tasks,
}

impl Resource {
    pub(crate) const ALL: [Self; 2] = [Self::Memory, Self::Tasks];

    /// The file of the group in which the kernel counts.
    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Memory => "memory.events",
            Self::Tasks => "pids.events",
        }
    }

    /// What it counts there.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Memory => "oom_kill",
            Self::Tasks => "max",
        }
    }
}

/// What the kernel has counted under this name, from a group's `memory.events` or `pids.events`.
pub(crate) fn counted(name: &str, text: &str) -> u32 {
    let mut counts =
        text.lines().filter_map(|line| line.split_once(' ')).filter(|(key, _)| *key == name);
    counts.next().and_then(|(_, count)| count.trim().parse().ok()).unwrap_or_default()
}

/// The least of a number and of the limits that groups have; `max` stands for none.
pub(crate) fn least(machine: u64, limits: impl Iterator<Item = String>) -> u64 {
    limits.filter_map(|limit| limit.trim().parse().ok()).fold(machine, u64::min)
}

/// A line of `mountinfo`.
struct Mount {
    /// The part of the file system that is mounted.
    root: PathBuf,
    point: PathBuf,
    is_of_groups: bool,
}

impl Mount {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let (root, point) = (fields.nth(3)?, fields.next()?);
        // Optional fields end with a hyphen.
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        let [root, point] = [root, point].map(|field| path(unescaped(field)));
        Some(Self { root, point, is_of_groups: kind == b"cgroup2" })
    }
}

/// A field of `mountinfo`, in which a backslash and three octal digits stand for some bytes.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.split_first_chunk::<3>().filter(|_| *first == b'\\');
        let byte = escaped.and_then(|(digits, after)| Some((octal(*digits)?, after)));
        let (byte, after) = byte.unwrap_or((*first, after));
        bytes.push(byte);
        rest = after;
    }
    bytes
}

fn octal(digits: [u8; 3]) -> Option<u8> {
    digits.into_iter().try_fold(0_u8, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
        number.checked_mul(8)?.checked_add(digit)
    })
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

fn path(bytes: Vec<u8>) -> PathBuf {
    Path::new(&OsString::from_vec(bytes)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIFIED: &str = "24 1 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";
    const SLICE: &str = "0::/system.slice/lumen.service\n";

    #[test]
    fn counted_is_what_the_kernel_counted_or_nothing() {
        let text = "low 0\nhigh 0\nmax 77\noom 4\noom_kill 3\noom_group_kill 1\n";
        assert_eq!((counted("oom_kill", text), counted("max", text)), (3, 77));
        assert_eq!(
            ["", "max 7\n", "oom_kill many\n"].map(|text| counted("oom_kill", text)),
            [0; 3]
        );
    }

    fn found(mounts: &str, groups: &str) -> Option<String> {
        let found = directory(mounts.as_bytes(), groups.as_bytes());
        found.map(|path| path.to_string_lossy().into_owned())
    }

    fn is(path: &str) -> Option<String> {
        Some(path.to_owned())
    }

    #[test]
    fn directory_is_where_version_2_is_mounted() {
        let hybrid = "24 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                      25 24 0:23 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      26 24 0:24 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(found(UNIFIED, SLICE), is("/sys/fs/cgroup/system.slice/lumen.service"));
        assert_eq!(found(UNIFIED, "0::/\n"), is("/sys/fs/cgroup"));
        assert_eq!(found(hybrid, "4:memory:/a\n0::/b\n"), is("/sys/fs/cgroup/unified/b"));
    }

    #[test]
    fn directory_without_version_2_is_none() {
        let old = "25 24 0:23 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        assert_eq!(found(old, SLICE), None);
        assert_eq!(found("", SLICE), None);
        assert_eq!(found(UNIFIED, "4:memory:/a\n"), None);
        assert_eq!(found(UNIFIED, ""), None);
    }

    #[test]
    fn directory_in_a_container_is_in_the_part_that_is_mounted() {
        let part = "24 1 0:22 /docker/7 /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        assert_eq!(found(part, "0::/docker/7/x\n"), is("/sys/fs/cgroup/x"));
        assert_eq!(found(part, "0::/docker/7\n"), is("/sys/fs/cgroup"));
        for outside in ["/elsewhere", "/docker/71", "/../b", "/docker/7/../x"] {
            assert_eq!(found(part, &format!("0::{outside}\n")), None, "{outside}");
        }
        assert_eq!(found(UNIFIED, "0::/../b\n"), None);
    }

    /// As mounted for tests that want no groups, or by who sets up a container.
    #[test]
    fn directory_below_another_mount_is_none() {
        let covered = format!("{UNIFIED}25 24 0:23 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n");
        assert_eq!(found(&covered, SLICE), None);
        let again = format!("{UNIFIED}25 24 0:22 /system.slice /sys/fs/cgroup ro - cgroup2 c rw\n");
        assert_eq!(found(&again, SLICE), is("/sys/fs/cgroup/lumen.service"));
    }

    #[test]
    fn directory_whose_name_is_escaped_is_found_beside_names_that_are_not_text() {
        let escaped = "24 1 0:22 /a\\134x2db /sys/fs/a\\040group rw - cgroup2 cgroup2 rw\n";
        assert_eq!(found(escaped, "0::/a\\x2db/c\n"), is("/sys/fs/a group/c"));
        let mut strange = b"20 1 0:9 / /mnt/\xff\xfe rw - fuse x rw\n".to_vec();
        strange.extend(UNIFIED.bytes());
        assert!(directory(&strange, SLICE.as_bytes()).is_some());
        assert_eq!(unescaped(b"\\04\\999\\777\\"), b"\\04\\999\\777\\", "no byte has that number");
    }

    #[test]
    fn without_compares_whole_names() {
        let wanted = ["memory", "pids", "cpu"];
        assert_eq!(without(&wanted, ""), wanted);
        assert_eq!(without(&wanted, "cpuset memory hugetlb\n"), ["pids", "cpu"]);
        assert_eq!(within(&wanted, "cpuset memory hugetlb\n"), ["memory"]);
        assert_eq!(without(&wanted, "cpu io memory pids\n"), [""; 0]);
    }

    #[test]
    fn least_memory_is_the_machines_unless_a_group_has_less() {
        let machine = total_memory("MemTotal:        2030740 kB\nMemFree:  9 kB\n");
        assert_eq!(machine, Some(2_079_477_760));
        for text in ["", "MemTotal:\n", "MemTotal: x kB\n", "MemTotal: 18446744073709551615 kB\n"] {
            assert_eq!(total_memory(text), None, "{text}");
        }
        let least_of = |limits: &[&str]| least(1000, limits.iter().map(ToString::to_string));
        assert_eq!(least_of(&[]), 1000);
        assert_eq!(least_of(&["max\n", "4000\n", "max\n"]), 1000);
        assert_eq!(least_of(&["max\n", "500\n", "700\n"]), 500);
    }

    #[test]
    fn directory_from_lines_that_are_cut_off_is_none() {
        for length in 0..UNIFIED.len() - " cgroup2 rw\n".len() {
            assert_eq!(found(&UNIFIED[..length], SLICE), None, "{length}");
        }
    }
}
