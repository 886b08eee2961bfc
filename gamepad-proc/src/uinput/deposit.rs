//! Duplicates the descriptors of the slots from the supervisor's socket, without removing them.
//!
//! They lie there as one datagram. Reading it with `MSG_PEEK` duplicates the attached descriptors,
//! any number of times; the datagram stays for the next reader.

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{BorrowedFd, OwnedFd},
};

use lumen_ipc::message::pads::SLOTS;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};

/// Why the descriptors cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum DepositError {
    /// The deposit has an unexpected number of descriptors.
    #[error("the deposit has {found} descriptors where at most {SLOTS} are expected")]
    Count {
        /// How many were found, as far as can be told.
        found: usize,
    },
    /// The deposit is empty, or the kernel refuses.
    #[error("cannot look into the deposit")]
    Io(#[from] io::Error),
}

/// The slots' descriptors, duplicated.
///
/// # Errors
/// [`DepositError`] when there are none or too many.
pub fn take(deposit: BorrowedFd<'_>) -> Result<Vec<OwnedFd>, DepositError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SLOTS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::PEEK | RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(deposit, &mut [IoSliceMut::new(&mut [0])], &mut control, flags)
        .map_err(io::Error::from)?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    let found = descriptors.len() + usize::from(received.flags.contains(ReturnFlags::CTRUNC));
    match found {
        1..=SLOTS => Ok(descriptors),
        _ => Err(DepositError::Count { found }),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::IoSlice,
        os::{fd::AsFd, unix::net::UnixDatagram},
    };

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use super::*;

    fn deposit(count: usize) -> UnixDatagram {
        let (sender, receiver) = UnixDatagram::pair().expect("a pair");
        let file = File::open("/dev/null").expect("open");
        let descriptors = vec![file.as_fd(); count];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        sendmsg(&sender, &[IoSlice::new(&[0])], &mut control, SendFlags::empty()).expect("room");
        receiver
    }

    #[test]
    fn take_leaves_the_descriptors_for_the_next_one() {
        let deposit = deposit(SLOTS);
        for _ in 0..3 {
            assert_eq!(take(deposit.as_fd()).expect("there").len(), SLOTS);
        }
    }

    #[test]
    fn take_from_an_empty_deposit_or_one_of_something_else_says_so() {
        let (_sender, empty) = UnixDatagram::pair().expect("a pair");
        assert!(matches!(take(empty.as_fd()), Err(DepositError::Io(_))));
        assert!(matches!(take(deposit(5).as_fd()), Err(DepositError::Count { .. })));
    }
}
