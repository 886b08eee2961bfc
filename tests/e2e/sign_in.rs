//! Accounts that sign in by PAM to desktops that are started for them, in the order of production: the page, the
//! host, `lumen-login`, `lumen session`, an app. Needs root.

use anyhow::{Context, Result, ensure};
use lumen_ipc::{process::Worker, service::SessionStatus};
use lumen_tests::{
    accounts::Accounts,
    browser::{Browser, Page},
    hosted::{HostRig, HostSetup},
    patience::{wait_for, wait_until},
    process::Process,
    rig::kill_hard,
};

use crate::picture::shows_quadrants;

pub(crate) const ALICE: u32 = 4001;
pub(crate) const PASSWORD: &str = "correct horse";
/// The page asks for name and password, and nothing is on its way.
const ASKS: &str = "!document.querySelector('#sign-in').hidden \
                    && !document.querySelector('#sign-in button[type=submit]').disabled";
const ERROR: &str = "document.querySelector('#sign-in-error').textContent";

pub(crate) fn host_of(machine: &Accounts) -> HostSetup {
    let setup = HostSetup::new().as_root().option("--auth", "password");
    let setup = setup.option("--login-socket", &machine.socket("login"));
    setup.option("--session-socket", &machine.socket("session"))
}

/// Opens the page, which asks for an account.
pub(crate) fn visit(browser: &Browser, host: &HostRig) -> Result<Page> {
    let page = browser.open(&format!("http://{}/", host.address()))?;
    wait_until("the page asks who it is", || page.evaluate(ASKS).unwrap_or(false))?;
    Ok(page)
}

pub(crate) fn sign_in(page: &Page, password: &str) -> Result<()> {
    sign_in_as("alice", page, password)
}

fn sign_in_as(name: &str, page: &Page, password: &str) -> Result<()> {
    page.evaluate::<()>(&format!(
        "void (document.querySelector('#sign-in-name').value = '{name}', \
         document.querySelector('#sign-in-password').value = '{password}', \
         document.querySelector('#sign-in').requestSubmit())"
    ))
}

/// The only session, and its app.
fn desktop(host: &HostRig) -> Result<(SessionStatus, Process)> {
    let mut sessions = host.wait_for_sessions(1)?.sessions;
    let session = sessions.pop().context("one")?;
    let app = session.app.pid.context("its app runs")?;
    Ok((session, Process(app)))
}

/// Whether the desktop's sound worker has a sink.
fn has_sound(host: &HostRig) -> Result<bool> {
    let status = host.status()?;
    let sound = status.processes().find(|one| one.process.kind() == Worker::Sound);
    let summary = sound.context("there is no sound worker")?.summary.as_str();
    Ok(summary.starts_with("Opus") || summary.starts_with("nobody"))
}

