//! The binaries under test, in a folder that every user of this machine may enter.
//!
//! Cargo builds them into a folder that may lie inside somebody's home; a test that runs Lumen as
//! another user links (or copies) them to one of its own. A stage can also lack a binary, or hold
//! a stub in the place of one: that is how tests break Lumen on purpose.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use anyhow::{Context, Result};
use lumen_ipc::process::Worker;

/// File name of the supervisor and command line.
pub const LUMEN: &str = "lumen";
/// File name of what signs accounts in.
pub const LOGIN: &str = "lumen-login";
/// File name of what finds out by an identity provider whose a browser is.
pub const OIDC: &str = "lumen-oidc";
/// File name of the test app.
pub const TEST_APP: &str = "test-app";

/// File name of what has the test app flash with its beeps.
pub const BEEPER: &str = "beeper";

/// File name of the clipboard's bridge.
pub const BRIDGE: &str = "lumen-clipboard";

/// File name of what executes a command as a container would.
pub const SANDBOX: &str = "sandbox";

/// How a stub in the place of a worker misbehaves. Each ends when its control link does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Misbehaviour {
    /// Ends at once.
    Exit,
    /// Sends its supervisor bytes that are no message.
    Garbage,
    /// Never answers.
    Hang,
}

impl Misbehaviour {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Exit, Self::Garbage, Self::Hang];

    /// A shell script that does it; 3 is the control link (`lumen_ipc_runtime::bootstrap`).
    const fn script(self) -> &'static str {
        match self {
            Self::Exit => "#!/bin/sh\nexit 1\n",
            Self::Garbage => {
                "#!/bin/sh\nprintf '\\377\\377\\377\\377 no message' >&3\nexec /bin/cat <&3 >/dev/null\n"
            }
            Self::Hang => "#!/bin/sh\nexec /bin/cat <&3 >/dev/null\n",
        }
    }
}

/// A folder with Lumen's binaries; deleted when dropped.
#[derive(Debug)]
pub struct Stage {
    folder: Folder,
}

impl Stage {
    /// Every binary in its place.
    ///
    /// # Errors
    /// When one has not been built, or the folder cannot be filled.
    pub fn new() -> Result<Self> {
        let stage = Self { folder: Folder::new("stage", 0o755)? };
        for name in [LUMEN, LOGIN, TEST_APP, BEEPER, BRIDGE, SANDBOX]
            .into_iter()
            .chain(Worker::ALL.map(Worker::binary))
        {
            stage.put(name)?;
        }
        Ok(stage)
    }

    /// Where a binary is.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Takes a worker's binary away.
    ///
    /// # Errors
    /// When it is not there.
    pub fn remove(&self, worker: Worker) -> Result<()> {
        Ok(fs::remove_file(self.path(worker.binary()))?)
    }

    /// Puts a stub in a worker's place.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn replace_by_stub(&self, worker: Worker, misbehaviour: Misbehaviour) -> Result<()> {
        self.remove(worker)?;
        let path = self.path(worker.binary());
        fs::write(&path, misbehaviour.script())?;
        Ok(fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?)
    }

    /// Puts a liar in a worker's place (`tests/stubs/liar`). It is an honest worker until somebody opens its
    /// entrance.
    ///
    /// # Errors
    /// When the liar has not been built, or the worker's binary is not there.
    pub fn let_lie(&self, worker: Worker) -> Result<()> {
        let place = self.path(worker.binary());
        fs::remove_file(&place)?;
        link(&built(&format!("examples/liar-{worker}"))?, &place)
    }

    fn put(&self, name: &str) -> Result<()> {
        link(&built(name)?, &self.path(name))
    }
}

/// A link where possible: a debug build of all is a few hundred megabytes.
fn link(from: &Path, to: &Path) -> Result<()> {
    fs::hard_link(from, to)
        .or_else(|_| fs::copy(from, to).map(|_| ()))
        .with_context(|| format!("{} is missing; `make test` builds it", from.display()))
}
/// Where cargo put a binary or an example of the workspace.
///
/// # Errors
/// When this test's own place does not tell.
pub fn built(name: &str) -> Result<PathBuf> {
    Ok(built_folder()?.join(name))
}

/// Where cargo put the binaries: beside this test's own folder `deps`, or beside this binary.
fn built_folder() -> Result<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let executable = std::env::current_exe().ok()?;
            let folder = executable.parent()?;
            let inside = folder.file_name().is_some_and(|name| name == "deps");
            Some(if inside { folder.parent()? } else { folder }.to_owned())
        })
        .as_deref()
        .context("this test's own executable has no folder")
}

/// Where tests leave what is worth reading later: logs of failed tests, figures.
#[must_use]
pub fn artifacts() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".artifacts");
    // If it cannot be made, writing into it says so.
    let _ = fs::create_dir_all(&folder);
    folder
}

/// A new folder under the system's temporary one; deleted with all it holds when dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// A folder named after `purpose`, with these permissions.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(purpose: &str, mode: u32) -> Result<Self> {
        let template = std::env::temp_dir().join(format!("lumen-test-{purpose}-XXXXXX"));
        let path = nix::unistd::mkdtemp(&template).context("making a temporary folder")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok(Self { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left behind at worst; the system empties its temporary folder in its own time.
        let _ = fs::remove_dir_all(&self.path);
    }
}
