//! A viewer that attacks, beside one that watches.

use std::time::SystemTime;

use anyhow::Result;
use lumen_ipc::process::Worker;
use lumen_tests::{app::Show, browser::Browser, rig::Setup};

use crate::viewers::Program;

#[test]
fn viewer_whose_report_meets_a_bug_loses_its_own_connection_only() -> Result<()> {
    let rig = Setup::new().show(Show::Blink, 30).start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    let rtc = rig.ready_worker(Worker::Rtc)?;
    let before = page.connections_made()?;

    assert_eq!(Program::Hostile.run(&rig, &[])?, "closed\n");

    page.wait_for_frame_after(SystemTime::now())?;
    assert_eq!(rig.ready_worker(Worker::Rtc)?, rtc, "rtc ended");
    assert_eq!(page.connections_made()?, before);
    assert!(rig.said().contains("a bug, which costs one connection"));
    Ok(())
}
