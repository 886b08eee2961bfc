//! Sessions that end by themselves, and sessions that may not begin.

use anyhow::{Result, ensure};
use lumen_tests::{
    browser::Browser,
    hosted::{HostRig, HostSetup, SessionRig, SessionSetup},
    patience::wait_until,
};

/// What `lumen sessions` prints.
fn listed(host: &HostRig) -> Result<String> {
    let output = host.lumen(&["sessions"])?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The line of a session in that.
fn line_of(host: &HostRig, name: &str) -> String {
    let listed = listed(host).unwrap_or_default();
    listed.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned()
}

/// Waits until a session has ended as one does that is asked to.
fn ends(session: &mut SessionRig) -> Result<()> {
    let status = session.wait_for_end()?;
    ensure!(status.success(), "{status}: {}", session.said());
    Ok(())
}

#[test]
fn session_is_ended_that_nobody_watches_and_one_that_nobody_uses_after_a_warning() -> Result<()> {
    let setup = HostSetup::new().option("--session-unwatched", "15s");
    let host = setup.option("--session-idle", "14s").start()?;
    let browser = Browser::start()?;
    let mut used = SessionSetup::new().named("used").start(&host)?;
    ensure!(line_of(&host, "used").contains("(nobody watches it)"), "{}", listed(&host)?);
    let page = browser.open(used.url())?;
    page.wait_for_picture()?;

    // The page counts down, and a key keeps the desktop.
    page.wait_for_status("Nobody uses this desktop: it ends in ")?;
    ensure!(line_of(&host, "used").contains("(nobody uses it)"), "{}", listed(&host)?);
    page.key_down("KeyA")?;
    page.key_up("KeyA")?;
    wait_until("the page takes the warning back", || {
        page.evaluate("document.querySelector('#status').hidden").unwrap_or(false)
    })?;

    // Another one begins later, and is never watched.
    let mut alone = SessionSetup::new().named("alone").start(&host)?;
    ends(&mut alone)?;
    let said = host.said();
    ensure!(said.contains("was ended: nobody watched it for 15 seconds"), "{said}");

    // Nobody does anything any more.
    ends(&mut used)?;
    page.wait_for_status("The desktop was ended, because nobody used it for 14 seconds.")?;
    let said = host.said();
    ensure!(said.contains("was ended: nobody used it for 14 seconds"), "{said}");
    ensure!(said.contains("LUMEN_AUDIT=\"ended\"") && said.contains("LUMEN_REASON=\"idle\""));
    ensure!(used.said().contains("nobody used it"), "{}", used.said());
    Ok(())
}

#[test]
fn session_beyond_the_limit_is_refused_with_the_limit_and_those_that_are_there_stay() -> Result<()>
{
    let mut host = HostSetup::new().option("--sessions-per-user", "2").start()?;
    let first = SessionSetup::new().start(&host)?;
    let mut second = SessionSetup::new().start(&host)?;
    let refused = |host: &HostRig, option: &str| {
        let mut more = SessionSetup::new().launch(host)?;
        let status = more.wait_for_end()?;
        ensure!(status.code() == Some(112) && more.said().contains(option), "{}", more.said());
        Ok(())
    };
    refused(&host, "--sessions-per-user")?;
    ensure!(host.said().contains("as many desktops as one may have"), "{}", host.said());

    // A host with a lower limit takes back those that it finds.
    host.kill()?;
    host.set_options(&["--sessions-total", "1"]);
    host.serve()?;
    host.wait_for_sessions(2)?;
    refused(&host, "--sessions-total")?;
    second.kill()?;
    host.wait_for_sessions(1)?;
    refused(&host, "--sessions-total")?;
    ensure!(first.supervisor().is_alive());
    Ok(())
}
