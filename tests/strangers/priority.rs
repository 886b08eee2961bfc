//! Has Lumen, its viewers and attackers go before whatever else the machine does, all of them alike, so that an attack
//! is measured and not the rest. Root may do that.

use std::fs;

use anyhow::Result;
use lumen_tests::{
    measured::note,
    rig::{Rig, Setup},
};
use rustix::process::setpriority_process;

/// The niceness (`sched(7)`) of what is measured.
const FIRST: i32 = -15;

/// Starts a desktop that goes first.
pub(crate) fn start(setup: Setup) -> Result<Rig> {
    // What this thread starts inherits that.
    let alone = setpriority_process(None, FIRST);
    let rig = setup.start()?;
    let workers = rig.status()?.processes().filter_map(|worker| worker.pid).collect::<Vec<_>>();
    let own = [std::process::id(), rig.supervisor().0, rig.app_log().pid()?];
    let grouped: std::io::Result<()> = own.into_iter().chain(workers).try_for_each(|process| {
        // Where the kernel shares time among sessions first, each of them has a niceness of its own.
        match fs::write(format!("/proc/{process}/autogroup"), FIRST.to_string()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            written => written,
        }
    });
    if let Err(error) = alone.map_err(Into::into).and(grouped) {
        note("strangers: the machine's other work counts, too", error);
    }
    Ok(rig)
}
