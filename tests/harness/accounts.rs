//! A machine with accounts of its own that sign in by PAM: what systemd does for a host in production, `lumen-login`
//! and `lumen session` for each connection to a socket, and `lumen-oidc` where there is an identity provider, is done
//! here by a thread for each.
//!
//! All programs run in mount namespaces in which `/etc` is a copy with the test's accounts. The PAM modules are
//! this machine's real ones.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{PermissionsExt, chown},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{
    AddressFamily, Backlog, Shutdown, SockFlag, SockType, UnixAddr, bind, listen, shutdown, socket,
};
use rustix::net::{SocketFlags, accept_with};

use crate::{
    app::AppLog,
    process::Process,
    rig::end,
    setup::App,
    stage::{Folder, LOGIN, LUMEN, OIDC, Stage, built},
};

/// How accounts sign in, and what their sessions have.
const SERVICE: &str = "\
auth required pam_unix.so
account required pam_unix.so
password required pam_unix.so
session required pam_env.so conffile=/etc/lumen-env.conf
session required pam_exec.so /etc/note-session
";

/// A machine with accounts. Dropping it ends whatever was started on it.
#[derive(Debug)]
pub struct Accounts {
    /// Dropped first: nothing is started after that.
    doors: Vec<Door>,
    folder: Folder,
    stage: Stage,
}

impl Accounts {
    /// A machine with these accounts: name, user, and password of each.
    ///
    /// # Errors
    /// When its files cannot be made.
    pub fn new(accounts: &[(&str, u32, &str)]) -> Result<Self> {
        let (folder, stage) = (Folder::new("accounts", 0o755)?, Stage::new()?);
        let machine = Self { doors: Vec::new(), folder, stage };
        run(Command::new("cp").args(["--archive", "/etc"]).arg(machine.path("etc")))?;
        machine.write("etc/pam.d/lumen", SERVICE)?;
        let runtime = machine.path("run/@{PAM_USER}");
        let variables = format!("XDG_RUNTIME_DIR DEFAULT={}\n", runtime.display());
        machine.write("etc/lumen-env.conf", &variables)?;
        let notes = machine.path("notes");
        let note = format!("#!/bin/sh\necho \"$PAM_TYPE $PAM_USER\" >>{}\n", notes.display());
        machine.write("etc/note-session", &note)?;
        fs::set_permissions(machine.path("etc/note-session"), PermissionsExt::from_mode(0o755))?;
        for (name, uid, password) in accounts {
            machine.add(name, *uid, password)?;
        }
        Ok(machine)
    }

    fn add(&self, name: &str, uid: u32, password: &str) -> Result<()> {
        for folder in ["home", "run"] {
            let path = self.path(folder).join(name);
            fs::create_dir_all(&path)?;
            fs::set_permissions(&path, PermissionsExt::from_mode(0o700))?;
            chown(&path, Some(uid), Some(uid))?;
        }
        let home = self.home(name);
        self.append("etc/passwd", &format!("{name}:x:{uid}:{uid}::{}:/bin/sh\n", home.display()))?;
        self.append("etc/group", &format!("{name}:x:{uid}:\n"))?;
        let digest = Command::new("openssl").args(["passwd", "-6", password]).output()?;
        let digest = String::from_utf8(digest.stdout)?;
        self.append("etc/shadow", &format!("{name}:{}:19000:0:99999:7:::\n", digest.trim()))
    }

    /// Starts `lumen-login` and `lumen session`, with the test app, for each connection to their sockets.
    ///
    /// # Errors
    /// When the sockets cannot be made.
    pub fn open(&mut self) -> Result<()> {
        let mut login = self.inside();
        login.arg(self.stage.path(LOGIN));
        let mut session = self.inside();
        session.args(["setpriv", "--bounding-set", &capabilities_of_the_unit()?]);
        session.arg(self.stage.path(LUMEN)).args(["session", "--granted"]);
        App::default().add_to(&mut session, &self.stage, &self.app_log("alice"));
        self.start_for_each("login", login)?;
        self.start_for_each("session", session)
    }

    /// Starts `lumen-oidc` for each connection to its socket, with these settings and this secret of its client.
    ///
    /// # Errors
    /// When it has not been built, or its files or the socket cannot be made.
    pub fn trust(&mut self, settings: &str, secret: &str) -> Result<()> {
        let program = built(OIDC)?;
        ensure!(program.exists(), "{} is missing; `make test` builds it", program.display());
        for folder in ["etc/lumen", "credentials"] {
            fs::create_dir_all(self.path(folder))?;
        }
        self.write("etc/lumen/oidc.toml", settings)?;
        self.write("credentials/lumen-oidc-secret", secret)?;
        fs::set_permissions(self.path("credentials"), PermissionsExt::from_mode(0o700))?;
        let mut oidc = self.inside();
        oidc.arg(program).env("CREDENTIALS_DIRECTORY", self.path("credentials"));
        self.start_for_each("oidc", oidc)
    }

