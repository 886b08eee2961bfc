//! The relay beside coturn's `turnserver` in one run: packets a second for each second of processor
//! time, and added latency. Needs the Debian package `coturn`; without it coturn's rows are missing.
//!
//! Both relays run as processes of their own with one relaying thread each, and carry the same
//! packets between the same two sockets. coturn is measured twice: between two of its clients,
//! which is how Lumen's relay works, and to a plain peer, which spares it half of the work.

#![allow(missing_docs, clippy::print_stdout, reason = "a measurement prints what it finds")]

#[path = "../tests/client/mod.rs"]
mod client;

use std::{
    io::{BufRead, BufReader, Stdin},
    net::{SocketAddr, TcpListener, UdpSocket},
    ops::ControlFlow,
    os::fd::{AsFd, BorrowedFd},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use client::*;
use lumen_ipc_runtime::metrics::Registry;
use lumen_turn::{
    address::OwnAddresses,
    auth::credential::{Party, RelaySecret},
    quota::StrangerRates,
    relay::{Relay, RelayConfig, allocation::AllocationLimits},
    shell::{ConnectionLimits, Overseer, Server, Sockets, now, server_config},
};
use turn_server::codec::{crypto::generate_password, message::attributes::PasswordAlgorithm};

/// Bytes of a media packet.
const PAYLOAD: usize = 1150;

/// How long throughput is measured.
const SPAN: Duration = Duration::from_secs(4);

/// Packets in flight at a time: about as many as a frame has.
const WINDOW: u64 = 48;

/// Round trips that the latency is computed from.
const PINGS: usize = 10_000;

/// Kernel ticks a second in `/proc/PID/stat` (`USER_HZ`, the same on every Linux).
const TICKS: f64 = 100.0;

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("serve") => serve(),
        _ => compare(),
    }
}

/// Runs the relay until standard input ends. Prints its UDP, TCP and TLS ports.
fn serve() -> Result<()> {
    let any = "127.0.0.1:0";
    let (udp, tcp, tls) = (UdpSocket::bind(any)?, TcpListener::bind(any)?, TcpListener::bind(any)?);
    let ports = [udp.local_addr()?.port(), tcp.local_addr()?.port(), tls.local_addr()?.port()];
    println!("{} {} {}", ports[0], ports[1], ports[2]);
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let (chain, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
    let registry = Registry::default();
    let config = RelayConfig {
        own: OwnAddresses::new(&["127.0.0.1".parse()?])?,
        realm: REALM.to_owned(),
        secret: RelaySecret::new(&SECRET),
        rates: StrangerRates::default(),
        limits: AllocationLimits::default(),
    };
    let relay = Relay::new(config, &registry, now())?;
    let sockets = Sockets { datagrams: vec![udp], streams: vec![tcp], secured: vec![tls] };
    let tls = server_config(chain.as_bytes(), key.as_bytes())?;
    let mut server =
        Server::new(sockets, relay, Some(tls), ConnectionLimits::default(), &registry)?;
    server.run(&mut Until(std::io::stdin()))?;
    Ok(())
}

/// Ends the relay when standard input is closed.
struct Until(Stdin);

impl AsFd for Until {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Overseer for Until {
    fn heed(&mut self, _: &mut Server) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}

/// A relay's process, killed when the value is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Processor time used so far, of all threads.
    fn cpu(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let fields: Vec<&str> =
            stat.rsplit(") ").next().context("fields after the name")?.split(' ').collect();
        // utime and stime, fields 14 and 15 of proc(5); the name and what is before it are cut off.
        Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / TICKS)
    }
}

fn start_lumen() -> Result<(Process, SocketAddr)> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("its output")?).read_line(&mut line)?;
    let port = line.split(' ').next().context("a port")?.parse()?;
    Ok((Process(child), SocketAddr::from(([127, 0, 0, 1], port))))
}

