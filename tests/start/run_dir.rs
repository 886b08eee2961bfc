//! The directory of sockets of a user who has no `XDG_RUNTIME_DIR`, in a `/tmp` where other users have
//! taken its name.
//!
//! Needs root, who acts as these other users.

use std::{
    fs, io,
    os::unix::{
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use lumen_tests::rig::{Setup, runs_as_root};
use nix::unistd::{Gid, Uid, chown};

/// A user who takes names of others. No database names any user of these tests, and none has a
/// directory in `/run/user`.
const OTHER: u32 = 48_123;

/// How another user makes something at a path.
type Make = fn(&Path) -> Result<()>;

/// What another user put in the place of a user's directory; removed when dropped.
struct Squat {
    path: PathBuf,
    user: u32,
}

impl Squat {
    fn new(user: u32, make: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let squat = Self { path: PathBuf::from(format!("/tmp/lumen-{user}")), user };
        squat.remove();
        make(&squat.path)?;
        Ok(squat)
    }

    /// Removes it, and with it what a test that failed has left.
    fn remove(&self) {
        // What is not there need not be removed.
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_dir_all(&self.path);
        let prefix = format!("lumen-{}-", self.user);
        for entry in fs::read_dir("/tmp").into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

impl Drop for Squat {
    fn drop(&mut self) {
        self.remove();
    }
}

fn given_to(path: &Path, user: u32) -> Result<()> {
    chown(path, Some(Uid::from_raw(user)), Some(Gid::from_raw(user)))
        .with_context(|| path.display().to_string())
}

/// The other user's directory, which the victim may write to.
fn folder(path: &Path) -> Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o777))?;
    given_to(path, OTHER)
}

fn file(path: &Path) -> Result<()> {
    fs::write(path, "")?;
    given_to(path, OTHER)
}

fn link(path: &Path) -> Result<()> {
    Ok(symlink("/tmp", path)?)
}

fn victim(user: u32) -> Setup {
    Setup::new().as_nameless(user).variable("XDG_RUNTIME_DIR", "").app(["sleep", "1000"])
}

#[test]
fn run_directory_whose_name_another_user_took_keeps_nobody_from_starting_and_asking() -> Result<()>
{
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let kinds: [(&str, Make); 3] = [("folder", folder), ("file", file), ("link", link)];
    let user = 48_124;
    for (kind, make) in kinds {
        let _squat = Squat::new(user, make)?;
        let rig = victim(user).start().context(kind)?;
        // Asks by `lumen status`.
        rig.ready_workers().context(kind)?;
    }
    Ok(())
}

#[test]
fn socket_that_another_user_laid_out_for_the_command_line_is_never_asked() -> Result<()> {
    if !runs_as_root() {
        println!("not root: nothing to test");
        return Ok(());
    }
    let user = 48_125;
    let rig = victim(user).start()?;
    let asked = |squat: &Squat| -> Result<bool> {
        let (inner, name) = (squat.path.join("lumen"), squat.path.join("lumen/admin-posed.sock"));
        fs::create_dir_all(&inner)?;
        let posed = UnixListener::bind(&name)?;
        fs::set_permissions(&name, fs::Permissions::from_mode(0o666))?;
        for path in [&name, &inner] {
            given_to(path, OTHER)?;
        }
        posed.set_nonblocking(true)?;
        let output = rig.lumen(&["status", "--name", "posed"])?;
        ensure!(!output.status.success(), "somebody answered");
        match posed.accept() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    };
    // The victim's own directory is away, as after a cleaner of old files.
    let squat = Squat::new(user, folder)?;
    ensure!(!asked(&squat)?, "the command line asked a stranger's socket");
    Ok(())
}
