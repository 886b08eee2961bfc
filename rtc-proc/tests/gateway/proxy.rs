//! The gateway behind proxies, trusted and not. The tests connect from 127.0.0.1.

use lumen_ipc::service::AuthMode;
use lumen_rtc::gateway::quota::{MAX_CONNECTIONS, MAX_CONNECTIONS_PER_HOLDER};

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    is_served,
    rig::{COOKIE, KEY, OTHER_COOKIE, RETRY_AFTER, Response, Rig, TOKEN, TOKEN_TOO_OFTEN},
};

const JSON: &str = "Content-Type: application/json\r\n";
/// What a proxy forwards for a browser at 192.0.2.7 that found it as https://desk.example.
const FORWARDED: &str = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: desk.example\r\n\
                         X-Forwarded-Proto: https\r\n";
const ORIGIN: &str = "Origin: https://desk.example\r\n";

async fn log_in(rig: &Rig, path: &str, headers: &str, token: &str) -> Response {
    let body = format!(r#"{{"token":"{token}"}}"#);
    rig.request("POST", path, &format!("{JSON}{headers}"), &body).await
}

/// The `Origin` header of the gateway's own page.
fn own(rig: &Rig) -> String {
    format!("Origin: http://{}\r\n", rig.address)
}

/// The code word and the sentence of a refusal.
fn refusal(response: &Response) -> (u16, &str, &str) {
    let word = response.header("lumen-refusal").unwrap_or_default();
    (response.status(), word, response.body().trim())
}

#[tokio::test]
async fn login_through_a_trusted_proxy_is_its_browsers() {
    let (rig, mut tried) = Rig::start_behind_proxies(&["127.0.0.1"], "/desk/").await;
    let response = log_in(&rig, "/desk/login", &format!("{FORWARDED}{ORIGIN}"), TOKEN).await;
    assert_eq!(response.status(), 200, "{}", response.0);
    let cookie = response.header("set-cookie").expect("a cookie");
    assert!(cookie.contains("; Path=/desk/; ") && cookie.ends_with("; Secure"), "{cookie}");
    assert_eq!(tried.recv().await.expect("tried").to_string(), "192.0.2.7");
}

#[tokio::test]
async fn login_in_the_clear_through_a_trusted_proxy_gets_a_cookie_for_that() {
    let (rig, _tried) = Rig::start_behind_proxies(&["127.0.0.0/8"], "/").await;
    let headers = "X-Forwarded-Host: desk.example\r\nX-Forwarded-Proto: http\r\n\
                   Origin: http://desk.example\r\n";
    let response = log_in(&rig, "/login", headers, TOKEN).await;
    let cookie = response.header("set-cookie").expect("a cookie");
    assert!(cookie.contains("; Path=/; ") && !cookie.contains("Secure"), "{cookie}");
}

#[tokio::test]
async fn login_from_a_stranger_that_forges_headers_is_the_strangers_own() {
    let (rig, mut tried) = Rig::start_behind_proxies(&["192.0.2.0/24"], "/").await;
    let forged = log_in(&rig, "/login", &format!("{FORWARDED}{ORIGIN}"), TOKEN).await;
    assert_eq!((forged.status(), forged.header("set-cookie")), (403, None));
    let own = format!("{FORWARDED}Origin: http://{}\r\n", rig.address);
    let response = log_in(&rig, "/login", &own, TOKEN).await;
    assert!(!response.header("set-cookie").expect("a cookie").contains("Secure"));
    assert_eq!(tried.recv().await.expect("tried").to_string(), "127.0.0.1");
}

#[tokio::test]
async fn login_with_another_scheme_or_host_than_the_proxys_is_refused() {
    let (rig, _tried) = Rig::start_behind_proxies(&["127.0.0.1"], "/").await;
    for origin in ["http://desk.example", "https://evil.example", "https://desk.example:8443"] {
        let headers = format!("{FORWARDED}Origin: {origin}\r\n");
        let response = log_in(&rig, "/login", &headers, TOKEN).await;
        let (status, word, text) = refusal(&response);
        assert_eq!((status, word), (403, "foreign-origin"), "{origin}");
        assert!(text.contains(origin) && text.contains("https://desk.example"), "{text}");
    }
}

#[tokio::test]
async fn request_with_a_proxys_word_that_is_none_is_refused() {
    let (rig, _tried) = Rig::start_behind_proxies(&["127.0.0.1"], "/").await;
    for header in ["X-Forwarded-For: unknown", "X-Forwarded-Host: a b", "X-Forwarded-Proto: gopher"]
    {
        let response = rig.request("GET", "/", &format!("{header}\r\n"), "").await;
        let (status, word, text) = refusal(&response);
        assert_eq!((status, word), (400, "bad-forwarded"), "{header}");
        let name = header.split(':').next().expect("a name").to_lowercase();
        assert!(text.contains(&name), "{text}");
    }
}

#[tokio::test]
async fn logins_behind_one_proxy_have_a_share_each_whether_it_names_addresses_or_not() {
    let (rig, _tried) = Rig::start_behind_proxies(&["127.0.0.1"], "/").await;
    let origin = format!("http://{}", rig.address);
    for source in ["192.0.2.7", ""] {
        let mut held = Vec::new();
        while held.len() < MAX_CONNECTIONS_PER_HOLDER {
            // A share is free once the gateway has seen the end: until then it refuses.
            match rig.open_through(source, &origin, Some(COOKIE), Some(KEY)).await {
                Ok(browser) => held.push(browser),
                Err(429) => tokio::task::yield_now().await,
                Err(status) => panic!("refused with {status}"),
            }
        }
        assert_eq!(
            rig.open_through(source, &origin, Some(COOKIE), Some(KEY)).await.err(),
            Some(429)
        );
        assert!(rig.open_through(source, &origin, Some(OTHER_COOKIE), Some(KEY)).await.is_ok());
    }
}

/// The beginning of a login whose body never comes.
async fn stall(rig: &Rig) -> TcpStream {
    let address = rig.address;
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\n{JSON}\
         Content-Length: 9\r\n\r\n"
    );
    let mut stream = TcpStream::connect(address).await.expect("the gateway listens");
    stream.write_all(head.as_bytes()).await.expect("room");
    stream
}

