//! The gate before the Wayland library: how much of each app reaches it in a turn.
//!
//! The library carries out what an app asks until that app's socket is empty, which it never is if the
//! app writes without pause. So an app's own socket ends here, and the library reads from a pair of our
//! own, into which we pass a little at a time: everybody gets a slice of the turn, who has used least
//! first, and what is left waits in the app's socket. Links and frames are served between turns.
//!
//! Bytes are passed on as they come, with their descriptors; what they mean is the library's affair.
//! Nothing here wakes the loop while no app says anything.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use rustix::{
    event::{Timespec, epoll},
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};
use smithay::reexports::wayland_server::backend::ClientId;

use crate::client::MAX_CLIENTS;

/// Bytes passed on at once: those of a frame of most apps, and no more than 128 of the shortest
/// requests.
const PORTION: usize = 1024;

/// Bytes and descriptors that the library sends at once.
const LARGEST_SEND: usize = 4096;
const MOST_DESCRIPTORS: usize = 28;

/// What one app may have of a turn while others wait.
const SLICE: Duration = Duration::from_millis(2);

/// What all apps together may have of a turn.
const TURN: Duration = Duration::from_millis(8);

/// How long it takes until half of what an app has used is forgotten.
const FORGETTING: Duration = Duration::from_millis(200);

/// So many apps are looked at in a turn: all.
const AT_ONCE: usize = MAX_CLIENTS;

/// Names an app's connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Passage(u64);

/// All connections of apps.
#[derive(Debug)]
pub(super) struct Gate {
    /// Says which apps have said something, or can be told more.
    apps: OwnedFd,
    /// Says to whom the library has said something.
    library: OwnedFd,
    connections: HashMap<Passage, Connection>,
    next: u64,
    forgot: Instant,
    /// The highest number of a descriptor that came since that was asked.
    highest: RawFd,
}

#[derive(Debug)]
struct Connection {
    client: ClientId,
    /// The app's.
    outer: UnixStream,
    /// The library has the other end.
    inner: UnixStream,
    /// What the app has not room for.
    stuck: Option<Portion>,
    /// Whether the app cannot be told anything any more, though it may have said something that was not
    /// passed on yet.
    is_deaf: bool,
    /// What it has used of late.
    spent: Duration,
}

/// Some bytes, and the descriptors that go with the first of them.
#[derive(Debug, Default)]
struct Portion {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// What reading an app's socket brought.
enum Taken {
    /// It is closed.
    Closed,
    /// There is nothing.
    Nothing,
    /// The library has that much more to read.
    Passed {
        bytes: usize,
        /// With these many descriptors.
        descriptors: usize,
        /// The highest of their numbers.
        highest: RawFd,
    },
}

impl Gate {
    /// Nobody is connected.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub(super) fn new(now: Instant) -> io::Result<Self> {
        let queue = || epoll::create(epoll::CreateFlags::CLOEXEC);
        Ok(Self {
            apps: queue()?,
            library: queue()?,
            connections: HashMap::new(),
            next: 0,
            forgot: now,
            highest: 0,
        })
    }

