//! Starts that fail, or whose app fails.

use std::{
    fs,
    net::TcpListener,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixListener,
    },
    process::Command,
};

use anyhow::Result;
use lumen_ipc::process::{ExitCode, Worker};
use lumen_tests::{
    rig::Setup,
    stage::{Folder, Misbehaviour, Stage},
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
fn socket_that_somebody_listens_on_or_another_file_is_refused_and_left_alone() -> Result<()> {
    let folder = Folder::new("taken", 0o1777)?;
    let socket = folder.path().join("web.sock");
    let _listener = UnixListener::bind(&socket)?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666))?;
    let file = folder.path().join("file");
    fs::write(&file, "mine")?;
    for path in [&socket, &file] {
        let listen = format!("unix:{}", path.display());
        let ended = Setup::new().listen(&listen).run_to_end()?;
        assert!(!ended.status.success());
        assert!(ended.said.contains(&listen), "{}", ended.said);
    }
    assert!(fs::symlink_metadata(&socket)?.file_type().is_socket());
    assert_eq!(fs::read_to_string(&file)?, "mine");
    Ok(())
}

#[test]
fn socket_that_is_left_behind_is_replaced_by_one_for_owner_and_group() -> Result<()> {
    let folder = Folder::new("left", 0o777)?;
    let socket = folder.path().join("web.sock");
    let listener = UnixListener::bind(&socket)?;
    // Lumen, which may run as another user, must find out that nobody listens.
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666))?;
    drop(listener);
    let rig = Setup::new().listen(&format!("unix:{}", socket.display())).start()?;
    let mode = fs::symlink_metadata(&socket)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    drop(rig);
    assert!(!socket.exists(), "the socket is left behind");
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
