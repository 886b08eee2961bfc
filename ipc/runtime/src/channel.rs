//! One end of a data link: a non-blocking `SOCK_SEQPACKET` socket that carries one message per
//! datagram, with its descriptors beside it.
//!
//! Does not trust the other side. A datagram that is too long, that is not a message of this
//! direction, or that carries another number of descriptors than its message states is a
//! [`ProtocolViolation`].
//!
//! INVARIANT: a received descriptor is owned from the moment the kernel installs it, so every
//! return from [`Channel::receive`] either passes it on or closes it.

use std::{
    io::{self, IoSlice, IoSliceMut},
    marker::PhantomData,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::{Mutex, PoisonError},
};

use lumen_ipc::{
    codec::{self, EncodeError, MAX_MESSAGE_BYTES, Message, ProtocolViolation, Violation},
    link::MAX_DESCRIPTORS,
};
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
        sendmsg, socketpair, sockopt,
    },
};

use crate::fds::make_nonblocking;

/// One end of a link: receives `In`, sends `Out`. The other end is `Channel<Out, In>`.
#[derive(Debug)]
pub struct Channel<In, Out> {
    descriptor: OwnedFd,
    /// Where datagrams are encoded and decoded. It is kept, because clearing 64 KiB for each
    /// message would cost more than the message. The lock lets threads share the channel; it is
    /// held for one non-blocking system call.
    buffer: Mutex<Box<[u8]>>,
    direction: PhantomData<fn(Out) -> In>,
}

/// A message and the descriptors that came with it: exactly as many as its type states.
#[derive(Debug)]
pub struct Received<In> {
    /// The message.
    pub message: In,
    /// Its descriptors, in the sender's order.
    pub descriptors: Vec<OwnedFd>,
}

