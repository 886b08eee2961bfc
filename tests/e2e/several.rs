//! Several viewers, at once and one after the other.

use anyhow::Result;
use lumen_tests::{
    app_event::AppEvent,
    browser::Browser,
    picture::{QUADRANTS, colour_of_key},
    rig::Rig,
    viewer::Viewer,
};

use crate::picture::shows_quadrants;

/// `KEY_W`.
const KEY_W: u32 = 17;

#[test]
fn second_viewer_sees_the_same_at_the_same_time() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let first = browser.open(rig.url())?;
    shows_quadrants(&first)?;
    let second = browser.open(rig.url())?;
    shows_quadrants(&second)?;
    second.key_down("KeyW")?;
    second.key_up("KeyW")?;
    first.wait_for_colour((0.5, 0.5), colour_of_key(KEY_W))?;
    second.wait_for_colour((0.5, 0.5), colour_of_key(KEY_W))
}

#[test]
fn viewer_that_leaves_disturbs_nobody() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    shows_quadrants(&page)?;
    let other = Viewer::join(&rig)?;
    other.wait_for_frame(0)?;
    drop(other);
    page.key_down("KeyW")?;
    page.key_up("KeyW")?;
    page.wait_for_colour((0.5, 0.5), colour_of_key(KEY_W))
}

#[test]
fn viewer_that_returns_sees_the_app_it_left() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_colour((0.25, 0.25), QUADRANTS[0])?;
    page.key_down("KeyW")?;
    page.key_up("KeyW")?;
    page.wait_for_colour((0.5, 0.5), colour_of_key(KEY_W))?;
    page.close()?;
    let again = browser.open(rig.url())?;
    again.wait_for_colour((0.5, 0.5), colour_of_key(KEY_W))?;
    let starts = rig.app_log().events().into_iter();
    let starts = starts.filter(|event| matches!(event, AppEvent::Started { .. })).count();
    assert_eq!(starts, 1, "the app was started anew");
    Ok(())
}

#[test]
fn joining_viewer_starts_with_a_keyframe() -> Result<()> {
    let rig = Rig::start()?;
    let first = Viewer::join(&rig)?;
    first.wait_for_frame(0)?;
    let second = Viewer::join(&rig)?;
    assert!(second.wait_for_frame(0)?.keyframe, "{:?}", second.seen());
    Ok(())
}

#[test]
fn viewer_that_joins_a_still_desktop_sees_it_at_the_first_attempt() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let first = browser.open(rig.url())?;
    shows_quadrants(&first)?;
    first.wait_until_quiet()?;
    // Nothing follows the pictures at the start, so it must miss none of them.
    for _ in 0..6 {
        let joining = browser.open(rig.url())?;
        shows_quadrants(&joining)?;
        joining.ensure_connected_once()?;
        joining.close()?;
    }
    Ok(())
}
