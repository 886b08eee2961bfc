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
    unistd::{AccessFlags, Gid, Uid, access, setegid, seteuid},
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
    /// A directory with its content.
    Tree(PathBuf),
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // A failure does no harm: the next start cleans up again.
        let _ = match self {
            Self::File(path) => fs::remove_file(path),
            Self::Tree(path) => fs::remove_dir_all(path),
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
    let own = Uid::effective().as_raw();
    path.is_absolute()
        && fs::metadata(path).is_ok_and(|found| {
            found.is_dir() && (found.uid() == own || access(path, AccessFlags::W_OK).is_ok())
        })
}

/// Creates a directory with these permissions unless it exists, and checks that it is ours.
pub(crate) fn directory(path: &Path, mode: u32) -> Result<(), PlaceError> {
    match make_directory(path, mode) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(at(path)(error)),
        _ => check_private(path, Uid::effective().as_raw()),
    }
}

/// Creates a directory with these permissions.
pub(crate) fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(mode).create(path)
}

/// Replaces a directory by an empty one that belongs to `owner`.
pub(crate) fn fresh_directory(
    path: &Path,
    mode: u32,
    owner: Identity,
) -> Result<Temporary, PlaceError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(path)(error)),
        _ => {}
    }
    make_directory(path, mode).map_err(at(path))?;
    std::os::unix::fs::lchown(path, Some(owner.uid), Some(owner.gid)).map_err(at(path))?;
    Ok(Temporary::Tree(path.to_owned()))
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
/// user's directory affects nobody else. For the start only, while no other thread opens files.
pub(crate) fn as_user<T>(
    identity: Identity,
    act: impl FnOnce() -> Result<T, PlaceError>,
) -> Result<T, PlaceError> {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    if uid.as_raw() == identity.uid {
        return act();
    }
    let failed = |errno: nix::errno::Errno| at(Path::new("/"))(errno.into());
    setegid(Gid::from_raw(identity.gid)).map_err(failed)?;
    seteuid(Uid::from_raw(identity.uid)).map_err(failed)?;
    // A change of the effective user sets this to what the system's settings say (`fs.suid_dumpable`).
    hide_memory().map_err(failed)?;
    let outcome = act();
    seteuid(uid).map_err(failed)?;
    setegid(gid).map_err(failed)?;
    hide_memory().map_err(failed)?;
    outcome
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
    use super::*;

    #[test]
    fn check_private_refuses_what_others_can_write_to() {
        assert!(matches!(
            check_private(Path::new("/tmp"), Uid::effective().as_raw()),
            Err(PlaceError::NotPrivate { .. })
        ));
    }
}
