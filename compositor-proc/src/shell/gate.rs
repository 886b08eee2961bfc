//! The gate in front of the Wayland library: limits how much of each app's input reaches it in a turn.
//!
//! The library handles an app's requests until that app's socket is empty, which it never is if the app
//! writes without pause. So an app's socket ends here. The library reads from a socket pair of our own,
//! into which we pass a little at a time: each app gets a slice of the turn, the one that has used least
//! first, and the rest waits in the app's socket. Links and frames are served between turns.
//!
//! Bytes are passed on as they are, with their descriptors; [`nulls`] says for which requests they are looked at
//! before that. Nothing here wakes the loop while no app sends anything.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, IoSlice, IoSliceMut},
    mem::{MaybeUninit, take},
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
use smithay::reexports::wayland_server::backend::{ClientId, protocol::Interface};

use self::nulls::{Requests, Strings};
use crate::client::{MAX_CLIENTS, Wrong};

mod nulls;

/// Bytes passed on at once: enough for one frame of most apps, and at most 128 of the shortest requests.
const PORTION: usize = 1024;

/// The most bytes and descriptors that the library sends at once.
const LARGEST_SEND: usize = 4096;
const MOST_DESCRIPTORS: usize = 28;

/// The time that one app may use in a turn.
const SLICE: Duration = Duration::from_millis(2);

/// The time that all apps together may use in a turn.
const TURN: Duration = Duration::from_millis(8);

/// The half-life of the time that an app has used.
const FORGETTING: Duration = Duration::from_millis(200);

/// The most apps checked in a turn: all of them.
const AT_ONCE: usize = MAX_CLIENTS;

/// Identifies an app's connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Passage(u64);

/// What the gate asks of the library.
pub(super) trait Library {
    /// Has it handle the input of `client`, which came with so many descriptors. Returns the number of requests.
    fn read(&mut self, client: &ClientId, descriptors: usize) -> usize;

    /// Whether the object that the client has by this number is of one of these kinds.
    fn has_one_of(&self, client: &ClientId, object: u32, kinds: &[&'static Interface]) -> bool;

    /// Has it disconnect the client.
    fn refuse(&mut self, client: &ClientId, reason: Wrong);
}

/// All connections of apps.
#[derive(Debug)]
pub(super) struct Gate {
    /// Reports apps that have sent something or have room again.
    apps: OwnedFd,
    /// Reports connections on which the library has sent something.
    library: OwnedFd,
    connections: HashMap<Passage, Connection>,
    /// Strings of the requests that the library knows.
    strings: Strings,
    next: u64,
    forgot: Instant,
    /// The highest descriptor number received since the last query.
    highest: RawFd,
}

#[derive(Debug)]
struct Connection {
    client: ClientId,
    /// The connection to the app.
    outer: UnixStream,
    /// The connection to the library, which has the other end.
    inner: UnixStream,
    /// Output that waits until the app has room.
    stuck: Option<Portion>,
    /// Whether the app has closed its socket. Its last requests may not have been passed on yet.
    is_deaf: bool,
    /// The time it has used recently.
    spent: Duration,
    /// The requests that were passed to the library, and how many of them it has handled.
    requests: Requests,
    handled: usize,
}

/// Some bytes, and the descriptors attached to the first of them.
#[derive(Debug, Default)]
struct Portion {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// What has become of a portion of an app's input.
enum Passed {
    /// The library has read it.
    All,
    /// The library has dropped the client.
    Closed,
    /// The client is disconnected for what is in it.
    Refused,
}

impl Gate {
    /// A gate without connections, to a library that knows these kinds of object.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub(super) fn new(kinds: Vec<&'static Interface>, now: Instant) -> io::Result<Self> {
        let queue = || epoll::create(epoll::CreateFlags::CLOEXEC);
        Ok(Self {
            apps: queue()?,
            library: queue()?,
            connections: HashMap::new(),
            strings: Strings::of(kinds),
            next: 0,
            forgot: now,
            highest: 0,
        })
    }

    /// Readable when [`Gate::waiting`] has work.
    #[must_use]
    pub(super) fn interest(&self) -> BorrowedFd<'_> {
        self.apps.as_fd()
    }

    /// Adds an app that is connected by `outer`. The library, which knows it as `client`, has the other
    /// end of `inner`.
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
        let connection = Connection {
            client,
            outer,
            inner,
            stuck: None,
            is_deaf: false,
            spent: Duration::ZERO,
            requests: Requests::new(),
            handled: 0,
        };
        self.connections.insert(Passage(self.next), connection);
        self.next += 1;
        Ok(())
    }

    /// The connections with input, those that have used the least time first.
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

