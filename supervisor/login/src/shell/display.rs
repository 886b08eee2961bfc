//! The session's Wayland socket, made by the user's side: so its file is the user's, and where it lies the user
//! may write.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::OwnedFd,
        unix::{fs::MetadataExt, net::UnixListener},
    },
    path::{Path, PathBuf},
};

use lumen_ipc::message::login::DisplayName;
use nix::unistd::Uid;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

/// The socket's files, for as long as the session lasts.
#[derive(Debug)]
pub(super) struct Display {
    pub(super) runtime_dir: PathBuf,
    socket: PathBuf,
    lock_path: PathBuf,
    /// Held: programs that make such sockets take a lock beside each, and look for another name if it is taken.
    _lock: File,
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoDisplay {
    #[error("there is no directory for it: XDG_RUNTIME_DIR is not set, as pam_systemd does")]
    NoDirectory,
    #[error("{0} is not the user's own directory")]
    NotOwn(PathBuf),
    #[error("another program has the name {0}")]
    Taken(PathBuf),
    #[error("cannot make {path}")]
    Io {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
}

impl Display {
    /// Makes the socket in this directory, and returns it listening.
    pub(super) fn make(
        runtime_dir: &Path,
        name: &DisplayName,
    ) -> Result<(Self, OwnedFd), NoDisplay> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| NoDisplay::Io { path, error }
        };
        let directory = fs::metadata(runtime_dir).map_err(at(runtime_dir))?;
        let is_own = directory.is_dir() && directory.uid() == Uid::effective().as_raw();
        if !is_own || directory.mode() & 0o077 != 0 {
            return Err(NoDisplay::NotOwn(runtime_dir.to_owned()));
        }
        let socket = runtime_dir.join(name.as_str());
        let lock_path = runtime_dir.join(format!("{}.lock", name.as_str()));
        let lock = File::create(&lock_path).map_err(at(&lock_path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(NoDisplay::Taken(socket)),
            Err(error) => return Err(at(&lock_path)(error.into())),
        }
        // Whoever had the lock is gone, and left this behind.
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(at(&socket)(error));
            }
            _ => {}
        }
        let listener = UnixListener::bind(&socket).map_err(at(&socket))?;
        let runtime_dir = runtime_dir.to_owned();
        Ok((Self { runtime_dir, socket, lock_path, _lock: lock }, listener.into()))
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        for path in [&self.socket, &self.lock_path] {
            // The directory itself may be gone already.
            let _ = fs::remove_file(path);
        }
    }
}
