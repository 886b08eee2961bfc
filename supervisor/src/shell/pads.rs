//! The descriptors for virtual gamepads, deposited where they outlive every worker and only the
//! gamepad worker takes them.
//!
//! `/dev/uinput` is opened once for each slot, the descriptors are sent into a socket as one
//! datagram, and our copies are closed. From then on they lie in the socket's queue: no process has
//! them open, each gamepad worker peeks at the datagram and so gets duplicates, and the devices
//! made with them exist for as long as the queue does.

use std::{
    fs::File,
    io::{self, IoSlice},
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::fs::OpenOptionsExt,
    },
};

use lumen_ipc::message::pads::SLOTS;
use nix::{
    libc,
    sys::socket::{
        AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair,
    },
};

/// The kernel's device for making input devices.
pub(crate) const UINPUT: &str = "/dev/uinput";

/// Opens the device with the flags that a gamepad worker needs.
pub(crate) fn open() -> io::Result<OwnedFd> {
    File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(UINPUT)
        .map(OwnedFd::from)
}

/// The receiving end of a socket that contains the descriptors of all slots.
pub(crate) fn deposit() -> io::Result<OwnedFd> {
    let devices = (0..SLOTS).map(|_| open()).collect::<io::Result<Vec<_>>>()?;
    store(&devices)
}

fn store(devices: &[OwnedFd]) -> io::Result<OwnedFd> {
    // A datagram socket keeps its queue when the sending end is closed.
    let (sender, receiver) =
        socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::SOCK_CLOEXEC)?;
    let numbers: Vec<RawFd> = devices.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    // One byte, because an empty datagram could be taken for the end.
    sendmsg::<()>(sender.as_raw_fd(), &[IoSlice::new(&[0])], &rights, MsgFlags::empty(), None)?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::{fd::AsRawFd, unix::net::UnixStream},
    };

    use nix::sys::socket::{ControlMessageOwned, recvmsg};

    use super::*;

    #[test]
    fn stored_descriptors_are_open_nowhere_and_can_be_had_again_and_again() {
        let (witness, _other) = UnixStream::pair().expect("a pair");
        let link = format!("/proc/self/fd/{}", witness.as_raw_fd());
        let target = fs::read_link(link).expect("procfs");
        let open = || {
            let entries = fs::read_dir("/proc/self/fd").expect("procfs").flatten();
            entries.filter(|entry| fs::read_link(entry.path()).is_ok_and(|to| to == target)).count()
        };
        let deposit = store(&[witness.into()]).expect("stored");
        assert_eq!(open(), 0);
        for looks in 1..=3 {
            let mut space = nix::cmsg_space!([RawFd; SLOTS]);
            let mut byte = [0];
            let mut parts = [io::IoSliceMut::new(&mut byte)];
            let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_CMSG_CLOEXEC;
            let received = recvmsg::<()>(deposit.as_raw_fd(), &mut parts, Some(&mut space), flags);
            let received = received.expect("a datagram");
            let rights = received.cmsgs().expect("rights").next();
            assert!(
                matches!(rights, Some(ControlMessageOwned::ScmRights(these)) if these.len() == 1)
            );
            assert_eq!(open(), looks, "each look is another duplicate");
        }
    }
}
