//! The addresses of this machine, as they change: a laptop is carried to another network, a cable is
//! plugged in, an address runs out.
//!
//! The kernel tells of changes on a netlink socket (rtnetlink(7)). What it tells is not parsed: any
//! message means that the addresses are read anew, as at the start. So a message that was lost in a
//! crowd, or made up by another program, can at most cause one reading more, and there are few of
//! those a second. Where a sandbox refuses netlink, the addresses are read now and then.

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

/// How long to let a change settle: an interface that comes up gets its addresses one by one.
const SETTLE: Duration = Duration::from_millis(500);
/// How often to look where nobody tells of changes.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Messages taken at a time.
const MOST_MESSAGES: usize = 1024;

/// Reports every change of the addresses from `known` on, for ever.
pub(super) async fn watch(mut known: Vec<IpAddr>, events: Events) {
    let news = changes().inspect_err(|error| {
        debug!(%error, "nobody tells of changed addresses; looking every {} s", LOOK_AGAIN.as_secs());
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

/// A socket that is readable when an address of this machine has come or gone.
fn changes() -> io::Result<AsyncFd<OwnedFd>> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let protocol = SockProtocol::NetlinkRoute;
    let netlink = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
    // Both are small positive numbers.
    let groups = (libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR).unsigned_abs();
    bind(netlink.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    watched(netlink)
}

/// Waits until there is a message.
async fn told(news: &AsyncFd<OwnedFd>) {
    // A socket that cannot be waited for makes this a look now and then.
    if news.readable().await.is_err() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Takes the messages that are there, so that the socket is readable only for later ones.
fn drain(news: &AsyncFd<OwnedFd>) {
    let mut message = [0; 64];
    for _ in 0..MOST_MESSAGES {
        // What does not fit is cut off; that messages were lost (ENOBUFS) is a message, too.
        match recv(news.as_raw_fd(), &mut message, MsgFlags::MSG_DONTWAIT) {
            Ok(_) | Err(Errno::ENOBUFS | Errno::EINTR) => {}
            Err(_) => break,
        }
    }
    // Empty, or so busy that the next look is due anyway.
    let _ = news
        .try_io(tokio::io::Interest::READABLE, |_| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
}