fn start_coturn() -> Result<(Process, SocketAddr)> {
    let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
    let scratch = std::env::temp_dir().display().to_string();
    let child = Command::new("turnserver")
        .args(["-n", "--no-cli", "-a", "-u", "bench:bench", "-r", REALM, "-m", "1"])
        .args(["-L", "127.0.0.1", "-E", "127.0.0.1", "-p", &port.to_string()])
        .args(["--allow-loopback-peers", "--no-tls", "--no-dtls"])
        // Given any file, even /dev/null, it creates another beside it with the date in its name.
        .args(["--log-file", "stdout"])
        .args(["--pidfile", &format!("{scratch}/lumen-bench-turn.pid")])
        .args(["--db", &format!("{scratch}/lumen-bench-turndb")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run turnserver; install the package coturn")?;
    Ok((Process(child), SocketAddr::from(([127, 0, 0, 1], port))))
}

fn coturn_client() -> Client {
    let key = generate_password("bench", "bench", REALM, PasswordAlgorithm::Md5);
    Client {
        username: "bench".to_owned(),
        password_key: key.to_vec(),
        realm: REALM.to_owned(),
        nonce: String::new(),
        serial: 0,
    }
}

fn lumen_client(party: Party) -> Client {
    Client::new(grantee(party, 1, 1), now().unix.0 + 3600, 1)
}

/// A socket whose packets may go through a relay.
struct End {
    socket: UdpSocket,
    client: Client,
    relayed: SocketAddr,
}

fn socket_to(relay: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(relay)?;
    socket.set_read_timeout(Some(Duration::from_millis(500)))?;
    Ok(socket)
}

fn ask(socket: &UdpSocket, message: &[u8]) -> Result<Answer> {
    let mut buffer = [0; 4096];
    socket.send(message)?;
    let length = socket.recv(&mut buffer)?;
    Ok(Answer::parse(&buffer[..length]))
}

fn enter(relay: SocketAddr, mut client: Client) -> Result<End> {
    let socket = socket_to(relay)?;
    // A relay that has just been started may not listen for a moment.
    let begun = Instant::now();
    let challenge = loop {
        match ask(&socket, &client.hello()) {
            Ok(challenge) => break challenge,
            Err(error) if begun.elapsed() > Duration::from_secs(10) => return Err(error),
            Err(_) => {}
        }
    };
    client.nonce = challenge.text(NONCE_ATTRIBUTE).context("a nonce")?;
    client.realm = challenge.text(REALM_ATTRIBUTE).context("a realm")?;
    let answer = ask(&socket, &client.allocate())?;
    ensure!(answer.error().is_none(), "allocation refused: {answer:?}");
    let relayed = answer.address(RELAYED_ATTRIBUTE).context("a relayed address")?;
    Ok(End { socket, client, relayed })
}

impl End {
    fn bind(&mut self, peer: SocketAddr) -> Result<()> {
        let answer = ask(&self.socket, &self.client.bind(0x4000, peer))?;
        ensure!(answer.error().is_none(), "channel refused: {answer:?}");
        Ok(())
    }
}

/// Two sockets, and what one sends so that the other receives it.
struct Road {
    from: UdpSocket,
    to: UdpSocket,
    packet: Vec<u8>,
}

fn direct() -> Result<Road> {
    let (from, to) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    from.connect(to.local_addr()?)?;
    to.set_read_timeout(Some(Duration::from_millis(500)))?;
    Ok(Road { from, to, packet: channel_data(0x4000, &[7; PAYLOAD]) })
}

fn between_clients(relay: SocketAddr, clients: [Client; 2]) -> Result<Road> {
    let [first, second] = clients;
    let (mut first, mut second) = (enter(relay, first)?, enter(relay, second)?);
    first.bind(second.relayed)?;
    second.bind(first.relayed)?;
    Ok(Road { from: first.socket, to: second.socket, packet: channel_data(0x4000, &[7; PAYLOAD]) })
}

fn to_plain_peer(relay: SocketAddr, client: Client) -> Result<Road> {
    let mut end = enter(relay, client)?;
    let to = UdpSocket::bind("127.0.0.1:0")?;
    to.set_read_timeout(Some(Duration::from_millis(500)))?;
    end.bind(to.local_addr()?)?;
    Ok(Road { from: end.socket, to, packet: channel_data(0x4000, &[7; PAYLOAD]) })
}

struct Latency {
    p50: f64,
    p99: f64,
}

fn latency(road: &Road) -> Result<Latency> {
    let mut buffer = [0; 4096];
    let mut micros = Vec::with_capacity(PINGS);
    let mut packet = road.packet.clone();
    for number in 0..PINGS as u64 {
        let mark = number.to_be_bytes();
        let tail = packet.len() - mark.len();
        packet[tail..].copy_from_slice(&mark);
        let sent = Instant::now();
        road.from.send(&packet)?;
        // Skip packets of earlier round trips.
        loop {
            let length = road.to.recv(&mut buffer)?;
            if buffer[..length].ends_with(&mark) {
                break;
            }
        }
        micros.push(sent.elapsed().as_secs_f64() * 1e6);
    }
    micros.sort_by(f64::total_cmp);
    let at = |share: f64| micros[(micros.len() as f64 * share) as usize];
    Ok(Latency { p50: at(0.5), p99: at(0.99) })
}

/// Packets carried per second of processor time of `relay`.
fn throughput(road: &Road, relay: &Process) -> Result<f64> {
    let received = AtomicU64::new(0);
    let before = relay.cpu()?;
    let end = Instant::now() + SPAN;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 4096];
            while Instant::now() < end {
                if road.to.recv(&mut buffer).is_ok() {
                    received.fetch_add(1, Ordering::Release);
                }
            }
        });
        let mut sent = 0;
        let (mut progress, mut since) = (0, Instant::now());
        while Instant::now() < end {
            let arrived = received.load(Ordering::Acquire);
            if arrived != progress {
                (progress, since) = (arrived, Instant::now());
            }
            // Packets missing for this long are lost; waiting for them must not keep the window
            // full.
            if since.elapsed() > Duration::from_millis(50) {
                sent = arrived;
            }
            if sent - arrived.min(sent) < WINDOW {
                sent += u64::from(road.from.send(&road.packet).is_ok());
            } else {
                std::thread::yield_now();
            }
        }
    });
    let used = relay.cpu()? - before;
    Ok(received.load(Ordering::Acquire) as f64 / used)
}

