//! Finding desktops inside this one: the runtime directory is watched, and what listens there is asked who
//! it is.

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

/// A socket is in its directory before anybody listens on it, for a moment.
const RETRY: Duration = Duration::from_millis(50);
/// Whoever does not listen by then has ended and left it behind.
const PATIENCE: Duration = Duration::from_secs(5);

/// The runtime directory, and the sockets in it that may be worth a connection.
pub(super) struct Finder {
    directory: PathBuf,
    watch: OwnedFd,
    supervisor: u32,
    /// When each was seen, and when to try it next.
    candidates: BTreeMap<String, (Instant, Instant)>,
}

impl Finder {
    /// Watches `directory`; opens all that needs to be opened.
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

    /// Readable when there is something new.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }

    /// Takes in what is new.
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

    /// When to try again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.candidates.values().map(|(_, next)| *next).min()
    }

    /// Connections to desktops inside this one that have appeared, by their names.
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

/// Connects, if that needs no waiting.
fn open(path: &Path) -> Result<UnixStream, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

fn is_inside(stream: &UnixStream, supervisor: u32) -> bool {
    // The kernel states 0 for a process that has no number here, which rustix takes for a number.
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
