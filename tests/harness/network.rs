//! Test hosts and networks: network namespaces, joined by cables, with the firewalls and address
//! translators that stand between browsers and servers.
//!
//! Needs root (or the capabilities to make network namespaces), `ip` and `iptables`. Nothing here
//! touches the network of the machine that runs the tests.

use std::{
    fs::File,
    io::{self, Read as _},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, setns};

use crate::patience::wait_until;

/// A host with nothing but a loopback interface, until cables are plugged in. Removed when dropped;
/// programs that still run on it keep a dead network.
#[derive(Debug)]
pub struct Host {
    name: String,
}

impl Host {
    /// A new host; `role` is part of its name.
    ///
    /// # Errors
    /// When this user may not create one.
    pub fn new(role: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lumen-{}-{number}-{role}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &name]))
            .context("making a network namespace, which takes root")?;
        let host = Self { name };
        host.ip("link set lo up")?;
        Ok(host)
    }

    /// Runs `ip ARGUMENTS` there.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub fn ip(&self, arguments: &str) -> Result<()> {
        run(Command::new("ip").args(["-n", &self.name]).args(arguments.split_whitespace()))
    }

    /// Runs a command line there: `iptables …`, `ip6tables …`, `sysctl …`.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub fn administer(&self, line: &str) -> Result<()> {
        let words = line.split_whitespace();
        run(Command::new("ip").args(["netns", "exec", &self.name]).args(words))
    }

    /// Plugs a cable in: an interface `here` on this host, and one named `there` on `other`, each
    /// with its addresses (`198.51.100.1/24`).
    ///
    /// # Errors
    /// When a name is taken or an address is malformed.
    pub fn plug(&self, here: (&str, &[&str]), other: &Self, there: (&str, &[&str])) -> Result<()> {
        self.ip(&format!(
            "link add {} type veth peer name {} netns {}",
            here.0, there.0, other.name
        ))?;
        for (host, (interface, addresses)) in [(self, here), (other, there)] {
            for address in addresses {
                // Without duplicate detection an IPv6 address can be used at once.
                let nodad = if address.contains(':') { " nodad" } else { "" };
                host.ip(&format!("address add {address} dev {interface}{nodad}"))?;
            }
            host.ip(&format!("link set {interface} up"))?;
        }
        self.settle(here.0)?;
        other.settle(there.0)
    }

    /// Waits until an interface is up and its addresses are usable: the kernel reports both a while
    /// later, and a browser that learns of a changed network drops what it is loading.
    fn settle(&self, interface: &str) -> Result<()> {
        wait_until(&format!("{interface} of {} is up", self.name), || {
            let look = |what: &[&str]| self.look(what).unwrap_or_default();
            look(&["-o", "link", "show", "dev", interface]).contains("state UP")
                && look(&["-o", "address", "show", "dev", interface, "tentative"]).is_empty()
        })
    }

    fn look(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("ip").args(["-n", &self.name]).args(arguments).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Enables forwarding of IPv4 and IPv6.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn route_packets(&self) -> Result<()> {
        self.administer("sysctl -q -w net.ipv4.ip_forward=1")?;
        self.administer("sysctl -q -w net.ipv6.conf.all.forwarding=1")
    }

    /// Does something there, in a thread whose child threads and programs are there, too.
    ///
    /// # Errors
    /// When the host cannot be entered, and as `work`.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let namespace = File::open(format!("/run/netns/{}", self.name))?;
        let on_host = move || {
            setns(&namespace, CloneFlags::CLONE_NEWNET)?;
            work()
        };
        let done = thread::scope(|scope| scope.spawn(on_host).join());
        done.map_err(|panic| std::panic::resume_unwind(panic)).and_then(|outcome| outcome)
    }

    /// Starts a program there.
    ///
    /// # Errors
    /// When the program cannot be started or the host cannot be entered.
    pub fn spawn(&self, command: &mut Command) -> Result<Child> {
        let namespace = File::open(format!("/run/netns/{}", self.name))?;
        // A child inherits the network of the thread that starts it.
        let child = thread::scope(|scope| {
            let on_host = scope.spawn(|| -> io::Result<Child> {
                setns(&namespace, CloneFlags::CLONE_NEWNET)?;
                command.spawn()
            });
            on_host.join().map_err(|_| io::Error::other("the thread that starts it panicked"))?
        });
        child.with_context(|| format!("starting {command:?} on {}", self.name))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Its cables are removed with it. At worst an empty namespace is left.
        let _ = run(Command::new("ip").args(["netns", "delete", &self.name]));
    }
}

/// Starts a program on `host`, or here.
///
/// # Errors
/// As [`Host::spawn`].
pub fn spawn_on(host: Option<&Host>, command: &mut Command) -> Result<Child> {
    match host {
        Some(host) => host.spawn(command),
        None => command.spawn().with_context(|| format!("starting {command:?}")),
    }
}

fn run(command: &mut Command) -> Result<()> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{command:?}; `tests/install.sh test` installs what it needs"))?;
    let mut said = String::new();
    if let Some(stderr) = &mut child.stderr {
        stderr.read_to_string(&mut said)?;
    }
    let status = child.wait()?;
    ensure!(status.success(), "{command:?}: {status}: {}", said.trim());
    Ok(())
}
