//! Starts that fail, or whose app does.

use std::{net::TcpListener, process::Command};

use anyhow::Result;
use lumen_ipc::process::{ExitCode, Worker};
use lumen_tests::{
    rig::Setup,
    stage::{Misbehaviour, Stage},
};

#[test]
fn port_taken_ends_with_the_address() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let ended = Setup::new().option("--listen", &address).run_to_end()?;
    assert!(!ended.status.success());
    assert!(ended.said.contains(&address), "{}", ended.said);
    Ok(())
}

#[test]
fn app_not_found_ends_with_its_name() -> Result<()> {
    let ended = Setup::new().app(["no-such-app"]).run_to_end()?;
    assert!(!ended.status.success());
    assert!(ended.said.contains("no-such-app"), "{}", ended.said);
    Ok(())
}

#[test]
fn app_that_exits_at_once_ends_lumen_and_says_so() -> Result<()> {
    let ended = Setup::new().app(["false"]).run_to_end()?;
    assert!(ended.said.contains("false"), "{}", ended.said);
    Ok(())
}

#[test]
fn worker_missing_ends_with_its_path() -> Result<()> {
    for worker in Worker::ALL {
        let stage = Stage::new()?;
        stage.remove(worker)?;
        let ended = Setup::new().on_stage(stage).run_to_end()?;
        assert!(!ended.status.success());
        assert!(ended.said.contains(worker.binary()), "{worker}: {}", ended.said);
    }
    Ok(())
}

#[test]
fn worker_started_by_hand_refuses() -> Result<()> {
    let stage = Stage::new()?;
    for worker in Worker::ALL {
        let output = Command::new(stage.path(worker.binary())).output()?;
        let expected = i32::from(ExitCode::NotSupervised.number());
        assert_eq!(output.status.code(), Some(expected), "{worker}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("lumen run"), "{worker} says what to do: {said}");
    }
    Ok(())
}

#[test]
fn worker_that_breaks_at_once_ends_the_start_with_its_name() -> Result<()> {
    for misbehaviour in Misbehaviour::ALL {
        let stage = Stage::new()?;
        stage.replace_by_stub(Worker::Media, misbehaviour)?;
        let ended = Setup::new().on_stage(stage).run_to_end()?;
        assert!(!ended.status.success(), "{misbehaviour:?}: {}", ended.said);
        assert!(ended.said.contains("media"), "{misbehaviour:?}: {}", ended.said);
    }
    Ok(())
}
