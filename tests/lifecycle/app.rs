//! The app's end, as the pages show it, and its next start.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lumen_tests::{
    browser::{Browser, Page},
    patience::wait_until,
    picture::QUADRANTS,
    process::Process,
    rig::{Rig, Setup, kill_hard},
    stage::{Folder, Stage, TEST_APP},
};

/// An app that has worked ran for two seconds (`APP_EARLY` in the supervisor).
const HAS_WORKED: Duration = Duration::from_secs(2);

/// Waits until the app has run long enough to count as having worked. It starts after the session's
/// helpers, which may be after Lumen has reported that it is ready.
fn let_work(rig: &Rig) -> Result<()> {
    wait_until("the app runs", || rig.app_pid().is_ok_and(|pid| pid.is_some()))?;
    let begun = Instant::now();
    wait_until("the app has run for a while", || begun.elapsed() > HAS_WORKED)
}

fn says(page: &Page, wanted: &str) -> Result<()> {
    let said = || page.evaluate::<String>("document.querySelector('#status-text').textContent");
    wait_until(&format!("the page says `{wanted}`"), || said().is_ok_and(|said| said == wanted))
        .with_context(|| format!("it says {:?}", said()))
}

/// The label of the page's button; empty without a button.
fn offers(page: &Page) -> Result<String> {
    let button = "document.querySelector('#status-action')";
    page.evaluate(&format!("{button}.hidden ? '' : {button}.textContent"))
}

#[test]
fn app_that_fails_is_told_by_the_page_with_its_exit_code_and_ends_lumen_with_it() -> Result<()> {
    let (stage, notes) = (Stage::new()?, Folder::new("notes", 0o1777)?);
    let pid = notes.path().join("pid");
    let script = format!(
        "{} --log {} & echo $! >{}; wait; exit 42",
        stage.path(TEST_APP).display(),
        notes.path().join("log").display(),
        pid.display(),
    );
    let mut rig = Setup::new().on_stage(stage).app(["sh", "-c", &script]).start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_colour((0.25, 0.25), QUADRANTS[0])?;
    let_work(&rig)?;
    kill_hard(Process(std::fs::read_to_string(&pid)?.trim().parse()?))?;
    assert_eq!(rig.wait_for_end()?.code(), Some(42));
    says(&page, "The app ended with exit code 42, and the desktop with it.")?;
    assert_eq!(page.evaluate::<String>("document.documentElement.dataset.state")?, "failed");
    Ok(())
}

#[test]
fn app_that_is_killed_is_told_by_the_page_with_the_signal() -> Result<()> {
    let mut rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_colour((0.25, 0.25), QUADRANTS[0])?;
    let_work(&rig)?;
    kill_hard(Process(rig.app_log().pid()?))?;
    assert_eq!(rig.wait_for_end()?.code(), Some(128 + 9));
    says(&page, "The app was ended by signal 9 (SIGKILL), and the desktop with it.")
}

#[test]
fn desktop_that_is_stopped_is_told_by_the_page() -> Result<()> {
    let mut rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_colour((0.25, 0.25), QUADRANTS[0])?;
    rig.stop()?;
    says(&page, "The desktop was ended.")
}

#[test]
fn demo_that_ends_is_started_again_by_the_page() -> Result<()> {
    let rig = Setup::new().no_app().start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    let_work(&rig)?;
    let before = rig.app_pid()?.context("the demo runs")?;
    kill_hard(Process(before))?;
    says(&page, "The app was ended by signal 9 (SIGKILL).")?;
    assert_eq!(offers(&page)?, "Start again");
    assert_eq!(rig.app_pid()?, None);
    page.evaluate::<()>("document.querySelector('#status-action').click()")?;
    says(&page, "")?;
    let after = rig.app_pid()?.context("another demo runs")?;
    assert_ne!(after, before);
    page.ensure_connected_once()
}
