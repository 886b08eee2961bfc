//! Who is let in.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    browser::Browser,
    patience::{patience, wait_until},
    rig::{Rig, Setup, TEST_USER, runs_as_root},
    viewer::{Handshake, Signalling, Viewer, get},
};
use nix::unistd::{Uid, User, setfsuid};

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

/// Runs `work` with the sockets that it makes belonging to a user.
fn as_user<Found: Send>(uid: Uid, work: impl FnOnce() -> Found + Send) -> Found {
    thread::scope(|scope| {
        let working = scope.spawn(|| {
            // The kernel gives a socket to the user as whom the thread uses files.
            setfsuid(uid);
            work()
        });
        working.join().expect("the work does not panic")
    })
}

/// The ways of one user's browser into a desktop: the page's question, and the WebSocket.
fn admits(address: SocketAddr, uid: Uid) -> Result<bool> {
    let (asked, opened) = as_user(uid, || {
        (get(address, "/api/session", &[]), Signalling::open(Handshake::of(address)))
    });
    let asked = asked?;
    match (asked.status, opened) {
        (200, Ok(_)) => Ok(true),
        (403, Err(refused)) if refused.to_string().contains("403") => {
            ensure!(asked.header("lumen-refusal") == Some("other-user"), "{asked:?}");
            ensure!(asked.body.contains("desktop's own user"), "{asked:?}");
            Ok(false)
        }
        (_, opened) => bail!("user {uid}: {asked:?}, but for the WebSocket {opened:?}"),
    }
}

#[test]
fn no_authentication_lets_in_the_desktops_user_and_root_and_no_other_user() -> Result<()> {
    if !runs_as_root() {
        println!("not root, who alone can be another user: nothing to test");
        return Ok(());
    }
    let owner = User::from_name(TEST_USER)?.context("the user of tests")?.uid;
    let open = |setup: Setup| setup.option("--auth", "none");
    // A nameless user's number, which is not the test user's.
    let stranger = 40_017;
    for (setup, owner) in [
        (open(Setup::new()), owner),
        (open(Setup::new()).listen("[::1]:0"), owner),
        (open(Setup::new().as_root()), owner),
        (open(Setup::new().as_nameless(stranger)), Uid::from_raw(stranger)),
    ] {
        let rig = setup.start()?;
        let address = rig.address();
        let gateway = rig.ready_worker(Worker::Gateway)?.user_ids()?[0];
        ensure!(admits(address, owner)? && admits(address, Uid::from_raw(0))?, "{owner}");
        let others = [1, 65_534, stranger + 1, gateway].map(Uid::from_raw);
        for other in others.into_iter().filter(|other| *other != owner) {
            ensure!(!admits(address, other)?, "the desktop of {owner} admits {other}");
        }
        wait_until("the log says whose browser it was", || {
            rig.said().contains("refused a browser of another user")
        })?;
    }
    Ok(())
}

#[test]
fn no_authentication_knows_a_browser_that_connects_by_a_socket_for_ipv6() -> Result<()> {
    if !runs_as_root() {
        println!("not root, who alone can be another user: nothing to test");
        return Ok(());
    }
    let rig = Setup::new().option("--auth", "none").start()?;
    let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), rig.address().port()));
    let request = format!(
        "GET /api/session HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        rig.address()
    );
    for (uid, status) in [(0, "HTTP/1.1 200"), (1, "HTTP/1.1 403")] {
        let mut stream = as_user(Uid::from_raw(uid), || TcpStream::connect(mapped))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with(status), "user {uid}: {answer}");
    }
    Ok(())
}

/// A user's tunnel to the gateway, as of SSH: where it listens. It ends with the test's process.
fn tunnel(uid: Uid, gateway: SocketAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = as_user(uid, || TcpStream::connect(gateway)) else { continue };
            for (from, to) in [(near.try_clone(), far.try_clone()), (Ok(far), Ok(near))] {
                let (Ok(mut from), Ok(mut to)) = (from, to) else { continue };
                thread::spawn(move || {
                    // Either end may close at any time.
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
    Ok(address)
}

#[test]
fn tunnel_lets_in_whom_its_user_may_let_in_and_a_page_says_why_it_does_not() -> Result<()> {
    if !runs_as_root() {
        println!("not root, who alone can be another user: nothing to test");
        return Ok(());
    }
    let rig = Setup::new().option("--auth", "none").start()?;
    let owner = User::from_name(TEST_USER)?.context("the user of tests")?.uid;
    let browser = Browser::start()?;
    let refused = tunnel(Uid::from_raw(1), rig.address())?;
    let page = browser.open(&format!("http://{refused}/"))?;
    page.wait_for_status("another user's")?;
    ensure!(page.frames()?.is_empty());
    let admitted = tunnel(owner, rig.address())?;
    let page = browser.open(&format!("http://{admitted}/"))?;
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
fn sign_in_elsewhere_is_told_listed_and_ended_by_the_page_and_the_pages_own_by_a_command()
-> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    let elsewhere = Viewer::with_token(rig.address(), rig.token())?;
    page.wait_for_status("Somebody signed in with the access token from 127.0.0.1")?;
    elsewhere.wait_for_frame(1)?;
    let viewers = |count: &str| {
        let status = rig.lumen(&["status"]);
        status.is_ok_and(|it| String::from_utf8_lossy(&it.stdout).contains(count))
    };
    wait_until("both watch", || viewers("2 viewers"))?;
    page.evaluate::<()>("void document.querySelector('#report-button').click()")?;
    const OTHERS: &str = "document.querySelectorAll('#sign-ins li button').length";
    wait_until("the other one is listed", || page.evaluate(OTHERS).unwrap_or(0) == 1)?;
    page.evaluate::<()>("document.querySelector('#sign-ins li button').click()")?;
    wait_until("it has ended", || viewers("1 viewer,"))?;
    wait_until("it is not listed", || page.evaluate(OTHERS).unwrap_or(1) == 0)?;
    page.wait_for_picture()?;
    let listed = rig.lumen(&["users"])?;
    let listed = String::from_utf8(listed.stdout)?;
    let number = listed.split_whitespace().find(|word| word.len() == 16).context("a number")?;
    ensure!(rig.lumen(&["revoke", &number[..8]])?.status.success(), "{listed}");
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

#[test]
fn cookie_changes_while_its_browser_stays_signed_in() -> Result<()> {
    // The cookie is replaced after an eighth of this time.
    let rig = Setup::new().option("--login-idle", "32s").start()?;
    let (thief, cookies) = thief()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    let (begun, mut seen) = (Instant::now(), BTreeSet::new());
    // The second is offered, the third takes the place of one that was in use.
    while seen.len() < 3 {
        ensure!(begun.elapsed() < patience(), "the cookie stays the same");
        page.go_to(&format!("http://{thief}/"))?;
        seen.insert(cookies.recv_timeout(patience()).context("the browser shows no cookie")?);
        page.go_to(&format!("http://{}/", rig.address()))?;
        page.wait_for_picture()?;
    }
    Ok(())
}
