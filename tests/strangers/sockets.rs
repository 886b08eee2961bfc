//! Strangers' connections and requests at the page's port.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use anyhow::{Context, Result};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::attack::{Attack, Meant, Run, Siege, Target};

pub(crate) fn attacks() -> Vec<Attack> {
    vec![
        answers("gateway: 200 wrong requests of all kinds a second", wrong_requests as Run),
        answers("gateway: 40 wrong tokens a second of 250 addresses", wrong_tokens),
        silence("gateway: 256 silent connections of 8 addresses", silent as Run),
        silence("gateway: up to 10,000 idle sockets, 2,500 opened a second", crowd),
        silence("gateway: 250 requests a byte at a time (slow loris)", slow_loris),
        answers("gateway: 100 requests with endless headers a second", large_headers),
        answers("gateway: 500 logins a second whose bodies never come", slow_bodies),
    ]
}

pub(crate) fn attacks_through_a_proxy() -> Vec<Attack> {
    vec![
        answers("proxy: 40 wrong tokens a second of 250 browsers", proxied_tokens as Run),
        silence("proxy: 256 half requests of 8 browsers", proxied_silence as Run),
        silence("past the proxy: 256 silent connections of 8 addresses", silent),
    ]
}

fn answers(name: &'static str, run: Run) -> Attack {
    Attack { name, run, meant: Meant::Answers }
}

fn silence(name: &'static str, run: Run) -> Attack {
    Attack { name, run, meant: Meant::Silence }
}

/// Where the proxy that is trusted connects from.
const PROXY: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Connects from the stranger of this number: every address of 127.0.0.0/8 leads here.
fn connection(door: SocketAddr, number: u64) -> Result<TcpStream> {
    let [.., high, low] = number.to_be_bytes();
    connection_from(Ipv4Addr::new(127, 3, high, low), door)
}

fn connection_from(own: Ipv4Addr, door: SocketAddr) -> Result<TcpStream> {
    let IpAddr::V4(ip) = door.ip() else { anyhow::bail!("strangers know IPv4 only") };
    let own = SockaddrIn::from(std::net::SocketAddrV4::new(own, 0));
    let flags = SockFlag::SOCK_CLOEXEC;
    let end: OwnedFd = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
    setsockopt(&end.as_fd(), sockopt::ReuseAddr, &true)?;
    let raw = std::os::fd::AsRawFd::as_raw_fd(&end);
    bind(raw, &own)?;
    connect(raw, &SockaddrIn::from(std::net::SocketAddrV4::new(ip, door.port())))?;
    let stream = TcpStream::from(end);
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    Ok(stream)
}

/// Says something and hangs up once there is an answer, or none for a second: a gateway that has enough of
/// this address closes at any time. The answer must have one of these statuses.
fn ask(siege: &Siege, mut stream: TcpStream, words: &[u8], statuses: &[u16]) -> Result<()> {
    let _ = stream.write_all(words);
    let mut answer = [0; 512];
    let length = stream.read(&mut answer).unwrap_or_default();
    let answer = answer.get(..length).unwrap_or_default();
    let has = |status: &u16| answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes());
    siege.hears(answer, statuses.iter().any(has));
    Ok(())
}

