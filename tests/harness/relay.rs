//! The relay of a running Lumen, as somebody who has no credentials sees it.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use anyhow::{Context, Result};
use lumen_ipc::{process::Worker, service::HostStatus};

/// A Binding request (RFC 8489, section 6.3.1), and how an answer begins.
const REQUEST: [u8; 20] = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const ANSWER: [u8; 2] = [1, 1];
/// The longest time until an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a relay listens, on loopback.
///
/// # Errors
/// When the host has none.
pub fn address_of(status: &HostStatus) -> Result<SocketAddr> {
    let turn = status.processes().find(|one| one.process.kind() == Worker::Turn);
    let summary = turn.context("there is no relay")?.summary.as_str();
    let port = summary.strip_prefix("port ").and_then(|rest| rest.split(',').next());
    let port = port.with_context(|| format!("no port in `{summary}`"))?.parse()?;
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// Whether a datagram is answered.
///
/// # Errors
/// When it cannot be sent.
pub fn answers_datagram(relay: SocketAddr) -> Result<bool> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(&REQUEST, relay)?;
    let mut answer = [0; 64];
    Ok(socket.recv(&mut answer).is_ok() && answer.starts_with(&ANSWER))
}

/// Whether a request on a connection is answered.
///
/// # Errors
/// When nobody listens.
pub fn answers_stream(relay: SocketAddr) -> Result<bool> {
    let mut stream = TcpStream::connect(relay)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&REQUEST)?;
    let mut answer = [0; 2];
    Ok(stream.read_exact(&mut answer).is_ok() && answer == ANSWER)
}
