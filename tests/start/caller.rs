//! What an app inherits from its caller: home, variables, working folder.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use lumen_tests::{
    patience::wait_for,
    rig::{Rig, Setup, TEST_USER, runs_as_root},
    stage::Folder,
};
use nix::unistd::{Gid, Uid, User, chown};

/// A user as in many containers, whom no database names.
const STRANGER: u32 = 12345;

/// A running Lumen and the environment in which its app was started.
struct Birth {
    folder: PathBuf,
    variables: BTreeMap<String, String>,
    _rig: Rig,
    _notes: Folder,
}

impl Birth {
    /// Starts Lumen with an app that writes down its environment and stays.
    fn of(setup: Setup) -> Result<Self> {
        let notes = Folder::new("birth", 0o1777)?;
        let (note, script) = (
            notes.path().join("note"),
            "{ pwd; env; } >\"$1.part\" && mv \"$1.part\" \"$1\" && exec tail -f /dev/null",
        );
        let rig = setup.app(["sh", "-c", script, "sh", &note.to_string_lossy()]).start()?;
        let note =
            wait_for("the app writes down its surroundings", || fs::read_to_string(&note).ok())?;
        let (folder, variables) = note.split_once('\n').context("two lines")?;
        let variables = variables.lines().filter_map(|line| line.split_once('='));
        Ok(Self {
            folder: PathBuf::from(folder),
            variables: variables.map(|(name, value)| (name.into(), value.into())).collect(),
            _rig: rig,
            _notes: notes,
        })
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }
}

/// A folder that belongs to `uid` alone.
fn folder_of(uid: u32) -> Result<Folder> {
    let folder = Folder::new("volume", 0o700)?;
    chown(folder.path(), Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)))?;
    Ok(folder)
}

/// Whether this test can be run; says so if not.
#[expect(clippy::print_stdout, reason = "the test runner shows it for tests that fail")]
fn as_root() -> bool {
    if !runs_as_root() {
        println!("not root: nothing to test");
    }
    runs_as_root()
}

#[test]
fn app_of_a_caller_without_a_name_has_the_callers_home_and_variables() -> Result<()> {
    if !as_root() {
        return Ok(());
    }
    let volume = folder_of(STRANGER)?;
    let given = [
        ("DATABASE", "postgres://somewhere"),
        ("LANGUAGE", "de:en"),
        ("LC_TIME", "C.UTF-8"),
        ("TZ", "Europe/Berlin"),
    ];
    let setup = Setup::new().as_nameless(STRANGER).variable("HOME", volume.path());
    let setup = given.iter().fold(setup, |setup, (name, value)| setup.variable(name, value));
    let born = Birth::of(setup)?;
    assert_eq!(born.variable("HOME").map(Path::new), Some(volume.path()));
    for (name, value) in given {
        assert_eq!(born.variable(name), Some(value), "{name}");
    }
    Ok(())
}

#[test]
fn variables_that_lead_out_of_the_desktop_do_not_reach_the_app() -> Result<()> {
    let outside = [
        ("DISPLAY", ":0"),
        ("LISTEN_FDS", "1"),
        ("LUMEN_LOG", "info"),
        ("NOTIFY_SOCKET", "/run/systemd/notify"),
        ("WAYLAND_SOCKET", "7"),
        ("XDG_SESSION_ID", "1"),
    ];
    let setup =
        outside.iter().fold(Setup::new(), |setup, (name, value)| setup.variable(name, value));
    let born = Birth::of(setup.variable("WAYLAND_DISPLAY", "wayland-0"))?;
    for (name, _) in outside {
        assert_eq!(born.variable(name), None, "{name}");
    }
    let display = born.variable("WAYLAND_DISPLAY").context("no display")?;
    ensure!(display.contains("lumen"), "the outer session's display: {display}");
    Ok(())
}

#[test]
fn app_of_another_user_has_that_users_login_and_only_the_callers_language() -> Result<()> {
    if !as_root() {
        return Ok(());
    }
    let volume = folder_of(0)?;
    let born = Birth::of(
        Setup::new()
            .as_root()
            .variable("HOME", volume.path())
            .variable("LC_TIME", "C.UTF-8")
            .variable("SECRET", "of root")
            .variable("TZ", "Asia/Tokyo"),
    )?;
    let user = User::from_name(TEST_USER)?.context(TEST_USER)?;
    assert_eq!(born.variable("HOME").map(Path::new), Some(user.dir.as_path()));
    assert_eq!(born.variable("USER"), Some(TEST_USER));
    assert_eq!(born.variable("SECRET"), None);
    assert_eq!(born.variable("LC_TIME"), Some("C.UTF-8"));
    assert_eq!(born.variable("TZ"), Some("Asia/Tokyo"));
    Ok(())
}

#[test]
fn app_starts_in_the_callers_folder() -> Result<()> {
    let folder = Folder::new("work", 0o755)?;
    fs::write(folder.path().join("rel.txt"), "found where the caller is\n")?;
    // An app named by a relative path, which itself uses a relative path.
    let script = folder.path().join("app");
    fs::write(&script, "#!/bin/sh\ncat rel.txt >&2; exec tail -f /dev/null\n")?;
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let rig = Setup::new().in_folder(folder.path()).app(["./app"]).start()?;
    wait_for("the app reads the file", || {
        rig.said().contains("found where the caller is").then_some(())
    })
}

#[test]
fn app_whose_callers_folder_is_gone_starts_at_home() -> Result<()> {
    let home = Folder::new("volume", 0o777)?;
    let script = "mkdir gone && cd gone && rmdir ../gone && exec \"$@\"";
    let setup = Setup::new().executed_by(["/bin/sh", "-c", script, "sh"]);
    let born = Birth::of(setup.variable("HOME", home.path()))?;
    assert_eq!(born.folder, home.path());
    Ok(())
}

#[test]
fn app_of_another_user_starts_at_home_and_that_of_who_called_sudo_where_it_may_enter() -> Result<()>
{
    if !as_root() {
        return Ok(());
    }
    let home = User::from_name(TEST_USER)?.context(TEST_USER)?.dir;
    let (open, closed) = (Folder::new("open", 0o755)?, folder_of(0)?);
    for (folder, sudo, expected) in [
        (&open, None, home.as_path()),
        (&open, Some(TEST_USER), open.path()),
        (&closed, Some(TEST_USER), home.as_path()),
    ] {
        let setup = Setup::new().as_root().in_folder(folder.path());
        let setup = sudo.into_iter().fold(setup, |setup, user| setup.variable("SUDO_USER", user));
        assert_eq!(Birth::of(setup)?.folder, expected, "{sudo:?} in {folder:?}");
    }
    Ok(())
}
