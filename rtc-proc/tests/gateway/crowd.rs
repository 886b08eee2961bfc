//! Strangers who take up connections and say nothing, or never finish, from one address or from many:
//! they shut nobody out, and end nobody who has signed in.

use std::net::{Ipv4Addr, SocketAddr};

use lumen_ipc::{
    service::{AuthMode, Handover},
    text::Text,
};
use lumen_rtc::gateway::quota::{MAX_CONNECTIONS, MAX_CONNECTIONS_PER_HOLDER, MAX_STRANGERS};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::{
    is_served,
    rig::{Browser, KEY, Rig, TOKEN},
};

/// What a stranger says, if anything: nothing, half a request, half of what is the relay's.
const OPENINGS: [&[u8]; 4] = [
    b"",
    b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ",
    b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n{",
    &[0, 1, 0, 0],
];

/// The address of the stranger of this number: every one of 127.0.0.0/8 leads here.
fn address(number: usize) -> SocketAddr {
    let [.., high, low] = number.to_be_bytes();
    (Ipv4Addr::new(127, 1, high, low), 0).into()
}

/// A stranger's connection, which has said this much.
async fn connect(rig: &Rig, from: usize, opening: &[u8]) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(address(from)).expect("the loopback");
    let mut stream = socket.connect(rig.address).await.expect("the gateway listens");
    // One that had to make room already takes nothing.
    let _ = stream.write_all(opening).await;
    stream
}

/// Signs in as a page does, and opens its WebSocket.
async fn signs_in(rig: &Rig) -> Browser {
    let response = rig.log_in(&format!(r#"{{"token":"{TOKEN}"}}"#)).await;
    assert_eq!((response.status(), response.body()), (200, &*format!(r#"{{"key":"{KEY}"}}"#)));
    rig.browser().await
}

async fn crowd_shuts_nobody_out(count: usize, addresses: usize) {
    let rig = Rig::start(AuthMode::Token).await;
    let mut early = rig.browser().await;
    let mut crowd = Vec::new();
    for (number, opening) in (0..count).zip(OPENINGS.iter().cycle()) {
        crowd.push(connect(&rig, number % addresses, opening).await);
    }
    let mut late = signs_in(&rig).await;
    for browser in [&mut early, &mut late] {
        is_served(&rig, browser).await;
    }
    // The first had to make room for the last.
    let mut first = crowd.swap_remove(0);
    assert!(matches!(first.read(&mut [0; 1]).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn strangers_of_one_address_shut_nobody_out() {
    crowd_shuts_nobody_out(2 * MAX_CONNECTIONS_PER_HOLDER, 1).await;
}

#[tokio::test]
async fn strangers_of_eight_addresses_shut_nobody_out() {
    crowd_shuts_nobody_out(MAX_CONNECTIONS, 8).await;
}

#[tokio::test]
async fn strangers_of_an_address_each_shut_nobody_out() {
    crowd_shuts_nobody_out(2 * MAX_CONNECTIONS, 2 * MAX_CONNECTIONS).await;
}

#[tokio::test]
async fn ten_thousand_sockets_that_stay_open_shut_nobody_out() {
    const SOCKETS: usize = 10_000;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let wanted = (SOCKETS + 2000) as u64;
    assert!(hard >= wanted, "this test holds {wanted} descriptors, and may hold {hard}");
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(wanted), hard).expect("below the hard limit");
    crowd_shuts_nobody_out(SOCKETS, 1000).await;
}

#[tokio::test]
async fn strangers_shut_nobody_out_where_the_port_is_the_relays_too() {
    let shared = Handover { plain: true, name: Text::default() };
    let (rig, _relay) = Rig::start_with_relay(shared).await;
    let mut crowd = Vec::new();
    for (number, opening) in (0..2 * MAX_CONNECTIONS).zip(OPENINGS.iter().cycle()) {
        crowd.push(connect(&rig, number % 8, opening).await);
    }
    let mut browser = rig.newcomer().await;
    assert!(browser.hears().await.starts_with(r#"{"type":"welcome""#));
}

/// Says something, and reads an answer that ends like this.
async fn hears(stream: &mut TcpStream, words: &str, end: &str) {
    stream.write_all(words.as_bytes()).await.expect("the gateway listens");
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        let mut piece = [0; 512];
        let length = stream.read(&mut piece).await.expect("an answer");
        assert!(length > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..length]);
    }
}

#[tokio::test]
async fn logins_whose_bodies_never_come_give_way_before_a_browser_that_was_answered() {
    let rig = Rig::start(AuthMode::Token).await;
    let address = rig.address;
    let ask = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n");
    // The gateway asks for the body when it begins to read it.
    let stall = format!(
        "POST /login HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nExpect: 100-continue\r\n\
         Content-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    );
    let mut stalled = Vec::new();
    for number in 1..MAX_STRANGERS {
        let mut stream = connect(&rig, number, b"").await;
        hears(&mut stream, &stall, "100 Continue\r\n\r\n").await;
        stalled.push(stream);
    }
    let mut browser = connect(&rig, 0, b"").await;
    hears(&mut browser, &ask, "ok\n").await;
    let mut another = connect(&rig, MAX_STRANGERS, b"").await;
    hears(&mut another, &ask, "ok\n").await;
    assert!(matches!(stalled[0].read(&mut [0; 1]).await, Ok(0) | Err(_)));
    hears(&mut browser, &ask, "ok\n").await;
}
