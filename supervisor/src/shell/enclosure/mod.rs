//! A group of sockets (cgroup v2) whose datagrams reach only whom [`crate::datagrams`] says. A socket
//! belongs for good to the group of the process that made it, whoever uses it later; so a child enters the
//! group, makes the socket, and hands it over. No process stays in the group.
//!
//! This takes root, cgroup v2 and the permission to load programs. Without them sockets are made as usual,
//! and `lumen status` and `lumen doctor` say so.

mod ffi;

use std::{
    cell::Cell,
    fs::{self, File, OpenOptions},
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    rc::Rc,
};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tracing::warn;

use super::{ffi::in_child, session_group::own_group};
use crate::datagrams::{
    Direction, Instruction, List, MOST_ADDED, MOST_LEARNED, MOST_NEAR, key, program,
};

/// How the names of our groups begin; the process that made them follows.
const PREFIX: &str = "lumen-datagrams-";

/// Makes sockets for datagrams: in a group of their own if there is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin(Option<Rc<Enclosure>>);

/// The group, its lists, and the way into it.
#[derive(Debug)]
struct Enclosure {
    directory: PathBuf,
    /// Whoever writes to it enters the group. Open, because the path is out of reach later.
    entrance: File,
    added: OwnedFd,
    /// The address on that list.
    permitted: Cell<Option<SocketAddr>>,
}

impl Origin {
    /// Makes a group for one worker's sockets, as root. What fails is logged.
    pub(crate) fn enclosed(worker: &str) -> Self {
        if !nix::unistd::geteuid().is_root() {
            return Self::default();
        }
        match Enclosure::make(worker) {
            Ok(enclosure) => Self(Some(Rc::new(enclosure))),
            Err(error) => {
                warn!("nothing keeps {worker} from sending datagrams to any address: {error}");
                Self::default()
            }
        }
    }

    /// Whether sockets reach only whoever wrote to them, and what was added.
    pub(crate) fn is_enclosed(&self) -> bool {
        self.0.is_some()
    }

    /// The directory of the group.
    pub(crate) fn group(&self) -> Option<&Path> {
        self.0.as_ref().map(|enclosure| enclosure.directory.as_path())
    }

    /// Makes a socket.
    pub(crate) fn socket(&self, family: AddressFamily) -> io::Result<OwnedFd> {
        match &self.0 {
            None => plain(family),
            Some(enclosure) => enclosure.socket(family),
        }
    }

    /// Lets the sockets reach an address that has not written to them, in the place of the one before.
    pub(crate) fn permit(&self, address: SocketAddr) {
        let Some(enclosure) = &self.0 else { return };
        if let Some(before) = enclosure.permitted.replace(Some(address)) {
            // Where it stays, an earlier relay can be reached for longer.
            let _ = ffi::remove(enclosure.added.as_fd(), &key(before));
        }
        if let Err(error) = ffi::add(enclosure.added.as_fd(), &key(address)) {
            warn!(%address, %error, "datagrams will not reach it");
        }
    }
}

/// Tries whether groups can be made here.
pub(crate) fn try_out() -> io::Result<()> {
    Enclosure::make("doctor").map(drop)
}

fn plain(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(family, SockType::Datagram, flags, None)?)
}

impl Enclosure {
    fn make(worker: &str) -> io::Result<Self> {
        let parent = own_group().map_err(io::Error::other)?;
        remove_leftovers(&parent);
        let directory = parent.join(format!("{PREFIX}{}-{worker}", std::process::id()));
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let made = Self::furnish(&directory).and_then(|enclosure| {
            enclosure.try_out()?;
            Ok(enclosure)
        });
        if made.is_err() {
            // Nobody is in it.
            let _ = fs::remove_dir(&directory);
        }
        made
    }

    fn furnish(directory: &Path) -> io::Result<Self> {
        let group = File::open(directory)?;
        let learned = ffi::list(ffi::Kind::LeastRecentlyUsed, MOST_LEARNED)?;
        let near = ffi::list(ffi::Kind::LeastRecentlyUsed, MOST_NEAR)?;
        let added = ffi::list(ffi::Kind::Hash, MOST_ADDED)?;
        let points = [(Direction::In, ffi::Point::Ingress), (Direction::Out, ffi::Point::Egress)];
        for (direction, point) in points {
            let program = ffi::load(&linked(program(direction), [&learned, &near, &added]))?;
            ffi::attach(program.as_fd(), group.as_fd(), point)?;
        }
        let entrance = OpenOptions::new().write(true).open(directory.join("cgroup.procs"))?;
        let permitted = Cell::default();
        Ok(Self { directory: directory.to_owned(), entrance, added, permitted })
    }