    /// Readable when [`Gate::waiting`] has something.
    #[must_use]
    pub(super) fn interest(&self) -> BorrowedFd<'_> {
        self.apps.as_fd()
    }

    /// An app is connected by `outer`. The library, which knows it by this name, has the other end of
    /// `inner`.
    ///
    /// # Errors
    /// When the kernel cannot watch it.
    pub(super) fn add(
        &mut self,
        client: ClientId,
        outer: UnixStream,
        inner: UnixStream,
    ) -> io::Result<()> {
        let data = epoll::EventData::new_u64(self.next);
        epoll::add(&self.apps, &outer, data, epoll::EventFlags::IN)?;
        epoll::add(&self.library, &inner, data, epoll::EventFlags::IN)?;
        let (stuck, is_deaf, spent) = (None, false, Duration::ZERO);
        let connection = Connection { client, outer, inner, stuck, is_deaf, spent };
        self.connections.insert(Passage(self.next), connection);
        self.next += 1;
        Ok(())
    }

    /// Who has said something, those who have used least first.
    pub(super) fn waiting(&mut self, now: Instant) -> VecDeque<Passage> {
        self.forget(now);
        let mut waiting = Vec::new();
        for (passage, flags) in ready(&self.apps) {
            let Some(connection) = self.connections.get_mut(&passage) else { continue };
            if flags.contains(epoll::EventFlags::OUT) && connection.tell() == Ok(true) {
                connection.listen_again(passage, &self.apps, &self.library);
            }
            let says = epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
            if flags.intersects(says) {
                waiting.push((connection.spent, passage));
            }
        }
        waiting.sort_by_key(|(spent, _)| *spent);
        waiting.into_iter().map(|(_, passage)| passage).collect()
    }

    fn forget(&mut self, now: Instant) {
        while now.saturating_duration_since(self.forgot) >= FORGETTING {
            let age = now.saturating_duration_since(self.forgot);
            let halvings = u32::try_from(age.as_millis() / FORGETTING.as_millis()).unwrap_or(31);
            let part = 1_u32.checked_shl(halvings).unwrap_or(u32::MAX);
            self.connections.values_mut().for_each(|app| app.spent /= part);
            self.forgot = now;
        }
    }

    /// Serves one that waits: passes on what it says, portion by portion, and has `read` carry that out,
    /// until it is silent or its slice is over. `read` is told with how many descriptors it comes.
    pub(super) fn serve(
        &mut self,
        passage: Passage,
        mut clock: impl FnMut() -> Instant,
        mut read: impl FnMut(&ClientId, usize),
    ) {
        let Self { apps, library, connections, highest: most, .. } = self;
        let Some(connection) = connections.get_mut(&passage) else { return };
        let (begun, client) = (clock(), connection.client.clone());
        let mut used = Duration::ZERO;
        let is_closed = loop {
            match connection.take() {
                Taken::Closed => break true,
                Taken::Nothing => break false,
                Taken::Passed { bytes, descriptors, highest } => {
                    *most = (*most).max(highest);
                    read(&client, descriptors);
                    used = clock().saturating_duration_since(begun);
                    // Less than a portion is all there was.
                    if bytes < PORTION || used >= SLICE {
                        break false;
                    }
                    // Before more is asked, there has to be room for the answers.
                    match connection.tell() {
                        Ok(true) => {}
                        Ok(false) => {
                            connection.wait_for_room(passage, apps, library);
                            break false;
                        }
                        Err(_) => break true,
                    }
                }
            }
        };
        connection.spent += used;
        if is_closed {
            // The library reads the end of the stream, and is done with the app.
            self.connections.remove(&passage);
            read(&client, 0);
        }
    }

    /// The highest number of a descriptor that came since this was asked last. The kernel gives the least
    /// that is free, so it tells how many are in use.
    pub(super) fn highest_descriptor(&mut self) -> RawFd {
        std::mem::take(&mut self.highest)
    }

    /// Whether a turn that began then has been long enough.
    #[must_use]
    pub(super) fn is_over(begun: Instant, now: Instant) -> bool {
        now.saturating_duration_since(begun) >= TURN
    }

    /// Passes on what the library has said. Returns the clients whose app is gone, which the library
    /// has to be told by reading.
    pub(super) fn tell_apps(&mut self) -> Vec<ClientId> {
        let mut gone = Vec::new();
        for (passage, flags) in ready(&self.library) {
            let Some(connection) = self.connections.get_mut(&passage) else { continue };
            match connection.tell() {
                Ok(true) => {}
                Ok(false) if !flags.contains(epoll::EventFlags::HUP) => {
                    connection.wait_for_room(passage, &self.apps, &self.library);
                }
                // The library is done with the app, or the app does not listen.
                Ok(false) | Err(_) => {
                    gone.extend(self.connections.remove(&passage).map(|app| app.client));
                }
            }
        }
        gone
    }
}