/// Why a descriptor cannot be an end of a link.
#[derive(Debug, thiserror::Error)]
pub enum NotALink {
    /// Another kind of socket.
    #[error("a link's end must be a Unix SOCK_SEQPACKET socket, and this socket is not")]
    WrongKind,
    /// Not a socket, or the kernel refuses to configure it.
    #[error("cannot examine a link's end")]
    Io(#[from] io::Error),
}

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The other end is closed.
    #[error("the other end of the link is closed")]
    Closed,
    /// It is too long, or was given the wrong number of descriptors: a bug of ours.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The receiver is behind; the socket's buffer is full.
    #[error("the link is full")]
    Full,
    /// The kernel refused.
    #[error("cannot send on the link")]
    Io(#[source] io::Error),
}

/// Why no message was received.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The other end is closed and everything it sent has been received.
    #[error("the other end of the link is closed")]
    Closed,
    /// No message is waiting.
    #[error("no message is waiting")]
    Empty,
    /// The kernel refused.
    #[error("cannot receive from the link")]
    Io(#[source] io::Error),
    /// The other side broke the contract.
    #[error(transparent)]
    Violation(#[from] ProtocolViolation),
}

impl<In: Message, Out: Message> Channel<In, Out> {
    /// Creates both ends of a link.
    ///
    /// # Errors
    /// The kernel's error, for example when descriptors run out.
    pub fn pair() -> io::Result<(Self, Channel<Out, In>)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self::over(one), Channel::over(other)))
    }

    /// Takes a descriptor as an end of this link, and makes it non-blocking and close-on-exec.
    ///
    /// # Errors
    /// [`NotALink`] when it is no Unix `SOCK_SEQPACKET` socket.
    pub fn from_descriptor(descriptor: OwnedFd) -> Result<Self, NotALink> {
        let kind = sockopt::socket_type(&descriptor).map_err(io::Error::from)?;
        let domain = sockopt::socket_domain(&descriptor).map_err(io::Error::from)?;
        if kind != SocketType::SEQPACKET || domain != AddressFamily::UNIX {
            return Err(NotALink::WrongKind);
        }
        make_nonblocking(&descriptor)?;
        rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC)
            .map_err(io::Error::from)?;
        Ok(Self::over(descriptor))
    }

    /// The descriptor, for granting it to another process.
    #[must_use]
    pub fn into_descriptor(self) -> OwnedFd {
        self.descriptor
    }

    /// Sends one message with its descriptors, or fails without sending any part of it.
    ///
    /// # Errors
    /// [`SendError::Full`] and [`SendError::Closed`] are part of a link's normal life.
    pub fn send(&self, message: &Out, descriptors: &[BorrowedFd<'_>]) -> Result<(), SendError> {
        let needed = message.descriptors();
        if descriptors.len() != needed {
            let reason = format!("{} descriptors given, {needed} needed", descriptors.len());
            return Err(EncodeError { link: Out::LINK, reason }.into());
        }
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = codec::encode(message, &mut buffer)?;
        let length = bytes.len();
        let sent = send_datagram(self.as_fd(), bytes, descriptors);
        wipe_secrets::<Out>(&mut buffer, length);
        sent.map_err(|errno| match errno {
            Errno::AGAIN => SendError::Full,
            Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => SendError::Closed,
            other => SendError::Io(other.into()),
        })
    }

    /// Receives one message if one is waiting.
    ///
    /// # Errors
    /// [`ReceiveError::Empty`] and [`ReceiveError::Closed`] are part of a link's normal life;
    /// after [`ReceiveError::Violation`] the link is over.
    pub fn receive(&self) -> Result<Received<In>, ReceiveError> {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        let received = match receive_datagram(self.as_fd(), &mut buffer) {
            // The other side closed its end before reading everything from us. The kernel reports
            // this once, before the messages from the other side that are still unread.
            Err(Errno::CONNRESET) => receive_datagram(self.as_fd(), &mut buffer),
            received => received,
        };
        let datagram = received.map_err(|errno| match errno {
            Errno::AGAIN => ReceiveError::Empty,
            Errno::CONNRESET => ReceiveError::Closed,
            other => ReceiveError::Io(other.into()),
        })?;
        // No message is empty, so an empty datagram means the end of the link, even if the other
        // side sent one.
        let Some(bytes) = buffer.get(..datagram.length).filter(|bytes| !bytes.is_empty()) else {
            return Err(ReceiveError::Closed);
        };
        if datagram.truncated {
            let what = Violation::Oversize;
            return Err(ProtocolViolation { link: In::LINK, what }.into());
        }
        let message = codec::decode(bytes, datagram.descriptors_sent());
        wipe_secrets::<In>(&mut buffer, datagram.length);
        Ok(Received { message: message?, descriptors: datagram.descriptors })
    }

    fn over(descriptor: OwnedFd) -> Self {
        let buffer = Mutex::new(vec![0; MAX_MESSAGE_BYTES].into_boxed_slice());
        Self { descriptor, buffer, direction: PhantomData }
    }
}

impl<In, Out> AsFd for Channel<In, Out> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl<In, Out> AsRawFd for Channel<In, Out> {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

/// Wipes the bytes of a message that may hold secrets. (The buffer is used again, so this is no write that a
/// compiler could leave out.)
fn wipe_secrets<M: Message>(buffer: &mut [u8], length: usize) {
    if M::SECRET {
        buffer.iter_mut().take(length).for_each(|byte| *byte = 0);
    }
}

struct Datagram {
    length: usize,
    truncated: bool,
    descriptors: Vec<OwnedFd>,
    descriptors_truncated: bool,
}

impl Datagram {
    /// How many descriptors were sent, as far as can be told: the kernel discards those that do not
    /// fit, without counting them.
    fn descriptors_sent(&self) -> usize {
        if self.descriptors_truncated {
            self.descriptors.len().max(MAX_DESCRIPTORS) + 1
        } else {
            self.descriptors.len()
        }
    }
}

fn send_datagram(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::TOOMANYREFS);
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    retry_interrupted(|| sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags)).map(|_| ())
}

fn receive_datagram(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Datagram, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received =
        retry_interrupted(|| recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, flags))?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok(Datagram {
        length: received.bytes,
        truncated: received.flags.contains(ReturnFlags::TRUNC),
        descriptors,
        descriptors_truncated: received.flags.contains(ReturnFlags::CTRUNC),
    })
}

