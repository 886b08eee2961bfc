//! Device nodes of graphics processors: which of them a session may use, and the mark on the disk while one
//! is tried for the first time.
//!
//! A node may be used if the desktop's user may open it. Each media gets one that was opened for it alone:
//! what a process makes through an open file of such a node exists until the last descriptor of that file
//! is closed, so a common one would keep the buffers of every media that died.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use nix::{
    libc::{O_NOCTTY, O_NOFOLLOW, major, minor},
    unistd::{Gid, Uid, getgroups, setgroups},
};

use super::{
    places::{self, PlaceError},
    users::SessionUser,
};
use crate::{
    config::GpuChoice,
    graphics::{NoNode, Node, suits},
};

/// Where the kernel shows the nodes.
const DIRECTORY: &str = "/dev/dri";
/// The kernel's number of the DRM subsystem (`Documentation/admin-guide/devices.txt`).
const DRM: u32 = 226;
/// The minor numbers of render nodes (`drivers/gpu/drm/drm_drv.c`): these can draw, but not show.
const RENDER_NODES: std::ops::Range<u32> = 128..192;
/// The driver whose render node cannot make buffers, so that its other node stands in.
const WITHOUT_RENDER_NODE: &str = "vgem";
/// What the names of all marks begin with.
const MARK: &str = "gpu-trial-";

/// The node that a session's media is to use.
pub(crate) fn choose(choice: &GpuChoice, user: &SessionUser) -> Result<Node, NoNode> {
    match choice {
        GpuChoice::Off => Err(none("--gpu is off")),
        GpuChoice::At(path) => examine(path, true, user),
        GpuChoice::Auto => {
            let mut first = None;
            for path in render_nodes() {
                match examine(&path, false, user) {
                    Ok(node) => return Ok(node),
                    Err(fault) => drop(first.get_or_insert(fault)),
                }
            }
            Err(first.unwrap_or_else(|| none("this machine has no render node in /dev/dri")))
        }
    }
}

fn none(reason: &str) -> NoNode {
    NoNode { reason: reason.to_owned(), ..NoNode::default() }
}

/// The render nodes of this machine, in the order of their numbers.
fn render_nodes() -> Vec<PathBuf> {
    let entries = fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    let numbered = entries.filter_map(|entry| {
        let name = entry.file_name();
        let number: u32 = name.to_str()?.strip_prefix("renderD")?.parse().ok()?;
        Some((number, entry.path()))
    });
    let mut numbered: Vec<(u32, PathBuf)> = numbered.collect();
    numbered.sort_unstable();
    numbered.into_iter().map(|(_, path)| path).collect()
}

/// Whether `user` may use the node at `path`, and what it is.
fn examine(path: &Path, named: bool, user: &SessionUser) -> Result<Node, NoNode> {
    let because = |driver: &str, reason: String| NoNode {
        path: Some(path.to_owned()),
        driver: driver.to_owned(),
        reason,
    };
    let found =
        fs::metadata(path).map_err(|error| because("", format!("it is not there: {error}")))?;
    let number = found.rdev();
    if !found.file_type().is_char_device() || major(number) != DRM {
        return Err(because("", "it is no device of a graphics processor".to_owned()));
    }
    let driver = driver(number);
    let software = suits(&driver, named).map_err(|reason| because(&driver, reason.to_owned()))?;
    if !RENDER_NODES.contains(&minor(number)) && driver != WITHOUT_RENDER_NODE {
        return Err(because(&driver, "it is no render node".to_owned()));
    }
    let node = Node { path: path.to_owned(), number, driver: driver.clone(), software };
    let opened = as_user(user, || open(&node).map_err(places::at(path)));
    match opened {
        Ok(_) => Ok(node),
        Err(PlaceError::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
            let name = user.name.to_string_lossy();
            let reason =
                format!("{name} may not open it, for which most systems have the group `render`");
            Err(because(&driver, reason))
        }
        Err(error) => Err(because(&driver, super::sentence(&error))),
    }
}

/// The name of the kernel's driver of a device, or of the device if none has a name; empty if unknown.
fn driver(number: u64) -> String {
    let device = format!("/sys/dev/char/{}:{}/device", major(number), minor(number));
    let named = fs::read_to_string(format!("{device}/uevent")).ok().and_then(|text| {
        text.lines().find_map(|line| line.strip_prefix("DRIVER=").map(str::to_owned))
    });
    let own = || {
        let device = fs::canonicalize(&device).ok()?;
        Some(device.file_name()?.to_string_lossy().into_owned())
    };
    // The kernel numbers devices that there can be several of: `vgem.0`.
    let named = named.or_else(own).unwrap_or_default();
    named.split('.').next().unwrap_or_default().to_owned()
}

/// Opens a node for one media.
pub(crate) fn open(node: &Node) -> io::Result<OwnedFd> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(O_NOCTTY | O_NOFOLLOW)
        .open(&node.path)?;
    match file.metadata()?.rdev() == node.number {
        true => Ok(file.into()),
        false => Err(io::Error::other("another device has its place")),
    }
}

