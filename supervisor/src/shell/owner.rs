//! Asks the kernel whose a TCP connection from this machine to itself is.

use std::{
    io,
    net::{IpAddr, TcpListener, TcpStream},
    os::fd::AsRawFd,
};

use nix::{
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recvfrom, sendto,
        socket,
    },
    unistd::Uid,
};
use tracing::debug;

use crate::broker::connection::{Connection, MOST_BYTES};

/// Whose the client's end of `connection` is; `None` if the kernel does not say.
pub(super) fn of(connection: Connection) -> Option<Uid> {
    ask(connection).unwrap_or_else(|error| {
        debug!(%error, "the kernel does not say whose a connection is");
        None
    })
}

/// Fails if the kernel does not say whose the connections to an address of this machine are. Tried with one
/// of this process's own, which also has the kernel load what it needs to answer.
pub(super) fn is_known(ip: IpAddr) -> io::Result<()> {
    let listener = TcpListener::bind((ip, 0))?;
    let server = listener.local_addr()?;
    let stream = TcpStream::connect(server)?;
    let client = stream.local_addr()?;
    match ask(Connection { client, server })? {
        Some(owner) if owner == Uid::effective() => Ok(()),
        _ => Err(io::Error::other("the kernel does not say whose a connection is")),
    }
}

/// The kernel has answered as soon as the question has been sent, so this does not wait.
fn ask(connection: Connection) -> nix::Result<Option<Uid>> {
    let Some(question) = connection.question() else { return Ok(None) };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let protocol = SockProtocol::NetlinkSockDiag;
    let netlink = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
    let kernel = NetlinkAddr::new(0, 0);
    sendto(netlink.as_raw_fd(), &question, &kernel, MsgFlags::empty())?;
    let mut answer = [0; MOST_BYTES];
    let (length, sender) = recvfrom::<NetlinkAddr>(netlink.as_raw_fd(), &mut answer)?;
    let answer = answer.get(..length).filter(|_| sender.is_some_and(|sender| sender.pid() == 0));
    Ok(answer.and_then(|answer| connection.owner(answer)))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    /// A connection of this process, by which address it listens and to which it connects.
    fn connected(listen: &str, to: &str) -> (TcpListener, TcpStream, Connection) {
        let listener = TcpListener::bind((listen, 0)).expect("loopback");
        let server = listener.local_addr().expect("bound");
        let to = SocketAddr::new(to.parse().expect("an address"), server.port());
        let stream = TcpStream::connect(to).expect("it listens");
        let client = stream.local_addr().expect("connected");
        (listener, stream, Connection { client, server })
    }

    #[test]
    fn connection_of_this_process_is_its_users_until_it_is_closed() {
        for (listen, to) in
            [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("127.0.0.1", "::ffff:127.0.0.1")]
        {
            let (_listener, stream, connection) = connected(listen, to);
            assert_eq!(of(connection), Some(Uid::effective()), "{to}");
            drop(stream);
            assert_eq!(of(connection), None, "{to} is closed");
        }
    }

    #[test]
    fn connection_that_nobody_has_made_has_no_owner() {
        let (_listener, _stream, Connection { client, server }) =
            connected("127.0.0.1", "127.0.0.1");
        let other = SocketAddr::new(client.ip(), server.port());
        assert_eq!(of(Connection { client: other, server }), None);
        let v6 = "[::1]:1".parse().expect("an address");
        assert_eq!(of(Connection { client: v6, server }), None);
    }

    #[test]
    fn loopback_is_known_before_anybody_connects() {
        for ip in ["127.0.0.1", "::1"] {
            is_known(ip.parse().expect("an address")).expect("the kernel says so");
        }
    }
}
