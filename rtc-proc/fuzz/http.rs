//! What the gateway makes of a request's head, of a login's body, and of messages on the WebSocket.

use std::net::{IpAddr, Ipv4Addr};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use lumen_ipc::{
    front_door::{BasePath, Listen, Network},
    tls::Tls,
    vouching::VoucherHeader,
};
use lumen_rtc::gateway::{
    assets::Asset,
    cookie::LoginCookie,
    forwarded::{Asker, Sender},
    halves::Halves,
    login,
    path::{self, Place},
    refusal::Refusal,
    signal,
    voucher::{self, Door},
};

const PROXY: &str = "10.0.0.1";

/// A request's head: the path in the first line, then a header in each line, with its name first.
/// It comes from a stranger, from a trusted proxy, and through a Unix socket.
pub(crate) fn http(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let target = String::from_utf8_lossy(lines.next().unwrap_or_default());
    find(&target);
    let mut headers = HeaderMap::new();
    for line in lines.take(64) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = parts.next().and_then(|name| HeaderName::from_bytes(name).ok());
        let value = parts.next().and_then(|value| HeaderValue::from_bytes(value).ok());
        if let (Some(name), Some(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let trusted: Vec<Network> =
        [PROXY, "2001:db8:1::/48"].map(|text| text.parse().expect("a network")).into();
    let stranger = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    for address in [Some(stranger), PROXY.parse().ok(), None] {
        let sender = Sender::of(address, &trusted);
        match Asker::of(&headers, (sender, false), &trusted) {
            Ok(asker) => {
                assert!(sender.trusted || asker.source == stranger, "a stranger is believed");
                let _ = (asker.host.is_loopback(), asker.host.to_string());
                if let Err(refusal) = asker.judge_origin(&headers) {
                    show(&refusal);
                }
            }
            Err(refusal) => show(&refusal),
        }
    }
    vouched(&headers);
    for listen in ["127.0.0.1:8080", "unix:/run/lumen"] {
        let cookie = LoginCookie::of(&listen.parse::<Listen>().expect("an address"), Tls::Off);
        if let Some((session, key)) = Halves::joined(&cookie, &headers) {
            assert!(!key.reveal().is_empty());
            assert!(!cookie.surplus(&headers, session).contains(&session));
            // Such a value came in a header, so it may go out in one.
            assert!(cookie.keep(session, &key, "/", true).is_ok());
        }
    }
    let first = headers.values().next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let _ = login::is_json(first);
    if let Some(asset) = Asset::find("/") {
        let _ = asset.is_known_by(first);
    }
}

/// Only a header on the proxy's own connection names an account, and then there is one such header.
fn vouched(headers: &HeaderMap) {
    let voucher: VoucherHeader = "X-Remote-User".parse().expect("legal");
    for door in [Door::Browsers, Door::Proxy, Door::Strangers] {
        match voucher::named(headers, door, Some(&voucher)) {
            Ok(Some(account)) => {
                assert_eq!(door, Door::Proxy);
                assert_eq!(headers.get_all(voucher.as_str()).iter().count(), 1);
                assert!(
                    headers.keys().filter(|name| voucher.resembles(name.as_str())).count() == 1
                );
                assert!(!account.as_str().contains(','));
            }
            Ok(None) => assert!(!headers.keys().any(|name| voucher.resembles(name.as_str()))),
            Err(fault) => show(&Refusal::Distrusted(fault)),
        }
    }
}

fn find(target: &str) {
    for base in ["/", "/desk/"] {
        let base: BasePath = base.parse().expect("a base path");
        if let Place::Inside { path, .. } = path::find(&base, target) {
            assert!(target.ends_with(path));
            let (_, _) = (Asset::find(path), Asset::find_lasting(path));
        }
    }
}

/// A sentence of a refusal quotes nothing that could steer a terminal.
fn show(refusal: &Refusal) {
    let shown = format!("{refusal}{}", refusal.for_the_log());
    assert!(shown.chars().all(|letter| letter == ' ' || letter.is_ascii_graphic()), "{shown:?}");
    let _ = (refusal.word(), refusal.status(), refusal.retry_after_seconds());
}

/// A message on the signalling WebSocket, and the body of a login.
pub(crate) fn signal(bytes: &[u8]) {
    // What it holds is bounded by its types; it must be refused or read, and nothing else.
    let _ = login::parse(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = signal::parse(text);
    }
}