#[tokio::test]
async fn strangers_behind_a_proxy_that_names_nobody_shut_nobody_out() {
    let (rig, _tried) = Rig::start_behind_proxies(&["127.0.0.1"], "/").await;
    let mut stalled = Vec::new();
    for _ in 0..=MAX_CONNECTIONS_PER_HOLDER {
        stalled.push(stall(&rig).await);
    }
    // The first had to make room for the last, and is told so.
    let mut answer = [0; 64];
    let first = stalled.first_mut().expect("there are some");
    let length = first.read(&mut answer).await.expect("an answer");
    let answer = String::from_utf8_lossy(answer.get(..length).unwrap_or_default()).into_owned();
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    assert_eq!(log_in(&rig, "/login", &own(&rig), TOKEN).await.status(), 200);
    rig.browser().await;
}

#[tokio::test]
async fn idle_connections_of_a_trusted_proxy_shut_nobody_out() {
    let (rig, _tried) = Rig::start_behind_proxies(&["127.0.0.1"], "/").await;
    let mut early = rig.browser().await;
    let get = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", rig.address);
    let mut idle = Vec::new();
    // Silent ones, ones that were answered and wait for the next request, and half requests.
    for words in ["", &*get, "GET / HTTP/1.1\r\n"].into_iter().cycle().take(MAX_CONNECTIONS) {
        let mut stream = TcpStream::connect(rig.address).await.expect("the gateway listens");
        stream.write_all(words.as_bytes()).await.expect("room");
        if words == get {
            assert!(stream.read(&mut [0; 512]).await.expect("an answer") > 0);
        }
        idle.push(stream);
    }
    assert_eq!(log_in(&rig, "/login", &own(&rig), TOKEN).await.status(), 200);
    let mut late = rig.browser().await;
    for browser in [&mut early, &mut late] {
        is_served(&rig, browser).await;
    }
    assert!(matches!(idle[0].read(&mut [0; 1]).await, Ok(0) | Err(_)));
}

