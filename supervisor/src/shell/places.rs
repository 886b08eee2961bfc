//! Directories and Unix sockets on disk: made private, checked before use, removed at the end.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder},
    io,
    os::{
        fd::AsRawFd,
        unix::{
            fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
            net::UnixListener,
        },
    },
    path::{Path, PathBuf},
};

use nix::{
    sys::{
        prctl,
        socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, socket},
    },
    unistd::{AccessFlags, access},
};
use rustix::{
    process::{Gid, Uid, getegid, geteuid},
    thread::{set_thread_res_gid, set_thread_res_uid},
};

use super::lock_file::{LockFile, NotTaken};
use crate::plan::Identity;

/// Why a place cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    /// It cannot be created or examined.
    #[error("cannot use {path}")]
    Io {
        /// The path.
        path: PathBuf,
        /// What the kernel returned.
        source: io::Error,
    },
    /// Somebody else could write there.
    #[error(
        "{path} belongs to uid {owner} with mode {mode:o}, but must be a directory of uid \
             {uid} that nobody else can write to"
    )]
    NotPrivate {
        /// The path.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its mode.
        mode: u32,
        /// The owner it must have.
        uid: u32,
    },
    /// Another desktop uses it.
    #[error("another Lumen uses {0} already; give this one another --name")]
    Taken(PathBuf),
}

impl From<NotTaken> for PlaceError {
    fn from(error: NotTaken) -> Self {
        match error {
            NotTaken::InUse(path) => Self::Taken(path),
            NotTaken::Io { path, source } => Self::Io { path, source },
        }
    }
}

/// A file or directory that is removed on drop.
#[derive(Debug)]
pub(crate) enum Temporary {
    /// A file or socket.
    File(PathBuf),
    /// A directory with its content, and the user with whose rights it was made.
    Tree(PathBuf, Identity),
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // A failure does no harm: the next start cleans up again.
        let _ = match self {
            Self::File(path) => fs::remove_file(path),
            Self::Tree(path, maker) => {
                as_user(*maker, || remove_tree(path).map_err(at(path))).map_err(io::Error::other)
            }
        };
    }
}

/// `XDG_RUNTIME_DIR`, if it is a directory of `uid` that nobody else can write to.
pub(crate) fn runtime_dir(uid: u32, variable: Option<OsString>) -> Option<PathBuf> {
    let path = PathBuf::from(variable.filter(|value| !value.is_empty())?);
    check_private(&path, uid).ok().map(|()| path)
}

/// Whether the caller can use a directory as its home: it owns it or may write to it.
pub(crate) fn is_home(path: &Path) -> bool {
    let own = geteuid().as_raw();
    path.is_absolute()
        && fs::metadata(path).is_ok_and(|found| {
            found.is_dir() && (found.uid() == own || access(path, AccessFlags::W_OK).is_ok())
        })
}

/// Creates a directory with these permissions unless it exists, and checks that it is ours.
pub(crate) fn directory(path: &Path, mode: u32) -> Result<(), PlaceError> {
    match make_directory(path, mode) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(at(path)(error)),
        _ => check_private(path, geteuid().as_raw()),
    }
}

/// Creates a directory with these permissions.
pub(crate) fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(mode).create(path)
}

/// Replaces a directory by an empty one.
pub(crate) fn fresh_directory(path: &Path, mode: u32) -> Result<Temporary, PlaceError> {
    remove_tree(path).map_err(at(path))?;
    make_directory(path, mode).map_err(at(path))?;
    Ok(Temporary::Tree(path.to_owned(), own()))
}

/// As [`fresh_directory`], and gives it to `owner`, which takes a capability if that is another user.
pub(crate) fn given_directory(
    path: &Path,
    mode: u32,
    owner: Identity,
) -> Result<Temporary, PlaceError> {
    let made = fresh_directory(path, mode)?;
    std::os::unix::fs::lchown(path, Some(owner.uid), Some(owner.gid)).map_err(at(path))?;
    Ok(made)
}

