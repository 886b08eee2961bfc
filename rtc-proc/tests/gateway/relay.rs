//! The gateway and the relay: credentials for browsers, and a port that both share.

use std::{collections::BTreeSet, io::ErrorKind};

use lumen_ipc::{
    message::{handover::ToTurn, signalling::ToRtc},
    service::Handover,
    text::Text,
};
use lumen_rtc::gateway::shell::Event;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::rig::{OTHER_COOKIE, RelayLink, Rig, handover_link};

const BINDING: [u8; 8] = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];

fn plain() -> Handover {
    Handover { plain: true, name: Text::default() }
}

/// The connection that is handed over next, and the bytes that can be read from it at once.
async fn handed_over(relay: &RelayLink) -> (ToTurn, Vec<u8>) {
    let mut received = relay.receive().await.expect("a message");
    let stream = std::net::TcpStream::from(received.descriptors.remove(0));
    stream.set_nonblocking(true).expect("a socket");
    let stream = TcpStream::from_std(stream).expect("a socket");
    let mut bytes = vec![0; 1000];
    loop {
        stream.readable().await.expect("a socket");
        match stream.try_read(&mut bytes) {
            Ok(count) => {
                bytes.truncate(count);
                return (received.message, bytes);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
}

#[tokio::test]
async fn connection_that_speaks_stun_is_handed_over_with_all_its_bytes() {
    let (rig, relay) = Rig::start_with_relay(plain()).await;
    let mut client = TcpStream::connect(rig.address).await.expect("the gateway listens");
    client.set_nodelay(true).expect("a socket");
    for byte in BINDING {
        client.write_all(&[byte]).await.expect("room");
        tokio::task::yield_now().await;
    }
    assert_eq!(handed_over(&relay).await, (ToTurn::Plain, BINDING.to_vec()));
    assert_eq!(rig.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn connection_that_only_looks_like_stun_is_refused_by_http() {
    let (rig, _relay) = Rig::start_with_relay(plain()).await;
    let response = rig.exchange(&[0, 1, 0, 0, 9, 9, 9, 9, b'\n']).await;
    assert!(!response.0.contains(" 200 "), "{}", response.0);
}

#[tokio::test]
async fn connection_while_there_is_no_relay_is_closed_and_the_next_relay_gets_the_next() {
    let (rig, relay) = Rig::start_with_relay(plain()).await;
    drop(relay);
    let mut client = TcpStream::connect(rig.address).await.expect("the gateway listens");
    client.write_all(&BINDING).await.expect("room");
    // End of file or a reset: what was sent was never read.
    assert!(matches!(client.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    let (gateway, relay) = handover_link();
    rig.events.send(Event::HandoverReplaced(gateway)).await.expect("the gateway serves");
    // Served after the event: both go through one queue.
    let mut client = TcpStream::connect(rig.address).await.expect("the gateway listens");
    client.write_all(&BINDING).await.expect("room");
    assert_eq!(handed_over(&relay).await.0, ToTurn::Plain);
}

/// The clock of this test runs as soon as nothing else does.
#[tokio::test(start_paused = true)]
async fn connection_that_never_says_what_it_is_is_cut() {
    let (rig, _relay) = Rig::start_with_relay(plain()).await;
    for opening in [&b""[..], &BINDING[..7]] {
        let mut stream = TcpStream::connect(rig.address).await.expect("the gateway listens");
        stream.write_all(opening).await.expect("room");
        assert!(matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    }
}

#[tokio::test]
async fn browser_is_welcomed_with_credentials_and_rtc_gets_its_half() {
    let (rig, _relay) = Rig::start_with_relay(Handover::default()).await;
    let mut browser = rig.newcomer().await;
    let welcome = browser.hears().await;
    assert!(welcome.starts_with(r#"{"type":"welcome","relay":{"urls":["turn:*:3478"]"#));
    assert!(welcome.contains(r#""username":"viewer 1","credential":"peer-"#), "{welcome}");
    browser.offer().await;
    let ToRtc::PeerJoined { relay: Some(relay), .. } = rig.heard().await else {
        panic!("no relay credentials")
    };
    assert_eq!(relay.username.as_str(), "rtc 1");
    let next = browser.hears().await;
    assert!(next.starts_with(r#"{"type":"relay","relay":{"#), "{next}");
    assert!(next.ends_with(r#""restarted":false}"#), "{next}");
}

#[tokio::test]
async fn relay_replaced_is_told_to_every_browser() {
    let (rig, _relay) = Rig::start_with_relay(Handover::default()).await;
    let mut browser = rig.newcomer().await;
    browser.hears().await;
    let (gateway, _next) = handover_link();
    rig.events.send(Event::HandoverReplaced(gateway)).await.expect("the gateway serves");
    let told = browser.hears().await;
    assert!(told.ends_with(r#""restarted":true}"#), "{told}");
}

#[tokio::test]
async fn probe_is_answered_with_credentials_of_its_own() {
    let (rig, _relay) = Rig::start_with_relay(Handover::default()).await;
    let mut browser = rig.newcomer().await;
    let welcome = browser.hears().await;
    browser.say(r#"{"type":"probe"}"#).await;
    let probe = browser.hears().await;
    assert!(probe.starts_with(r#"{"type":"probe","relay":{"#), "{probe}");
    assert_ne!(welcome.split("credential").nth(1), probe.split("credential").nth(1));
}

#[tokio::test]
async fn probes_of_one_browser_leave_the_next_login_its_relay() {
    let (rig, _relay) = Rig::start_with_relay(Handover::default()).await;
    let mut greedy = rig.newcomer().await;
    greedy.hears().await;
    let mut given = BTreeSet::new();
    for _ in 0..90 {
        greedy.say(r#"{"type":"probe"}"#).await;
        let probe = greedy.hears().await;
        assert!(probe.starts_with(r#"{"type":"probe","relay":{"#), "{probe}");
        given.insert(probe);
    }
    assert!(given.len() < 30, "{} credentials were minted", given.len());
    let own = format!("http://{}", rig.address);
    let mut next = rig.open(&own, Some(OTHER_COOKIE)).await.expect("another login");
    assert!(next.hears().await.starts_with(r#"{"type":"welcome","relay":{"#));
}
