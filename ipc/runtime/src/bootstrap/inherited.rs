//! The two sockets that a worker inherits at exec, and the pipe that a helper inherits.

use std::{
    fs::File,
    os::fd::{OwnedFd, RawFd},
};

use lumen_ipc::message::grants::{ToSupervisor, ToWorker};
use rustix::{
    io::FdFlags,
    net::{AddressFamily, SocketType, sockopt},
};

use crate::{channel::Channel, ffi};

/// The control socket's descriptor number at exec.
const CONTROL: RawFd = 3;
/// The grants socket's descriptor number at exec.
const GRANTS: RawFd = 4;

/// The descriptors that a supervisor passes at exec.
#[derive(Debug)]
pub(super) struct Inherited {
    pub(super) control: OwnedFd,
    pub(super) grants: Channel<ToWorker, ToSupervisor>,
}

/// Closes all further descriptors and takes both sockets; `None` when they are not what a
/// supervisor passes. Must be called first, and once.
pub(super) fn take() -> Option<Inherited> {
    ffi::close_from(GRANTS + 1).ok()?;
    let control = ffi::take_inherited(CONTROL)?;
    let grants = ffi::take_inherited(GRANTS)?;
    let is_unix_stream = sockopt::socket_type(&control).ok()? == SocketType::STREAM
        && sockopt::socket_domain(&control).ok()? == AddressFamily::UNIX;
    if !is_unix_stream {
        return None;
    }
    rustix::io::fcntl_setfd(&control, FdFlags::CLOEXEC).ok()?;
    Some(Inherited { control, grants: Channel::from_descriptor(grants).ok()? })
}

/// The descriptor number at exec of the pipe on which a helper announces that it is ready.
const READINESS: RawFd = 3;

/// Takes the pipe on which a helper of the supervisor announces by a line that it is ready; `None` if
/// there is none. For programs that are no workers, and to be called once. Opening it by its name in
/// /proc would fail where the supervisor, its owner, is another user.
#[must_use]
pub fn take_readiness() -> Option<File> {
    ffi::take_inherited(READINESS).map(File::from)
}