/// Removes a directory with its content, if there is one; what is in another user's directories with that
/// user's rights, which take no capability and reach nothing else. Programs that end may remove theirs meanwhile.
fn remove_tree(path: &Path) -> io::Result<()> {
    match remove_found(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn remove_found(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if found.uid() != geteuid().as_raw() {
        let owner = Identity { uid: found.uid(), gid: found.gid() };
        let removed = as_user(owner, || fs::remove_dir_all(path).map_err(at(path)));
        // Of a directory in one of ours its owner can only remove what is in it.
        return if removed.is_ok() { Ok(()) } else { fs::remove_dir(path) };
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir_all(path)
}

/// Checks that a path is a directory of `uid` that nobody else can write to.
pub(crate) fn check_private(path: &Path, uid: u32) -> Result<(), PlaceError> {
    let metadata = fs::symlink_metadata(path).map_err(at(path))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.is_dir() && metadata.uid() == uid && mode & 0o022 == 0 {
        return Ok(());
    }
    Err(PlaceError::NotPrivate { path: path.to_owned(), owner: metadata.uid(), mode, uid })
}

/// A listening Unix socket and the guard of its path.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: UnixListener,
    place: Place,
}

/// Keeps a Unix socket's path reserved; frees it on drop.
#[derive(Debug)]
pub(crate) struct Place {
    /// Removed before the lock is released; `None` where the service manager made it.
    _file: Option<Temporary>,
    _lock: LockFile,
}

impl Listener {
    /// Separates the socket from its place, so that another socket can be made there later.
    pub(crate) fn apart(self) -> (UnixListener, Place) {
        (self.socket, self.place)
    }
}

/// Listens at `path`. A lock file beside it tells a socket in use from one left behind.
pub(crate) fn listen(path: &Path) -> Result<Listener, PlaceError> {
    listening(path, |path| UnixListener::bind(path))
}

/// As [`listen`], for links: a connection carries whole datagrams in order.
pub(crate) fn listen_for_links(path: &Path) -> Result<Listener, PlaceError> {
    listening(path, |path| {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
        nix::sys::socket::listen(&socket, Backlog::new(128)?)?;
        Ok(socket.into())
    })
}

fn listening(
    path: &Path,
    bind: impl FnOnce(&Path) -> io::Result<UnixListener>,
) -> Result<Listener, PlaceError> {
    let lock = lock_beside(path)?;
    let socket = bind_private(path, bind)?;
    let file = Some(Temporary::File(path.to_owned()));
    Ok(Listener { socket, place: Place { _file: file, _lock: lock } })
}

/// A socket at `path` that the service manager made and keeps.
pub(crate) fn adopt(path: &Path, socket: UnixListener) -> Result<Listener, PlaceError> {
    let lock = lock_beside(path)?;
    Ok(Listener { socket, place: Place { _file: None, _lock: lock } })
}

/// The lock of a socket's path.
fn lock_beside(path: &Path) -> Result<LockFile, PlaceError> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    LockFile::take(Path::new(&lock_path)).map_err(|error| match error {
        NotTaken::InUse(_) => PlaceError::Taken(path.to_owned()),
        NotTaken::Io { path, source } => PlaceError::Io { path, source },
    })
}

/// Listens again at a path whose [`Place`] is held.
pub(crate) fn listen_again(path: &Path) -> Result<UnixListener, PlaceError> {
    bind_private(path, |path| UnixListener::bind(path))
}

fn bind_private(
    path: &Path,
    bind: impl FnOnce(&Path) -> io::Result<UnixListener>,
) -> Result<UnixListener, PlaceError> {
    if fs::symlink_metadata(path).is_ok_and(|left| left.file_type().is_socket()) {
        fs::remove_file(path).map_err(at(path))?;
    }
    let socket = bind(path).map_err(at(path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(at(path))?;
    socket.set_nonblocking(true).map_err(at(path))?;
    Ok(socket)
}

/// Does something on disk as another user: what is created belongs to that user, and a trap in that
/// user's directory affects nobody else. Only the calling thread has that user's rights meanwhile.
pub(crate) fn as_user<T>(
    identity: Identity,
    act: impl FnOnce() -> Result<T, PlaceError>,
) -> Result<T, PlaceError> {
    let own = own();
    if own.uid == identity.uid {
        return act();
    }
    become_of(identity)?;
    let outcome = act();
    become_of(own)?;
    outcome
}

/// With whose rights the calling thread acts.
fn own() -> Identity {
    Identity { uid: geteuid().as_raw(), gid: getegid().as_raw() }
}

/// Gives the calling thread the rights of this user, and keeps its way back.
fn become_of(Identity { uid, gid }: Identity) -> Result<(), PlaceError> {
    let failed = |errno: rustix::io::Errno| at(Path::new("/"))(errno.into());
    set_thread_res_gid(None, Gid::from_raw(gid), None).map_err(failed)?;
    set_thread_res_uid(None, Uid::from_raw(uid), None).map_err(failed)?;
    // A change of the effective user sets this to what the system's settings say (`fs.suid_dumpable`).
    hide_memory().map_err(|errno| at(Path::new("/"))(errno.into()))
}

/// Hides this process's memory and descriptors from all processes without capabilities: none may trace
/// it or read them in `/proc`. For root only: an ordinary user's child could not write its `uid_map`.
pub(crate) fn hide_memory() -> nix::Result<()> {
    prctl::set_dumpable(false)
}

pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> PlaceError {
    let path = path.to_owned();
    move |source| PlaceError::Io { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

    use super::*;

    /// Gives up what lets root use other users' files, of this thread.
    fn give_up_files() {
        let mut held = capabilities(None).expect("ours");
        let files = CapabilitySet::DAC_OVERRIDE
            | CapabilitySet::DAC_READ_SEARCH
            | CapabilitySet::FOWNER
            | CapabilitySet::CHOWN;
        held.effective.remove(files);
        held.permitted.remove(files);
        set_capabilities(None, held).expect("less is allowed");
    }

    #[test]
    fn directories_of_a_user_are_made_used_and_removed_without_power_over_files() {
        // Only root can be somebody else.
        let own = own();
        let user = if own.uid == 0 { Identity { uid: 65534, gid: 65534 } } else { own };
        let root = std::env::temp_dir().join(format!("lumen-places-{}", std::process::id()));
        let outer = fresh_directory(&root, 0o755).expect("free");
        let given = given_directory(&root.join("given"), 0o700, user).expect("ours to give");
        give_up_files();
        let inner = root.join("given/inner");
        let made = as_user(user, || fresh_directory(&inner, 0o700)).expect("in a place of its own");
        assert_eq!(geteuid().as_raw(), own.uid, "the thread is itself again");
        as_user(user, || {
            assert_eq!(fs::symlink_metadata(&inner).map_err(at(&inner))?.uid(), user.uid);
            fs::write(inner.join("file"), "").map_err(at(&inner))
        })
        .expect("its own directory");
        drop(made);
        assert!(as_user(user, || Ok(!inner.exists())).expect("allowed"));
        as_user(user, || fs::write(root.join("given/file"), "").map_err(at(&root)))
            .expect("its own");
        drop(given);
        assert!(!root.join("given").exists());
        drop(outer);
        assert!(!root.exists());
    }

    #[test]
    fn directory_that_somebody_else_has_removed_is_removed() {
        let path = std::env::temp_dir().join(format!("lumen-gone-{}", std::process::id()));
        let made = fresh_directory(&path, 0o700).expect("free");
        fs::remove_dir(&path).expect("it is there");
        remove_tree(&path).expect("nothing is left to remove");
        drop(made);
        fs::write(&path, "").expect("a free name");
        assert!(remove_tree(&path).is_err(), "a file is no directory");
        fs::remove_file(&path).expect("it is there");
    }

    #[test]
    fn check_private_refuses_what_others_can_write_to() {
        assert!(matches!(
            check_private(Path::new("/tmp"), geteuid().as_raw()),
            Err(PlaceError::NotPrivate { .. })
        ));
    }
}
