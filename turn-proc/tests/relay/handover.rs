//! Connections that the gateway accepts and hands over.

use std::{
    io::Read,
    net::{TcpListener, TcpStream},
    os::fd::AsFd,
};

use anyhow::Result;
use lumen_ipc::message::handover::{ToGateway, ToTurn};
use lumen_ipc_runtime::channel::Channel;

use crate::{
    client::Answer,
    exchange,
    path::{OverStream, PATIENCE, Path, over_tcp, tls_on},
    running::{Running, Setup, patient},
    viewer,
};

/// The gateway: a listener, and its end of the link.
struct Gateway {
    listener: TcpListener,
    link: Channel<ToGateway, ToTurn>,
}

impl Gateway {
    fn of(relay: &Running) -> Result<Self> {
        let (link, far) = Channel::pair()?;
        relay.hand_over(far)?;
        Ok(Self { listener: TcpListener::bind("127.0.0.1:0")?, link })
    }

    /// A client that connects, and is handed over as `what`.
    fn client(&self, what: ToTurn) -> Result<TcpStream> {
        let client = TcpStream::connect(self.listener.local_addr()?)?;
        client.set_read_timeout(Some(PATIENCE))?;
        let (accepted, _) = self.listener.accept()?;
        self.link.send(&what, &[accepted.as_fd()])?;
        Ok(client)
    }
}

fn is_closed(mut stream: TcpStream) -> bool {
    matches!(stream.read(&mut [0]), Ok(0) | Err(_))
}

#[test]
fn data_passes_over_a_connection_that_was_handed_over() -> Result<()> {
    let relay = Running::start(patient())?;
    let gateway = Gateway::of(&relay)?;
    exchange(&relay, &mut OverStream::on(gateway.client(ToTurn::Plain)?))
}

#[test]
fn data_passes_over_tls_on_a_connection_that_was_handed_over() -> Result<()> {
    let relay = Running::start(patient())?;
    let gateway = Gateway::of(&relay)?;
    exchange(&relay, &mut tls_on(gateway.client(ToTurn::Secured)?)?)
}

#[test]
fn connections_handed_over_meet_the_limits_of_accepted_ones() -> Result<()> {
    let relay = Running::start(Setup::default())?;
    let gateway = Gateway::of(&relay)?;
    let clients: Vec<_> = (0..60).map(|_| gateway.client(ToTurn::Plain)).collect::<Result<_>>()?;
    // More connections than the burst of one source.
    assert!(clients.into_iter().skip(40).all(is_closed));
    assert!(relay.figure("relay_connections_count") <= 32);
    Ok(())
}

#[test]
fn link_that_is_replaced_hands_over_and_the_old_one_is_closed() -> Result<()> {
    let relay = Running::start(patient())?;
    let (old, new) = (Gateway::of(&relay)?, Gateway::of(&relay)?);
    let mut path = OverStream::on(new.client(ToTurn::Plain)?);
    assert!(path.ask(&viewer(7).hello())?.error().is_some(), "it is served");
    assert!(old.client(ToTurn::Plain).is_err(), "and nobody listens to the old link");
    Ok(())
}

#[test]
fn link_that_breaks_the_contract_is_closed_and_others_are_served() -> Result<()> {
    let relay = Running::start(patient())?;
    let gateway = Gateway::of(&relay)?;
    // The descriptor is missing.
    let raw = gateway.link.as_fd().try_clone_to_owned()?;
    nix::sys::socket::send(
        std::os::fd::AsRawFd::as_raw_fd(&raw),
        &[0],
        nix::sys::socket::MsgFlags::empty(),
    )?;
    let answer: Answer = over_tcp(relay.tcp)?.ask(&viewer(7).hello())?;
    assert!(answer.error().is_some(), "strangers are challenged as before");
    assert!(gateway.client(ToTurn::Plain).is_err(), "and nobody listens to the link");
    Ok(())
}

#[test]
fn descriptor_that_is_no_connection_is_dropped_and_the_next_is_served() -> Result<()> {
    let relay = Running::start(patient())?;
    let gateway = Gateway::of(&relay)?;
    gateway.link.send(&ToTurn::Plain, &[std::io::stdin().as_fd()])?;
    let mut path = OverStream::on(gateway.client(ToTurn::Plain)?);
    assert!(path.ask(&viewer(7).hello())?.error().is_some());
    Ok(())
}
