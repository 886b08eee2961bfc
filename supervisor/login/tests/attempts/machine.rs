//! A machine with accounts of its own: `lumen-login` runs in a mount namespace in which `/etc` is a copy that
//! the test has changed. The PAM modules are this machine's real ones, and change that copy only.

use std::{
    fs,
    io::Write,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use lumen_ipc::{
    message::login::{
        AccountName, Answers, Denial, LOGIN_HASH, List, Prompt, ToLeader, ToSupervisor, Trust,
    },
    text::{Secret, Text},
};
use lumen_ipc_runtime::channel::{Channel, ReceiveError, Received};
use nix::unistd::Uid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The service that the tests use; no machine has one of this name.
pub(crate) const SERVICE: &str = "lumen-login-test";
/// How long something may take that takes no time.
const PATIENCE: Duration = Duration::from_secs(60);

/// How accounts sign in with a password only.
pub(crate) const PASSWORD: &str = "\
auth required pam_unix.so
account required pam_unix.so
password required pam_unix.so
session required pam_env.so conffile=/etc/lumen-env.conf
session required pam_exec.so /etc/note-session
";

/// An account of a test's machine.
pub(crate) struct Entry<'entry> {
    pub(crate) name: &'entry str,
    pub(crate) uid: u32,
    pub(crate) password: &'entry str,
    /// The last change of the password, and the day on which the account expires (shadow(5)).
    pub(crate) aging: (&'entry str, &'entry str),
}

/// An account whose password is in order.
pub(crate) fn person<'entry>(name: &'entry str, uid: u32, password: &'entry str) -> Entry<'entry> {
    Entry { name, uid, password, aging: ("19000", "") }
}

/// A machine.
pub(crate) struct Machine {
    folder: PathBuf,
}

impl Machine {
    /// A machine with these accounts, whose PAM service is this text.
    pub(crate) fn new(name: &str, accounts: &[Entry<'_>], service: &str) -> Self {
        assert!(
            Uid::effective().is_root(),
            "these tests need root: lumen-login serves nobody else"
        );
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        run(Command::new("cp").args(["--archive", "/etc"]).arg(folder.join("etc")));
        let machine = Self { folder };
        for account in accounts {
            machine.add(account);
        }
        machine.write("etc/pam.d/lumen-login-test", service);
        let runtime_dir = machine.runtime_dir();
        let variables =
            format!("XDG_RUNTIME_DIR DEFAULT={}\nLANG DEFAULT=C.UTF-8\n", runtime_dir.display());
        machine.write("etc/lumen-env.conf", &variables);
        let note =
            format!("#!/bin/sh\necho \"$PAM_TYPE $PAM_USER\" >>{}\n", machine.notes().display());
        machine.write("etc/note-session", &note);
        run(Command::new("chmod").arg("755").arg(machine.folder.join("etc/note-session")));
        machine
    }

    /// The folder in it where each account has its home, named like the account.
    pub(crate) fn home(&self, name: &str) -> PathBuf {
        self.folder.join("home").join(name)
    }

    /// The runtime directory of every account that signs in here.
    pub(crate) fn runtime_dir(&self) -> PathBuf {
        self.folder.join("run")
    }

    fn notes(&self) -> PathBuf {
        self.folder.join("notes")
    }

    /// What PAM has done to sessions: a line with kind and account each.
    pub(crate) fn sessions(&self) -> Vec<String> {
        let notes = fs::read_to_string(self.notes()).unwrap_or_default();
        notes.lines().map(str::to_owned).collect()
    }

    /// Changes a file.
    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::write(self.folder.join(path), text).expect("writable");
    }

    /// Lets nobody but root read a file.
    pub(crate) fn protect(&self, path: &str) {
        run(Command::new("chmod").arg("600").arg(self.folder.join(path)));
    }

    /// Appends to a file.
    pub(crate) fn append(&self, path: &str, text: &str) {
        let file = fs::OpenOptions::new().append(true).open(self.folder.join(path));
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("writable");
    }

    fn add(&self, account: &Entry<'_>) {
        let Entry { name, uid, password, aging: (changed, expires) } = account;
        let home = self.home(name);
        fs::create_dir_all(&home).expect("a home");
        run(Command::new("chown").arg(format!("{uid}:{uid}")).arg(&home));
        self.append("etc/passwd", &format!("{name}:x:{uid}:{uid}::{}:/bin/sh\n", home.display()));
        self.append("etc/group", &format!("{name}:x:{uid}:\n"));
        let digest = output(Command::new("openssl").args(["passwd", "-6", password]));
        self.append(
            "etc/shadow",
            &format!("{name}:{}:{changed}:0:99999:7::{expires}:\n", digest.trim()),
        );
    }

    /// Makes the runtime directory for the session of this user.
    pub(crate) fn make_runtime_dir(&self, uid: u32) {
        let path = self.runtime_dir();
        fs::create_dir_all(&path).expect("a directory");
        run(Command::new("chown").arg(format!("{uid}:{uid}")).arg(&path));
        run(Command::new("chmod").arg("700").arg(&path));
    }

