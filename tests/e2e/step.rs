//! Picture and sound together, as a browser shows and plays them.

use anyhow::{Context, Result, ensure};
use lumen_tests::{
    browser::Browser, hearing::start_playing, measured, patience::wait_for_ok, rig::Setup,
    step::Observer,
};

/// Further apart than this, people notice that lips and voices do not go together (ITU-R BT.1359-1 has
/// 45 ms for sound that leads); it is promised to users.
const MOST_MILLIS: f64 = 40.0;
/// Flashes and beeps that are compared.
const COUNT: usize = 10;

/// Where a machine is busy with other things browsers keep more sound in store for a while, to have no gaps:
/// so it is looked until it holds.
#[test]
fn flash_and_its_beep_reach_the_viewer_together() -> Result<()> {
    let browser = Browser::start()?;
    let rig = Setup::new().flash_and_beep().start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    start_playing(&page)?;
    let observer = Observer::begin(rig.app_log(), &page)?;
    let lag = wait_for_ok("flashes and beeps come together", || {
        let delays = observer.newest(COUNT)?;
        let lag = delays.lag().context("none")?;
        ensure!(lag.abs() <= MOST_MILLIS, "sound is {lag} ms behind: {delays:?}");
        Ok(lag)
    })?;
    measured::note(&format!("beep after its flash, ms, of {COUNT}"), format_args!("{lag:.1}"));
    Ok(())
}
