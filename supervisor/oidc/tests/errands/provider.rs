//! The providers, which are programs of Node.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt};

use crate::program::{CALLBACK, Folder, SECRET};

/// Where they are.
const HOME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/provider");

/// A provider that serves until this is dropped.
#[derive(Debug)]
pub(crate) struct Provider {
    child: Child,
    /// Its address.
    pub(crate) issuer: String,
    _folder: Folder,
}

impl Provider {
    /// The real one.
    pub(crate) fn real() -> Self {
        Self::real_by("client_secret_basic")
    }

    /// The real one, which takes secrets by this method only.
    pub(crate) fn real_by(method: &str) -> Self {
        let package = Path::new(HOME).join("node_modules/oidc-provider/package.json");
        assert!(
            package.exists(),
            "the identity provider is missing: npm --prefix supervisor/oidc/tests/provider ci"
        );
        Self::start("provider.mjs", &[CALLBACK, SECRET, method])
    }

    /// One that tells this lie.
    pub(crate) fn liar(lie: &str) -> Self {
        Self::start("liar.mjs", &[lie, SECRET])
    }

    fn start(program: &str, arguments: &[&str]) -> Self {
        let folder = Folder::new();
        let log = folder.path("log");
        let child = Command::new("node")
            .arg(Path::new(HOME).join(program))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a file"))
            .spawn();
        let mut child = child.unwrap_or_else(|error| {
            panic!("Node 20 or later is needed, of https://nodejs.org, as `node`: {error}")
        });
        let mut issuer = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut issuer).expect("a line");
        assert!(
            issuer.ends_with('\n'),
            "{program} does not start: {}",
            fs::read_to_string(&log).unwrap_or_default()
        );
        Self { child, issuer: issuer.trim_end().to_owned(), _folder: folder }
    }

    /// Settings for its client of this name.
    pub(crate) fn settings(&self, client: &str, more: &str) -> String {
        settings(&self.issuer, client, more)
    }

    /// Ends it. Nobody answers at its address as long as the result is there.
    pub(crate) fn end(self) -> Nobody {
        let issuer = self.issuer.clone();
        drop(self);
        let port = issuer.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        Nobody::at(port.expect("a port"))
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Settings for a client of this issuer.
pub(crate) fn settings(issuer: &str, client: &str, more: &str) -> String {
    format!("issuer = '{issuer}'\nclient_id = '{client}'\n{more}\n")
}

/// A port at which nobody answers, and which nobody else gets.
#[derive(Debug)]
pub(crate) struct Nobody {
    _socket: OwnedFd,
    /// Its address.
    pub(crate) issuer: String,
}

impl Nobody {
    /// At any port.
    pub(crate) fn new() -> Self {
        Self::at(0)
    }

    fn at(port: u16) -> Self {
        // It is bound and does not listen.
        let made = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        sockopt::set_socket_reuseaddr(&made, true).expect("an option");
        bind(&made, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)).expect("the port is free");
        let address = getsockname(&made).expect("an address");
        let address = SocketAddrV4::try_from(address).expect("an address of IPv4");
        Self { _socket: made, issuer: format!("http://{address}") }
    }
}
