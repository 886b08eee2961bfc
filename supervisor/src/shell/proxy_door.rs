//! The socket of a proxy that says whose each browser is.
//!
//! The supervisor accepts its connections itself, because the gateway cannot tell whose they are: in its own user
//! namespace every other user looks the same. Each connection is handed to the gateway with what the kernel says of
//! its other end; nothing is read from it here.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixListener as StdListener},
    time::Duration,
};

use nix::unistd::{Gid, Uid, User, setfsgid};
use tokio::net::UnixListener;
use tracing::warn;

use super::{
    event::{Event, Events},
    places::Temporary,
    sockets::{self, Door},
};
use crate::config::ProxyDoor;

/// A pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Why there is no such socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyDoorError {
    /// There is no such user.
    #[error("--proxy-user {0}: there is no such user on this machine")]
    Unknown(String),
    /// The user database cannot be read.
    #[error("cannot read the user database: {0}")]
    Database(nix::errno::Errno),
    /// The socket cannot be made.
    #[error("cannot listen on {path}, which --proxy-socket names")]
    Listen {
        /// Where.
        path: String,
        /// What the kernel returned.
        source: io::Error,
    },
}

/// The listening socket, and whom it is for.
#[derive(Debug)]
pub(crate) struct ProxySocket {
    socket: StdListener,
    /// As whom the proxy runs.
    pub(crate) user: Uid,
    _file: Option<Temporary>,
}

/// A connection to that socket.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) connection: OwnedFd,
    /// Whether it is the proxy's.
    pub(crate) vouches: bool,
}

impl ProxySocket {
    /// Makes the socket. Its file is root's and of the group of the proxy's user, with mode 0660.
    pub(crate) fn set(config: &ProxyDoor, before: bool) -> Result<Self, ProxyDoorError> {
        let user = find(&config.user)?;
        let make = || of_group(user.gid, || sockets::browsers(&config.listen));
        // If there was a host before, it may still be ending.
        let made = if before { sockets::patiently(make) } else { make() };
        let Door { socket, file, .. } = made.map_err(|source| {
            let path = config.path().unwrap_or_default().display().to_string();
            ProxyDoorError::Listen { path, source }
        })?;
        Ok(Self { socket: socket.into(), user: user.uid, _file: file })
    }

    /// The socket, to be accepted on; call it inside a runtime.
    pub(crate) fn listener(&self) -> io::Result<UnixListener> {
        let socket = self.socket.try_clone()?;
        socket.set_nonblocking(true)?;
        UnixListener::from_std(socket)
    }
}

fn find(name: &str) -> Result<User, ProxyDoorError> {
    let found = User::from_name(name).map_err(ProxyDoorError::Database)?;
    let found = match (found, name.parse()) {
        (None, Ok(uid)) => User::from_uid(Uid::from_raw(uid)).map_err(ProxyDoorError::Database)?,
        (found, _) => found,
    };
    found.ok_or_else(|| ProxyDoorError::Unknown(name.to_owned()))
}

/// Files that `make` makes are of this group, unless their folder passes on its own. It is taken at the creation: a
/// change by path would follow a link that anybody with write access to the folder could put there.
fn of_group<Made>(group: Gid, make: impl FnOnce() -> Made) -> Made {
    let usual = setfsgid(group);
    let made = make();
    setfsgid(usual);
    made
}

/// Accepts connections for ever.
pub(super) async fn attend(listener: UnixListener, events: Events) {
    loop {
        let accepted = match listener.accept().await {
            Ok((stream, _)) => {
                let peer = stream.peer_cred().map(|peer| Uid::from_raw(peer.uid()));
                peer.and_then(|peer| Ok((OwnedFd::from(stream.into_std()?), peer)))
            }
            Err(error) => Err(error),
        };
        match accepted {
            Ok((connection, peer)) => {
                if events.send(Event::ProxyConnected(connection, peer)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                // Most likely out of descriptors, which may become free.
                warn!(%error, "cannot accept on the proxy's socket");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