impl Connection {
    /// Passes one portion to the library.
    fn take(&self) -> Taken {
        match receive::<PORTION>(&self.outer) {
            Ok(portion) if portion.bytes.is_empty() => Taken::Closed,
            Ok(portion) => match send(&self.inner, &portion) {
                Ok(bytes) if bytes == portion.bytes.len() => {
                    let numbers = portion.descriptors.iter().map(AsRawFd::as_raw_fd);
                    let (descriptors, highest) = (portion.descriptors.len(), numbers.max());
                    Taken::Passed { bytes, descriptors, highest: highest.unwrap_or(0) }
                }
                // The library has always read everything before: it is done with the app.
                Ok(_) | Err(_) => Taken::Closed,
            },
            Err(Errno::AGAIN | Errno::INTR) => Taken::Nothing,
            Err(_) => Taken::Closed,
        }
    }

    /// Passes to the app what there is; says whether it had room for all of that. An app that has closed
    /// its socket misses nothing, but what it said last is still to be passed on.
    fn tell(&mut self) -> Result<bool, Errno> {
        loop {
            let mut portion = match self.stuck.take() {
                Some(stuck) => stuck,
                None => match receive::<LARGEST_SEND>(&self.inner) {
                    Ok(portion) if portion.bytes.is_empty() => return Err(Errno::PIPE),
                    Ok(portion) => portion,
                    Err(Errno::AGAIN | Errno::INTR) => return Ok(true),
                    Err(error) => return Err(error),
                },
            };
            if self.is_deaf {
                continue;
            }
            match send(&self.outer, &portion) {
                Ok(sent) if sent == portion.bytes.len() => {}
                Ok(sent) => {
                    portion.bytes.drain(..sent);
                    portion.descriptors.clear();
                    self.stuck = Some(portion);
                    return Ok(false);
                }
                Err(Errno::AGAIN | Errno::INTR) => {
                    self.stuck = Some(portion);
                    return Ok(false);
                }
                Err(Errno::PIPE | Errno::CONNRESET) => self.is_deaf = true,
                Err(error) => return Err(error),
            }
        }
    }

    /// Nothing more is taken from the library, nor from the app, before the app has room: who does not
    /// listen cannot go on asking.
    fn wait_for_room(&self, passage: Passage, apps: &OwnedFd, library: &OwnedFd) {
        let data = epoll::EventData::new_u64(passage.0);
        // Fails for nothing that is watched.
        let _ = epoll::modify(apps, &self.outer, data, epoll::EventFlags::OUT);
        let _ = epoll::modify(library, &self.inner, data, epoll::EventFlags::empty());
    }

    /// The app has room: it is told more.
    fn listen_again(&self, passage: Passage, apps: &OwnedFd, library: &OwnedFd) {
        let data = epoll::EventData::new_u64(passage.0);
        // Fails for nothing that is watched.
        let _ = epoll::modify(apps, &self.outer, data, epoll::EventFlags::IN);
        let _ = epoll::modify(library, &self.inner, data, epoll::EventFlags::IN);
    }
}

fn ready(queue: &OwnedFd) -> Vec<(Passage, epoll::EventFlags)> {
    let mut events = Vec::with_capacity(AT_ONCE);
    let buffer = rustix::buffer::spare_capacity(&mut events);
    // Interrupted, it is asked again next turn.
    let _ = epoll::wait(queue, buffer, Some(&Timespec::default()));
    events.into_iter().map(|event: epoll::Event| (Passage(event.data.u64()), event.flags)).collect()
}

fn receive<const MOST: usize>(socket: &UnixStream) -> Result<Portion, Errno> {
    let mut bytes = [0; MOST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags)?;
    let descriptors = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let descriptors = descriptors.flatten().collect();
    Ok(Portion { bytes: bytes.get(..received.bytes).unwrap_or_default().to_vec(), descriptors })
}

fn send(socket: &UnixStream, portion: &Portion) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<BorrowedFd<'_>> = portion.descriptors.iter().map(AsFd::as_fd).collect();
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg(socket, &[IoSlice::new(&portion.bytes)], &mut control, flags)
}

#[cfg(test)]
mod tests;
