//! A proxy that says whose each browser is, by a socket of its own.

use lumen_ipc::vouching::VoucherFault;

use super::rig::{ACCOUNT, COOKIE, KEY, Response, Rig};

/// What a proxy sends of a browser's request, with these header lines among others.
async fn passed_on(rig: &Rig, vouches: bool, line: &str, headers: &str, body: &str) -> Response {
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: desk.example\r\nConnection: close\r\nContent-Length: {length}\r\n\
         X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n{headers}\r\n{body}"
    );
    rig.exchange_by_proxy(vouches, request.as_bytes()).await
}

/// A sign-in of the page's, as the proxy passes it on.
async fn sign_in(rig: &Rig, vouches: bool, headers: &str) -> Response {
    let headers =
        format!("Origin: https://desk.example\r\nContent-Type: application/json\r\n{headers}");
    passed_on(rig, vouches, "POST /login", &headers, r#"{"proxy":true}"#).await
}

fn named(account: &str) -> String {
    format!("X-Remote-User: {account}\r\n")
}

fn refusal(response: &Response) -> (u16, &str) {
    (response.status(), response.header("lumen-refusal").unwrap_or_default())
}

#[tokio::test]
async fn account_that_the_proxy_names_signs_in_without_a_question() {
    let (rig, _) = Rig::start_vouched().await;
    let asked = passed_on(&rig, true, "GET /api/session", &named(ACCOUNT), "").await;
    assert_eq!(refusal(&asked), (401, "login-needed"));
    assert_eq!(asked.header("lumen-sign-in"), Some("proxy"));
    let signed_in = sign_in(&rig, true, &named(ACCOUNT)).await;
    assert_eq!((signed_in.status(), signed_in.body()), (200, &*format!(r#"{{"key":"{KEY}"}}"#)));
    assert!(signed_in.header("set-cookie").expect("a cookie").ends_with("; Secure"));
    assert_eq!(refusal(&sign_in(&rig, true, &named("bob")).await), (401, "denied"));
}

#[tokio::test]
async fn browser_that_the_proxy_does_not_name_signs_in_by_itself() {
    let (rig, _) = Rig::start_vouched().await;
    let asked = passed_on(&rig, true, "GET /api/session", "", "").await;
    assert_eq!((asked.status(), asked.header("lumen-sign-in")), (401, Some("password")));
    assert_eq!(refusal(&sign_in(&rig, true, "").await), (400, "nobody-named"));
}

#[tokio::test]
async fn key_of_another_account_than_the_named_one_opens_nothing() {
    let (rig, _) = Rig::start_vouched().await;
    let key = rig.shown(COOKIE);
    let with = async |account: &str| {
        let headers = format!("{}{key}", named(account));
        passed_on(&rig, true, "GET /api/session", &headers, "").await.status()
    };
    assert_eq!((with(ACCOUNT).await, with("bob").await), (200, 401));
}

#[tokio::test]
async fn header_that_cannot_be_believed_refuses_every_request_and_is_reported() {
    let (rig, logins) = Rig::start_vouched().await;
    let long = named(&"x".repeat(65));
    let mut expected = Vec::new();
    for (headers, fault) in [
        (named("alice") + &named("alice"), VoucherFault::Repeated),
        (named("alice") + "X_Remote_User: bob\r\n", VoucherFault::Repeated),
        ("X_Remote_User: alice\r\n".to_owned(), VoucherFault::Repeated),
        (named(""), VoucherFault::NoAccount),
        (named("alice,bob"), VoucherFault::NoAccount),
        (named("../etc"), VoucherFault::NoAccount),
        (long, VoucherFault::NoAccount),
    ] {
        let refused = sign_in(&rig, true, &headers).await;
        assert_eq!(refusal(&refused), (400, "distrusted"), "{headers}");
        assert!(refused.body().contains("web/PROXY.md"), "{}", refused.body());
        let page = passed_on(&rig, true, "GET /", &headers, "").await;
        assert_eq!(refusal(&page), (400, "distrusted"), "{headers}");
        expected.extend([fault, fault]);
    }
    let mut reported = logins.distrusted.subscribe();
    let all = reported.wait_for(|reported| reported.len() >= expected.len()).await;
    assert_eq!(*all.expect("the supervisor lives"), expected);
}

#[tokio::test]
async fn header_on_the_listener_for_browsers_is_refused_and_means_nothing_without_a_proxy() {
    let (rig, logins) = Rig::start_vouched().await;
    for headers in [named(ACCOUNT), "X_Remote_User: alice\r\n".to_owned()] {
        let refused = rig.request("GET", "/", &headers, "").await;
        assert_eq!(refusal(&refused), (400, "distrusted"));
        assert!(refused.body().contains("--proxy-socket"), "{}", refused.body());
    }
    assert_eq!(rig.get("/").await.status(), 200);
    let reported = logins.distrusted.subscribe();
    let mut reported = reported;
    let all = reported.wait_for(|reported| reported.len() >= 2).await.expect("alive").clone();
    assert_eq!(all, [VoucherFault::Elsewhere; 2]);
    let plain = Rig::start(lumen_ipc::service::AuthMode::Password).await;
    assert_eq!(plain.request("GET", "/", &named(ACCOUNT), "").await.status(), 200);
}

#[tokio::test]
async fn stranger_at_the_proxys_socket_gets_nothing_but_the_reason() {
    let (rig, logins) = Rig::start_vouched().await;
    for headers in [named(ACCOUNT), String::new()] {
        let refused = sign_in(&rig, false, &headers).await;
        assert_eq!(refusal(&refused), (403, "distrusted"));
        assert!(refused.body().contains("--proxy-user"), "{}", refused.body());
        assert_eq!(passed_on(&rig, false, "GET /", &headers, "").await.status(), 403);
    }
    let mut reported = logins.distrusted.subscribe();
    let all = reported.wait_for(|reported| reported.len() >= 4).await.expect("alive").clone();
    assert_eq!(all, [VoucherFault::Stranger; 4]);
}