fn retry_interrupted<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use lumen_ipc::{
        message::{
            login::{List, ToLeader, ToSupervisor},
            packets::{ToMedia, ToRtc},
        },
        ring::RingCapacity,
        text::Secret,
        units::StreamId,
    };
    use rustix::net::{SendFlags, send};

    use super::*;

    type MediaEnd = Channel<ToMedia, ToRtc>;
    type RtcEnd = Channel<ToRtc, ToMedia>;

    fn link() -> (MediaEnd, RtcEnd) {
        MediaEnd::pair().expect("socketpair")
    }

    fn announcement() -> ToRtc {
        let capacity = RingCapacity::new(64 * 1024).expect("legal capacity");
        ToRtc::RingAnnounced { stream: StreamId::VIDEO, capacity }
    }

    fn consumed(position: u64) -> ToMedia {
        ToMedia::RingConsumed { stream: StreamId::VIDEO, position }
    }

    fn encoded(message: &ToRtc) -> Vec<u8> {
        let mut buffer = vec![0; MAX_MESSAGE_BYTES];
        codec::encode(message, &mut buffer).expect("it fits").to_vec()
    }

    /// A file that no other test opens, so that its descriptors can be counted.
    fn witness(name: &str) -> (File, String) {
        let memory = memfd::MemfdOptions::default().create(name).expect("memfd");
        (memory.into_file(), format!("/memfd:{name} (deleted)"))
    }

    fn open_descriptors_of(target: &str) -> usize {
        fs::read_dir("/proc/self/fd")
            .expect("procfs")
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .filter(|link| link.to_string_lossy() == target)
            .count()
    }

    fn violation(end: &RtcEnd) -> Violation {
        match end.receive().expect_err("a violation") {
            ReceiveError::Violation(violation) => violation.what,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn secrets_are_wiped_from_the_buffers_of_both_ends() {
        let (leader, supervisor) = Channel::<ToLeader, ToSupervisor>::pair().expect("socketpair");
        let secret = Secret::new("correct horse").expect("short");
        let answers = ToLeader::Answers(List::new(vec![secret]).expect("one"));
        supervisor.send(&answers, &[]).expect("room");
        assert_eq!(leader.receive().expect("a message").message, answers);
        let is_wiped = |buffer: &Mutex<Box<[u8]>>| {
            buffer.lock().expect("not poisoned").iter().all(|byte| *byte == 0)
        };
        assert!(is_wiped(&supervisor.buffer) && is_wiped(&leader.buffer));
    }

    #[test]
    fn send_with_descriptor_arrives_close_on_exec() {
        let (media, rtc) = link();
        let (file, _) = witness("arrives");
        media.send(&announcement(), &[file.as_fd()]).expect("room");
        let received = rtc.receive().expect("a message");
        assert_eq!(received.message, announcement());
        let [descriptor] = &received.descriptors[..] else { panic!("one descriptor") };
        let flags = rustix::io::fcntl_getfd(descriptor).expect("open");
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }

    #[test]
    fn receive_from_idle_link_is_empty() {
        assert!(matches!(link().0.receive(), Err(ReceiveError::Empty)));
    }

    #[test]
    fn receive_after_the_other_end_closed_yields_what_it_sent_then_says_so() {
        let (media, rtc) = link();
        rtc.send(&consumed(1), &[]).expect("room");
        drop(rtc);
        assert!(media.receive().is_ok());
        assert!(matches!(media.receive(), Err(ReceiveError::Closed)));
    }

    #[test]
    fn receive_after_the_other_end_closed_without_reading_says_so() {
        let (media, rtc) = link();
        media
            .send(&announcement(), &[File::open("/dev/null").expect("open").as_fd()])
            .expect("room");
        drop(rtc);
        assert!(matches!(media.receive(), Err(ReceiveError::Closed)));
    }

    #[test]
    fn receive_after_the_other_end_closed_without_reading_yields_what_it_sent_first() {
        let (media, rtc) = link();
        media
            .send(&announcement(), &[File::open("/dev/null").expect("open").as_fd()])
            .expect("room");
        for position in 1..=3 {
            rtc.send(&consumed(position), &[]).expect("room");
        }
        drop(rtc);
        for position in 1..=3 {
            let received = media.receive().expect("it was sent before the end");
            assert_eq!(received.message, consumed(position));
        }
        assert!(matches!(media.receive(), Err(ReceiveError::Closed)));
    }

    #[test]
    fn send_to_closed_end_says_so() {
        let (media, rtc) = link();
        drop(media);
        let refusal = rtc.send(&consumed(1), &[]);
        assert!(matches!(refusal, Err(SendError::Closed)));
    }

    #[test]
    fn send_to_slow_receiver_is_full() {
        let (_media, rtc) = link();
        let refusal = (0..1_000_000).find_map(|position| rtc.send(&consumed(position), &[]).err());
        assert!(matches!(refusal, Some(SendError::Full)));
    }

    #[test]
    fn send_with_wrong_count_of_descriptors_is_refused_here() {
        let (media, _rtc) = link();
        assert!(matches!(media.send(&announcement(), &[]), Err(SendError::Encode(_))));
    }

    #[test]
    fn receive_truncated_message_is_violation() {
        let (media, rtc) = link();
        let (file, target) = witness("truncated");
        let bytes = encoded(&announcement());
        send_datagram(media.as_fd(), &bytes[..bytes.len() - 1], &[file.as_fd()]).expect("room");
        assert!(matches!(violation(&rtc), Violation::Malformed { .. }));
        assert_eq!(open_descriptors_of(&target), 1);
    }

    #[test]
    fn receive_unknown_tag_is_violation() {
        let (media, rtc) = link();
        send(&media, &[0x7f, 0, 0], SendFlags::empty()).expect("room");
        assert!(matches!(violation(&rtc), Violation::Malformed { length: 3, .. }));
    }

    #[test]
    fn receive_oversize_message_is_violation() {
        let (media, rtc) = link();
        let (file, target) = witness("oversize");
        let bytes = vec![0; MAX_MESSAGE_BYTES + 1];
        send_datagram(media.as_fd(), &bytes, &[file.as_fd()]).expect("room");
        assert_eq!(violation(&rtc), Violation::Oversize);
        assert_eq!(open_descriptors_of(&target), 1);
    }

    #[test]
    fn receive_missing_descriptor_is_violation() {
        let (media, rtc) = link();
        send_datagram(media.as_fd(), &encoded(&announcement()), &[]).expect("room");
        assert_eq!(violation(&rtc), Violation::Descriptors { found: 0, needed: 1 });
    }

    #[test]
    fn receive_surplus_descriptors_is_violation_and_closes_them() {
        let (media, rtc) = link();
        let (file, target) = witness("surplus");
        send_datagram(media.as_fd(), &encoded(&announcement()), &[file.as_fd(); 2]).expect("room");
        assert_eq!(violation(&rtc), Violation::Descriptors { found: 2, needed: 1 });
        assert_eq!(open_descriptors_of(&target), 1);
    }

    /// More descriptors than fit: the kernel discards some and says so.
    #[test]
    fn receive_flood_of_descriptors_is_violation_and_closes_them() {
        const FLOOD: usize = 60;
        let (media, rtc) = link();
        let (file, target) = witness("flood");
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FLOOD))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let flood = [file.as_fd(); FLOOD];
        assert!(control.push(SendAncillaryMessage::ScmRights(&flood)));
        let bytes = encoded(&announcement());
        sendmsg(&media, &[IoSlice::new(&bytes)], &mut control, SendFlags::empty()).expect("room");
        // How many fit depends on alignment; one more stands for the discarded ones.
        let what = violation(&rtc);
        let surplus =
            matches!(what, Violation::Descriptors { found, needed: 1 } if found > MAX_DESCRIPTORS);
        assert!(surplus, "{what}");
        assert_eq!(open_descriptors_of(&target), 1);
    }

    #[test]
    fn from_descriptor_of_another_kind_is_refused() {
        let (stream, _other) = std::os::unix::net::UnixStream::pair().expect("socketpair");
        assert!(matches!(MediaEnd::from_descriptor(stream.into()), Err(NotALink::WrongKind)));
        let file = File::open("/dev/null").expect("open");
        assert!(matches!(MediaEnd::from_descriptor(file.into()), Err(NotALink::Io(_))));
    }
}
