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

/// Where a machine is busy with other things browsers keep more sound in store, to have no gaps. So that is
/// left out of what must hold, and what people would see and hear on this machine is only printed.
#[test]
fn flash_and_its_beep_reach_the_viewer_together() -> Result<()> {
    let browser = Browser::start()?;
    let rig = Setup::new().flash_and_beep().start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    start_playing(&page)?;
    let observer = Observer::begin(rig.app_log(), &page)?;
    let delays = wait_for_ok("flashes and beeps come together", || {
        let delays = observer.newest(COUNT)?;
        let lag = delays.lag_without_store().context("none")?;
        ensure!(lag.abs() <= MOST_MILLIS, "sound is {lag} ms behind: {delays:?}");
        Ok(delays)
    })?;
    let lag = delays.lag().context("none")?;
    let name = format!("beep after its flash, of {COUNT} (aim ±{MOST_MILLIS} ms)");
    measured::note(
        &name,
        format_args!("{lag:.0} ms, with {:.0} ms of sound in store", delays.kept),
    );
    Ok(())
}
