//! The relay on real loopback sockets (UDP, TCP and TLS), with a client of our own and with
//! coturn's independent `turnutils_uclient`. Needs the Debian package `coturn`.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

#[path = "../client/mod.rs"]
mod client;
mod coturn;
mod handover;
mod path;
mod running;

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
};

use anyhow::{Context, Result, ensure};
use client::*;
use lumen_turn::{auth::credential::Party, shell::now};
use path::{OverUdp, PATIENCE, Path, SILENCE, over_tcp, over_tls};
use running::{Running, Setup, patient};

fn expires() -> u64 {
    now().unix.0 + 3600
}

fn login(path: &mut dyn Path, client: &mut Client) -> Result<Answer> {
    let challenge = path.ask(&client.hello())?;
    client.nonce = challenge.text(NONCE_ATTRIBUTE).context("a challenge has a nonce")?;
    let request = client.allocate();
    path.ask(&request)
}

fn enter(path: &mut dyn Path, client: &mut Client) -> Result<SocketAddr> {
    let answer = login(path, client)?;
    ensure!(answer.error().is_none(), "allocation refused with {:?}", answer.error());
    answer.address(RELAYED_ATTRIBUTE).context("an allocation has a relayed address")
}

fn viewer(peer: u64) -> Client {
    Client::new(grantee(Party::Viewer, 1, peer), expires(), 1)
}

fn rtc() -> Client {
    Client::new(grantee(Party::Rtc, 1, 7), expires(), 1)
}

/// A viewer on `path` and rtc over UDP exchange data both ways.
fn exchange(relay: &Running, path: &mut dyn Path) -> Result<()> {
    let (mut at_rtc, mut rtc, mut viewer) = (OverUdp::to(relay.udp)?, rtc(), viewer(7));
    let (rtc_address, viewer_address) = (enter(&mut at_rtc, &mut rtc)?, enter(path, &mut viewer)?);
    ensure!(at_rtc.ask(&rtc.permit(viewer_address))?.error().is_none());
    ensure!(path.ask(&viewer.bind(0x4000, rtc_address))?.error().is_none());
    for round in 0..20_u8 {
        let data = vec![round; usize::from(round) * 60];
        path.send(&channel_data(0x4000, &data))?;
        let indication = Answer::parse(&at_rtc.receive()?);
        ensure!(indication.get(DATA_ATTRIBUTE) == Some(&data[..]), "towards rtc, round {round}");
        at_rtc.send(&rtc.send(viewer_address, &data))?;
        let received = path.receive()?;
        ensure!(
            received[..4 + data.len()] == channel_data(0x4000, &data)[..],
            "towards the viewer, round {round}"
        );
    }
    Ok(())
}

#[test]
fn data_passes_between_udp_and_udp() -> Result<()> {
    let relay = Running::start(patient())?;
    exchange(&relay, &mut OverUdp::to(relay.udp)?)
}

#[test]
fn data_passes_between_tcp_and_udp() -> Result<()> {
    let relay = Running::start(patient())?;
    exchange(&relay, &mut over_tcp(relay.tcp)?)
}

#[test]
fn data_passes_between_tls_and_udp() -> Result<()> {
    let relay = Running::start(patient())?;
    exchange(&relay, &mut over_tls(relay.tls)?)
}

#[test]
fn data_passes_over_ipv6() -> Result<()> {
    let relay = Running::start_on(IpAddr::V6(Ipv6Addr::LOCALHOST), patient())?;
    exchange(&relay, &mut OverUdp::to(relay.udp)?)?;
    Ok(())
}

#[test]
fn captured_request_from_another_socket_is_stale() -> Result<()> {
    let relay = Running::start(patient())?;
    let mut victim = OverUdp::to(relay.udp)?;
    let mut client = viewer(7);
    client.nonce = victim.ask(&client.hello())?.text(NONCE_ATTRIBUTE).context("a nonce")?;
    let captured = client.allocate();
    let mut thief = OverUdp::to(relay.udp)?;
    assert_eq!(thief.ask(&captured)?.error(), Some(438));
    assert_eq!(relay.figure("relay_allocations_count"), 0);
    Ok(())
}

