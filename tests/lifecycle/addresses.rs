//! The addresses at which a session takes datagrams: of a machine whose addresses change while it is
//! watched, on a test network, and of a session whose host serves this machine only, or others.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
    rc::Rc,
};

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::{ProcessId, Worker};
use lumen_tests::{
    app::Show,
    hosted::{HostRig, SessionRig, SessionSetup},
    network::Host,
    patience::{wait_for, wait_until},
    rig::{Setup, runs_as_root, sees_into_workers},
    viewer::Viewer,
};
use nix::sys::socket::{SockType, SockaddrStorage, getsockname, getsockopt, sockopt};

const HOME: &str = "192.0.2.10";
const HOME_V6: &str = "2001:db8:1::10";
const OFFICE: &str = "198.51.100.7";
const OFFICE_V6: &str = "2001:db8:2::7";

/// A viewer that joins once the desktop offers exactly these addresses.
fn joins_by(door: SocketAddr, token: &str, expected: &[&str]) -> Result<Viewer> {
    let mut last = String::new();
    wait_for(&format!("viewers are told of {expected:?}"), || {
        let viewer = Viewer::with_token(door, token).ok()?;
        viewer.wait_for_frame(0).ok()?;
        last.clone_from(&viewer.seen().answer);
        // The relay has addresses of its own, which stay as they were at its start.
        let direct = |line: &&str| line.starts_with("a=candidate:") && line.contains(" typ host");
        let told = |address: &str| {
            last.lines().filter(direct).any(|line| line.contains(&format!(" {address} ")))
        };
        let all = [HOME, HOME_V6, OFFICE, OFFICE_V6];
        all.iter().all(|one| told(one) == expected.contains(one)).then_some(viewer)
    })
    .with_context(|| last)
}

#[test]
fn machine_that_changes_networks_lets_new_viewers_in_and_keeps_the_old() -> Result<()> {
    if !runs_as_root() {
        println!("not root, who alone makes networks: nothing to test");
        return Ok(());
    }
    let laptop = Rc::new(Host::new("laptop")?);
    let network = Host::new("network")?;
    laptop.plug(("wlan0", &["192.0.2.99/24"]), &network, ("lan", &["192.0.2.1/24"]))?;
    let arrive = |addresses: [&str; 2]| -> Result<()> {
        laptop.ip("address flush dev wlan0 scope global")?;
        laptop.ip(&format!("address add {}/24 dev wlan0", addresses[0]))?;
        laptop.ip(&format!("address add {}/64 dev wlan0 nodad", addresses[1]))
    };
    arrive([HOME, HOME_V6])?;
    let setup = Setup::new().show(Show::Blink, 30).on_host(&laptop, "0.0.0.0:8080");
    let rig = setup.start()?;
    let (door, token) = (rig.address(), rig.token().to_owned());
    let viewers = |expected: &[&str]| laptop.inside(|| joins_by(door, &token, expected));
    let first = viewers(&[HOME, HOME_V6])?;
    arrive([OFFICE, OFFICE_V6])?;
    let second = viewers(&[OFFICE, OFFICE_V6])?;
    // A new rtc begins with the machine's current addresses, not with those of its start.
    ensure!(first.seen().closed.is_none(), "{:?}", first.seen().closed);
    let seen = first.seen().frames.len();
    first.wait_for_frame(seen + 5)?;
    let killed = rig.kill(Worker::Rtc)?;
    rig.successor(Worker::Rtc, killed)?;
    drop((first, second));
    viewers(&[OFFICE, OFFICE_V6]).map(drop)
}

/// The address of a session's media socket.
fn media_address(host: &HostRig, session: &SessionRig) -> Result<IpAddr> {
    let rtc = host.ready_worker(ProcessId::serving(session.number(host)?, Worker::Rtc))?;
    let sockets = rtc.sockets()?;
    let is_media = |socket: &&_| {
        let own = getsockname::<SockaddrStorage>(AsRawFd::as_raw_fd(*socket));
        let is_unix = own.is_ok_and(|own| own.as_unix_addr().is_some());
        !is_unix && getsockopt(*socket, sockopt::SockType) == Ok(SockType::Datagram)
    };
    let media = sockets.iter().find(is_media).context("rtc has no UDP socket")?;
    let own: SockaddrStorage = getsockname(media.as_raw_fd())?;
    let v4 = own.as_sockaddr_in().map(|own| own.ip().into());
    v4.or_else(|| own.as_sockaddr_in6().map(|own| own.ip().into())).context("an IP address")
}

#[test]
fn session_takes_datagrams_where_the_page_of_its_host_is_reached_from() -> Result<()> {
    if !sees_into_workers() {
        return Ok(());
    }
    let mut host = HostRig::start()?;
    let session = SessionSetup::new().show(Show::Blink, 30).start(&host)?;
    let told = SessionSetup::new().option("--udp-listen", "0.0.0.0").start(&host)?;
    assert!(media_address(&host, &session)?.is_loopback());
    assert!(media_address(&host, &told)?.is_unspecified());
    Viewer::with_token(host.address(), session.token())?.wait_for_frame(0)?;
    for (options, is_local) in [(&["--trusted-proxy", "127.0.0.2"][..], false), (&[], true)] {
        host.kill()?;
        host.set_options(options);
        host.serve()?;
        wait_until(&format!("it moves when the host is started with {options:?}"), || {
            media_address(&host, &session).is_ok_and(|at| at.is_loopback() == is_local)
        })?;
        assert!(media_address(&host, &told)?.is_unspecified());
        Viewer::with_token(host.address(), session.token())?.wait_for_frame(0)?;
    }
    Ok(())
}
