//! Accounts that sign in while somebody watches their desktop, by each policy of `--session-in-use`. Needs root.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use lumen_tests::{
    accounts::Accounts,
    browser::{Browser, Page},
    hosted::HostRig,
    patience::wait_until,
    process::Process,
};

use crate::{
    picture::shows_quadrants,
    sign_in::{ALICE, PASSWORD, host_of, sign_in, visit},
};

const ERROR: &str = "document.querySelector('#sign-in-error').textContent";

fn is_told(page: &Page, words: &str) -> Result<()> {
    wait_until(&format!("the page says {words:?}"), || {
        page.evaluate::<String>(ERROR).is_ok_and(|said| said.contains(words))
    })
}

/// The apps of all desktops.
fn apps(host: &HostRig, count: usize) -> Result<Vec<Process>> {
    let sessions = host.wait_for_sessions(count)?.sessions;
    let apps = sessions.iter().map(|session| session.app.pid.map(Process));
    apps.collect::<Option<_>>().context("each desktop has an app")
}

#[test]
fn desktop_in_use_is_refused_to_others_until_it_is_closed_there() -> Result<()> {
    let mut machine = Accounts::new(&[("alice", ALICE, PASSWORD)])?;
    machine.open()?;
    let host = host_of(&machine).option("--session-in-use", "refuse").start()?;
    let browser = Browser::start()?;
    let first = visit(&browser, &host)?;
    sign_in(&first, PASSWORD)?;
    shows_quadrants(&first)?;
    let app = apps(&host, 1)?;

    let second = visit(&browser, &host)?;
    sign_in(&second, PASSWORD)?;
    is_told(&second, "open elsewhere")?;
    shows_quadrants(&first)?;

    // The first page reloads with its login, which counts as ever.
    first.reload()?;
    shows_quadrants(&first)?;

    first.close()?;
    wait_until("nobody watches", || {
        let listed = host.lumen(&["sessions"]);
        listed.is_ok_and(|listed| !String::from_utf8_lossy(&listed.stdout).contains("127.0.0.1 ("))
    })?;
    sign_in(&second, PASSWORD)?;
    shows_quadrants(&second)?;
    ensure!(apps(&host, 1)? == app, "it is the same desktop");
    ensure!(machine.sessions() == ["open_session alice"]);
    Ok(())
}

#[test]
fn account_whose_desktop_is_in_use_gets_another_with_a_bus_of_its_own() -> Result<()> {
    let mut machine = Accounts::new(&[("alice", ALICE, PASSWORD)])?;
    machine.open()?;
    let setup = host_of(&machine).option("--session-in-use", "new");
    let host = setup.option("--sessions-per-user", "2").start()?;
    let browser = Browser::start()?;
    let pages = [visit(&browser, &host)?, visit(&browser, &host)?];
    for page in &pages {
        sign_in(page, PASSWORD)?;
        shows_quadrants(page)?;
    }
    let apps = apps(&host, 2)?;
    for name in ["WAYLAND_DISPLAY=", "DBUS_SESSION_BUS_ADDRESS="] {
        let mut found = BTreeSet::new();
        for app in &apps {
            let environment = app.environment()?;
            let of = environment.lines().find(|variable| variable.starts_with(name));
            found.insert(of.with_context(|| format!("{name} of {app:?}"))?.to_owned());
        }
        ensure!(found.len() == 2, "both have {found:?}");
    }
    ensure!(machine.sessions() == ["open_session alice", "open_session alice"]);

    let third = visit(&browser, &host)?;
    sign_in(&third, PASSWORD)?;
    is_told(&third, "You have 2 desktops")?;
    Ok(())
}
