//! How long a login lasts and what ends with it, over a gateway's real sockets.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use lumen_ipc::{message::signalling::ToRtc, service::AuthMode};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use crate::rig::{
    Browser, COOKIE, KEY, LOGIN, OTHER_COOKIE, Response, Rig, TOKEN, TOKEN_UNANSWERED,
};

/// More than the concurrent requests of the supervisor's link, and fewer connections than one login
/// may have.
const MANY: usize = 20;
/// The number of concurrent sign-ins.
const AT_ONCE: u32 = 8;
/// Less than the interval at which a login is resumed.
const PATIENCE: Duration = Duration::from_secs(20);

async fn sign_out(rig: &Rig, cookie: &str) -> Response {
    let headers = format!("Origin: http://{}\r\n{}", rig.address, rig.shown(cookie));
    rig.request("POST", "/api/sign-out", &headers, "").await
}

/// A browser of another login, which has been welcomed.
async fn stranger(rig: &Rig) -> Browser {
    let own = format!("http://{}", rig.address);
    let mut browser = rig.open(&own, Some(OTHER_COOKIE)).await.expect("another login");
    assert!(browser.hears().await.contains("welcome"));
    browser
}

async fn hears_the_end(browser: &mut Browser) {
    assert_eq!(browser.hears().await, r#"{"type":"loginEnded"}"#);
    assert_eq!(browser.close_code().await, 1008);
}

#[tokio::test]
async fn sign_out_ends_the_cookie_and_every_window_and_peer_of_it_and_nobody_elses() {
    let (rig, _) = Rig::start_with_logins().await;
    let (mut one, mut two) = (rig.browser().await, rig.browser().await);
    let mut other = stranger(&rig).await;
    one.offer().await;
    let peer = rig.offered().await;
    let response = sign_out(&rig, COOKIE).await;
    assert_eq!(response.status(), 204, "{}", response.0);
    let cookie = response.header("set-cookie").expect("an expired cookie");
    assert!(cookie.contains("=; Path=/;") && cookie.ends_with("; Max-Age=0"), "{cookie}");
    hears_the_end(&mut one).await;
    hears_the_end(&mut two).await;
    assert_eq!(rig.heard().await, ToRtc::PeerGone { peer });
    assert_eq!(rig.heard().await, ToRtc::LoginEnded { login: LOGIN });
    let own = format!("http://{}", rig.address);
    assert_eq!(rig.open(&own, Some(COOKIE)).await.err(), Some(401));
    other.offer().await;
    rig.offered().await;
}

#[tokio::test]
async fn sign_out_of_one_session_is_no_news_for_the_rtc_of_another() {
    let (rig, _) = Rig::start_with_logins().await;
    let mut one = rig.browser().await;
    let (mut other, others_rtc) = rig.browser_elsewhere().await;
    assert_eq!(sign_out(&rig, COOKIE).await.status(), 204);
    hears_the_end(&mut one).await;
    other.offer().await;
    let heard = others_rtc.receive().await.expect("a message").message;
    assert!(matches!(heard, ToRtc::PeerJoined { .. }), "{heard:?}");
}

#[tokio::test]
async fn sign_out_from_a_foreign_page_ends_nothing_and_twice_is_no_fault() {
    let (rig, logins) = Rig::start_with_logins().await;
    let foreign = format!("Origin: http://evil.example\r\n{}", rig.shown(COOKIE));
    assert_eq!(rig.request("POST", "/api/sign-out", &foreign, "").await.status(), 403);
    assert!(!logins.ended.load(Ordering::Relaxed));
    assert_eq!(sign_out(&rig, COOKIE).await.status(), 204);
    assert_eq!(sign_out(&rig, COOKIE).await.status(), 204);
}

#[tokio::test]
async fn sign_out_ends_everything_of_a_login_though_its_page_does_not_wait() {
    let (rig, logins) = Rig::start_with_logins().await;
    let mut window = rig.browser().await;
    logins.is_slow.send_replace(true);
    let mut signed_out = logins.signed_out.subscribe();
    let (address, shown) = (rig.address, rig.shown(COOKIE));
    let mut page = TcpStream::connect(address).await.expect("the gateway listens");
    let request = format!(
        "POST /api/sign-out HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\n\
         Content-Length: 0\r\n{shown}\r\n"
    );
    page.write_all(request.as_bytes()).await.expect("the gateway reads");
    signed_out.wait_for(|count| *count > 0).await.expect("the gateway asks");
    drop(page);
    // Once the gateway has served another connection, it has seen the end of that one.
    assert_eq!(rig.get("/healthz").await.status(), 200);
    logins.is_slow.send_replace(false);
    within(hears_the_end(&mut window)).await;
    assert_eq!(rig.heard().await, ToRtc::LoginEnded { login: LOGIN });
}

#[tokio::test]
async fn login_that_ends_while_a_websocket_opens_ends_that_too() {
    let (rig, logins) = Rig::start_with_logins().await;
    logins.ends_once_resumed.store(true, Ordering::Relaxed);
    let mut browser = rig.newcomer().await;
    within(async { while browser.hears().await != r#"{"type":"loginEnded"}"# {} }).await;
    assert_eq!(browser.close_code().await, 1008);
}

/// Fails if `this` takes much longer than it should.
async fn within<T>(this: impl Future<Output = T>) -> T {
    timeout(PATIENCE, this).await.expect("in time")
}

/// The clock of this test runs as soon as nothing else does.
#[tokio::test(start_paused = true)]
async fn login_of_an_open_page_is_kept_alive_and_its_end_is_told() {
    let (rig, logins) = Rig::start_with_logins().await;
    let mut browser = rig.browser().await;
    let mut resumed = logins.resumed.subscribe();
    let listening = tokio::spawn(async move {
        let told = browser.hears().await;
        (browser.close_code().await, told)
    });
    // Once at the entrance, then by the page that stays open.
    resumed.wait_for(|count| *count >= 4).await.expect("the gateway asks");
    assert!(!listening.is_finished());
    logins.ended.store(true, Ordering::Relaxed);
    let (code, told) = listening.await.expect("no panic");
    assert_eq!((code, told.as_str()), (1008, r#"{"type":"loginEnded"}"#));
}

#[tokio::test]
async fn sign_ins_that_wait_for_their_answer_hold_up_nobody_who_is_signed_in() {
    let (rig, logins) = Rig::start_with_logins().await;
    let mut begun = logins.begun.subscribe();
    let rig = Arc::new(rig);
    for _ in 0..MANY {
        let rig = Arc::clone(&rig);
        let body = format!(r#"{{"token":"{TOKEN_UNANSWERED}"}}"#);
        tokio::spawn(async move { rig.log_in(&body).await });
    }
    begun.wait_for(|count| *count >= AT_ONCE).await.expect("the gateway asks");
    let mut browser = rig.browser().await;
    browser.offer().await;
    rig.offered().await;
}

#[tokio::test]
async fn session_says_whether_there_is_something_to_sign_out_of() {
    let (rig, _) = Rig::start_with_logins().await;
    let session = rig.request("GET", "/api/session", &rig.shown(COOKIE), "").await;
    assert_eq!(session.body(), r#"{"hostname":"desk","signedIn":true}"#);
    assert_eq!(rig.log_in(&format!(r#"{{"token":"{TOKEN}"}}"#)).await.status(), 200);
    let open = Rig::start(AuthMode::None).await;
    assert_eq!(open.get("/api/session").await.body(), r#"{"hostname":"desk","signedIn":false}"#);
}

#[tokio::test]
async fn supervisor_is_asked_whose_browser_it_is_where_nobody_logs_in_and_its_refusal_is_final() {
    let (rig, logins) = Rig::start_with_logins_by(AuthMode::None).await;
    let own = format!("http://{}", rig.address);
    let browser = rig.open(&own, None).await.expect("the user's own");
    let client = browser.0.get_ref().local_addr().expect("connected");
    assert_eq!(*logins.opened.borrow(), Some(client));
    logins.is_open_to_others.store(true, Ordering::Relaxed);
    assert_eq!(rig.open(&own, None).await.err(), Some(403));
    let refused = rig.get("/api/session").await;
    let word = refused.header("lumen-refusal");
    assert_eq!((refused.status(), word), (403, Some("other-user")), "{}", refused.0);
    assert!(refused.body().contains("Without --auth none"), "{}", refused.0);
    // The page itself, which shows that sentence, is anybody's.
    assert_eq!(rig.get("/").await.status(), 200);
}

#[tokio::test]
async fn half_of_a_key_opens_nothing_and_ends_nothing() {
    let (rig, logins) = Rig::start_with_logins().await;
    let own = format!("http://{}", rig.address);
    let wrong = KEY.replace("p4g", "000");
    for (cookie, key) in [
        (Some(COOKIE), None),
        (Some(COOKIE), Some("")),
        (Some(COOKIE), Some(wrong.as_str())),
        (Some(COOKIE), Some(COOKIE)),
        (Some(COOKIE), Some("2.p4g3k3")),
        (None, Some(KEY)),
        (Some(wrong.as_str()), Some(KEY)),
        (Some(KEY), Some(COOKIE)),
    ] {
        assert_eq!(rig.open_through("", &own, cookie, key).await.err(), Some(401));
        let port = rig.address.port();
        let cookie = cookie.map(|cookie| format!("Cookie: lumen-{port}.1={cookie}\r\n"));
        let key = key.map(|key| format!("Lumen-Key: {key}\r\n"));
        let shown = [cookie.unwrap_or_default(), key.unwrap_or_default()].concat();
        assert_eq!(rig.request("GET", "/api/session", &shown, "").await.status(), 401);
        let shown = format!("Origin: {own}\r\n{shown}");
        assert_eq!(rig.request("POST", "/api/session", &shown, "").await.status(), 401);
        assert_eq!(rig.request("POST", "/api/sign-out", &shown, "").await.status(), 204);
    }
    assert!(!logins.ended.load(Ordering::Relaxed));
    assert!(rig.open(&own, Some(COOKIE)).await.is_ok());
}
