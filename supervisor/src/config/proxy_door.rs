//! A proxy that says whose each browser is: where it connects, who it is, and how it says so.

use std::path::PathBuf;

use lumen_ipc::{front_door::Listen, vouching::VoucherHeader};

/// The door of such a proxy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProxyDoor {
    /// Where it connects; a Unix socket.
    pub listen: Listen,
    /// The user as whom it runs, by name or number.
    pub user: String,
    /// The header in which it names the account.
    pub header: VoucherHeader,
}

impl ProxyDoor {
    /// The path of its socket.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        match &self.listen {
            Listen::Unix(path) => Some(PathBuf::from(path.as_str())),
            Listen::Tcp(_) => None,
        }
    }
}
