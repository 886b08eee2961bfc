//! Floods of datagrams at rtc's UDP socket and at the relay's.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use anyhow::{Context, Result};
use lumen_tests::{chance::Chance, patience::wait_for};

use crate::{
    attack::{Attack, Meant, Run, Siege, Target},
    stun::{
        ALLOCATE, ALLOCATE_ERROR, BINDING, BINDING_SUCCESS, MESSAGE_INTEGRITY, NONCE, REALM,
        REQUESTED_TRANSPORT, UDP, USERNAME, attribute, request,
    },
};

/// Datagrams a second: at 28 bytes of content a line of 2 Mbit/s, at 760 on average one of 30.
const RATE: u32 = 5_000;
/// The same where each asks for a message authentication code.
const DEAR: u32 = 2_000;
/// The attackers' sockets.
const SOCKETS: usize = 16;

pub(crate) fn attacks() -> Vec<Attack> {
    let silence = |name, run| Attack { name, run, meant: Meant::Silence };
    let answers = |name, run| Attack { name, run, meant: Meant::Answers };
    vec![
        silence("rtc: 5,000 malformed datagrams of 28 bytes a second", malformed as Run),
        silence("rtc: 5,000 random datagrams of 20–1500 bytes a second", random),
        silence("rtc: 5,000 STUN requests of strangers a second", checks),
        silence("rtc: 5,000 half DTLS, RTP and RTCP packets a second", fragments),
        silence("relay: 5,000 malformed or random datagrams a second", relay_noise),
        answers("relay: 5,000 STUN and TURN requests without a nonce a second", asked as Run),
        answers("relay: 2,000 TURN requests with a nonce, wrongly signed, a second", forged),
    ]
}

/// Sockets of different addresses.
fn sockets() -> Result<Vec<UdpSocket>> {
    let bound = |number: u8| {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 2, 0, number + 1), 0))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    (0..SOCKETS as u8).map(bound).collect()
}

/// Sends what `make` makes, from one address after another; what comes back may be of these types.
fn flood(
    to: SocketAddr,
    siege: &Siege,
    types: &[u16],
    mut make: impl FnMut(u64) -> Vec<u8>,
) -> Result<()> {
    let sockets = sockets()?;
    siege.strike(RATE, u64::MAX, |number| {
        let socket = sockets.get(number as usize % SOCKETS).context("a socket")?;
        // A full buffer loses it, as the network may.
        let _ = socket.send_to(&make(number), to);
        hear(socket, siege, types);
        Ok(())
    })
}

/// Takes what has come back.
fn hear(socket: &UdpSocket, siege: &Siege, types: &[u16]) {
    let mut answer = [0; 2048];
    while let Ok((length, _)) = socket.recv_from(&mut answer) {
        let answer = answer.get(..length).unwrap_or_default();
        siege.hears(answer, types.iter().any(|wanted| answer.starts_with(&wanted.to_be_bytes())));
    }
}

/// Random datagrams, made beforehand so that the attacker uses little of the processor.
fn noise(seed: u64, mut length: impl FnMut(&mut Chance) -> usize) -> Vec<Vec<u8>> {
    let mut chance = Chance::new(seed);
    let mut one = || {
        let length = length(&mut chance);
        (0..length).map(|_| chance.below(256) as u8).collect()
    };
    (0..256).map(|_| one()).collect()
}

/// What looks like a STUN message and is none.
fn malformed_message(number: u64) -> Vec<u8> {
    let mut message = request(BINDING, number, &[(USERNAME, b"abcd")]);
    // The attribute claims more than there is.
    message[23] = 200;
    message
}

fn malformed(target: &Target, siege: &Siege) -> Result<()> {
    flood(target.media, siege, &[], malformed_message)
}

fn random(target: &Target, siege: &Siege) -> Result<()> {
    let noise = noise(7, |chance| 20 + chance.below(1481));
    flood(target.media, siege, &[], |number| noise[number as usize % noise.len()].clone())
}

fn checks(target: &Target, siege: &Siege) -> Result<()> {
    flood(target.media, siege, &[], |number| {
        let name = format!("{number:08x}:stranger");
        let signature: (u16, &[u8]) = (MESSAGE_INTEGRITY, &[7; 20]);
        match number % 2 {
            0 => request(BINDING, number, &[]),
            _ => request(BINDING, number, &[(USERNAME, name.as_bytes()), signature]),
        }
    })
}

fn fragments(target: &Target, siege: &Siege) -> Result<()> {
    let noise = noise(8, |_| 120);
    flood(target.media, siege, &[], |number| {
        let mut packet = noise[number as usize % noise.len()].clone();
        // The first bytes of a handshake of DTLS 1.2, of RTP, of a receiver report.
        let head: &[u8] = match number % 3 {
            0 => &[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 107, 1, 0, 0, 95],
            1 => &[0x80, 96],
            _ => &[0x81, 201, 0, 7],
        };
        packet[..head.len()].copy_from_slice(head);
        packet
    })
}

fn relay_noise(target: &Target, siege: &Siege) -> Result<()> {
    let noise = noise(9, |chance| 20 + chance.below(481));
    flood(target.relay, siege, &[], |number| match number % 2 {
        0 => malformed_message(number),
        _ => noise[number as usize % noise.len()].clone(),
    })
}

fn asked(target: &Target, siege: &Siege) -> Result<()> {
    flood(target.relay, siege, &[BINDING_SUCCESS, ALLOCATE_ERROR], |number| match number % 2 {
        0 => request(BINDING, number, &[]),
        _ => request(ALLOCATE, number, &[(REQUESTED_TRANSPORT, &UDP)]),
    })
}

/// Each socket has a nonce of its own, because a nonce is bound to its address.
fn forged(target: &Target, siege: &Siege) -> Result<()> {
    let sockets = sockets()?;
    let nonces = sockets.iter().map(|socket| challenge(socket, target.relay));
    let nonces: Vec<(Vec<u8>, Vec<u8>)> = nonces.collect::<Result<_>>()?;
    siege.strike(DEAR, u64::MAX, |number| {
        let index = number as usize % SOCKETS;
        let (socket, (realm, nonce)) = (&sockets[index], &nonces[index]);
        let user = format!("{}:stranger", 2_000_000_000_u64 + number);
        let message = request(
            ALLOCATE,
            number,
            &[
                (REQUESTED_TRANSPORT, &UDP),
                (USERNAME, user.as_bytes()),
                (REALM, realm),
                (NONCE, nonce),
                (MESSAGE_INTEGRITY, &[7; 20]),
            ],
        );
        let _ = socket.send_to(&message, target.relay);
        hear(socket, siege, &[ALLOCATE_ERROR]);
        Ok(())
    })
}

/// The realm and the nonce that the relay gives a stranger.
fn challenge(socket: &UdpSocket, relay: SocketAddr) -> Result<(Vec<u8>, Vec<u8>)> {
    wait_for("the relay gives a nonce", || {
        // The relay answers strangers at a bounded rate, so it may have to be asked again.
        socket.send_to(&request(ALLOCATE, 0, &[(REQUESTED_TRANSPORT, &UDP)]), relay).ok()?;
        let mut answer = [0; 2048];
        let (length, _) = socket.recv_from(&mut answer).ok()?;
        let answer = answer.get(..length)?;
        Some((attribute(answer, REALM)?.to_vec(), attribute(answer, NONCE)?.to_vec()))
    })
}
