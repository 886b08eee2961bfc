//! A browser that is away at an identity provider, as the host remembers it.

use std::net::IpAddr;

use lumen_ipc::{
    login::MAX_RETURN_BYTES,
    text::{Secret, Text},
};
use tokio::sync::oneshot;

use super::desk::Reply;

/// A browser that is away, or about to go.
#[derive(Debug)]
pub(super) struct Away {
    /// Known to its page only.
    pub(super) key: Secret,
    pub(super) from: IpAddr,
    /// Takes what it brings back; without it, the errand ends.
    pub(super) returned: Option<oneshot::Sender<Text<MAX_RETURN_BYTES>>>,
    /// The request that waits.
    pub(super) reply: Option<Reply>,
}