#[test]
fn foreign_peers_are_refused_and_nothing_leaves_the_relay() -> Result<()> {
    let relay = Running::start(patient())?;
    let target = UdpSocket::bind("127.0.0.1:0")?;
    target.set_read_timeout(Some(SILENCE))?;
    let target_port = target.local_addr()?.port();
    let mut path = OverUdp::to(relay.udp)?;
    let mut client = viewer(7);
    enter(&mut path, &mut client)?;
    let ips = [
        "::ffff:127.0.0.1",
        "127.0.0.2",
        "169.254.169.254",
        "10.0.0.1",
        "192.168.0.1",
        "::1",
        "fe80::1",
        "0.0.0.0",
        "::",
    ];
    for ip in ips {
        let peer = SocketAddr::new(ip.parse()?, target_port);
        assert_eq!(path.ask(&client.permit(peer))?.error(), Some(403), "{ip}");
        path.send(&client.send(peer, b"to the host"))?;
    }
    // The relay's own address in this test, where a socket happens to listen: it is only a label.
    let own = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), target_port);
    assert_eq!(path.ask(&client.permit(own))?.error(), None);
    path.send(&client.send(own, b"to the host"))?;
    assert!(target.recv(&mut [0; 64]).is_err(), "nothing arrives");
    assert!(relay.figure("relay_foreign_total") > 0);
    Ok(())
}

#[test]
fn flood_is_limited_and_those_inside_are_served() -> Result<()> {
    let relay = Running::start(Setup::default())?;
    let mut flood = OverUdp::to(relay.udp)?;
    let mut stranger = viewer(9);
    let (mut at_rtc, mut rtc) = (OverUdp::to(relay.udp)?, rtc());
    let (mut at_viewer, mut viewer) = (OverUdp::to(relay.udp)?, viewer(7));
    let (rtc_address, viewer_address) =
        (enter(&mut at_rtc, &mut rtc)?, enter(&mut at_viewer, &mut viewer)?);
    at_rtc.ask(&rtc.permit(viewer_address))?;
    at_viewer.ask(&viewer.permit(rtc_address))?;
    let hello = stranger.hello();
    // In rounds that fit the kernel's receive queue, because what overflows it never reaches the
    // relay.
    for _ in 0..100 {
        for _ in 0..50 {
            flood.send(&hello)?;
        }
        at_viewer.send(&viewer.send(rtc_address, b"still here"))?;
        let indication = Answer::parse(&at_rtc.receive()?);
        assert_eq!(indication.get(DATA_ATTRIBUTE), Some(&b"still here"[..]));
    }
    assert!(relay.figure("relay_limited_total") > 0);
    assert!(relay.figure("relay_challenges_total") < 500);
    Ok(())
}

#[test]
fn stream_of_another_protocol_is_closed_at_once() -> Result<()> {
    let relay = Running::start(patient())?;
    let mut path = over_tcp(relay.tcp)?;
    path.stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let mut buffer = [0; 64];
    // A close with unread bytes is a reset.
    assert!(matches!(path.stream.read(&mut buffer), Ok(0) | Err(_)));
    Ok(())
}

#[test]
fn connections_of_one_source_are_bounded_before_tls() -> Result<()> {
    let relay = Running::start(Setup::default())?;
    let connections: Vec<_> =
        (0..100).map(|_| TcpStream::connect(relay.tls)).collect::<std::io::Result<_>>()?;
    let closed = |mut stream: TcpStream| {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(stream.read(&mut [0]), Ok(0) | Err(_))
    };
    // The last connections exceed the burst of one source.
    assert!(connections.into_iter().skip(60).all(closed));
    assert!(relay.figure("relay_connections_count") <= 32);
    Ok(())
}

#[test]
fn allocation_of_a_closed_connection_is_freed() -> Result<()> {
    let relay = Running::start(patient())?;
    let mut first = over_tcp(relay.tcp)?;
    let mut client = viewer(7);
    enter(&mut first, &mut client)?;
    drop(first);
    // One allocation each, so the second attempt succeeds only after the first has ended.
    let mut second = over_tcp(relay.tcp)?;
    let mut again = viewer(7);
    let answer = login(&mut second, &mut again)?;
    assert_eq!(answer.error(), None);
    Ok(())
}

#[test]
fn second_allocation_of_a_peer_is_refused() -> Result<()> {
    let relay = Running::start(patient())?;
    let (mut first, mut second) = (OverUdp::to(relay.udp)?, OverUdp::to(relay.udp)?);
    enter(&mut first, &mut viewer(7))?;
    assert_eq!(login(&mut second, &mut viewer(7))?.error(), Some(486));
    assert!(second.is_silent()?, "and that is all it is told");
    Ok(())
}