    /// Starts `lumen-login`.
    pub(crate) fn connect(&self) -> Connection {
        let (near, far) = Channel::<ToSupervisor, ToLeader>::pair().expect("a socketpair");
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let log = self.folder.join(format!("log-{number}"));
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-ec"]);
        command.arg("mount --bind \"$1\" /etc; shift; exec \"$@\"").arg("sh");
        command.arg(self.folder.join("etc"));
        command.arg(env!("CARGO_BIN_EXE_lumen-login")).args(["--service", SERVICE]);
        command.env("SECRET_OF_ROOT", "inherited").stdin(Stdio::from(far.into_descriptor()));
        command.stderr(fs::File::create(&log).expect("a log"));
        let child = command.spawn().expect("unshare");
        Connection { link: near, child, log }
    }

    /// Starts an attempt to sign in.
    pub(crate) fn begin(&self, account: &str) -> Connection {
        let connection = self.connect();
        connection.send(&beginning(account, Trust::Authenticate, &[]));
        connection
    }
}

/// The first message of an attempt.
pub(crate) fn beginning(account: &str, trust: Trust, groups: &[&str]) -> ToLeader {
    let name = |name: &&str| AccountName::new(name).expect("a legal name");
    let groups = List::new(groups.iter().map(name).collect()).expect("few");
    let rhost = Text::truncated("192.0.2.7");
    ToLeader::Begin { form: LOGIN_HASH, account: name(&account), rhost, trust, groups }
}

/// A running `lumen-login`.
pub(crate) struct Connection {
    pub(crate) link: Channel<ToSupervisor, ToLeader>,
    pub(crate) child: Child,
    log: PathBuf,
}

impl Connection {
    pub(crate) fn send(&self, message: &ToLeader) {
        self.send_with(message, &[]);
    }

    pub(crate) fn send_with(&self, message: &ToLeader, descriptors: &[BorrowedFd<'_>]) {
        self.link.send(message, descriptors).expect("lumen-login reads");
    }

    /// Sends one answer.
    pub(crate) fn answer(&self, answer: &str) {
        let answers = Answers::new(vec![Secret::new(answer).expect("short")]).expect("one");
        self.send(&ToLeader::Answers(answers));
    }

    /// The next message; `None` once `lumen-login` has closed the link.
    pub(crate) fn next(&self) -> Option<Received<ToSupervisor>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.link.receive() {
                Ok(received) => return Some(received),
                Err(ReceiveError::Closed) => return None,
                Err(ReceiveError::Empty) => {}
                Err(error) => panic!("{error}\n{}", self.log()),
            }
            assert!(Instant::now() < deadline, "no message in {PATIENCE:?}\n{}", self.log());
            let mut polled = [PollFd::new(&self.link, PollFlags::IN)];
            let patience = Timespec { tv_sec: 1, tv_nsec: 0 };
            poll(&mut polled, Some(&patience)).expect("poll");
        }
    }

    /// The next message, without its descriptors.
    pub(crate) fn hear(&self) -> ToSupervisor {
        self.next().unwrap_or_else(|| panic!("the link is closed\n{}", self.log())).message
    }

    /// What is said and asked next.
    pub(crate) fn asked(&self) -> Vec<Prompt> {
        match self.hear() {
            ToSupervisor::Said(prompts) => prompts.into_vec(),
            other => panic!("{other:?} instead of a question\n{}", self.log()),
        }
    }

    /// The uid that was accepted.
    pub(crate) fn accepted(&self) -> u32 {
        loop {
            match self.hear() {
                ToSupervisor::Accepted { uid, .. } => return uid,
                ToSupervisor::Said(_) => {}
                other => panic!("{other:?}\n{}", self.log()),
            }
        }
    }

    /// Waits for the refusal and the end.
    pub(crate) fn refused(mut self) -> (Denial, String) {
        let why = match self.hear() {
            ToSupervisor::Refused { why } => why,
            other => panic!("{other:?} instead of a refusal\n{}", self.log()),
        };
        assert!(self.next().is_none(), "nothing follows a refusal");
        assert!(self.child.wait().expect("a child").success(), "{}", self.log());
        (why, self.log())
    }

    /// Closes the link, and waits for the end of `lumen-login`; returns its log.
    pub(crate) fn close(self) -> String {
        let Self { link, mut child, log } = self;
        drop(link);
        let status = child.wait().expect("a child");
        let log = fs::read_to_string(log).unwrap_or_default();
        assert!(status.success(), "{status}\n{log}");
        log
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// A descriptor, as a listener.
pub(crate) fn listener(descriptor: &OwnedFd) -> std::os::unix::net::UnixListener {
    descriptor.as_fd().try_clone_to_owned().expect("a descriptor").into()
}

pub(crate) fn run(command: &mut Command) {
    assert!(command.status().expect("it starts").success(), "{command:?}");
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::yield_now();
    }
}
