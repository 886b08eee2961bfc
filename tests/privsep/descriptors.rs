//! The descriptors that a worker may hold, derived from the link table and its grants, and those
//! that it holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
};

use anyhow::{Result, ensure};
use lumen_ipc::{
    link::{Link, TABLE},
    process::Worker,
};
use lumen_tests::process::Process;

/// Kinds of descriptors, as `/proc/PID/fd` shows them.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Kind {
    /// An epoll instance, eventfd, timerfd or signalfd.
    Event,
    /// Shared memory.
    Memory,
    /// The null device.
    Null,
    /// The kernel's device for creating input devices.
    InputMaker,
    /// One end of a pipe.
    Pipe,
    /// A socket.
    Socket,
}

fn kind(target: &str) -> Option<Kind> {
    const KINDS: [(&str, Kind); 8] = [
        ("anon_inode:[eventfd", Kind::Event),
        ("anon_inode:[eventpoll", Kind::Event),
        ("anon_inode:[timerfd", Kind::Event),
        ("/memfd:", Kind::Memory),
        ("/dev/null", Kind::Null),
        ("/dev/uinput", Kind::InputMaker),
        ("pipe:", Kind::Pipe),
        ("socket:", Kind::Socket),
    ];
    KINDS.iter().find(|(start, _)| target.starts_with(start)).map(|(_, kind)| *kind)
}

/// Fails unless `process` holds exactly what `worker` is granted, and otherwise only descriptors
/// that reach nothing: shared memory, timers and the like.
pub(crate) fn check(worker: Worker, process: Process) -> Result<()> {
    let held = process.descriptors()?;
    let strange: BTreeMap<_, _> =
        held.iter().filter(|(_, target)| kind(target).is_none()).collect();
    ensure!(strange.is_empty(), "neither grant nor link: {strange:?}");
    let makers = held.values().filter(|target| kind(target) == Some(Kind::InputMaker)).count();
    ensure!(makers == 0 || worker == Worker::Gamepad, "makes input devices: {held:#?}");
    // Counted by identity: a second descriptor of the same socket reaches nothing more.
    let sockets: BTreeSet<_> =
        held.values().filter(|target| kind(target) == Some(Kind::Socket)).collect();
    let expected = standing_sockets(worker) + served_connections(worker);
    ensure!(
        sockets.len() == expected,
        "expected {expected} of {} sockets: {held:#?}",
        sockets.len()
    );
    let streams: Vec<_> = held.iter().filter(|(number, _)| **number <= 2).collect();
    ensure!(streams.len() == 3, "standard streams: {streams:?}");
    let pipes = held.iter().filter(|(number, target)| **number > 2 && target.starts_with("pipe:"));
    ensure!(pipes.count() == 0, "a pipe beside the standard streams: {held:#?}");
    Ok(())
}

/// Control and grants, its ends of links, and its sockets to the world.
fn standing_sockets(worker: Worker) -> usize {
    let is_wired = |link: &&Link| {
        let runs = |peer| Worker::ALL.contains(&peer);
        link.is_granted_to(worker) && link.other_worker(worker).is_none_or(runs)
    };
    let links = TABLE.iter().filter(is_wired).count();
    let outside = match worker {
        Worker::Compositor | Worker::Gateway | Worker::Rtc => 1,
        Worker::Gamepad | Worker::Media => 0,
        // Its connection to the sound server and that to which the sink belongs, and both ends of the one
        // that leads nowhere.
        Worker::Sound => 4,
        // On loopback, where the tests' desktops are: UDP and TCP for each IP version, and the
        // socket pair of tokio's signal feature, which is never written to.
        Worker::Turn => 2 * loopback_addresses() + SIGNAL_PAIR,
    };
    2 + links + outside
}

/// Sockets of a tokio with the signal feature, which the relay's dependencies enable.
const SIGNAL_PAIR: usize = 2;

/// One for each IP version this machine has.
fn loopback_addresses() -> usize {
    let addresses = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    addresses.iter().filter(|ip| UdpSocket::bind((**ip, 0)).is_ok()).count()
}

/// Sockets of the connections that it serves: here those of one app and the clipboard's bridge, or
/// that of one viewer. The compositor passes on what an app says through a socket pair.
fn served_connections(worker: Worker) -> usize {
    match worker {
        Worker::Compositor => 2 * (1 + 2),
        Worker::Gateway => 1,
        Worker::Gamepad | Worker::Media | Worker::Rtc | Worker::Sound | Worker::Turn => 0,
    }
}
