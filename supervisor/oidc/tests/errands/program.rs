//! The program and its link.

use std::{
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio, id},
    sync::atomic::{AtomicU32, Ordering},
};

use lumen_ipc::{
    message::oidc::{FromOidc, OIDC_HASH, OidcFailure, OidcHash, ToOidc},
    text::Text,
};
use lumen_ipc_runtime::channel::{Channel, ReceiveError};
use openidconnect::url::Url;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::getuid,
};

/// The page's address. Nobody has to serve it: the tests' browser stops there.
pub(crate) const CALLBACK: &str = "https://desk.example.org/";
/// The secret of the providers' clients.
pub(crate) const SECRET: &str = "a-secret-of-the-tests";

/// Where machines have their authorities.
const AUTHORITIES: [&str; 3] =
    ["ssl/certs/ca-certificates.crt", "pki/tls/certs/ca-bundle.crt", "ssl/ca-bundle.pem"];

/// A folder that is removed with it.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("oidc-{}-{}", id(), MADE.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir(&path).expect("a folder");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder's file")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One browser's attempt: a process of its own.
#[derive(Debug)]
pub(crate) struct Attempt {
    link: Option<Channel<FromOidc, ToOidc>>,
    child: Child,
    /// What came back with the browser, and must be in no log.
    secrets: Vec<String>,
    _folder: Folder,
}

impl Attempt {
    /// Starts the program with these settings and this secret.
    pub(crate) fn start(settings: Option<&str>, secret: Option<&str>) -> Self {
        let folder = Folder::new();
        fs::create_dir(folder.path("etc")).expect("a folder");
        for name in AUTHORITIES {
            if let Ok(certificates) = fs::read(Path::new("/etc").join(name)) {
                folder.write(&format!("etc/{name}"), &certificates);
            }
        }
        if let Some(settings) = settings {
            folder.write("etc/lumen/oidc.toml", settings.as_bytes());
        }
        let (link, end) = Channel::<FromOidc, ToOidc>::pair().expect("a link");
        let mut command = Command::new("unshare");
        if !getuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command
            .args(["--mount", "--propagation", "private", "sh", "-ec"])
            .arg("mount --bind \"$1\" /etc; shift; exec \"$@\"")
            .arg("sh")
            .arg(folder.path("etc"))
            .arg(env!("CARGO_BIN_EXE_lumen-oidc"))
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .stdin(end.into_descriptor())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(secret) = secret {
            // With the end of line that an editor leaves.
            folder.write("credentials/lumen-oidc-secret", format!("{secret}\n").as_bytes());
            command.env("CREDENTIALS_DIRECTORY", folder.path("credentials"));
        }
        let child = command.spawn().expect("unshare, of the package util-linux");
        let secrets = secret.filter(|secret| !secret.is_empty()).map(str::to_owned);
        let secrets = secrets.into_iter().collect();
        Self { link: Some(link), child, secrets, _folder: folder }
    }

    /// Says that a browser wants to sign in, and has its way to the provider.
    pub(crate) fn begin(&mut self) -> Result<Url, OidcFailure> {
        self.begin_as(OIDC_HASH)
    }

    /// The same as a host that speaks this form.
    pub(crate) fn begin_as(&mut self, form: OidcHash) -> Result<Url, OidcFailure> {
        let callback = Text::new(CALLBACK).expect("short");
        match self.ask(&ToOidc::Begin { form, callback }) {
            FromOidc::Visit { url } => Ok(Url::parse(url.as_str()).expect("a URL")),
            FromOidc::Failed { reason } => Err(reason),
            FromOidc::Is { account } => panic!("{account:?} has not been anywhere"),
        }
    }

    /// Says that the browser is back with this query, and has the account's name.
    pub(crate) fn finish(&mut self, query: &str) -> Result<String, OidcFailure> {
        let values = openidconnect::url::form_urlencoded::parse(query.as_bytes());
        let secret = values.filter(|(name, _)| matches!(&**name, "code" | "state"));
        let secret = secret.map(|(_, value)| value.into_owned());
        self.secrets.extend(secret.filter(|value| !value.is_empty()));
        match self.ask(&ToOidc::Returned { query: Text::new(query).expect("short") }) {
            FromOidc::Is { account } => Ok(account.as_str().to_owned()),
            FromOidc::Failed { reason } => Err(reason),
            FromOidc::Visit { url } => panic!("the browser has been there: {url}"),
        }
    }

    /// Closes the link and waits until the process has ended, as it should; what it has logged.
    pub(crate) fn log(mut self) -> String {
        self.link = None;
        let log = self.said();
        let status = self.child.wait().expect("a status");
        assert!(status.success(), "{status}: {log}");
        for secret in &self.secrets {
            assert!(!log.contains(secret), "{secret} is in the log: {log}");
        }
        log
    }

    /// What the process has logged until its end.
    fn said(&mut self) -> String {
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().expect("it is read once");
        stderr.read_to_string(&mut log).expect("a log");
        log
    }

    fn ask(&mut self, message: &ToOidc) -> FromOidc {
        let link = self.link.as_ref().expect("it is open");
        link.send(message, &[]).expect("the program listens");
        loop {
            match link.receive() {
                Ok(received) => return received.message,
                Err(ReceiveError::Empty) => {}
                Err(error) => panic!("{error}; its log:\n{}", self.said()),
            }
            let mut polled = [PollFd::new(link, PollFlags::IN)];
            let ready = poll(&mut polled, Some(&patience())).expect("a poll");
            assert!(ready > 0, "the program does not answer {message:?}");
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long a test waits before it fails, as in `lumen_tests::patience`.
fn patience() -> Timespec {
    let text = env::var("LUMEN_TEST_PATIENCE").ok();
    let tv_sec = text.and_then(|text| text.parse().ok()).unwrap_or(30);
    Timespec { tv_sec, tv_nsec: 0 }
}

/// Signs in with these settings: `go` is what the browser does. The outcome and the log.
pub(crate) fn sign_in(
    settings: &str,
    secret: Option<&str>,
    go: impl FnOnce(&Url) -> String,
) -> (Result<String, OidcFailure>, String) {
    let mut attempt = Attempt::start(Some(settings), secret);
    let outcome = attempt.begin().and_then(|visit| attempt.finish(&go(&visit)));
    (outcome, attempt.log())
}
