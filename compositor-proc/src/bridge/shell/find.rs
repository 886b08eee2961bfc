//! Finds desktops inside this one: watches the runtime directory, and checks which process listens on each
//! socket there.

use std::{
    collections::BTreeMap,
    fs, io,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::{
    fs::{CWD, Mode, OFlags, inotify, openat},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
};
use tracing::debug;

use crate::bridge::kin;

/// The time between two attempts: a socket file exists for a moment before its process listens.
const RETRY: Duration = Duration::from_millis(50);
/// A socket on which nobody listens by then was left behind by a process that has ended.
const PATIENCE: Duration = Duration::from_secs(5);

/// The runtime directory, and the sockets in it that are still to be tried.
pub(super) struct Finder {
    directory: PathBuf,
    watch: OwnedFd,
    supervisor: u32,
    /// By name: when the socket was seen, and when to try it next.
    candidates: BTreeMap<String, (Instant, Instant)>,
}

impl Finder {
    /// Watches `directory`. Opens everything that it will need.
    pub(super) fn new(now: Instant, directory: &Path) -> io::Result<Self> {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let news = inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        inotify::add_watch(&watch, directory, news)?;
        let supervisor = std::os::unix::process::parent_id();
        let (directory, candidates) = (directory.to_owned(), BTreeMap::new());
        let mut finder = Self { directory, watch, supervisor, candidates };
        for entry in fs::read_dir(&finder.directory)? {
            finder.note(now, &entry?.file_name().to_string_lossy());
        }
        Ok(finder)
    }

    /// Readable when files are new.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }

    /// Reads which files are new.
    pub(super) fn read(&mut self, now: Instant) -> io::Result<()> {
        let mut buffer = [const { MaybeUninit::uninit() }; 4096];
        let mut names = Vec::new();
        let mut reader = inotify::Reader::new(&self.watch, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW) => {
                    return Err(io::Error::other("more is new in the directory than was told"));
                }
                Ok(event) => {
                    names.extend(event.file_name().map(|name| name.to_string_lossy().into_owned()));
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        names.iter().for_each(|name| self.note(now, name));
        Ok(())
    }

    /// When to try the next socket.
    pub(super) fn due(&self) -> Option<Instant> {
        self.candidates.values().map(|(_, next)| *next).min()
    }

    /// Connections to new desktops inside this one, with the names of their sockets.
    pub(super) fn connect(&mut self, now: Instant) -> Vec<(String, UnixStream)> {
        let mut found = Vec::new();
        let (directory, supervisor) = (&self.directory, self.supervisor);
        self.candidates.retain(|name, (seen, next)| {
            if *next > now {
                return true;
            }
            *next = now + RETRY;
            match open(&directory.join(name)) {
                Ok(stream) => {
                    if is_inside(&stream, supervisor) {
                        found.push((name.clone(), stream));
                    }
                    false
                }
                Err(Errno::CONNREFUSED | Errno::AGAIN | Errno::INTR) => {
                    now.saturating_duration_since(*seen) < PATIENCE
                }
                Err(error) => {
                    debug!(name, %error, "no socket");
                    false
                }
            }
        });
        found
    }

    fn note(&mut self, now: Instant, name: &str) {
        if kin::is_display(name) {
            self.candidates.insert(name.to_owned(), (now, now));
        }
    }
}

/// Connects without blocking.
fn open(path: &Path) -> Result<UnixStream, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

fn is_inside(stream: &UnixStream, supervisor: u32) -> bool {
    // The kernel reports 0 for a process without a PID in our namespace, which rustix takes for a PID.
    let process = getsockopt(stream, PeerCredentials).map_or(0, |peer| peer.pid().unsigned_abs());
    process > 0 && kin::descends(process, supervisor, parent_of)
}

fn parent_of(process: u32) -> Option<u32> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let path = format!("/proc/{process}/stat");
    let file = openat(CWD, path, flags, Mode::empty()).ok()?;
    // A line of numbers and a name of at most 64 bytes.
    let mut line = [0; 1024];
    let length = rustix::io::read(&file, &mut line).ok()?;
    kin::parent_in(&String::from_utf8_lossy(line.get(..length)?))
}