/// Does something with the rights of a user and of all its groups. For the start only.
fn as_user<T>(
    user: &SessionUser,
    act: impl FnOnce() -> Result<T, PlaceError>,
) -> Result<T, PlaceError> {
    if !Uid::effective().is_root() {
        return act();
    }
    let failed = |errno: nix::errno::Errno| places::at(Path::new("/"))(errno.into());
    let before: Vec<Gid> = getgroups().map_err(failed)?;
    setgroups(&user.groups).map_err(failed)?;
    let outcome = places::as_user(user.identity, act);
    setgroups(&before).map_err(failed)?;
    outcome
}

/// Marks on the disk, one for each node and session while a node is tried for the first time. One that an
/// earlier start of this machine has left says that the trial took the machine down.
pub(crate) struct Marks {
    directory: PathBuf,
    path: PathBuf,
    /// Names this start of the machine.
    boot: String,
}

impl Marks {
    /// The marks of `node` by the session `label` in the directory `state`, which need not exist yet.
    ///
    /// # Errors
    /// The kernel does not name this start of the machine.
    pub(crate) fn new(state: &Path, node: &Node, label: &str) -> io::Result<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        Ok(Self::of(state, node, label, boot))
    }

    fn of(state: &Path, node: &Node, label: &str, boot: String) -> Self {
        let path = state.join(format!("{}{label}", Self::prefix(node)));
        Self { directory: state.to_owned(), path, boot }
    }

    fn prefix(node: &Node) -> String {
        format!("{MARK}{}-", minor(node.number))
    }

    /// Whether an earlier start of the machine has left a mark of this node.
    pub(crate) fn are_left(&self, node: &Node) -> bool {
        !self.left(node).is_empty()
    }

    fn left(&self, node: &Node) -> Vec<PathBuf> {
        let (prefix, entries) = (Self::prefix(node), fs::read_dir(&self.directory));
        let ours = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
        };
        // A file that cannot be read, or is cut short, was being written when the machine went down.
        let of_this_start =
            |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| text.trim() == self.boot);
        let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
        paths.filter(|path| ours(path) && !of_this_start(path)).collect()
    }

    /// Sets the mark; it is on the disk when this returns.
    pub(crate) fn set(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(O_NOFOLLOW)
            .open(&self.path)?;
        file.write_all(self.boot.as_bytes())?;
        file.sync_all()?;
        File::open(&self.directory)?.sync_all()
    }

    /// Removes the mark, if it is set.
    pub(crate) fn remove(&self) {
        // Without one there is nothing to remove.
        let _ = fs::remove_file(&self.path);
    }

    /// Removes what earlier starts have left.
    pub(crate) fn forget(&self, node: &Node) {
        for path in self.left(node) {
            // One that stays is found at the next start, and says so.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::unistd::Gid;

    use super::*;
    use crate::plan::Identity;

    fn user() -> SessionUser {
        let (uid, gid) = (Uid::effective().as_raw(), Gid::effective().as_raw());
        SessionUser {
            identity: Identity { uid, gid },
            name: "somebody".into(),
            home: None,
            shell: PathBuf::from("/bin/sh"),
            groups: Vec::new(),
        }
    }

    fn node() -> Node {
        Node {
            path: PathBuf::from("/dev/dri/renderD128"),
            number: nix::libc::makedev(DRM, 128),
            driver: "i915".to_owned(),
            software: false,
        }
    }

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("lumen-marks-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn what_is_no_render_node_is_refused_with_the_reason() {
        let cases = [
            ("/dev/dri/none", "it is not there"),
            ("/dev/null", "no device of a graphics processor"),
            ("/etc/passwd", "no device of a graphics processor"),
        ];
        for (path, reason) in cases {
            let choice = GpuChoice::At(PathBuf::from(path));
            let fault = choose(&choice, &user()).expect_err("no node");
            assert!(fault.reason.contains(reason), "{path}: {fault:?}");
            assert_eq!(fault.path, Some(PathBuf::from(path)));
        }
        let off = choose(&GpuChoice::Off, &user()).expect_err("off");
        assert_eq!(off, none("--gpu is off"));
    }

    #[test]
    fn mark_counts_after_another_start_of_the_machine_until_it_is_forgotten() {
        let (state, node) = (directory("boots"), node());
        let first = Marks::of(&state, &node, "1", "monday".to_owned());
        assert!(!first.are_left(&node), "without a directory");
        first.set().expect("writable");
        let beside = Marks::of(&state, &node, "2", "monday".to_owned());
        assert!(!first.are_left(&node) && !beside.are_left(&node), "the machine runs");
        let later = Marks::of(&state, &node, "2", "tuesday".to_owned());
        assert!(later.are_left(&node));
        let other = Node { number: nix::libc::makedev(DRM, 129), ..node.clone() };
        assert!(!later.are_left(&other), "of another node");
        later.forget(&node);
        assert!(!later.are_left(&node));
        let _ = fs::remove_dir_all(&state);
    }

    #[test]
    fn mark_that_was_removed_or_cut_short_says_what_it_must() {
        let (state, node) = (directory("cut"), node());
        let first = Marks::of(&state, &node, "1", "monday".to_owned());
        first.set().expect("writable");
        first.remove();
        let later = Marks::of(&state, &node, "1", "tuesday".to_owned());
        assert!(!later.are_left(&node), "the trial was over");
        first.set().expect("writable");
        fs::write(&first.path, "").expect("writable");
        assert!(first.are_left(&node), "cut short");
        let _ = fs::remove_dir_all(&state);
    }
}