    fn start_for_each(&mut self, name: &str, command: Command) -> Result<()> {
        let log = self.path(name).with_extension("log");
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        self.doors.push(Door::open(&self.path(name), command, log)?);
        Ok(())
    }

    /// A command in this machine's namespace, to which the program is to be added.
    fn inside(&self) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-ec"]);
        command.arg("mount --bind \"$1\" /etc; shift; exec \"$@\"").arg("sh").arg(self.path("etc"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// The socket of this name: `login`, `session` or `oidc`.
    #[must_use]
    pub fn socket(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The home of an account.
    #[must_use]
    pub fn home(&self, name: &str) -> PathBuf {
        self.path("home").join(name)
    }

    /// What the test app of an account has written.
    #[must_use]
    pub fn app_log(&self, name: &str) -> AppLog {
        AppLog::at(self.home(name).join("app.jsonl"))
    }

    /// What PAM has done to sessions: a line with kind and account each.
    #[must_use]
    pub fn sessions(&self) -> Vec<String> {
        let notes = fs::read_to_string(self.path("notes")).unwrap_or_default();
        notes.lines().map(str::to_owned).collect()
    }

    /// The processes that were started for connections to the socket of this name and have not ended.
    #[must_use]
    pub fn running(&self, name: &str) -> Vec<Process> {
        let door = self.doors.iter().find(|door| door.path.ends_with(name));
        door.map(Door::running).unwrap_or_default()
    }

    /// What the processes of all sockets wrote.
    #[must_use]
    pub fn said(&self) -> String {
        let said = |name: &str| {
            let text =
                fs::read_to_string(self.path(name).with_extension("log")).unwrap_or_default();
            format!("--- {name} ---\n{text}")
        };
        ["login", "session", "oidc"].map(said).concat()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        fs::write(self.path(path), text).with_context(|| format!("writing {path}"))
    }

    fn append(&self, path: &str, text: &str) -> Result<()> {
        let file = OpenOptions::new().append(true).open(self.path(path));
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("writing {path}"))
    }
}

impl Drop for Accounts {
    fn drop(&mut self) {
        self.doors.clear();
        // The test runner shows this only for a test that fails.
        println!("{}--- end ---", self.said());
    }
}

/// A socket at which a program is started for each connection, which it has as its standard input.
#[derive(Debug)]
struct Door {
    path: PathBuf,
    socket: Arc<OwnedFd>,
    children: Arc<Mutex<Vec<Child>>>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    fn open(path: &Path, mut command: Command, log: File) -> Result<Self> {
        let made = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
        bind(made.as_raw_fd(), &UnixAddr::new(path)?)?;
        fs::set_permissions(path, PermissionsExt::from_mode(0o600))?;
        listen(&made, Backlog::new(16)?)?;
        let (socket, children) = (Arc::new(made), Arc::new(Mutex::new(Vec::new())));
        let (listener, started) = (Arc::clone(&socket), Arc::clone(&children));
        command.stdout(log.try_clone()?).stderr(log);
        let thread = thread::spawn(move || {
            while let Ok(connection) = accept_with(&*listener, SocketFlags::CLOEXEC) {
                command.stdin(Stdio::from(connection));
                match command.spawn() {
                    Ok(child) => started.lock().unwrap_or_else(PoisonError::into_inner).push(child),
                    Err(error) => println!("cannot start {command:?}: {error}"),
                }
                // Otherwise the connection would be kept open here.
                command.stdin(Stdio::null());
            }
        });
        Ok(Self { path: path.to_owned(), socket, children, thread: Some(thread) })
    }

    fn running(&self) -> Vec<Process> {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        children.iter().map(|child| Process(child.id())).collect()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // It ends the thread's wait.
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        children.iter_mut().for_each(end);
    }
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// The capabilities that systemd leaves a session, as setpriv takes them.
fn capabilities_of_the_unit() -> Result<String> {
    const SETTING: &str = "CapabilityBoundingSet=";
    let unit = include_str!("../../systemd/lumen-session@.service");
    let line = unit.lines().find_map(|line| line.strip_prefix(SETTING)).context(SETTING)?;
    let names = line.split_whitespace().filter_map(|name| name.strip_prefix("CAP_"));
    Ok(names.fold("-all".to_owned(), |all, name| format!("{all},+{}", name.to_lowercase())))
}
