//! The socket, on loopback.

use std::{
    net::{SocketAddr, UdpSocket},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{Shutdown, shutdown},
};

use super::socket::{MediaSocket, Tally};
use crate::peer::Datagram;

/// Far longer than loopback takes.
const PATIENCE_MILLIS: u16 = 5000;

fn socket(bind: &str) -> (MediaSocket, u16) {
    let socket = UdpSocket::bind(bind).expect("loopback");
    let port = socket.local_addr().expect("bound").port();
    (MediaSocket::new(OwnedFd::from(socket)).expect("options"), port)
}

fn receive_one(socket: &mut MediaSocket) -> (SocketAddr, SocketAddr, Vec<u8>) {
    let mut all = Vec::new();
    while all.is_empty() {
        let mut wait = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut wait, PollTimeout::from(PATIENCE_MILLIS)).expect("poll");
        assert_eq!(ready, 1, "nothing arrives");
        socket
            .receive(|arrival, bytes| {
                all.push((arrival.source, arrival.destination, bytes.to_vec()));
            })
            .expect("a working socket");
    }
    all.remove(0)
}

#[test]
fn socket_that_was_shut_down_fails_and_does_not_spin() {
    for way in [Shutdown::Read, Shutdown::Both] {
        let socket = UdpSocket::bind("[::1]:0").expect("loopback");
        // It says that it is not connected, and does it.
        let _ = shutdown(socket.as_raw_fd(), way);
        let mut socket = MediaSocket::new(OwnedFd::from(socket)).expect("options");
        assert_eq!(socket.receive(|_, _| ()), Err(Errno::ESHUTDOWN));
    }
}

fn echo_from(bind: &str, local: &str) {
    let (mut socket, port) = socket(bind);
    let browser = UdpSocket::bind((local, 0)).expect("loopback");
    browser.set_read_timeout(Some(Duration::from_millis(PATIENCE_MILLIS.into()))).expect("option");
    let own = SocketAddr::new(local.parse().expect("an address"), port);
    browser.send_to(b"hello", own).expect("sent");
    let (source, destination, bytes) = receive_one(&mut socket);
    assert_eq!((source, destination), (browser.local_addr().expect("bound"), own));
    assert_eq!(bytes, b"hello");
    // Equal lengths and a shorter end make one segmented send; a longer one follows.
    let lengths = [1000, 1000, 1000, 400, 1200];
    let answer = |length| Datagram {
        source: own,
        destination: source,
        header: None,
        contents: vec![7; length],
    };
    let tally = socket.send(lengths.map(answer));
    assert_eq!(tally, Tally { sent: 5, bytes: 4600, failed: 0 });
    let mut buffer = [0; 2000];
    for length in lengths {
        let (received, from) = browser.recv_from(&mut buffer).expect("arrives");
        assert_eq!((received, from), (length, own));
    }
}

#[test]
fn dual_stack_socket_answers_from_the_address_asked() {
    echo_from("[::]:0", "127.0.0.1");
    // A second loopback address: by default the kernel would answer from the first.
    echo_from("[::]:0", "127.0.0.2");
    echo_from("[::]:0", "::1");
}

#[test]
fn plain_socket_answers_from_the_address_asked() {
    echo_from("0.0.0.0:0", "127.0.0.1");
    echo_from("0.0.0.0:0", "127.0.0.3");
}

#[test]
fn refused_datagrams_are_counted_and_the_rest_is_sent() {
    let (mut socket, port) = socket("[::]:0");
    let own = SocketAddr::new("127.0.0.1".parse().expect("an address"), port);
    let browser = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let good = browser.local_addr().expect("bound");
    let to = |destination, length| Datagram {
        source: own,
        destination,
        header: None,
        contents: vec![1; length],
    };
    // One larger than any datagram, one to port 0, which is illegal, and a good one.
    let bad = SocketAddr::new(good.ip(), 0);
    let tally = socket.send([to(good, 70_000), to(bad, 10), to(good, 10)]);
    assert_eq!((tally.sent, tally.failed), (1, 2));
    assert!(!socket.is_waiting());
}
