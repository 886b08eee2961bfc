//! The scripts of the demo desktop that decide something, each alone, with stubs for the programs
//! that they call.

use std::{
    fs,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::Command,
};

/// A folder of programs, which is a script's whole PATH.
struct Programs(PathBuf);

impl Programs {
    fn new(name: &str) -> Self {
        let folder = format!("lumen-demo-test-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    /// A shell writes the program: this process forks in several threads, and a program that it had
    /// open for writing could be refused as busy.
    fn with(self, name: &str, script: &str) -> Self {
        let write = "printf '#!/bin/sh\\n%s\\n' \"$2\" >\"$1\" && chmod 755 \"$1\"";
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", write, "sh"]).arg(self.0.join(name)).arg(script);
        assert!(shell.status().expect("a shell").success());
        self
    }

    /// The folder is also the user's runtime folder; adds a service manager's socket to it.
    fn with_service_manager(self) -> Self {
        let folder = self.0.join("systemd");
        fs::create_dir_all(&folder).expect("a folder");
        // The script only checks that it is a socket, and it stays one when nobody listens any
        // more.
        UnixListener::bind(folder.join("private")).expect("a socket");
        self
    }

    /// What a script of the demo prints here.
    fn run(&self, script: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo").join(script);
        let mut shell = Command::new("/bin/sh");
        shell.arg(path).env("PATH", &self.0).env("XDG_RUNTIME_DIR", &self.0);
        let output = shell.output().expect("a shell");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // There is nothing to do about an error.
    }
}

/// What `tell-bus` tells a bus whose service manager knows these variables.
fn told(name: &str, known: &str) -> String {
    let programs = Programs::new(name)
        .with_service_manager()
        .with("dbus-update-activation-environment", "echo \"told $*\"")
        .with("systemctl", &format!("printf '{known}'"));
    programs.run("tell-bus")
}

#[test]
fn tell_bus_tells_a_bus_that_has_no_desktop() {
    assert_eq!(told("none", r"HOME=/home/alice\n"), "told --all\n");
    let unmanaged =
        Programs::new("unmanaged").with("dbus-update-activation-environment", "echo told");
    assert_eq!(unmanaged.run("tell-bus"), "told\n");
    assert_eq!(Programs::new("without").run("tell-bus"), "");
}

#[test]
fn tell_bus_leaves_the_bus_of_another_desktop_alone() {
    assert_eq!(told("x11", r"HOME=/home/alice\nDISPLAY=:0\n"), "");
    assert_eq!(told("wayland", r"WAYLAND_DISPLAY=wayland-0\n"), "");
}

#[test]
fn tell_bus_tells_anew_what_an_earlier_demo_said() {
    let earlier = r"LUMEN_DEMO=/run/user/1000/lumen/default/demo\nWAYLAND_DISPLAY=wayland-1\n";
    assert_eq!(told("earlier", earlier), "told --all\n");
}
