//! The session link's two sides: tasks that carry it, and report what comes over it.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::Arc,
};

use lumen_ipc_runtime::AsyncChannel;
use tracing::warn;

use super::event::{ConnectionId, Event, Events, FromHost, FromSession, HostEnd, SessionEnd};

/// Reports what a session's host says until it is gone.
pub(super) async fn attend_host(end: OwnedFd, events: Events) {
    let channel = SessionEnd::from_descriptor(end).map(Arc::new);
    let Ok(channel) = channel.inspect_err(|error| warn!(%error, "no link to the host")) else {
        return;
    };
    let Ok(link) = AsyncChannel::new(Arc::clone(&channel)) else { return };
    // A loop that has ended needs no news.
    let _ = events.send(Event::FromHost(FromHost::Found(channel))).await;
    loop {
        let received = tokio::select! {
            received = link.receive() => received,
            // The session's loop has ended, and its end of the link with it.
            () = events.closed() => return,
        };
        match received {
            Ok(received) => {
                let end = received.descriptors.into_iter().next();
                let said = FromHost::Said(received.message, end);
                let _ = events.send(Event::FromHost(said)).await;
            }
            Err(error) => {
                let _ = events.send(Event::FromHost(FromHost::Lost(error.to_string()))).await;
                return;
            }
        }
    }
}

/// Reports what a session says until it is gone.
pub(super) fn attend_session(connection: ConnectionId, end: impl Into<OwnedFd>, events: Events) {
    let channel = HostEnd::from_descriptor(end.into()).map(Arc::new);
    let Ok(channel) = channel.inspect_err(|error| warn!(%error, "no link to a session")) else {
        return;
    };
    let Ok(link) = AsyncChannel::new(Arc::clone(&channel)) else { return };
    tokio::spawn(async move {
        let report = async |news| {
            // A loop that has ended needs no news.
            let _ = events.send(Event::FromSession(connection, news)).await;
        };
        report(FromSession::Came(channel)).await;
        loop {
            let received = tokio::select! {
                received = link.receive() => received,
                // The host's loop has ended, and its end of the link with it.
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
