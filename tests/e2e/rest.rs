//! A desktop that nobody watches takes little memory, and is there again for whoever comes.

use anyhow::{Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{browser::Browser, patience::wait_for_ok, rig::Rig};

use crate::picture::shows_quadrants;

#[test]
fn desktop_that_nobody_watches_gives_memory_back_and_is_shown_to_the_next_viewer() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    shows_quadrants(&page)?;
    let media = rig.ready_worker(Worker::Media)?;
    let watched = media.proportional_memory()?;
    page.close()?;
    wait_for_ok("media gives memory back", || {
        let rests = media.proportional_memory()?;
        ensure!(2 * rests < watched, "{rests} of {watched} bytes are left");
        Ok(())
    })?;

    let page = browser.open(rig.url())?;
    shows_quadrants(&page)?;
    ensure!(rig.ready_worker(Worker::Media)? == media, "it has not been restarted");
    Ok(())
}