    /// Serves one connection: passes on its input portion by portion, and has `library` handle each, until there is
    /// no more or its slice is used up.
    pub(super) fn serve(
        &mut self,
        passage: Passage,
        mut clock: impl FnMut() -> Instant,
        library: &mut impl Library,
    ) {
        let Some(connection) = self.connections.get_mut(&passage) else { return };
        let (begun, mut used) = (clock(), Duration::ZERO);
        let is_closed = loop {
            let portion = match receive::<PORTION>(&connection.outer) {
                Ok(portion) if portion.bytes.is_empty() => break true,
                Ok(portion) => portion,
                Err(Errno::AGAIN | Errno::INTR) => break false,
                Err(_) => break true,
            };
            let numbers = portion.descriptors.iter().map(AsRawFd::as_raw_fd);
            self.highest = self.highest.max(numbers.max().unwrap_or(0));
            let length = portion.bytes.len();
            let passed = connection.pass(portion, &self.strings, library);
            used = clock().saturating_duration_since(begun);
            match passed {
                Passed::All => {}
                Passed::Closed => break true,
                Passed::Refused => break false,
            }
            // A short read has emptied the socket.
            if length < PORTION || used >= SLICE {
                break false;
            }
            // Passes on more only while the app has room for the answers.
            match connection.tell() {
                Ok(true) => {}
                Ok(false) => {
                    connection.wait_for_room(passage, &self.apps, &self.library);
                    break false;
                }
                Err(_) => break true,
            }
        };
        connection.spent += used;
        if is_closed {
            // The library reads the end of the stream and drops the client.
            let client = connection.client.clone();
            self.connections.remove(&passage);
            library.read(&client, 0);
        }
    }

    /// The highest descriptor number received since the last call. The kernel assigns the lowest free
    /// number, so it indicates how many are in use.
    pub(super) fn highest_descriptor(&mut self) -> RawFd {
        take(&mut self.highest)
    }

    /// Whether a turn that began at `begun` has used up its time.
    #[must_use]
    pub(super) fn is_over(begun: Instant, now: Instant) -> bool {
        now.saturating_duration_since(begun) >= TURN
    }

    /// Passes the library's output to the apps. Returns the clients whose app is gone; the caller must
    /// have the library read them to notice.
    pub(super) fn tell_apps(&mut self) -> Vec<ClientId> {
        let mut gone = Vec::new();
        for (passage, flags) in ready(&self.library) {
            let Some(connection) = self.connections.get_mut(&passage) else { continue };
            match connection.tell() {
                Ok(true) => {}
                Ok(false) if !flags.contains(epoll::EventFlags::HUP) => {
                    connection.wait_for_room(passage, &self.apps, &self.library);
                }
                // The library has dropped the client, or the socket failed.
                Ok(false) | Err(_) => {
                    gone.extend(self.connections.remove(&passage).map(|app| app.client));
                }
            }
        }
        gone
    }
}

impl Connection {
    /// Passes one portion to the library and has it handled, but for a request that the library must not see: that
    /// disconnects the client.
    fn pass(&mut self, portion: Portion, strings: &Strings, library: &mut impl Library) -> Passed {
        let Portion { mut bytes, mut descriptors } = portion;
        let mut followed = 0;
        loop {
            let fresh = bytes.get(followed..).unwrap_or_default();
            let (length, suspect) = self.requests.follow(strings, fresh);
            let end = suspect.as_ref().map_or(bytes.len(), |suspect| followed + suspect.begins);
            followed += length;
            let rest = bytes.split_off(end);
            if !bytes.is_empty() {
                let piece = Portion { bytes, descriptors: take(&mut descriptors) };
                // The library has read all earlier input, so there is room unless it has dropped the client.
                if send(&self.inner, &piece) != Ok(piece.bytes.len()) {
                    return Passed::Closed;
                }
                self.handled += library.read(&self.client, piece.descriptors.len());
            }
            let Some(suspect) = suspect else { return Passed::All };
            // A request before it may wait for a descriptor, and may yet change what this one is for.
            let wrong = if self.handled != suspect.precede {
                Wrong::Unfinished
            } else if library.has_one_of(&self.client, suspect.object, &suspect.kinds) {
                Wrong::NullString
            } else {
                (bytes, followed) = (rest, followed - end);
                continue;
            };
            library.refuse(&self.client, wrong);
            return Passed::Refused;
        }
    }

    /// Passes the library's output to the app; returns whether the app had room for all of it. Output for
    /// an app that has closed its socket is dropped, so that its last requests are still passed on.
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

    /// Stops reading from the library and from the app until the app has room: an app that does not read
    /// cannot send more requests.
    fn wait_for_room(&self, passage: Passage, apps: &OwnedFd, library: &OwnedFd) {
        let data = epoll::EventData::new_u64(passage.0);
        // Never fails for a watched descriptor.
        let _ = epoll::modify(apps, &self.outer, data, epoll::EventFlags::OUT);
        let _ = epoll::modify(library, &self.inner, data, epoll::EventFlags::empty());
    }

    /// Reads from both again: the app has room.
    fn listen_again(&self, passage: Passage, apps: &OwnedFd, library: &OwnedFd) {
        let data = epoll::EventData::new_u64(passage.0);
        // Never fails for a watched descriptor.
        let _ = epoll::modify(apps, &self.outer, data, epoll::EventFlags::IN);
        let _ = epoll::modify(library, &self.inner, data, epoll::EventFlags::IN);
    }
}

fn ready(queue: &OwnedFd) -> Vec<(Passage, epoll::EventFlags)> {
    let mut events = Vec::with_capacity(AT_ONCE);
    let buffer = rustix::buffer::spare_capacity(&mut events);
    // After an interruption, the next turn asks again.
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
