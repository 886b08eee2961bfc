//! Lumen behind a real nginx: with nginx's defaults, as the guide says, under a path, with TLS, and
//! over a Unix socket.

use anyhow::{Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    browser::{Browser, Page, Path},
    nginx::{Nginx, documented},
    patience::{wait_for_ok, wait_until},
    picture::colour_of_key,
    rig::{Rig, Setup},
    stage::Folder,
};

/// `KEY_W`.
const KEY_W: u32 = 17;

const LOGIN_ERROR: &str = "document.querySelector('#login-error').textContent";
const STATUS: &str = "document.querySelector('#status-text').textContent";

/// Lumen behind a proxy on this machine, with the page under `base`.
fn behind_proxy(base: &str) -> Result<Rig> {
    Setup::new().option("--trusted-proxy", "127.0.0.0/8").option("--base-path", base).start()
}

fn upstream(rig: &Rig) -> String {
    format!("http://{}", rig.address())
}

/// Waits until the page shows a text, at `place`, that contains all of `words`.
fn wait_until_it_says(page: &Page, place: &str, words: &[&str]) -> Result<()> {
    wait_for_ok("the page says what is wrong", || {
        let said: String = page.evaluate(place)?;
        let missing: Vec<_> = words.iter().filter(|word| !said.contains(**word)).collect();
        ensure!(missing.is_empty(), "no {missing:?} in {said:?}");
        Ok(())
    })
}

/// Opens the page, waits for its picture, and opens it again without the token.
fn shows_its_picture(rig: &Rig, nginx: &Nginx, path: &str) -> Result<()> {
    let browser = Browser::start()?;
    let page = browser.open(&format!("{}{path}#token={}", nginx.origin(), rig.token()))?;
    page.wait_for_picture()?;
    page.ensure_connected_once()?;
    assert_eq!(page.path()?, Path::Direct);
    page.reload()?;
    page.wait_for_picture()
}

#[test]
fn proxy_with_its_defaults_is_refused_with_what_to_set() -> Result<()> {
    let rig = Rig::start()?;
    let nginx = Nginx::start(&format!("location / {{ proxy_pass {}; }}", upstream(&rig)))?;
    let browser = Browser::start()?;
    let page = browser.open(&format!("{}/#token={}", nginx.origin(), rig.token()))?;
    let seen = rig.address().to_string();
    let words = [&*nginx.origin(), &seen, "--trusted-proxy 127.0.0.1", "web/PROXY.md"];
    wait_until_it_says(&page, LOGIN_ERROR, &words)?;
    wait_until("the log says so, too", || rig.said().contains("--trusted-proxy 127.0.0.1"))
}

#[test]
fn proxy_that_is_trusted_and_keeps_the_host_to_itself_is_refused_with_what_to_set() -> Result<()> {
    let rig = behind_proxy("/")?;
    let nginx = Nginx::start(&format!("location / {{ proxy_pass {}; }}", upstream(&rig)))?;
    let browser = Browser::start()?;
    let page = browser.open(&format!("{}/#token={}", nginx.origin(), rig.token()))?;
    wait_until_it_says(&page, LOGIN_ERROR, &[&nginx.origin(), "X-Forwarded-Host"])
}

#[test]
fn proxy_that_keeps_the_upgrade_to_itself_is_named_as_the_obstacle() -> Result<()> {
    let rig = behind_proxy("/")?;
    let snippet = documented(&upstream(&rig))?;
    let without: Vec<_> = snippet
        .lines()
        .filter(|line| !line.contains("Upgrade") && !line.contains("Connection"))
        .collect();
    let nginx = Nginx::start(&without.join("\n"))?;
    let browser = Browser::start()?;
    let page = browser.open(&format!("{}/#token={}", nginx.origin(), rig.token()))?;
    wait_until_it_says(&page, STATUS, &["WebSocket", "Upgrade"])?;
    wait_until("the log says so, too", || rig.said().contains("has to pass the Upgrade"))
}

