//! What a death in the middle of a text costs: that text.

use anyhow::Result;
use lumen_ipc::process::Worker;
use lumen_tests::patience::wait_until;

use super::{Desk, Place, long_text};

/// Kills a worker as soon as ten megabytes are on their way, and waits until the viewer can go on.
fn kill_in_the_middle(desk: &Desk, worker: Worker) -> Result<()> {
    desk.app_copies(&long_text())?;
    wait_until("the text is on its way", || {
        let bytes = desk.page.evaluate::<f64>("lumenTest.transportBytes()");
        bytes.is_ok_and(|bytes| bytes > 1_000_000.0)
    })?;
    let killed = desk.rig.kill(worker)?;
    desk.rig.successor(worker, killed)?;
    desk.page.wait_for_picture()?;
    wait_until("the page takes keys again", || {
        desk.page.evaluate("document.documentElement.dataset.input === 'open'").unwrap_or(false)
    })
}

#[test]
fn death_of_a_worker_in_the_middle_of_a_text_costs_that_text_only() -> Result<()> {
    let desk = Desk::start(Place::Alone, &[])?;
    for worker in [Worker::Media, Worker::Rtc] {
        kill_in_the_middle(&desk, worker)?;
        desk.passes_both_ways(&format!("after {worker:?}"))?;
    }
    Ok(())
}

#[test]
fn death_of_the_compositor_in_the_middle_of_a_text_costs_the_app_and_no_later_text() -> Result<()> {
    let desk = Desk::start(Place::Alone, &[])?;
    std::fs::remove_file(&desk.pasted)?;
    kill_in_the_middle(&desk, Worker::Compositor)?;
    wait_until("the app is started anew", || desk.pasted.exists())?;
    desk.passes_both_ways("after the compositor")
}
