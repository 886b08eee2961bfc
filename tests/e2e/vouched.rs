//! A proxy that says whose each browser is: nginx, the host's own socket for it, `lumen-login`, a desktop. Needs
//! root.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
};

use anyhow::{Context, Result, ensure};
use lumen_tests::{
    accounts::Accounts,
    browser::{Browser, Page},
    hosted::{HostRig, HostSetup},
    nginx::{Nginx, documented},
    patience::wait_until,
    rig::TEST_USER,
    stage::Folder,
};

use crate::picture::shows_quadrants;

const ALICE: u32 = 4001;
/// The page has shown its form, and nothing is on its way.
const ASKS: &str = "!document.querySelector('#sign-in').hidden \
                    && !document.querySelector('#sign-in button[type=submit]').disabled";
const ASKS_FOR_A_NAME: &str = "!document.querySelector('#sign-in-account').hidden";
const ERROR: &str = "document.querySelector('#sign-in-error').textContent";

/// nginx as documented, which takes a cookie for the account: a stand-in for whatever signs browsers in there.
fn proxy(socket: &str) -> Result<Nginx> {
    let snippet = documented(&format!("http://unix:{socket}:/"))?;
    let names = "proxy_set_header X-Remote-User $cookie_who;\n    proxy_pass";
    Nginx::start(&snippet.replacen("proxy_pass", names, 1))
}

/// Has the proxy name this account from now on, and loads the page anew.
fn become_account(page: &Page, name: &str) -> Result<()> {
    page.evaluate::<()>(&format!("void (document.cookie = 'who={name}; path=/')"))?;
    page.reload()
}

/// What is answered to a request, with `line` among its headers.
fn answer(mut stream: impl Read + Write, line: &str) -> Result<String> {
    let request =
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{line}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn refused_with(answer: &str, status: u16, words: &str) -> Result<()> {
    let is_it = answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(words);
    ensure!(is_it, "expected {status} and {words}: {answer}");
    Ok(())
}

fn sole_app(host: &HostRig) -> Result<u32> {
    let status = host.wait_for_sessions(1)?;
    status.sessions.first().and_then(|session| session.app.pid).context("its app runs")
}

#[test]
fn account_that_a_proxy_names_gets_its_desktop_and_nobody_else_can_name_one() -> Result<()> {
    let mut machine = Accounts::new(&[("alice", ALICE, "unused")])?;
    machine.open()?;
    let folder = Folder::new("vouching", 0o755)?;
    let socket = folder.path().join("lumen.sock").display().to_string();
    let setup = HostSetup::new().as_root().option("--auth", "password");
    let setup = setup.option("--login-socket", &machine.socket("login"));
    let setup = setup.option("--session-socket", &machine.socket("session"));
    let setup = setup.option("--relay", "off");
    let setup = setup.option("--proxy-socket", &socket).option("--proxy-user", TEST_USER);
    let mut host = setup.start()?;
    let nginx = proxy(&socket)?;

    // Whom the proxy does not name signs in with a password, as everywhere.
    let browser = Browser::start()?;
    let page = browser.open(&format!("{}/", nginx.origin()))?;
    wait_until("the page asks for a name", || {
        page.evaluate(ASKS).unwrap_or(false) && page.evaluate(ASKS_FOR_A_NAME).unwrap_or(false)
    })?;

    // Whom it names gets a desktop without a question, and comes back to it.
    become_account(&page, "alice")?;
    shows_quadrants(&page)?;
    let app = sole_app(&host)?;
    ensure!(machine.sessions() == ["open_session alice"]);
    page.reload()?;
    shows_quadrants(&page)?;
    ensure!(sole_app(&host)? == app);
    let said = host.said();
    ensure!(said.contains("by proxy, as alice"), "{said}");

    // One whom the machine does not know gets nothing, and not the desktop of who was here before.
    become_account(&page, "mallory")?;
    wait_until("the page says that mallory may not", || {
        page.evaluate::<String>(ERROR).is_ok_and(|said| said.contains("may not sign in"))
    })?;
    ensure!(page.evaluate::<bool>(ASKS)? && !page.evaluate::<bool>(ASKS_FOR_A_NAME)?);

    // Whoever signs out stays out until they want in.
    become_account(&page, "alice")?;
    shows_quadrants(&page)?;
    page.evaluate::<()>("void document.querySelector('#sign-out').click()")?;
    wait_until("the page waits", || page.evaluate(ASKS).unwrap_or(false))?;
    page.evaluate::<()>("void document.querySelector('#sign-in').requestSubmit()")?;
    shows_quadrants(&page)?;
    ensure!(sole_app(&host)? == app);

    // A restart of the host costs neither the desktop nor a question.
    host.kill()?;
    host.serve()?;
    page.reload()?;
    shows_quadrants(&page)?;
    ensure!(sole_app(&host)? == app);

    // Nobody else can name an account: not another user, root included, and not by the other listener.
    let names = "X-Remote-User: alice";
    let stranger = answer(UnixStream::connect(&socket)?, names)?;
    refused_with(&stranger, 403, "--proxy-user")?;
    wait_until("that is recorded", || {
        host.said().contains("uid 0 connected to the proxy's socket")
    })?;
    let elsewhere = answer(TcpStream::connect(host.address())?, names)?;
    refused_with(&elsewhere, 400, "--proxy-socket")?;
    wait_until("that is recorded, too", || {
        host.said().contains("a request of 127.0.0.1 was refused: the header")
    })?;
    // What a browser sends of it the proxy replaces, and a second spelling refuses the request.
    let address = nginx.origin().replace("http://", "");
    let forged =
        answer(TcpStream::connect(&address)?, "X-Remote-User: alice\r\nCookie: who=bob,carol")?;
    refused_with(&forged, 400, "no account's name")?;
    host.stop();
    ensure!(!std::path::Path::new(&socket).exists(), "the socket is left behind");
    Ok(())
}
