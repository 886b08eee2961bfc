//! Sign-ins that others end and begin, as pages are told of them, and what pages ask about them.

use std::{sync::atomic::Ordering, time::Duration};

use lumen_ipc::{
    login::{LoginEvent, LoginNews, SignInMethod, Visitor},
    message::signalling::ToRtc,
    units::SessionId,
};
use tokio::time::timeout;

use crate::rig::{COOKIE, LOGIN, Logins, OTHER_COOKIE, OTHER_LOGIN, RENEWED_COOKIE, Rig};

/// Much longer than a page may go on after its login was ended.
const PATIENCE: Duration = Duration::from_secs(5);

fn tell(logins: &Logins, number: u32, event: LoginEvent) {
    logins.news.send_replace(Some(LoginNews { number, event }));
}

#[tokio::test]
async fn login_that_is_revoked_ends_its_pages_at_once_and_no_others() {
    let (rig, logins) = Rig::start_with_logins().await;
    let mut own = rig.browser().await;
    let origin = format!("http://{}", rig.address);
    let mut other = rig.open(&origin, Some(OTHER_COOKIE)).await.expect("logged in");
    let session = SessionId::SOLE;
    tell(&logins, 1, LoginEvent::Ended { session, login: LOGIN });
    let ended = timeout(PATIENCE, async {
        while own.hears().await != r#"{"type":"loginEnded"}"# {}
        own.close_code().await
    });
    assert_eq!(ended.await.expect("in time"), 1008);
    assert_eq!(rig.heard().await, ToRtc::LoginEnded { login: LOGIN });
    let from = [192, 0, 2, 7].into();
    tell(
        &logins,
        2,
        LoginEvent::Given { session, login: LOGIN, method: SignInMethod::Password, from },
    );
    let told = timeout(PATIENCE, async {
        loop {
            let told = other.hears().await;
            if told.contains("notice") {
                return told;
            }
        }
    });
    let told = told.await.expect("the other page is there, and is told");
    assert!(told.contains("signed in with a password from 192.0.2.7"), "{told}");
}

#[tokio::test]
async fn page_is_not_told_of_its_own_sign_in() {
    let (rig, logins) = Rig::start_with_logins().await;
    let mut own = rig.browser().await;
    let (session, method, from) = (SessionId::SOLE, SignInMethod::Token, [192, 0, 2, 7].into());
    tell(&logins, 1, LoginEvent::Given { session, login: LOGIN, method, from });
    tell(&logins, 2, LoginEvent::Ended { session, login: LOGIN });
    let mut heard = String::new();
    while !heard.contains("loginEnded") {
        heard.push_str(&own.hears().await);
    }
    assert!(!heard.contains("notice"), "{heard}");
}

#[tokio::test]
async fn pages_are_reported_while_they_are_connected_each_by_its_login() {
    let (rig, logins) = Rig::start_with_logins().await;
    let visitor = |login| Visitor {
        session: SessionId::SOLE,
        login,
        from: std::net::Ipv4Addr::LOCALHOST.into(),
    };
    let mut reported = logins.visitors.subscribe();
    let one = rig.browser().await;
    let origin = format!("http://{}", rig.address);
    let also = rig.open(&origin, Some(COOKIE)).await.expect("logged in");
    let other = rig.open(&origin, Some(OTHER_COOKIE)).await.expect("logged in");
    let all = [LOGIN, LOGIN, OTHER_LOGIN].map(visitor);
    reported.wait_for(|visitors| *visitors == all).await.expect("the gateway reports");
    drop((one, other));
    reported.wait_for(|visitors| *visitors == [visitor(LOGIN)]).await.expect("and those left");
    drop(also);
    reported.wait_for(Vec::is_empty).await.expect("nobody");
}

#[tokio::test]
async fn page_lists_the_sign_ins_to_its_desktop_and_ends_one_of_them() {
    let (rig, logins) = Rig::start_with_logins().await;
    let own = format!("Origin: http://{}\r\nContent-Type: application/json\r\n", rig.address);
    let shown = format!("{own}{}", rig.shown(COOKIE));
    let listed = rig.request("POST", "/api/sign-ins", &shown, "").await;
    assert_eq!(listed.status(), 200, "{}", listed.0);
    let list: serde_json::Value = serde_json::from_str(listed.body()).expect("JSON");
    let (first, second) = (&list["signIns"][0], &list["signIns"][1]);
    assert_eq!((first["own"].as_bool(), second["own"].as_bool()), (Some(true), Some(false)));
    let other = second["id"].as_str().expect("a number").to_owned();
    let body = format!(r#"{{"id":"{other}"}}"#);
    let revoke = |shown: String, body: String| {
        let rig = &rig;
        async move { rig.request("POST", "/api/sign-ins/revoke", &shown, &body).await.status() }
    };
    for (shown, body, expected) in [
        (own.clone(), body.clone(), 401),
        (format!("Origin: http://evil.example\r\n{shown}"), body.clone(), 403),
        (format!("Origin: http://{}\r\n{}", rig.address, rig.shown(COOKIE)), body.clone(), 415),
        (shown.clone(), r#"{"id":"1"}"#.to_owned(), 400),
        (shown.clone(), r#"{"id":"00000000000000ff"}"#.to_owned(), 404),
    ] {
        assert_eq!(revoke(shown.clone(), body.clone()).await, expected, "{shown}{body}");
        assert_eq!(*logins.revoked.borrow(), None, "{shown}{body}");
    }
    assert_eq!(revoke(shown, body).await, 204);
    assert_eq!(*logins.revoked.borrow(), Some(OTHER_LOGIN));
    assert_eq!(rig.request("POST", "/api/sign-ins", &own, "").await.status(), 401);
}

#[tokio::test]
async fn old_cookie_is_replaced_when_its_page_asks_who_is_signed_in_and_never_for_another_site() {
    let (rig, logins) = Rig::start_with_logins().await;
    let shown = rig.shown(COOKIE);
    let by_page = format!("Origin: http://{}\r\n{shown}", rig.address);
    let fresh = rig.request("POST", "/api/session", &by_page, "").await;
    assert_eq!((fresh.status(), fresh.header("set-cookie")), (200, None));
    logins.is_old.store(true, Ordering::Relaxed);
    let renewed = rig.request("POST", "/api/session", &by_page, "").await;
    let cookie = renewed.header("set-cookie").expect("another cookie");
    assert!(cookie.contains(RENEWED_COOKIE), "{cookie}");
    assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    let foreign = format!("Origin: http://elsewhere.example\r\n{shown}");
    for (method, headers) in [("POST", &foreign), ("GET", &shown)] {
        let answer = rig.request(method, "/api/session", headers, "").await;
        assert_eq!(answer.header("set-cookie"), None, "{method}");
    }
}