fn compare() -> Result<()> {
    let direct = latency(&direct()?)?;
    println!("{:<28}{:>16}{:>14}{:>14}", "relay", "packets/s/core", "added p50 µs", "added p99 µs");
    let row = |name: &str, road: &Road, relay: &Process| -> Result<f64> {
        let through = latency(road)?;
        let packets = throughput(road, relay)?;
        let (p50, p99) = (through.p50 - direct.p50, through.p99 - direct.p99);
        println!("{name:<28}{packets:>16.0}{p50:>14.1}{p99:>14.1}");
        Ok(packets)
    };
    let (lumen, at) = start_lumen()?;
    let road = between_clients(at, [lumen_client(Party::Rtc), lumen_client(Party::Viewer)])?;
    let ours = row("lumen, rtc to viewer", &road, &lumen)?;
    match start_coturn() {
        Err(error) => println!("coturn is not measured: {error:#}"),
        Ok((coturn, at)) => {
            let clients = between_clients(at, [coturn_client(), coturn_client()])?;
            let theirs = row("coturn, client to client", &clients, &coturn)?;
            let plain =
                row("coturn, to a plain peer", &to_plain_peer(at, coturn_client())?, &coturn)?;
            println!(
                "lumen / coturn: {:.2} client to client, {:.2} plain peer",
                ours / theirs,
                ours / plain
            );
        }
    }
    println!("(direct over loopback: p50 {:.1} µs, p99 {:.1} µs)", direct.p50, direct.p99);
    drop(lumen);
    Ok(())
}
