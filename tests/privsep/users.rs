//! Whose processes are whose where root starts Lumen.
//!
//! Needs root.

use std::{fs, os::unix::fs::MetadataExt};

use anyhow::{Result, ensure};
use lumen_tests::rig::{Rig, Setup, runs_as_root};
use nix::libc::{PR_GET_DUMPABLE, SYS_prctl};

use crate::intruder::{Intruder, Outcome};

#[test]
fn memory_of_workers_and_of_roots_supervisor_is_hidden() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    // In `/proc`, the files of a process that is hidden are root's.
    let rig = Rig::start()?;
    for worker in rig.ready_workers()? {
        let owner = fs::metadata(worker.folder().join("environ"))?.uid();
        ensure!(owner == 0, "{} is open to {owner}", worker.command_line()?);
    }
    drop(rig);
    let rig = Setup::new().as_root_for_nobody().start()?;
    let supervisor = Intruder::enter(rig.supervisor())?;
    let get = u64::from(PR_GET_DUMPABLE.unsigned_abs());
    let answer = supervisor.call(SYS_prctl, [get, 0, 0, 0, 0, 0])?;
    ensure!(answer == Outcome::Returned(0), "the supervisor is open: {answer:?}");
    Ok(())
}
