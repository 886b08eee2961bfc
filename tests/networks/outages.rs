//! Lines that fail for a while: the picture is back soon after the line is, over the same connection.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use lumen_tests::{app::Show, browser::Browser, patience::wait_until, rig::Setup};

use crate::topology::{Gate, Network, SERVER_V4};

/// How long the line fails.
const OUTAGES: [Duration; 5] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(6),
    Duration::from_secs(10),
];

/// The longest that a picture may take after the line is back.
const SOON: Duration = Duration::from_millis(1500);

#[test]
fn line_that_fails_for_up_to_ten_seconds_costs_no_connection_and_the_picture_is_back_soon()
-> Result<()> {
    let network = Network::symmetric_nat(Gate::Open)?;
    let setup = Setup::new().on_host(&network.server, "0.0.0.0:8080").show(Show::Scroll, 30);
    let rig = setup.start()?;
    let browser = Browser::start_on(Some(&network.browser), &[])?;
    let page = browser.open(&rig.url_from(SERVER_V4))?;
    page.wait_for_picture()?;
    let mut late = Vec::new();
    for outage in OUTAGES {
        page.wait_for_frame_after(SystemTime::now())?;
        network.cut()?;
        let begun = Instant::now();
        wait_until("the outage has lasted", || begun.elapsed() >= outage)?;
        let mended = SystemTime::now();
        network.mend()?;
        let waited = page.wait_for_frame_after(mended)?;
        page.ensure_connected_once().with_context(|| format!("after {outage:?}"))?;
        println!("an outage of {outage:?}: a picture {waited:?} later");
        late.extend((waited > SOON).then_some((outage, waited)));
    }
    ensure!(late.is_empty(), "outages, and pictures so much later: {late:?}");
    Ok(())
}