#[test]
fn proxy_whose_lumen_is_gone_is_not_taken_for_a_wrong_token() -> Result<()> {
    let mut rig = behind_proxy("/")?;
    let nginx = Nginx::start(&documented(&upstream(&rig))?)?;
    let browser = Browser::start()?;
    let page = browser.open(&format!("{}/", nginx.origin()))?;
    wait_until("the page asks for a token", || {
        page.evaluate("!document.querySelector('#login').hidden").unwrap_or(false)
    })?;
    rig.stop()?;
    page.evaluate::<()>(
        "void (document.querySelector('#login-token').value = 'x', \
         document.querySelector('#login').requestSubmit())",
    )?;
    wait_until_it_says(&page, LOGIN_ERROR, &["proxy", "502"])
}

#[test]
fn proxy_as_documented_shows_the_picture_and_its_browsers_address_is_logged() -> Result<()> {
    let rig = behind_proxy("/")?;
    let nginx = Nginx::start(&documented(&upstream(&rig))?)?;
    shows_its_picture(&rig, &nginx, "/")?;
    assert!(rig.said().contains("a browser logged in"), "{}", rig.said());
    Ok(())
}

#[test]
fn proxy_under_a_path_passed_on_shows_the_picture() -> Result<()> {
    let rig = behind_proxy("/desk/")?;
    assert!(rig.url().contains("/desk/#token="), "{}", rig.url());
    let snippet = documented(&upstream(&rig))?.replace("location / {", "location /desk/ {");
    let nginx = Nginx::start(&snippet)?;
    shows_its_picture(&rig, &nginx, "/desk/")
}

#[test]
fn proxy_under_a_path_stripped_shows_the_picture() -> Result<()> {
    let rig = behind_proxy("/a/desk/")?;
    let upstream = format!("{}/", upstream(&rig));
    let snippet = documented(&upstream)?.replace("location / {", "location /a/desk/ {");
    let nginx = Nginx::start(&snippet)?;
    shows_its_picture(&rig, &nginx, "/a/desk/")
}

#[test]
fn proxy_that_ends_tls_shows_the_picture() -> Result<()> {
    let rig = behind_proxy("/")?;
    let nginx = Nginx::start_secure(&documented(&upstream(&rig))?)?;
    shows_its_picture(&rig, &nginx, "/")
}

/// How often the page has lost its signalling socket.
fn sockets_lost(page: &Page) -> Result<usize> {
    Ok(page.console()?.matches("signalling closed").count())
}

#[test]
fn proxy_that_cuts_idle_sockets_costs_no_connection_and_neither_does_a_new_gateway() -> Result<()> {
    let rig = behind_proxy("/")?;
    let snippet = documented(&upstream(&rig))?;
    let impatient = snippet.replace("proxy_pass", "proxy_read_timeout 1s; proxy_pass");
    let nginx = Nginx::start(&impatient)?;
    let browser = Browser::start()?;
    let page = browser.open(&format!("{}/#token={}", nginx.origin(), rig.token()))?;
    page.wait_for_picture()?;
    wait_until("the proxy has cut three sockets", || sockets_lost(&page).is_ok_and(|it| it >= 3))?;
    rig.kill(Worker::Gateway)?;
    rig.ready_worker(Worker::Gateway)?;
    wait_until("the page's peer is signalled for by the new gateway", || {
        let status = rig.lumen(&["status"]);
        status.is_ok_and(|it| String::from_utf8_lossy(&it.stdout).contains("1 browser, 1 peer"))
    })?;
    page.key_down("KeyW")?;
    page.key_up("KeyW")?;
    page.wait_for_colour((0.5, 0.5), colour_of_key(KEY_W))?;
    page.ensure_connected_once()
}

#[test]
fn proxy_by_a_unix_socket_shows_the_picture() -> Result<()> {
    let folder = Folder::new("door", 0o1777)?;
    let socket = folder.path().join("desk.sock").display().to_string();
    let rig =
        Setup::new().listen(&format!("unix:{socket}")).option("--base-path", "/desk/").start()?;
    let snippet = documented(&format!("http://unix:{socket}:/"))?;
    let nginx = Nginx::start(&snippet.replace("location / {", "location /desk/ {"))?;
    shows_its_picture(&rig, &nginx, "/desk/")?;
    drop(rig);
    assert!(!std::path::Path::new(&socket).exists(), "the socket is left behind");
    Ok(())
}
