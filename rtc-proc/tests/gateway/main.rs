//! The gateway as browsers meet it, well-behaved and not.

mod app;
mod crowd;
mod links;
mod login;
mod provider;
mod proxy;
mod relay;
mod rig;
mod sign_ins;
mod tls;
mod vouched;
mod watching;

use std::os::unix::net::UnixStream;

use futures::SinkExt;
use lumen_ipc::{
    message::signalling::{Reason, ToGateway, ToRtc},
    service::AuthMode,
};
use lumen_ipc_runtime::channel::ReceiveError;
use lumen_rtc::gateway::{login::MAX_LOGIN_BYTES, quota::MAX_CONNECTIONS_PER_HOLDER, shell::Event};
use rig::{
    ACCOUNT, ANSWER, ATTEMPT, Browser, COOKIE, KEY, RETRY_AFTER, Response, Rig, TOKEN,
    TOKEN_TOO_OFTEN, ticket,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

#[tokio::test]
async fn response_whatever_it_is_carries_the_security_headers() {
    let rig = Rig::start(AuthMode::Token).await;
    let responses = [
        (200, rig.get("/").await),
        (200, rig.get("/src/page/main.js").await),
        (200, rig.get("/healthz").await),
        (401, rig.get("/api/session").await),
        (403, rig.request("GET", "/ws/signal", "Origin: http://evil.example\r\n", "").await),
        (404, rig.get("/nothing").await),
        (405, rig.request("POST", "/", "", "").await),
        (405, rig.get("/login").await),
        (400, rig.exchange(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await),
    ];
    for (status, response) in responses {
        assert_eq!(response.status(), status, "{}", response.0);
        let policy = response.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'"), "{}", response.0);
        assert!(policy.contains("frame-ancestors 'none'"), "{}", response.0);
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(response.header(name), Some(value), "{}", response.0);
        }
        assert!(response.header("permissions-policy").is_some(), "{}", response.0);
        assert!(response.header("cache-control").is_some(), "{}", response.0);
        assert_eq!(response.header("access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn asset_known_version_is_not_sent_again() {
    let rig = Rig::start(AuthMode::Token).await;
    let first = rig.get("/style.css").await;
    assert_eq!(first.header("content-type"), Some("text/css; charset=utf-8"));
    let etag = first.header("etag").expect("a tag").to_owned();
    let again = rig.request("GET", "/style.css", &format!("If-None-Match: {etag}\r\n"), "").await;
    assert_eq!((again.status(), again.body()), (304, ""));
    let head = rig.request("HEAD", "/style.css", "", "").await;
    assert_eq!((head.status(), head.body()), (200, ""));
    assert_eq!(head.header("content-length"), first.header("content-length"));
}

#[tokio::test]
async fn asset_is_compressed_for_browsers_that_ask_for_it() {
    let rig = Rig::start(AuthMode::Token).await;
    let head = async |headers: &str| rig.request("HEAD", "/src/page/main.js", headers, "").await;
    let (plain, packed) = (head("").await, head("Accept-Encoding: gzip, br\r\n").await);
    let length_of = |response: &Response| {
        response.header("content-length").and_then(|length| length.parse::<u64>().ok())
    };
    let (long, short) = (length_of(&plain).expect("a length"), length_of(&packed).expect("one"));
    assert!(short > 0 && short * 2 < long, "{short} of {long} bytes");
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_ne!(plain.header("etag"), packed.header("etag"));
    for response in [plain, packed] {
        assert_eq!(response.header("vary"), Some("Accept-Encoding"));
        let known = format!("If-None-Match: {}\r\n", response.header("etag").expect("a tag"));
        assert_eq!(head(&known).await.status(), 304);
    }
}

#[tokio::test]
async fn asset_as_the_page_names_it_is_kept_and_the_page_is_not() {
    let rig = Rig::start(AuthMode::Token).await;
    let page = rig.get("/").await;
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    let style = page.body().split('"').find(|part| part.ends_with("/style.css")).expect("a style");
    let kept = rig.get(&format!("/{style}")).await;
    assert_eq!(
        (kept.status(), kept.header("content-type")),
        (200, Some("text/css; charset=utf-8"))
    );
    assert_eq!(kept.header("cache-control"), Some("max-age=31536000, immutable"));
    assert_eq!(rig.get("/style.css").await.header("cache-control"), Some("no-cache"));
    assert_eq!(rig.get("/0123456789abcdef/style.css").await.status(), 404);
}

#[tokio::test]
async fn login_right_token_sets_a_cookie_that_opens_the_session() {
    let rig = Rig::start(AuthMode::Token).await;
    let response = rig.log_in(&format!(r#"{{"token":"{TOKEN}"}}"#)).await;
    assert_eq!(response.status(), 200, "{}", response.0);
    assert_eq!(response.body(), format!(r#"{{"key":"{KEY}"}}"#));
    let port = rig.address.port();
    let cookie = format!("lumen-{port}.1={COOKIE}; Path=/; HttpOnly; SameSite=Strict");
    assert_eq!(response.header("set-cookie"), Some(cookie.as_str()));
    let session = rig.request("GET", "/api/session", &rig.shown(COOKIE), "").await;
    assert_eq!((session.status(), session.body()), (200, r#"{"hostname":"desk","signedIn":true}"#));
}

#[tokio::test]
async fn login_by_account_is_asked_for_the_password_and_its_right_answer_opens_the_session() {
    let rig = Rig::start(AuthMode::Password).await;
    let needed = rig.request("GET", "/api/session", &rig.shown("none"), "").await;
    assert_eq!((needed.status(), needed.header("lumen-sign-in")), (401, Some("password")));
    let asked = rig.log_in(&format!(r#"{{"account":"{ACCOUNT}"}}"#)).await;
    let question = r#"{"attempt":"attempt","prompts":[{"style":"secret","text":"Password: "}]}"#;
    assert_eq!((asked.status(), asked.body()), (202, question));
    assert_eq!(asked.header("set-cookie"), None);
    let answered = rig.log_in(&format!(r#"{{"attempt":"{ATTEMPT}","answers":["right"]}}"#)).await;
    assert_eq!((answered.status(), answered.body()), (200, &*format!(r#"{{"key":"{KEY}"}}"#)));
    assert!(answered.header("set-cookie").is_some());
    let answer = format!(r#"{{"attempt":"{ATTEMPT}","answers":["right and old"]}}"#);
    let said = r#"[{"style":"error","text":"Your password expires in 3 days."}]"#;
    let expected = format!(r#"{{"key":"{KEY}","said":{said}}}"#);
    assert_eq!(rig.log_in(&answer).await.body(), expected);
    // The token goes on opening its desktop.
    assert_eq!(rig.log_in(&format!(r#"{{"token":"{TOKEN}"}}"#)).await.status(), 200);
}

#[tokio::test]
async fn login_by_account_is_refused_alike_for_any_wrong_name_or_answer() {
    let rig = Rig::start(AuthMode::Password).await;
    let answer = |answer| format!(r#"{{"attempt":"{ATTEMPT}","answers":["{answer}"]}}"#);
    let refused = async |body: String| {
        let response = rig.log_in(&body).await;
        (response.status(), response.header("lumen-refusal").map(str::to_owned))
    };
    let denied = (401, Some("denied".to_owned()));
    for body in [
        answer("wrong"),
        r#"{"attempt":"of somebody else","answers":["right"]}"#.to_owned(),
        r#"{"account":"nobody"}"#.to_owned(),
        r#"{"account":"no account"}"#.to_owned(),
    ] {
        assert_eq!(refused(body.clone()).await, denied, "{body}");
    }
    assert_eq!(refused(answer("elsewhere")).await, (409, Some("no-desktop".to_owned())));
    let given_up = rig.log_in(&format!(r#"{{"attempt":"{ATTEMPT}"}}"#)).await;
    assert_eq!((given_up.status(), given_up.header("lumen-refusal")), (204, None));
}

#[tokio::test]
async fn login_anything_but_the_right_token_is_refused_with_its_own_status() {
    let rig = Rig::start(AuthMode::Token).await;
    assert_eq!(rig.log_in(r#"{"token":"wrong"}"#).await.status(), 401);
    assert_eq!(rig.log_in("not JSON").await.status(), 400);
    assert_eq!(rig.log_in(&"x".repeat(MAX_LOGIN_BYTES + 1)).await.status(), 413);
    let often = rig.log_in(&format!(r#"{{"token":"{TOKEN_TOO_OFTEN}"}}"#)).await;
    assert_eq!(often.status(), 429);
    assert_eq!(often.header("retry-after"), Some(RETRY_AFTER.to_string().as_str()));

    let body = format!(r#"{{"token":"{TOKEN}"}}"#);
    let own = format!("Origin: http://{}\r\n", rig.address);
    let json = "Content-Type: application/json\r\n";
    for (status, headers) in [
        (415, own.clone()),
        (415, format!("{own}Content-Type: text/plain\r\n")),
        (403, json.to_owned()),
        (403, format!("{json}Origin: http://evil.example\r\n")),
    ] {
        let response = rig.request("POST", "/login", &headers, &body).await;
        assert_eq!(response.status(), status, "{headers}");
        assert_eq!(response.header("set-cookie"), None);
    }
}

#[tokio::test]
async fn login_without_supervisor_is_unavailable_and_the_page_is_still_there() {
    let (_, theirs) = UnixStream::pair().expect("socketpair");
    let rig = Rig::start_with_broker(AuthMode::Token, theirs).await;
    let response = rig.log_in(&format!(r#"{{"token":"{TOKEN}"}}"#)).await;
    assert_eq!(response.status(), 503, "{}", response.0);
    assert_eq!(rig.get("/").await.status(), 200);
}

#[tokio::test]
async fn signal_foreign_origin_or_no_login_is_refused() {
    let rig = Rig::start(AuthMode::Token).await;
    let own = format!("http://{}", rig.address);
    assert_eq!(rig.open("http://evil.example", Some(COOKIE)).await.err(), Some(403));
    assert_eq!(rig.open("null", Some(COOKIE)).await.err(), Some(403));
    assert_eq!(rig.open(&own, None).await.err(), Some(401));
    assert_eq!(rig.open(&own, Some("stale")).await.err(), Some(401));
    assert!(rig.open(&own, Some(COOKIE)).await.is_ok());
}

#[tokio::test]
async fn host_other_than_loopback_without_login_is_refused() {
    let rig = Rig::start(AuthMode::None).await;
    let rebound = b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(rig.exchange(rebound).await.status(), 403);
    assert_eq!(rig.get("/").await.status(), 200);
    let own = format!("http://{}", rig.address);
    let mut browser = rig.open(&own, None).await.expect("no login is needed");
    browser.offer().await;
    rig.offered().await;
}

/// Sends an offer and receives its answer.
async fn is_served(rig: &Rig, browser: &mut Browser) {
    browser.offer().await;
    let peer = loop {
        match rig.heard().await {
            ToRtc::OfferMade { peer, .. } => break peer,
            ToRtc::PeerJoined { .. }
            | ToRtc::PeerGone { .. }
            | ToRtc::PeerResumed { .. }
            | ToRtc::SignallingLost { .. }
            | ToRtc::LoginRenewed { .. }
            | ToRtc::LoginEnded { .. }
            | ToRtc::CandidateFound { .. }
            | ToRtc::RelayRenewed { .. } => {}
        }
    };
    rig.answer(peer).await;
    assert_eq!(browser.hears().await, ANSWER);
}

#[tokio::test]
async fn signal_offer_and_candidates_reach_rtc_and_the_answer_comes_back() {
    let rig = Rig::start(AuthMode::Token).await;
    let mut browser = rig.browser().await;
    browser.offer().await;
    let peer = rig.offered().await;
    browser.say(r#"{"type":"candidate","candidate":"candidate:1"}"#).await;
    assert!(matches!(rig.heard().await, ToRtc::CandidateFound { peer: of, .. } if of == peer));
    rig.answer(peer).await;
    assert_eq!(browser.hears().await, ANSWER);
    let reason = Reason::new("full").expect("short");
    let closed = ToGateway::PeerClosed { peer, reason, retry: false };
    rig.rtc.send(&closed, &[]).await.expect("the gateway reads");
    assert_eq!(browser.hears().await, r#"{"type":"closed","reason":"full","retry":false}"#);
}

#[tokio::test]
async fn signal_bad_messages_close_their_sender_and_nobody_else() {
    let rig = Rig::start(AuthMode::Token).await;
    let mut witness = rig.browser().await;
    is_served(&rig, &mut witness).await;
    let frame = |opcode, payload: Vec<u8>| Message::Frame(Frame::message(payload, opcode, true));
    for (code, message) in [
        (1003, Message::binary(vec![1])),
        (1007, Message::text("not JSON")),
        (1007, Message::text(r#"{"type":"offer","sdp":"","extra":1}"#)),
        (1007, frame(OpCode::Data(Data::Text), vec![0xff, 0xfe])),
        (1009, Message::text("x".repeat(64 * 1024 + 1))),
        (1002, frame(OpCode::Data(Data::Reserved(3)), vec![])),
    ] {
        let mut rude = rig.browser().await;
        rude.0.send(message).await.expect("the gateway reads");
        assert_eq!(rude.close_code().await, code);
    }
    is_served(&rig, &mut witness).await;
}

#[tokio::test]
async fn signal_flood_is_closed() {
    let rig = Rig::start(AuthMode::Token).await;
    let mut browser = rig.browser().await;
    for _ in 0..200 {
        let text = r#"{"type":"candidate","candidate":"candidate:1"}"#;
        browser.0.feed(Message::text(text)).await.expect("the gateway reads");
    }
    browser.0.flush().await.expect("the gateway reads");
    assert_eq!(browser.close_code().await, 1008);
}

#[tokio::test]
async fn browser_that_leaves_takes_its_peer_along() {
    let rig = Rig::start(AuthMode::Token).await;
    let mut browser = rig.browser().await;
    browser.offer().await;
    let peer = rig.offered().await;
    browser.leave().await;
    assert_eq!(rig.heard().await, ToRtc::PeerGone { peer });
}

#[tokio::test]
async fn browser_whose_socket_is_cut_leaves_its_peer_and_resumes_it() {
    let rig = Rig::start(AuthMode::Token).await;
    let mut browser = rig.browser().await;
    is_served(&rig, &mut browser).await;
    drop(browser);
    assert!(matches!(rig.heard().await, ToRtc::SignallingLost { .. }));
    let mut browser = rig.browser().await;
    browser.say(r#"{"type":"resume","ticket":"ticket"}"#).await;
    let ToRtc::PeerResumed { peer, ticket: resumed, .. } = rig.heard().await else {
        panic!("the peer was not resumed")
    };
    assert_eq!(resumed, ticket());
    rig.answer(peer).await;
    assert_eq!(browser.hears().await, ANSWER);
}

#[tokio::test]
async fn browsers_of_two_sessions_reach_each_its_own_rtc() {
    let rig = Rig::start(AuthMode::Token).await;
    let (mut other, others_rtc) = rig.browser_elsewhere().await;
    let mut browser = rig.browser().await;
    other.offer().await;
    browser.offer().await;
    let peer = rig.offered().await;
    let ToRtc::PeerJoined { peer: others_peer, .. } =
        others_rtc.receive().await.expect("a message").message
    else {
        panic!("no introduction")
    };
    // A session that names every peer reaches its own viewers only.
    for peer in [peer, others_peer] {
        let reason = Reason::truncated("mine");
        let closed = ToGateway::PeerClosed { peer, reason, retry: false };
        others_rtc.send(&closed, &[]).await.expect("the gateway listens");
    }
    assert!(other.hears().await.contains("mine"));
    rig.answer(peer).await;
    assert_eq!(browser.hears().await, ANSWER);
}

#[tokio::test]
async fn rtc_that_breaks_the_contract_loses_its_link() {
    let rig = Rig::start(AuthMode::Token).await;
    nix::sys::socket::send(
        std::os::fd::AsRawFd::as_raw_fd(rig.rtc.channel()),
        &[0xff; 8],
        nix::sys::socket::MsgFlags::empty(),
    )
    .expect("a socket");
    assert!(matches!(rig.rtc.receive().await, Err(ReceiveError::Closed)));
    assert_eq!(rig.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn drain_closes_websockets_for_a_restart_and_ends() {
    let rig = Rig::start(AuthMode::Token).await;
    let mut browser = rig.browser().await;
    rig.events.send(Event::Drain).await.expect("the gateway serves");
    assert_eq!(browser.close_code().await, 1012);
    drop(browser);
    rig.served.await.expect("no panic").expect("no failure");
}

/// The clock of this test runs as soon as nothing else does.
#[tokio::test(start_paused = true)]
async fn request_that_never_ends_its_head_is_cut() {
    let rig = Rig::start(AuthMode::Token).await;
    for head in ["", "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "] {
        let mut stream = TcpStream::connect(rig.address).await.expect("the gateway listens");
        stream.write_all(head.as_bytes()).await.expect("room");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an end");
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
}

#[tokio::test]
async fn windows_beyond_the_share_of_a_login_are_refused() {
    let rig = Rig::start(AuthMode::Token).await;
    let mut held = Vec::new();
    for _ in 0..MAX_CONNECTIONS_PER_HOLDER {
        held.push(rig.browser().await);
    }
    let own = format!("http://{}", rig.address);
    assert_eq!(rig.open(&own, Some(COOKIE)).await.err(), Some(429));
    drop(held.pop());
    // The place is free once the gateway has seen the end: until then it refuses.
    while rig.open(&own, Some(COOKIE)).await.is_err() {
        tokio::task::yield_now().await;
    }
}
