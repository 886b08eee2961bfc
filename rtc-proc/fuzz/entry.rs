//! Entry points for fuzzing: one function per decoder of strangers' input. Shared by the fuzz
//! targets and by the test that runs their seeds.

mod connection;
mod http;
mod plain;
mod secured;
mod session;
#[allow(dead_code, reason = "the unit tests use more of it")]
#[path = "../src/peer/viewer.rs"]
mod viewer;

use std::{
    net::SocketAddr,
    sync::OnceLock,
    time::{Duration, Instant},
};

use lumen_ipc::{
    login::{Login, LoginId, Rights},
    message::{
        signalling::{ToGateway, ToRtc},
        transfer::ClipboardPolicy,
    },
    service::{Handover, RelayCredentials, ResizePolicy},
    sound::SoundKbps,
    text::{Secret, Text},
    tls::{Pair, PairForm},
    units::{Kbps, PeerId, SessionId},
};
use lumen_rtc::{
    gateway::{
        certificate::PageCertificate,
        opening::{Opening, classify},
    },
    peer::{Setup, decode, transfer},
    peers::{Output, Peers},
    relay::Relay,
};
use str0m::config::CryptoProvider;

const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 5000);
/// The encoder's bit rate.
const ENCODER: Kbps = Kbps::clamped(8000);
const BROWSER: ([u8; 4], u16) = ([10, 0, 0, 2], 6000);

/// A target: its name and what it does with an input.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All targets.
pub(crate) const TARGETS: &[Target] = &[
    ("certificate", certificate),
    ("channel", channel),
    ("datagram", datagram),
    ("http", http::http),
    ("offer", offer),
    ("opening", opening),
    ("relay", relay),
    ("rtp", secured::rtp),
    ("sctp", secured::sctp),
    ("session", session::session),
    ("signal", http::signal),
];

/// An offer made by Chromium.
pub(crate) const OFFER: &str = include_str!("seeds/offer/chromium");

/// A pair of a certificate and its key: as it is granted, and as two files after each other, of which the first
/// ends with a zero.
pub(crate) fn certificate(bytes: &[u8]) {
    let read = |granted: &[u8]| match PageCertificate::parse(granted) {
        Ok(page) => {
            let _ = page.untimely(Duration::from_secs(1_800_000_000)).map(|why| why.to_string());
            let _ = page.replaced_by(granted, Duration::ZERO);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    };
    read(bytes);
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (chain, key) = bytes.split_at(end);
    read(
        &Pair { form: PairForm::Pem, serial: 1, chain, key: key.get(1..).unwrap_or_default() }
            .encode(),
    );
}

/// A data-channel message.
pub(crate) fn channel(bytes: &[u8]) {
    let _ = decode::input(bytes);
    let _ = decode::motion(bytes);
    let _ = decode::pads(bytes);
    let _ = transfer::decode(bytes);
}

/// The first bytes of a connection on a port shared with the relay.
pub(crate) fn opening(bytes: &[u8]) {
    let handover = Handover { plain: true, name: Text::truncated("relay.example") };
    let opening = classify(bytes, &handover);
    let end = bytes.len() / 2;
    let earlier = bytes.get(..end).map(|part| classify(part, &handover));
    assert!(earlier == Some(Opening::Unfinished) || earlier == Some(opening));
}

/// An offer, and a candidate after it.
pub(crate) fn offer(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut peers = peers();
    join(&mut peers, Instant::now(), text);
    let candidate = Text::truncated(text);
    let found = ToRtc::CandidateFound { peer: PeerId(1), candidate };
    peers.signalling(Instant::now(), found).expect("a legal message");
    drain(&mut peers);
}

/// Datagrams for a peer that has made an offer; each is preceded by its length in two bytes.
pub(crate) fn datagram(mut bytes: &[u8]) {
    let mut peers = peers();
    join(&mut peers, Instant::now(), OFFER);
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (datagram, rest) = rest.split_at(length);
        let (from, to) = (SocketAddr::from(BROWSER), SocketAddr::from(SERVER));
        peers.datagram(Instant::now(), from, to, datagram);
        drain(&mut peers);
        bytes = rest;
    }
}

/// Datagrams from the relay, for a client that has asked it for an address; each is preceded by its
/// length in two bytes.
pub(crate) fn relay(mut bytes: &[u8]) {
    let now = Instant::now();
    let mut relay = Relay::new(SERVER.into(), &[SERVER.into()]).expect("an address");
    relay.renew(
        now,
        RelayCredentials {
            urls: Vec::new(),
            username: Text::truncated("name"),
            password: Secret::new("word").expect("short"),
            lifetime_seconds: 600,
        },
    );
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (datagram, rest) = rest.split_at(length);
        let _ = relay.unwrap(now, datagram);
        let sent = std::iter::from_fn(|| relay.poll_output()).count();
        assert!(sent <= 4, "{sent} datagrams for one");
        bytes = rest;
    }
}

fn peers() -> Peers {
    static SETUP: OnceLock<Setup> = OnceLock::new();
    peers_of(SETUP.get_or_init(|| setup(str0m::crypto::from_feature_flags())))
}

/// Peers whose connections hide nothing.
fn plain_peers() -> Peers {
    static SETUP: OnceLock<Setup> = OnceLock::new();
    peers_of(SETUP.get_or_init(|| setup(plain::provider())))
}

fn setup(provider: CryptoProvider) -> Setup {
    let candidates = vec![SocketAddr::from(SERVER)];
    Setup::with_provider(provider, candidates, ENCODER).expect("a certificate")
}

fn peers_of(setup: &Setup) -> Peers {
    Peers::new(setup.clone(), ENCODER, None, ClipboardPolicy::Both, ResizePolicy::Follow)
        .with_sound(SoundKbps::MAX)
}

/// Lets a peer join that may control, and makes its offer; returns the answer, if there is one.
fn join(peers: &mut Peers, now: Instant, sdp: &str) -> Option<String> {
    let peer = PeerId(1);
    let (session, rights) = (SessionId::SOLE, Rights { control: true });
    let login = Login { id: LoginId::OPEN, session, rights, expires_in_seconds: None };
    let joined = ToRtc::PeerJoined { peer, login, relay: None };
    peers.signalling(now, joined).expect("a legal message");
    let made = ToRtc::OfferMade { peer, sdp: Text::truncated(sdp) };
    peers.signalling(now, made).expect("a legal message");
    drain(peers)
}

fn drain(peers: &mut Peers) -> Option<String> {
    let mut answer = None;
    while let Some(output) = peers.poll_output() {
        match output {
            Output::Transmit(datagram) => assert!(!datagram.contents.is_empty()),
            Output::ToGateway(ToGateway::AnswerMade { sdp, .. }) => {
                answer = Some(sdp.into_string())
            }
            _ => {}
        }
    }
    answer
}