/// The default idle timeout of nginx.
const MOST_IDLE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn signal_quiet_socket_is_pinged_twice_before_a_proxy_would_end_it() {
    let rig = Rig::start(AuthMode::Token).await;
    let mut browser = rig.browser().await;
    // The clock runs as soon as nothing else does.
    tokio::time::pause();
    for _ in 0..2 {
        let pinged = tokio::time::timeout(MOST_IDLE / 2, browser.is_pinged()).await;
        assert!(pinged.expect("in time"), "the socket was closed");
    }
}

#[tokio::test]
async fn base_path_is_found_whether_the_proxy_strips_it_or_not() {
    let (rig, _tried) = Rig::start_behind_proxies(&["127.0.0.1"], "/desk/").await;
    for (path, status) in [
        ("/desk/", 200),
        ("/desk/src/page/main.js", 200),
        ("/", 200),
        ("/src/page/main.js", 200),
        ("/desktop/", 404),
        ("/desk/desk/", 404),
    ] {
        assert_eq!(rig.get(path).await.status(), status, "{path}");
    }
    let below = rig.get("/desk").await;
    assert_eq!((below.status(), below.header("location")), (308, Some("/desk/")));
    let asking = rig.get("/desk?relay=only&x=%2F").await;
    assert_eq!(asking.header("location"), Some("/desk/?relay=only&x=%2F"));
}

#[tokio::test]
async fn base_path_that_a_proxy_strips_is_the_cookies_if_the_proxy_is_believed() {
    for (trusted, path) in [("127.0.0.1", "/desk/"), ("192.0.2.1", "/")] {
        let (rig, _tried) = Rig::start_behind_proxies(&[trusted], "/desk/").await;
        let own = format!("Origin: http://{}\r\n", rig.address);
        let response = log_in(&rig, "/login", &own, TOKEN).await;
        let cookie = response.header("set-cookie").expect("a cookie");
        assert!(cookie.contains(&format!("; Path={path}; ")), "{cookie}");
    }
}

#[tokio::test]
async fn refusal_has_a_word_for_the_page_and_a_true_sentence() {
    let rig = Rig::start(AuthMode::Token).await;
    let own = format!("Origin: http://{}\r\n", rig.address);
    let cookie = rig.shown(COOKIE);
    let wait = format!("Try again in {RETRY_AFTER} s");
    let cases = [
        (log_in(&rig, "/login", &own, "guess").await, 401, "wrong-token", "wrong or has expired"),
        (log_in(&rig, "/login", &own, TOKEN_TOO_OFTEN).await, 429, "too-many-attempts", &*wait),
        (
            log_in(&rig, "/login", "Origin: http://desk.example\r\n", TOKEN).await,
            403,
            "foreign-origin",
            "--trusted-proxy 127.0.0.1",
        ),
        (rig.request("POST", "/api/session", &own, "").await, 401, "login-needed", "logged in"),
        (
            rig.request("POST", "/api/session", &cookie, "").await,
            403,
            "foreign-origin",
            "The page is unknown",
        ),
        (
            rig.request("GET", "/ws/signal", &format!("{own}{cookie}"), "").await,
            426,
            "no-upgrade",
            "Upgrade",
        ),
        (rig.get("/desk/").await, 404, "not-found", "--base-path"),
        (rig.exchange(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n").await, 400, "bad-host", "Host"),
    ];
    for (response, status, word, sentence) in cases {
        let (found, named, text) = refusal(&response);
        assert_eq!((found, named), (status, word), "{}", response.0);
        assert!(text.contains(sentence), "{text}");
    }
    let open = Rig::start(AuthMode::None).await;
    let rebound = b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    let response = open.exchange(rebound).await;
    let (status, word, text) = refusal(&response);
    assert_eq!((status, word), (403, "not-loopback"));
    assert!(text.contains("--auth none") && text.contains("evil.example"), "{text}");
}
