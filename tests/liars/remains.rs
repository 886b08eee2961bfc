//! What a liar leaves behind: sockets with whatever `escapes` has done to them, and with everything in
//! their queues that it never read. An honest worker takes its place, and has to serve.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, UdpSocket},
    os::fd::{AsRawFd, OwnedFd},
    time::Instant,
};

use anyhow::{Context, Result};
use lumen_ipc::process::Worker;
use lumen_tests::{patience::wait_until, relay};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrLike, SockaddrStorage, connect, getsockname,
    getsockopt, socket, sockopt,
};

use crate::{
    goal::{Goal, Row},
    puppet::{Borrowed, Puppet},
    scene::Scene,
};

/// Datagrams that wait for the successor: more than a queue holds.
const DATAGRAMS: usize = 2000;
/// Connections that wait: fewer than a process may have descriptors.
const CONNECTIONS: usize = 400;

/// Fills the queues of the sockets that the liar was granted, and does not read.
pub(crate) fn fill(borrowed: &Borrowed, row: &mut Row) -> Result<()> {
    let begun = Instant::now();
    let mut filled = 0;
    for (_, descriptor) in &borrowed.granted {
        let Ok(kind) = getsockopt(descriptor, sockopt::SockType) else { continue };
        let address: SockaddrStorage = getsockname(descriptor.as_raw_fd())?;
        filled += match (kind, getsockopt(descriptor, sockopt::AcceptConn)?) {
            (SockType::Datagram, _) => fill_datagrams(&address)?,
            (SockType::Stream, true) => fill_connections(&address)?,
            _ => 0,
        };
    }
    row.tried(Goal::Successor, filled, begun);
    Ok(())
}

fn fill_datagrams(address: &SockaddrStorage) -> Result<usize> {
    // An IPv6 socket has a sibling for IPv4, or takes both.
    let Some(port) = address.as_sockaddr_in().map(|address| address.port()) else { return Ok(0) };
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let to = (Ipv4Addr::LOCALHOST, port);
    Ok((0..DATAGRAMS).filter(|_| socket.send_to(&[0; 1200], to).is_ok()).count())
}

/// Connects until no further connection is taken in; all are closed at the end.
fn fill_connections(address: &SockaddrStorage) -> Result<usize> {
    let family = address.family().context("an address of a family")?;
    let mut waiting: Vec<OwnedFd> = Vec::new();
    while waiting.len() < CONNECTIONS {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let one = socket(family, SockType::Stream, flags, None)?;
        let refused = connect(one.as_raw_fd(), address).err();
        waiting.push(one);
        let waits = refused.map(|errno| std::io::Error::from(errno).kind());
        if waits == Some(ErrorKind::WouldBlock) && family == AddressFamily::Unix {
            break;
        }
    }
    Ok(waiting.len())
}

/// An honest worker takes the liar's place again, and serves.
pub(crate) fn succeed(scene: &mut Scene, puppet: Puppet, row: &mut Row) -> Result<()> {
    let begun = Instant::now();
    scene.give_back(puppet).context("no successor")?;
    let served = serves(scene);
    row.expect(Goal::Successor, served.is_ok(), || format!("it does not serve: {served:?}"));
    row.tried(Goal::Successor, 1, begun);
    Ok(())
}

/// Whether the worker does what it is there for.
pub(crate) fn serves(scene: &Scene) -> Result<()> {
    scene.newcomer_sees_the_desktop()?;
    if scene.part.kind() == Worker::Turn {
        let relay = relay::address_of(&scene.host.status()?)?;
        // After a second of its own: what waited before comes first.
        wait_until("the relay answers datagrams", || {
            relay::answers_datagram(relay).unwrap_or(false)
        })?;
        wait_until("it answers on connections", || relay::answers_stream(relay).unwrap_or(false))?;
    }
    Ok(())
}
