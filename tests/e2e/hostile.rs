//! A viewer that attacks, beside one that watches.

use std::{path::Path, process::Command, time::SystemTime};

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{app::Show, browser::Browser, rig::Setup};

#[test]
fn viewer_whose_report_meets_a_bug_loses_its_own_connection_only() -> Result<()> {
    let rig = Setup::new().show(Show::Blink, 30).start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    let rtc = rig.ready_worker(Worker::Rtc)?;
    let before = page.connections_made()?;

    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(tests.join(".artifacts/venv/bin/python"))
        .arg(tests.join("e2e/hostile_viewer.py"))
        .args([rig.address().to_string().as_str(), rig.token()])
        .output()
        .context("running aiortc, which `tests/install.sh test` installs")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "closed\n");

    page.wait_for_frame_after(SystemTime::now())?;
    assert_eq!(rig.ready_worker(Worker::Rtc)?, rtc, "rtc ended");
    assert_eq!(page.connections_made()?, before);
    assert!(rig.said().contains("a bug, which costs one connection"));
    Ok(())
}
