//! Who is let in.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    thread,
};

use anyhow::{Context, Result, ensure};
use lumen_tests::{
    browser::Browser,
    patience::{patience, wait_until},
    rig::{Rig, Setup},
    viewer::{Handshake, Signalling, get},
};

/// The page's form that asks for a token.
const ASKS_FOR_TOKEN: &str = "!document.querySelector('#login').hidden";

fn asks_for_token(page: &lumen_tests::browser::Page) -> Result<()> {
    wait_until("the page asks for a token", || page.evaluate(ASKS_FOR_TOKEN).unwrap_or(false))
}

#[test]
fn address_without_a_token_asks_for_it() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(&format!("http://{}/", rig.address()))?;
    asks_for_token(&page)?;
    assert!(page.frames()?.is_empty());
    Ok(())
}

#[test]
fn address_with_a_wrong_token_asks_again() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(&format!("http://{}/#token=wrong", rig.address()))?;
    asks_for_token(&page)?;
    assert!(page.frames()?.is_empty());
    Ok(())
}

#[test]
fn token_leaves_the_address_bar_and_the_login_outlives_a_reload() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    let address: String = page.evaluate("location.href")?;
    assert!(!address.contains("token"), "{address}");
    page.reload()?;
    page.wait_for_picture()
}

#[test]
fn no_authentication_on_loopback_lets_in_without_a_token() -> Result<()> {
    let rig = Setup::new().option("--auth", "none").start()?;
    assert_eq!(rig.token(), "");
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()
}

#[test]
fn signing_out_ends_picture_and_login_at_once_and_in_every_window() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    wait_until("there is something to sign out of", || {
        page.evaluate("!document.querySelector('#sign-out').hidden").unwrap_or(false)
    })?;
    page.evaluate::<()>("void document.querySelector('#sign-out').click()")?;
    asks_for_token(&page)?;
    wait_until("the viewer is gone", || {
        let status = rig.lumen(&["status"]);
        status.is_ok_and(|it| String::from_utf8_lossy(&it.stdout).contains("no viewer"))
    })?;
    page.reload()?;
    asks_for_token(&page)
}

#[test]
fn login_whose_life_is_over_asks_for_the_token_while_the_page_is_open() -> Result<()> {
    let rig = Setup::new().option("--login-life", "8s").start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    asks_for_token(&page)
}

#[test]
fn browser_with_an_rsa_key_is_refused_with_the_keys_that_are_taken() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    page.evaluate::<()>("lumenTest.useRsaKeys().then(() => lumenTest.peers[0].close())")?;
    page.wait_for_status("its certificate must have an ECDSA key")?;
    wait_until("the log says so", || rig.said().contains("must have an ECDSA key"))
}

/// A web server of another user of this host, whose page has an image: its address, and the cookies
/// that browsers send it.
fn thief() -> Result<(SocketAddr, Receiver<String>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (shown, cookies) = channel();
    // It ends with the test's process.
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            for cookie in answer(&stream).unwrap_or_default() {
                // It fails when the test no longer listens.
                let _ = shown.send(cookie);
            }
        }
    });
    Ok((address, cookies))
}

/// Answers a request with a page; returns the cookies of the request.
fn answer(mut stream: &TcpStream) -> Result<Vec<String>> {
    let lines: Vec<_> = BufReader::new(stream)
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let page = "<!doctype html><img src=\"/collect\">";
    let length = page.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{page}"
    )?;
    let is_image = lines.first().is_some_and(|line| line.contains("/collect"));
    let cookies = lines.iter().filter_map(|line| line.strip_prefix("Cookie: "));
    Ok(cookies.filter(|_| is_image).map(str::to_owned).collect())
}

#[test]
fn cookie_that_another_port_of_the_host_collects_opens_nothing() -> Result<()> {
    let rig = Rig::start()?;
    let (thief, cookies) = thief()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    page.go_to(&format!("http://{thief}/"))?;
    let cookie = cookies.recv_timeout(patience()).context("the browser shows no cookie")?;
    ensure!(cookie.contains(&format!("lumen-{}.1=", rig.address().port())), "{cookie}");
    let own = Handshake::of(rig.address()).cookie(&cookie);
    for stolen in [own.clone(), own.key(&format!("1.{}", "0".repeat(64)))] {
        let error = Signalling::open(stolen).err().context("the thief is let in")?;
        ensure!(error.to_string().contains("401"), "{error}");
    }
    let session = get(rig.address(), "/api/session", &[("Cookie", &cookie)])?;
    ensure!(session.status == 401, "{session:?}");
    // The browser is signed in as before.
    page.go_to(&format!("http://{}/", rig.address()))?;
    page.wait_for_picture()
}
