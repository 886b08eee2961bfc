//! Watches the addresses of this machine for changes: a laptop joins another network, a cable is
//! plugged in, an address expires.
//!
//! The kernel reports changes on a netlink socket (rtnetlink(7)). The messages are not parsed: any
//! message means that the addresses are read anew, as at the start. So a lost message, or one
//! forged by another program, costs at most one more reading, and readings are limited to a few a
//! second. Where a sandbox refuses netlink, the addresses are read periodically.

use std::{
    io,
    net::IpAddr,
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    libc,
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
    },
};
use tokio::io::unix::AsyncFd;
use tracing::debug;

use super::{
    event::{Event, Events},
    sockets,
    spawn::watched,
};

/// How long to let changes settle: a new interface gets its addresses one by one.
const SETTLE: Duration = Duration::from_millis(500);
/// How often to read the addresses where changes are not reported.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Messages read at a time.
const MOST_MESSAGES: usize = 1024;

/// Reports every change of the addresses, starting from `known`, for ever.
pub(super) async fn watch(mut known: Vec<IpAddr>, events: Events) {
    let news = changes().inspect_err(|error| {
        debug!(%error, "cannot watch the addresses; reading them every {} s", LOOK_AGAIN.as_secs());
    });
    let news = news.ok();
    loop {
        match &news {
            Some(news) => told(news).await,
            None => tokio::time::sleep(LOOK_AGAIN).await,
        }
        tokio::time::sleep(SETTLE).await;
        news.iter().for_each(drain);
        let found = sockets::addresses();
        if found != known {
            known.clone_from(&found);
            if events.send(Event::Moved(found)).await.is_err() {
                return;
            }
        }
    }
}

/// A socket that becomes readable when an address of this machine is added or removed.
fn changes() -> io::Result<AsyncFd<OwnedFd>> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let protocol = SockProtocol::NetlinkRoute;
    let netlink = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
    // Both are small positive numbers.
    let groups = (libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR).unsigned_abs();
    bind(netlink.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    watched(netlink)
}

/// Waits for a message.
async fn told(news: &AsyncFd<OwnedFd>) {
    // If the socket cannot be polled, the addresses are read periodically.
    if news.readable().await.is_err() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Reads all waiting messages, so that the socket is readable only for later ones.
fn drain(news: &AsyncFd<OwnedFd>) {
    let mut message = [0; 64];
    for _ in 0..MOST_MESSAGES {
        // A message that does not fit is cut off; lost messages (ENOBUFS) count as a message, too.
        match recv(news.as_raw_fd(), &mut message, MsgFlags::MSG_DONTWAIT) {
            Ok(_) | Err(Errno::ENOBUFS | Errno::EINTR) => {}
            Err(_) => break,
        }
    }
    // The queue is empty, or so busy that another reading is due anyway.
    let _ = news
        .try_io(tokio::io::Interest::READABLE, |_| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
}
