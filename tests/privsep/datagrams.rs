//! Where datagrams of rtc and of the relay can go, tried with the sockets of running workers.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    patience::wait_until,
    rig::{Rig, Setup, runs_as_root},
    viewer::Viewer,
};
use rustix::net::{AddressFamily, SocketType, sockopt};

/// Copies of a worker's sockets for datagrams between machines.
fn sockets(rig: &Rig, worker: Worker) -> Result<Vec<UdpSocket>> {
    let held = rig.ready_worker(worker)?.sockets()?.into_iter();
    let sockets: Vec<_> = held
        .filter(|socket| {
            let domain = sockopt::socket_domain(socket);
            sockopt::socket_type(socket) == Ok(SocketType::DGRAM)
                && matches!(domain, Ok(AddressFamily::INET | AddressFamily::INET6))
        })
        .map(UdpSocket::from)
        .collect();
    ensure!(!sockets.is_empty(), "{worker} has no socket for datagrams");
    Ok(sockets)
}

/// A service of this machine that a socket could reach, and its address for that socket.
fn service(of: &UdpSocket) -> Result<(UdpSocket, SocketAddr)> {
    let own = of.local_addr()?.ip();
    let ip: IpAddr = match own {
        IpAddr::V6(own) if !own.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        _ => Ipv4Addr::LOCALHOST.into(),
    };
    let service = UdpSocket::bind((ip, 0))?;
    let mut address = service.local_addr()?;
    if let (IpAddr::V4(ip), IpAddr::V6(_)) = (address.ip(), own) {
        address.set_ip(ip.to_ipv6_mapped().into());
    }
    Ok((service, address))
}

#[test]
fn datagrams_of_roots_workers_go_where_status_says() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let rig = Setup::new().as_root().start()?;
    let viewer = Viewer::join(&rig)?;
    viewer.wait_for_frame(0)?;
    // Rtc writes to the relay first, which answers.
    wait_until("rtc has an allocation", || rig.said().contains("the relay allocated an address"))?;
    for worker in [Worker::Rtc, Worker::Turn] {
        let status = rig.status()?;
        let of_worker = status.processes().find(|one| one.process.kind() == worker);
        let only_answers = of_worker.context("no such worker")?.confinement.only_answers;
        println!("{worker} only answers: {only_answers}");
        for socket in sockets(&rig, worker)? {
            let (service, address) = service(&socket)?;
            let sent = socket.send_to(b"a request", address).map_err(|error| error.kind());
            let expected = if only_answers { Err(ErrorKind::PermissionDenied) } else { Ok(9) };
            ensure!(sent == expected, "from {socket:?} to {service:?}: {sent:?}");
        }
    }
    viewer.wait_for_frame(1)?;
    Ok(())
}

#[test]
fn socket_here_is_answered_once_it_has_written_first_whatever_its_port() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let rig = Setup::new().as_root().start()?;
    for socket in sockets(&rig, Worker::Rtc)? {
        let mut own = socket.local_addr()?;
        own.set_ip(Ipv4Addr::LOCALHOST.into());
        for port in [0, 1023] {
            let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
            client.send_to(b"nothing that rtc knows", own)?;
            let mut address = client.local_addr()?;
            if socket.local_addr()?.is_ipv6() {
                address.set_ip(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into());
            }
            // The kernel may deliver it later.
            wait_until(&format!("{address} is answered"), || {
                socket.send_to(b"an answer", address).is_ok()
            })?;
        }
    }
    Ok(())
}
