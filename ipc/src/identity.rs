//! The numbers of sessions and peers: the only units that hosts and sessions of different builds
//! share.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One user's desktop.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct SessionId(pub u32);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl SessionId {
    /// The only session of `lumen run`, and the first of `lumen serve`.
    pub const SOLE: Self = Self(1);
}

/// One browser's peer connection, numbered by the gateway and never reused while the gateway runs.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct PeerId(pub u64);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer-{}", self.0)
    }
}
