//! The user who starts Lumen, and that user's folders: nothing of the test runner's own.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use nix::unistd::{Gid, Uid, User, chown, geteuid};

use crate::stage::Folder;

/// The ordinary user that `tests/install.sh` adds for tests that root runs.
pub const TEST_USER: &str = "lumen-test";

/// The user who starts Lumen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Starter {
    /// An ordinary user: whoever runs the tests, or [`TEST_USER`] if that is root.
    Ordinary,
    /// An ordinary user with this number, whom no database names.
    Nameless(u32),
    /// Root, for the desktop of [`TEST_USER`].
    Root,
}

/// The folders and the identity of the user who starts Lumen.
#[derive(Debug)]
pub(crate) struct Home {
    folder: Folder,
    pub(crate) runtime: PathBuf,
    user: Option<(Uid, Gid)>,
}

impl Home {
    pub(crate) fn new(starter: Starter) -> Result<Self> {
        let user = match (starter, geteuid().is_root()) {
            (Starter::Root | Starter::Nameless(_), false) => {
                bail!("this test starts Lumen as root or as a stranger, so root must run it")
            }
            (Starter::Root, true) | (Starter::Ordinary, false) => None,
            (Starter::Nameless(id), true) => Some((Uid::from_raw(id), Gid::from_raw(id))),
            (Starter::Ordinary, true) => Some(test_user().map(|user| (user.uid, user.gid))?),
        };
        // Everybody may enter and write: the app may run as another user than the supervisor.
        let folder = Folder::new("home", 0o1777)?;
        let runtime = folder.path().join("runtime");
        fs::create_dir(&runtime)?;
        fs::set_permissions(&runtime, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        if let Some((uid, gid)) = user {
            chown(&runtime, Some(uid), Some(gid))?;
        }
        Ok(Self { folder, runtime, user })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command that this user runs, with nothing of the test runner's environment.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("LANG", "C.UTF-8")
            .env("XDG_RUNTIME_DIR", &self.runtime)
            .env("LUMEN_NAME", "test")
            .current_dir(self.folder.path());
        if let Some((uid, gid)) = self.user {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        command
    }
}

/// The ordinary user for tests that root runs.
fn test_user() -> Result<User> {
    User::from_name(TEST_USER)?
        .with_context(|| format!("no user {TEST_USER}; `tests/install.sh test` adds it"))
}

/// Whether the tests are run by root, who can also test what only root can start.
#[must_use]
pub fn runs_as_root() -> bool {
    geteuid().is_root()
}
