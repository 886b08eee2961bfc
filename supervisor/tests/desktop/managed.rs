//! A host under a service manager: the test's own socket stands for systemd's.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use lumen_ipc::process::Worker;

use super::{Desktop, PATIENCE, Signal, Stage};

/// What a service manager hears.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn of(stage: &Stage) -> Self {
        let path = stage.directory.join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { socket, path }
    }

    /// The next message.
    fn hears(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).expect("a message");
        String::from_utf8(bytes[..length].to_vec()).expect("text")
    }

    /// The next message with this line, and what came before it.
    fn waits_for(&self, line: &str) -> (String, Vec<String>) {
        let mut before = Vec::new();
        loop {
            let message = self.hears();
            if message.lines().any(|said| said == line) {
                return (message, before);
            }
            before.push(message);
        }
    }

    fn serve(&self, stage: &Stage, config: &Path) -> Command {
        let mut lumen = stage.lumen("serve");
        lumen.args(["--listen", "127.0.0.1:0", "--relay", "off", "--workers-dir"]);
        lumen.arg(&stage.directory).arg("--config").arg(config);
        lumen.env("NOTIFY_SOCKET", &self.path);
        lumen
    }
}

fn config(stage: &Stage, text: &str) -> PathBuf {
    let path = stage.directory.join("runtime/lumen.toml");
    fs::write(&path, text).expect("ours");
    path
}

#[test]
fn host_is_ready_when_it_serves_and_tells_its_condition_and_its_end() {
    let stage = Stage::new();
    let manager = Manager::of(&stage);
    let host = Desktop::start(manager.serve(&stage, &config(&stage, "")));
    let (ready, _) = manager.waits_for("READY=1");
    let gateway = stage.process(Worker::Gateway).expect("it serves");
    assert_eq!(gateway.state.as_str(), "ready");
    assert!(ready.contains("STATUS=Browsers connect to http://127.0.0.1:"), "{ready}");
    assert!(ready.contains("; 0 sessions."), "{ready}");
    host.signal(Signal::SIGTERM);
    manager.waits_for("STOPPING=1");
    assert!(host.end().0.success());
}

#[test]
fn host_whose_gateway_cannot_serve_is_never_ready() {
    let stage = Stage::new();
    let manager = Manager::of(&stage);
    let gateway = stage.directory.join(Worker::Gateway.binary());
    fs::copy("/bin/false", gateway).expect("a program");
    let host = Desktop::start(manager.serve(&stage, &config(&stage, "")));
    let (ended, said) = host.end();
    assert_eq!(ended.code(), Some(112), "{said}");
    manager.socket.set_nonblocking(true).expect("ours");
    let mut message = [0; 4096];
    while let Ok(length) = manager.socket.recv(&mut message) {
        let message = String::from_utf8_lossy(&message[..length]);
        assert!(!message.contains("READY=1"), "{message}");
    }
}

#[test]
fn watched_host_gives_signs_of_life_from_its_loop() {
    let stage = Stage::new();
    let manager = Manager::of(&stage);
    let mut lumen = manager.serve(&stage, &config(&stage, ""));
    lumen.env("WATCHDOG_USEC", Duration::from_millis(300).as_micros().to_string());
    let host = Desktop::start(lumen);
    for _ in 0..5 {
        manager.waits_for("WATCHDOG=1");
    }
    host.signal(Signal::SIGTERM);
    assert!(host.end().0.success());
}

#[test]
fn hangup_of_a_manager_has_the_file_read_anew_and_names_what_waits() {
    let stage = Stage::new();
    let manager = Manager::of(&stage);
    let file = config(&stage, "login-idle = \"1h\"\n");
    let host = Desktop::start(manager.serve(&stage, &file));
    manager.waits_for("READY=1");
    let reloaded = |text: &str| {
        fs::write(&file, text).expect("ours");
        host.signal(Signal::SIGHUP);
        manager.waits_for("RELOADING=1");
        manager.waits_for("READY=1").0
    };
    let told = reloaded("login-idle = \"2h\"\n");
    assert!(!told.contains("restart"), "{told}");
    assert_eq!(stage.status().waiting.len(), 0);

    let told = reloaded("base-path = \"/desk/\"\nrelay-port = 9\n");
    assert!(told.contains("A restart is due for base-path."), "{told}");
    let waiting: Vec<_> = stage.status().waiting.iter().map(ToString::to_string).collect();
    assert_eq!(waiting, ["base-path"], "the relay is off by the command line");
    let shown = stage.ask(&["status"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("a restart is due: base-path changed"));

    let told = reloaded("base-path = 7\n");
    assert!(told.contains("A restart is due for base-path."), "all stays as it was: {told}");
    let told = reloaded("");
    assert!(!told.contains("restart"), "{told}");
    host.signal(Signal::SIGTERM);
    let said = host.end().1;
    assert!(said.contains("the configuration stays as it was"), "{said}");
    assert!(said.contains("base-path is the number 7; expected a string"), "{said}");
}

#[test]
fn hangup_without_a_manager_ends_the_host() {
    let stage = Stage::new();
    let mut lumen = stage.lumen("serve");
    lumen.args(["--listen", "127.0.0.1:0", "--workers-dir"]).arg(&stage.directory);
    let mut host = Desktop::start(lumen);
    assert!(host.address().contains("Lumen's host is ready"));
    host.signal(Signal::SIGHUP);
    assert!(host.end().0.success());
}
