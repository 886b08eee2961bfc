//! A worker makes its granted socket unusable, then dies or lives on: its successor serves anyway.
//!
//! The test holds descriptors of the worker's own sockets, and shuts them down, which the worker's policy
//! forbids.

use std::{
    net::{SocketAddr, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
};

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    patience::wait_until,
    process::Process,
    rig::{Rig, kill_hard, sees_into_workers},
    viewer::Viewer,
};
use nix::sys::socket::{
    Shutdown, SockType, SockaddrStorage, getsockname, getsockopt, shutdown, sockopt,
};

/// The sockets that the supervisor granted to a worker: listeners and UDP sockets.
fn granted(process: Process) -> Result<Vec<OwnedFd>> {
    let is_granted = |socket: &OwnedFd| {
        let listens = getsockopt(socket, sockopt::AcceptConn).unwrap_or(false);
        listens || getsockopt(socket, sockopt::SockType) == Ok(SockType::Datagram)
    };
    let granted: Vec<_> = process.sockets()?.into_iter().filter(is_granted).collect();
    ensure!(!granted.is_empty(), "it holds no listener and no UDP socket");
    Ok(granted)
}

fn spoil(sockets: &[OwnedFd], way: Shutdown) {
    for socket in sockets {
        // For UDP this reports that the socket is not connected, but shuts it down.
        let _ = shutdown(socket.as_raw_fd(), way);
    }
}

/// A viewer joins and sees a picture.
fn a_viewer_sees_the_desktop(rig: &Rig) -> Result<()> {
    Viewer::join(rig)?.wait_for_frame(0).map(drop)
}

fn successor_serves_after(way: Shutdown, worker: Worker) -> Result<()> {
    if !sees_into_workers() {
        return Ok(());
    }
    let rig = Rig::start()?;
    a_viewer_sees_the_desktop(&rig)?;
    let process = rig.ready_worker(worker)?;
    spoil(&granted(process)?, way);
    if process.is_alive() {
        // A worker that has noticed may end before it is killed.
        let _ = kill_hard(process);
    }
    rig.successor(worker, process)?;
    a_viewer_sees_the_desktop(&rig).with_context(|| format!("{worker}, {way:?}"))?;
    ensure!(rig.said().contains("making another at its address"), "nobody is told");
    Ok(())
}

#[test]
fn listener_shut_down_by_a_gateway_that_died_is_made_anew() -> Result<()> {
    successor_serves_after(Shutdown::Both, Worker::Gateway)
}

#[test]
fn media_socket_shut_down_by_an_rtc_that_died_is_made_anew() -> Result<()> {
    successor_serves_after(Shutdown::Both, Worker::Rtc)
}

#[test]
fn media_socket_that_an_rtc_kept_from_sending_is_made_anew() -> Result<()> {
    successor_serves_after(Shutdown::Write, Worker::Rtc)
}

#[test]
fn wayland_socket_shut_down_by_a_compositor_that_died_is_made_anew() -> Result<()> {
    successor_serves_after(Shutdown::Both, Worker::Compositor)
}

#[test]
fn sockets_shut_down_by_a_relay_that_died_are_made_anew() -> Result<()> {
    if !sees_into_workers() {
        return Ok(());
    }
    let rig = Rig::start()?;
    let relay = rig.ready_worker(Worker::Turn)?;
    let sockets = granted(relay)?;
    let address = |socket: &OwnedFd| -> Result<SocketAddr> {
        let own: SockaddrStorage = getsockname(socket.as_raw_fd())?;
        let (v4, v6) = (own.as_sockaddr_in(), own.as_sockaddr_in6());
        let v4 = v4.map(|own| (own.ip(), own.port()).into());
        v4.or_else(|| v6.map(|own| (own.ip(), own.port()).into())).context("an IP address")
    };
    let streams =
        sockets.iter().filter(|socket| getsockopt(socket, sockopt::AcceptConn) == Ok(true));
    let listening = streams.map(address).collect::<Result<Vec<_>>>()?;
    spoil(&sockets, Shutdown::Both);
    drop(sockets);
    let _ = kill_hard(relay);
    rig.successor(Worker::Turn, relay)?;
    for address in listening {
        TcpStream::connect(address).with_context(|| format!("the relay at {address}"))?;
    }
    Ok(())
}

#[test]
fn workers_whose_socket_is_useless_end_and_do_not_say_that_they_are_ready() -> Result<()> {
    if !sees_into_workers() {
        return Ok(());
    }
    let rig = Rig::start()?;
    for worker in [Worker::Gateway, Worker::Rtc, Worker::Turn] {
        let process = rig.ready_worker(worker)?;
        spoil(&granted(process)?, Shutdown::Both);
        wait_until(&format!("{worker} ends by itself"), || !process.is_alive())?;
        rig.successor(worker, process)?;
    }
    a_viewer_sees_the_desktop(&rig)
}