#[test]
fn account_that_signs_in_gets_its_own_desktop_and_comes_back_to_it() -> Result<()> {
    let mut machine = Accounts::new(&[("alice", ALICE, PASSWORD)])?;
    machine.open()?;
    let mut host = host_of(&machine).start()?;
    let browser = Browser::start()?;
    let page = visit(&browser, &host)?;

    // A wrong password starts nothing.
    sign_in(&page, "wrong")?;
    wait_until("the page says that it is wrong", || {
        let said = page.evaluate::<String>(ERROR).unwrap_or_default();
        !said.is_empty() && page.evaluate(ASKS).unwrap_or(false)
    })?;
    ensure!(host.status()?.sessions.is_empty() && machine.sessions().is_empty());

    // The right one starts a desktop, which is the account's.
    sign_in(&page, PASSWORD)?;
    shows_quadrants(&page)?;
    let (session, app) = desktop(&host)?;
    ensure!(app.user_ids()?.iter().all(|uid| *uid == ALICE), "the app is alice's");
    for field in ["NoNewPrivs", "Seccomp"] {
        ensure!(app.status_field(field)? == "0", "{field} of an app, in which sudo has to work");
    }
    ensure!(app.environment()?.contains(&format!("HOME={}", machine.home("alice").display())));
    ensure!(app.parent()?.user_ids()?.contains(&ALICE), "it is a child of the user's side");
    ensure!(machine.sessions() == ["open_session alice"]);
    wait_until("the desktop reaches its sound server", || has_sound(&host).unwrap_or(false))?;

    // Whoever signs in again comes to the same apps.
    let second = visit(&browser, &host)?;
    sign_in(&second, PASSWORD)?;
    shows_quadrants(&second)?;
    ensure!(desktop(&host)?.1 == app && machine.sessions().len() == 1);
    second.evaluate::<()>("void document.querySelector('#sign-out').click()")?;
    wait_until("the second page asks again", || second.evaluate(ASKS).unwrap_or(false))?;
    ensure!(app.is_alive(), "a desktop stays when a browser signs out");

    // The host's end is none of the desktop's, and none of the login's.
    host.kill()?;
    ensure!(app.is_alive());
    host.serve()?;
    page.reload()?;
    shows_quadrants(&page)?;
    ensure!(desktop(&host)?.1 == app);
    sign_in(&second, PASSWORD)?;
    shows_quadrants(&second)?;
    ensure!(desktop(&host)?.1 == app, "the new host knows whose the desktop is");

    // The end of a session is that of its login session; the next sign-in starts another.
    kill_hard(Process(session.supervisor_pid))?;
    wait_until("the login session is closed", || {
        machine.sessions() == ["open_session alice", "close_session alice"]
    })?;
    wait_until("nothing of it is left", || {
        !app.is_alive()
            && machine.running("login").is_empty()
            && machine.running("session").is_empty()
    })?;
    let third = visit(&browser, &host)?;
    sign_in(&third, PASSWORD)?;
    shows_quadrants(&third)?;
    let (session, other) = desktop(&host)?;
    ensure!(other != app && machine.sessions().len() == 3);

    // A desktop that is stopped ends as a whole before its place is given to another.
    let stopped = host.lumen(&["stop", &session.id.to_string()])?;
    ensure!(stopped.status.success());
    sign_in(&visit(&browser, &host)?, PASSWORD)?;
    let last = wait_for("another desktop", || {
        desktop(&host).ok().filter(|(last, _)| last.id != session.id)
    })?;
    ensure!(last.1 != other && !other.is_alive());

    // One that ended while there was no host is not waited for for long.
    host.kill()?;
    kill_hard(Process(last.0.supervisor_pid))?;
    wait_until("its apps are gone", || !last.1.is_alive() && machine.running("login").is_empty())?;
    host.serve()?;
    let after = visit(&browser, &host)?;
    sign_in(&after, PASSWORD)?;
    shows_quadrants(&after)?;
    let expected = ["open_session alice", "close_session alice"].repeat(4);
    ensure!(machine.sessions() == expected[..7], "{:?}", machine.sessions());
    Ok(())
}

#[test]
fn account_that_may_have_no_desktop_is_told_why_and_so_is_one_whose_desktop_a_limit_ended()
-> Result<()> {
    let mut machine = Accounts::new(&[("alice", ALICE, PASSWORD), ("bob", ALICE + 1, PASSWORD)])?;
    machine.open()?;
    let setup = host_of(&machine).option("--sessions-total", "1");
    let host = setup.option("--session-unwatched", "15s").start()?;
    let browser = Browser::start()?;
    let page = visit(&browser, &host)?;
    sign_in(&page, PASSWORD)?;
    shows_quadrants(&page)?;

    let other = visit(&browser, &host)?;
    sign_in_as("bob", &other, PASSWORD)?;
    wait_until("the page says that there are too many desktops", || {
        page_text(&other, ERROR).contains("as many desktops as it may have")
    })?;
    let recorded = "there may be no more desktops than 1 (--sessions-total)";
    ensure!(host.said().contains(recorded), "{}", host.said());
    ensure!(machine.sessions() == ["open_session alice"]);
    // Who has a desktop comes to it all the same.
    let second = visit(&browser, &host)?;
    sign_in(&second, PASSWORD)?;
    shows_quadrants(&second)?;

    for page in [&page, &second] {
        page.close()?;
    }
    wait_until("the login session is closed", || {
        machine.sessions() == ["open_session alice", "close_session alice"]
    })?;
    host.wait_for_sessions(0)?;
    let back = visit(&browser, &host)?;
    sign_in(&back, PASSWORD)?;
    let told = "document.querySelector('#sign-in-questions').textContent";
    wait_until("the page says why the last desktop has ended", || {
        let told = page_text(&back, told);
        told.contains("Your last desktop was ended, because nobody watched it for 15 seconds.")
    })?;
    back.evaluate::<()>("void document.querySelector('#sign-in').requestSubmit()")?;
    shows_quadrants(&back)
}

fn page_text(page: &Page, expression: &str) -> String {
    page.evaluate(expression).unwrap_or_default()
}