fn login(door: SocketAddr, token: &str, more: &str) -> String {
    let body = format!(r#"{{"token":"{token}"}}"#);
    format!(
        "POST /login HTTP/1.1\r\nHost: {door}\r\nOrigin: http://{door}\r\n{more}\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn wrong_requests(target: &Target, siege: &Siege) -> Result<()> {
    let door = target.door;
    // Each with the statuses it may be answered with.
    let wrong: [(String, &[u16]); 6] = [
        (
            "GET /nothing HTTP/1.1\r\nHost: elsewhere.example\r\nConnection: close\r\n\r\n"
                .to_owned(),
            &[404],
        ),
        (
            format!("GET /../../etc/passwd HTTP/1.1\r\nHost: {door}\r\nConnection: close\r\n\r\n"),
            &[404],
        ),
        (
            format!(
                "POST /login HTTP/1.1\r\nHost: {door}\r\nOrigin: http://elsewhere.example\r\n\
                 Content-Length: 2\r\nConnection: close\r\n\r\n{{}}"
            ),
            &[403],
        ),
        (login(door, "\\u0000", ""), &WRONG),
        (
            format!(
                "GET /ws/signal HTTP/1.1\r\nHost: {door}\r\nOrigin: http://{door}\r\n\
                 Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Protocol: lumen\r\n\
                 Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            ),
            &[401],
        ),
        ("\u{16}\u{3}\u{1} no protocol at all\r\n\r\n".to_owned(), &[400]),
    ];
    siege.strike(200, u64::MAX, |number| {
        let (words, statuses) = wrong.get(number as usize % wrong.len()).context("a request")?;
        ask(siege, connection(door, number % 1000)?, words.as_bytes(), statuses)
    })
}

/// Statuses of a wrong token: it is wrong, or one of too many.
const WRONG: [u16; 2] = [401, 429];

fn wrong_tokens(target: &Target, siege: &Siege) -> Result<()> {
    siege.strike(40, u64::MAX, |number| {
        let guess = login(target.door, &format!("{number:064x}"), "");
        ask(siege, connection(target.door, number % 250)?, guess.as_bytes(), &WRONG)
    })
}

fn proxied_tokens(target: &Target, siege: &Siege) -> Result<()> {
    siege.strike(40, u64::MAX, |number| {
        let forwarded = forwarded(target, number % 250);
        let guess = login(target.door, &format!("{number:064x}"), &forwarded);
        ask(siege, connection_from(PROXY, target.door)?, guess.as_bytes(), &WRONG)
    })
}

/// The headers with which a proxy passes on a browser.
fn forwarded(target: &Target, browser: u64) -> String {
    format!(
        "X-Forwarded-For: 203.0.113.{browser}\r\nX-Forwarded-Host: {}\r\nX-Forwarded-Proto: http\r\n",
        target.door
    )
}

fn silent(target: &Target, siege: &Siege) -> Result<()> {
    let mut held = Vec::new();
    siege.strike(500, 256, |number| {
        held.push(connection(target.door, number % 8)?);
        Ok(())
    })?;
    siege.hold();
    Ok(())
}

fn proxied_silence(target: &Target, siege: &Siege) -> Result<()> {
    let mut held = Vec::new();
    siege.strike(500, 256, |number| {
        let mut stream = connection_from(PROXY, target.door)?;
        let request = login(target.door, "", &forwarded(target, number % 8));
        let half = request.len() - 4;
        // One that had to make room takes nothing any more.
        let _ = stream.write_all(request.as_bytes().get(..half).context("half of it")?);
        held.push(stream);
        Ok(())
    })?;
    siege.hold();
    Ok(())
}

fn crowd(target: &Target, siege: &Siege) -> Result<()> {
    const SOCKETS: u64 = 10_000;
    let (limit, wanted) = (getrlimit(Resource::Nofile), SOCKETS + 2000);
    let room = limit.maximum.is_none_or(|most| most >= wanted);
    anyhow::ensure!(room, "this test holds {wanted} descriptors, and may hold {:?}", limit.maximum);
    let current = limit.current.map(|soft| soft.max(wanted));
    setrlimit(Resource::Nofile, Rlimit { current, maximum: limit.maximum })?;
    let mut held = Vec::new();
    siege.strike(2_500, SOCKETS, |number| {
        held.push(connection(target.door, number % 1000)?);
        Ok(())
    })?;
    siege.hold();
    Ok(())
}

fn slow_loris(target: &Target, siege: &Siege) -> Result<()> {
    let open = |number: u64| -> Result<TcpStream> {
        let mut stream = connection(target.door, number % 25)?;
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nX-Slow: ");
        Ok(stream)
    };
    let mut held = (0..250).map(open).collect::<Result<Vec<_>>>()?;
    // Each has another byte four times a second; who is hung up on comes again.
    siege.strike(1_000, u64::MAX, |number| {
        let index = number as usize % held.len();
        if held[index].write_all(b"a").is_err() {
            held[index] = open(number)?;
        }
        Ok(())
    })
}

fn large_headers(target: &Target, siege: &Siege) -> Result<()> {
    // More than a head may have.
    let lines = format!("X-Large: {}\r\n", "a".repeat(8000)).repeat(3);
    let words = format!("GET / HTTP/1.1\r\nHost: {}\r\n{lines}", target.door);
    siege.strike(100, u64::MAX, |number| {
        ask(siege, connection(target.door, number % 250)?, words.as_bytes(), &[431])
    })
}

/// The gateway says when it begins to read the body.
fn slow_bodies(target: &Target, siege: &Siege) -> Result<()> {
    let door = target.door;
    let words = format!(
        "POST /login HTTP/1.1\r\nHost: {door}\r\nOrigin: http://{door}\r\nExpect: 100-continue\r\n\
         Content-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    );
    let mut held = VecDeque::new();
    siege.strike(500, u64::MAX, |number| {
        let stream = connection(door, number % 1000)?;
        ask(siege, stream.try_clone()?, words.as_bytes(), &[100])?;
        held.push_back(stream);
        if held.len() > 1000 {
            held.pop_front();
        }
        Ok(())
    })
}
