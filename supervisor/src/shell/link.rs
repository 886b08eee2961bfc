//! The two sides of the session link: tasks that serve it and report its events.
//!
//! A session never stops looking for its host, but looks less often while there is none. A host accepts
//! sessions of its own user and of root, because both could end it anyway.

use std::{
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use lumen_ipc::message::session::ToSession;
use lumen_ipc_runtime::AsyncChannel;
use nix::{
    sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket},
    unistd::Uid,
};
use tokio::net::UnixListener;
use tracing::{debug, warn};

use super::event::{ConnectionId, Event, Events, FromHost, FromSession, HostEnd, SessionEnd};
use crate::pace::Pace;

/// The first wait before a session looks for its host again; it doubles with each failure.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// Time between attempts at a host that refuses: usually it is of another build, until it is
/// replaced.
const REFUSED_WAIT: Duration = Duration::from_secs(30);
/// How long a host may take to accept or refuse a session.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many messages of a session are read per second: far more than a healthy one sends, even while its
/// log is followed, and few enough that other sessions are served.
const WORDS_PER_SECOND: u32 = 100;
/// How many of its messages may be read at once.
const WORDS_AT_ONCE: u32 = 500;

/// How a link to a host ended.
enum End {
    /// There was no host, or it did not answer.
    Failed,
    /// The host refused the session.
    Refused,
    /// The host accepted the session, and the link has ended.
    Served,
}

/// Keeps a session connected to the host that listens at `path`, for as long as the session's event
/// loop runs. A host that had it started has given it its `first` link.
pub(super) async fn keep_host(path: PathBuf, mut first: Option<OwnedFd>, events: Events) {
    let (mut wait, mut told) = (FIRST_WAIT, false);
    while !events.is_closed() {
        let end = match first.take().map_or_else(|| find_host(&path), Ok) {
            Ok(end) => attend_host(end, Some(PATIENCE), &events).await,
            Err(error) => {
                debug!(%error, "the host is not there");
                if !std::mem::replace(&mut told, true) {
                    // It fails only when the event loop has ended.
                    let _ = events.send(Event::FromHost(FromHost::Absent)).await;
                }
                End::Failed
            }
        };
        let pause = match end {
            End::Served => FIRST_WAIT,
            End::Failed => wait,
            End::Refused => REFUSED_WAIT,
        };
        tokio::time::sleep(pause).await;
        wait = (pause * 2).min(LONGEST_WAIT);
    }
}

/// Connects to a host.
fn find_host(path: &Path) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let end = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    connect(end.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(end)
}

/// Keeps a session connected to the host in the same process.
pub(super) async fn attend_own_host(end: OwnedFd, events: Events) {
    attend_host(end, None, &events).await;
}

/// Reports messages of a session's host until the link ends or the host has not decided in time.
async fn attend_host(end: OwnedFd, patience: Option<Duration>, events: &Events) -> End {
    let channel = SessionEnd::from_descriptor(end).map(Arc::new);
    let Ok(channel) = channel.inspect_err(|error| warn!(%error, "no link to the host")) else {
        return End::Failed;
    };
    let Ok(link) = AsyncChannel::new(Arc::clone(&channel)) else { return End::Failed };
    // It fails only when the event loop has ended.
    let _ = events.send(Event::FromHost(FromHost::Found(channel))).await;
    let (begun, mut end) = (Instant::now(), End::Failed);
    loop {
        let patience = patience.filter(|_| matches!(end, End::Failed));
        let received = tokio::select! {
            // A message that has arrived counts, however late this process reads it.
            biased;
            received = link.receive() => received.map_err(|error| error.to_string()),
            // The session's event loop has ended, and with it its end of the link.
            () = events.closed() => return end,
            () = tokio::time::sleep_until((begun + patience.unwrap_or_default()).into()),
                if patience.is_some() => Err("it does not answer".to_owned()),
        };
        match received {
            Ok(received) => {
                match received.message {
                    ToSession::Refused { .. } => end = End::Refused,
                    ToSession::Welcomed { .. } => end = End::Served,
                    _ => {}
                }
                let beside = received.descriptors.into_iter().next();
                let said = FromHost::Said(received.message, beside);
                let _ = events.send(Event::FromHost(said)).await;
            }
            Err(error) => {
                let _ = events.send(Event::FromHost(FromHost::Lost(error))).await;
                return end;
            }
        }
    }
}

/// Accepts sessions until the process ends.
pub(super) async fn accept_sessions(listener: UnixListener, events: Events) {
    for number in 0.. {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Most likely out of descriptors, which may become free.
                warn!(%error, "cannot accept sessions");
                tokio::time::sleep(LONGEST_WAIT).await;
                continue;
            }
        };
        let uid = stream.peer_cred().map(|peer| peer.uid());
        if !uid.as_ref().is_ok_and(|uid| may_register(*uid, Uid::effective())) {
            warn!(?uid, "refused a session of another user");
            continue;
        }
        let Ok(stream) = stream.into_std() else { continue };
        attend_session(ConnectionId(number), stream, events.clone()).await;
    }
}

/// Whether a process of user `uid` may register sessions with a host of user `host`.
fn may_register(uid: u32, host: Uid) -> bool {
    uid == 0 || uid == host.as_raw()
}

/// Reports messages of a session until the link ends. Returns when the session's arrival has been
/// reported, so that no more links are accepted than the event loop has room for.
pub(super) async fn attend_session(
    connection: ConnectionId,
    end: impl Into<OwnedFd>,
    events: Events,
) {
    let channel = HostEnd::from_descriptor(end.into()).map(Arc::new);
    let Ok(channel) = channel.inspect_err(|error| warn!(%error, "no link to a session")) else {
        return;
    };
    let Ok(link) = AsyncChannel::new(Arc::clone(&channel)) else { return };
    // It fails only when the event loop has ended.
    let _ = events.send(Event::FromSession(connection, FromSession::Came(channel))).await;
    tokio::spawn(async move {
        let report = async |news| {
            let _ = events.send(Event::FromSession(connection, news)).await;
        };
        let mut pace = Pace::new(Instant::now(), WORDS_PER_SECOND, WORDS_AT_ONCE);
        loop {
            tokio::time::sleep(pace.wait(Instant::now())).await;
            pace.spend(Instant::now(), 1);
            let received = tokio::select! {
                received = link.receive() => received,
                // The host's event loop has ended, and with it its end of the link.
                () = events.closed() => return,
            };
            match received {
                Ok(received) => report(FromSession::Said(received.message)).await,
                Err(error) => return report(FromSession::Lost(error.to_string())).await,
            }
        }
    });
}

/// Both ends of a link within one process.
pub(super) fn joined() -> io::Result<(OwnedFd, UnixStream)> {
    let (session, host) = SessionEnd::pair()?;
    Ok((session.into_descriptor(), host.into_descriptor().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_of_another_user_may_not_register_but_roots_may() {
        let host = Uid::from_raw(1000);
        assert!(may_register(1000, host) && may_register(0, host));
        assert!(!may_register(1001, host) && !may_register(1000, Uid::from_raw(0)));
    }
}
