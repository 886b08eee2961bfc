//! When workers between a viewer's window and the desktop die, the desktop keeps the size of that
//! window: no picture of another size is shown meanwhile, least of all of the size with which a
//! desktop begins.

use std::time::SystemTime;

use anyhow::{Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    browser::{Browser, Page},
    patience::wait_until,
    picture::QUADRANTS,
    rig::{Rig, kill_hard},
};

/// Another size than a desktop begins with.
const SIZE: (u32, u32) = (900, 700);

/// The sizes of all pictures that were shown since the first `count`.
fn sizes_after(page: &Page, count: usize) -> Result<Vec<(u32, u32)>> {
    Ok(page.frames()?.into_iter().skip(count).map(|frame| (frame.width, frame.height)).collect())
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
        page.wait_for_frame_after(at)?;
        for (worker, process) in victims.iter().zip(processes) {
            rig.successor(*worker, process)?;
        }
        page.wait_for_colour((0.25, 0.25), QUADRANTS[0])?;
        page.wait_until_quiet()?;
        let sizes = sizes_after(&page, shown)?;
        // With rtc its viewers are gone, and with them the compositor's only source: where both die,
        // the desktop begins anew until the page is back.
        let starts_over = victims.contains(&Rtc) && victims.contains(&Compositor);
        ensure!(sizes.last() == Some(&SIZE), "{victims:?} killed: {sizes:?}");
        ensure!(
            starts_over || sizes.iter().all(|size| *size == SIZE),
            "{victims:?} killed: {sizes:?}"
        );
    }
    Ok(())
}
