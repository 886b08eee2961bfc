//! A host whose sockets the service manager made: systemd's own tool makes them here.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    os::unix::{fs::DirBuilderExt, net::UnixStream},
    path::PathBuf,
    process::{Command, Stdio},
};

use lumen_ipc::front_door::Listen;

use super::{Desktop, LUMEN, Signal, Stage, wait_until};

impl Stage {
    /// The directory of a host's sockets.
    fn sockets(&self) -> PathBuf {
        let (directory, mode) = match nix::unistd::geteuid().is_root() {
            true => (PathBuf::from("/run/lumen"), 0o755),
            false => (self.directory.join("runtime/lumen"), 0o700),
        };
        let made = fs::DirBuilder::new().mode(mode).recursive(true).create(&directory);
        made.expect("a directory");
        directory
    }

    /// `lumen serve`, once something comes to one of these sockets, each with its name.
    fn activated(
        &self,
        kind: Option<&str>,
        sockets: &[(&str, String)],
        options: &[&str],
    ) -> Command {
        let mut command = Command::new("systemd-socket-activate");
        command.args(kind);
        for (_, address) in sockets {
            command.args(["--listen", address]);
        }
        let names: Vec<&str> = sockets.iter().map(|(name, _)| *name).collect();
        command.arg(format!("--fdname={}", names.join(":")));
        command
            .env("LUMEN_NAME", &self.name)
            .env("XDG_RUNTIME_DIR", self.directory.join("runtime"));
        for passed in ["LUMEN_NAME", "XDG_RUNTIME_DIR", "PATH"] {
            command.args(["-E", passed]);
        }
        command.arg(LUMEN).arg("serve").args(options).arg("--workers-dir").arg(&self.directory);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// An address of loopback that no other process of this test run uses.
fn own_address(port: u16) -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(127, 80, high, low), port))
}

/// A port of this process's own, where the kernel picks none.
fn own_port() -> u16 {
    10_000 + u16::try_from(std::process::id() % 20_000).expect("small")
}

#[test]
fn host_takes_the_sockets_that_systemd_made_and_leaves_them() {
    let stage = Stage::new();
    let (page, relay) = (own_address(4080), own_address(own_port()));
    let admin = stage.sockets().join(format!("admin-{}.sock", stage.name));
    let sockets = [
        ("page", page.to_string()),
        ("relay", relay.to_string()),
        ("admin", admin.display().to_string()),
    ];
    // The address of the option is not used, and could not be.
    let options = ["--listen", "192.0.2.1:1", "--relay-port", "1"];
    let mut host = Desktop::start(stage.activated(None, &sockets, &options));
    wait_until("somebody comes to the page", || TcpStream::connect(page).is_ok());
    let address = host.address();
    assert!(address.contains(&format!("Lumen's host is ready: http://{page}/")), "{address}");
    assert_eq!(stage.status().listen, Listen::Tcp(page));
    assert!(TcpStream::connect(relay).is_ok());
    let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, relay.port()));
    let taken = datagrams.expect_err("the relay's datagrams come to the same port");
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    host.signal(Signal::SIGTERM);
    let (ended, said) = host.end();
    assert!(ended.success(), "{said}");
    assert!(admin.exists(), "it is the service manager's");
    fs::remove_file(admin).expect("ours");
}

#[test]
fn session_comes_to_a_host_at_the_socket_that_systemd_made() {
    let stage = Stage::new();
    let place = stage.sockets().join(format!("sessions-{}.sock", stage.name));
    let sockets = [("sessions", place.display().to_string())];
    let options = ["--listen", "127.0.0.1:0", "--relay", "off"];
    let host = Desktop::start(stage.activated(Some("--seqpacket"), &sockets, &options));
    wait_until("the socket is there", || place.exists());
    let mut session = stage.lumen("session");
    session.args(["--app", "sleep 1000", "--workers-dir"]).arg(&stage.directory);
    let session = Desktop::start(session);
    wait_until("the session is known", || {
        let status = stage.ask(&["status", "--json"]);
        status.status.success() && stage.status().sessions.len() == 1
    });
    session.signal(Signal::SIGTERM);
    assert!(session.end().0.success());
    host.signal(Signal::SIGTERM);
    assert!(host.end().0.success());
    assert!(place.exists(), "it is the service manager's");
    fs::remove_file(place).expect("ours");
}

#[test]
fn socket_that_is_not_what_its_name_says_ends_the_start_with_the_reason() {
    let stage = Stage::new();
    let refused = |kind: Option<&str>, name: &str, address: String, come: &dyn Fn() -> bool| {
        let host = Desktop::start(stage.activated(kind, &[(name, address)], &[]));
        wait_until("something comes to the socket", come);
        let (ended, said) = host.end();
        assert_eq!(ended.code(), Some(112), "{said}");
        said
    };
    let at = own_address(4081);
    let sender = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let sends = || {
        sender.connect(at).and_then(|()| sender.send(b"come")).is_ok()
            && sender.send(b"come").is_ok()
    };
    let said = refused(Some("--datagram"), "page", at.to_string(), &sends);
    assert!(said.contains("expected a listening stream socket"), "{said}");
    let connects = || TcpStream::connect(at).is_ok();
    let said = refused(None, "session", at.to_string(), &connects);
    assert!(said.contains("a socket called session"), "{said}");
    let elsewhere = stage.directory.join("elsewhere.sock");
    let connects = || UnixStream::connect(&elsewhere).is_ok();
    let said = refused(None, "admin", elsewhere.display().to_string(), &connects);
    assert!(said.contains("elsewhere.sock; expected"), "{said}");
}
