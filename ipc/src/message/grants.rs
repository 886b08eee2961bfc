//! `grants`: supervisor → worker, one descriptor a message.
//!
//! INVARIANT: a worker opens nothing by path after it has started; what it needs arrives here.

use serde::{Deserialize, Serialize};

use crate::{codec::Message, link::LinkName};

/// Supervisor → worker. The descriptor beside it is what it names.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// This worker's end of a link. Replaces the end it had, whose other side is gone.
    LinkEnd(LinkName),
    /// Gateway: the bound and listening TCP socket browsers connect to.
    HttpListener,
    /// Rtc: the bound UDP socket all peers of the session share.
    MediaSocket,
    /// Compositor: the bound and listening Wayland socket.
    WaylandListener,
}

/// Worker → supervisor. No worker deposits anything.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum ToSupervisor {}

impl Message for ToWorker {
    const LINK: LinkName = LinkName::Grants;

    fn descriptors(&self) -> usize {
        1
    }
}

impl Message for ToSupervisor {
    const LINK: LinkName = LinkName::Grants;
}