    /// Tries whether sockets can be made in it and are held. A group that holds processes of some kinds
    /// lets none in, and a kernel that counts sockets by groups of version 1 runs no program for them.
    fn try_out(&self) -> io::Result<()> {
        let socket = match self.socket(AddressFamily::Inet) {
            Err(error) if error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT) => return Ok(()),
            made => UdpSocket::from(made?),
        };
        let service = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|it| it.local_addr());
        match service.and_then(|service| socket.send_to(&[], service)) {
            Ok(_) => Err(io::Error::other("datagrams leave all the same")),
            // It is held, or there is nowhere to send to.
            Err(_) => Ok(()),
        }
    }

    fn socket(&self, family: AddressFamily) -> io::Result<OwnedFd> {
        let (near, far) = std::os::unix::net::UnixDatagram::pair()?;
        let [failed, errno] = in_child(|| match self.hand_over(family, &far) {
            Ok(()) => [0, 0],
            Err(error) => [1, error.raw_os_error().unwrap_or(0).unsigned_abs()],
        })?;
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(errno.cast_signed()));
        }
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        recvmsg(&near, &mut [io::IoSliceMut::new(&mut [0])], &mut control, flags)?;
        let received = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        received.ok_or_else(|| io::Error::other("no socket came"))
    }

    /// In a child: enters the group, makes a socket and sends it. Neither allocates nor locks.
    fn hand_over(&self, family: AddressFamily, to: impl AsFd) -> io::Result<()> {
        // The process itself.
        nix::unistd::write(&self.entrance, b"0")?;
        let made = plain(family)?;
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [made.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        sendmsg(to, &[io::IoSlice::new(b"s")], &mut control, SendFlags::empty())?;
        Ok(())
    }
}

impl Drop for Enclosure {
    fn drop(&mut self) {
        // The sockets that are left keep its programs.
        let _ = fs::remove_dir(&self.directory);
    }
}

/// A program with the lists' descriptors in the place of their numbers.
fn linked(program: Vec<Instruction>, lists: [&OwnedFd; 3]) -> Vec<Instruction> {
    use std::os::fd::AsRawFd;
    let [learned, near, added] = lists;
    let link = |one: Instruction| match one.list() {
        Some(List::Learned) => one.with(learned.as_raw_fd()),
        Some(List::Near) => one.with(near.as_raw_fd()),
        Some(List::Added) => one.with(added.as_raw_fd()),
        None => one,
    };
    program.into_iter().map(link).collect()
}

/// Removes the groups of processes that were killed.
fn remove_leftovers(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
        if process.is_some_and(|(process, _)| !Path::new("/proc").join(process).exists()) {
            // Another start may have been first.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_takes_both_programs_where_any_may_be_loaded() {
        let list = |kind| ffi::list(kind, MOST_ADDED);
        let made = list(ffi::Kind::LeastRecentlyUsed).and_then(|learned| {
            Ok([learned, list(ffi::Kind::LeastRecentlyUsed)?, list(ffi::Kind::Hash)?])
        });
        let Ok(lists) = made else {
            println!("no list can be made here: nothing to test");
            return;
        };
        for direction in [Direction::In, Direction::Out] {
            let program = linked(program(direction), lists.each_ref());
            ffi::load(&program).unwrap_or_else(|error| panic!("{direction:?}: {error}"));
        }
    }

    #[test]
    fn address_that_is_permitted_takes_the_place_of_the_one_before() {
        let origin = Origin::enclosed("test");
        if !origin.is_enclosed() {
            println!("no group can be made here: nothing to test");
            return;
        }
        let socket = UdpSocket::from(origin.socket(AddressFamily::Inet).expect("a socket"));
        let services = [(); 2].map(|()| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"));
        let [first, second] = services.each_ref().map(|it| it.local_addr().expect("bound"));
        let reached = || [first, second].map(|service| socket.send_to(b"request", service).is_ok());
        assert_eq!(reached(), [false, false]);
        for (address, expected) in
            [(first, [true, false]), (second, [false, true]), (second, [false, true])]
        {
            origin.permit(address);
            assert_eq!(reached(), expected);
        }
    }
}
