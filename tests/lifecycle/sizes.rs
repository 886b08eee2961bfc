//! When workers between a viewer's window and the desktop die, the desktop keeps the size of that
//! window: no picture of another size is shown meanwhile, least of all of the size with which a
//! desktop begins.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    browser::{Browser, Page},
    patience::{wait_for_ok, wait_until},
    picture::QUADRANTS,
    rig::{Rig, kill_hard},
};

/// Another size than a desktop begins with.
const SIZE: (u32, u32) = (900, 700);

/// The sizes of all pictures that were shown since the first `count`.
fn sizes_after(page: &Page, count: usize) -> Result<Vec<(u32, u32)>> {
    Ok(page.frames()?.into_iter().skip(count).map(|frame| (frame.width, frame.height)).collect())
}

/// Types until a picture is shown that was made after `at`. A browser that has joined anew may show the
/// first picture of a still desktop without a word to the page.
fn wait_for_a_picture(page: &Page, at: SystemTime) -> Result<()> {
    let millis = at.duration_since(UNIX_EPOCH)?.as_secs_f64() * 1000.0;
    let mut keys = ["KeyA", "KeyS"].into_iter().cycle();
    wait_for_ok("a picture after the deaths", || {
        let key = keys.next().context("there are keys")?;
        page.key_down(key)?;
        page.key_up(key)?;
        let last = page.frames()?.pop().context("no frame at all")?;
        ensure!(last.at > millis, "the last frame is from before");
        Ok(())
    })
}

#[test]
fn workers_killed_leave_the_desktop_its_size() -> Result<()> {
    use Worker::{Compositor, Media, Rtc};
    for victims in [
        &[Media][..],
        &[Compositor],
        &[Rtc],
        &[Media, Compositor],
        &[Rtc, Media],
        &[Rtc, Media, Compositor],
    ] {
        let rig = Rig::start()?;
        let browser = Browser::start()?;
        let page = browser.open_sized(rig.url(), SIZE.0, SIZE.1)?;
        wait_until("the desktop has the window's size", || {
            sizes_after(&page, 0).is_ok_and(|sizes| sizes.last() == Some(&SIZE))
        })?;
        page.wait_for_colour((0.25, 0.25), QUADRANTS[0])?;
        page.wait_until_quiet()?;
        let shown = page.frames()?.len();
        let processes: Vec<_> =
            victims.iter().map(|worker| rig.ready_worker(*worker)).collect::<Result<_>>()?;
        let at = SystemTime::now();
        processes.iter().try_for_each(|process| kill_hard(*process))?;
        wait_for_a_picture(&page, at)?;
        for (worker, process) in victims.iter().zip(processes) {
            rig.successor(*worker, process)?;
        }
        // With rtc its viewers are gone, and with them the compositor's only source: where both die,
        // the desktop begins anew until the page is back.
        let starts_over = victims.contains(&Rtc) && victims.contains(&Compositor);
        wait_until(&format!("the desktop has its size after {victims:?} were killed"), || {
            sizes_after(&page, shown).is_ok_and(|sizes| sizes.last() == Some(&SIZE))
        })?;
        page.wait_until_quiet()?;
        let sizes = sizes_after(&page, shown)?;
        ensure!(sizes.last() == Some(&SIZE), "{victims:?} killed: {sizes:?}");
        ensure!(
            starts_over || sizes.iter().all(|size| *size == SIZE),
            "{victims:?} killed: {sizes:?}"
        );
    }
    Ok(())
}
