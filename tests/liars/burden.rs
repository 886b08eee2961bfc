//! A liar that wants its supervisor busy or silent: it floods every way to it, prints without end, says
//! odd things about itself, or stands still. Meanwhile an administrator asks for the status.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use lumen_ipc::{
    link::{Generation, LinkName},
    message::grants::{LossReason, ToSupervisor},
    process::Worker,
    visible::is_visible,
};
use nix::{
    libc::{self as c},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{Signal, kill},
        socket::{MsgFlags, send},
    },
    unistd::Pid,
};
use std::os::fd::AsRawFd;

use crate::{
    calls::{call, word},
    goal::{Goal, Row},
    puppet::{Borrowed, Puppet},
    scene::Scene,
    seeds,
};

/// How long a flood lasts: long enough for its bursts to be used up.
const FLOOD: Duration = Duration::from_millis(2500);
/// The largest share of a processor that a supervisor may use meanwhile, in a debug build. It answers
/// an administrator all the time.
const SHARE: f64 = 0.4;
/// The most memory that a supervisor may take on meanwhile, in KiB: its rings of log lines fill.
const GROWTH_KIB: u64 = 16 * 1024;
/// The longest that an administrator waits for an answer, the start of `lumen status` included.
const ANSWER: Duration = Duration::from_secs(3);

/// Floods the supervisor; the liar goes on afterwards.
pub(crate) fn flood(scene: &Scene, puppet: &Puppet, row: &mut Row) -> Result<()> {
    let borrowed = puppet.borrow()?;
    under(scene, row, "reports and log lines", |over, count| {
        thread::scope(|scope| {
            scope.spawn(|| flood_reports(&borrowed, over, count));
            flood_log(puppet, over, count)
        })
    })?;
    odd_words(scene, puppet, row)?;
    if scene.part.kind() == Worker::Gateway {
        let broker = borrowed.ends().into_iter().find(|end| end.link == LinkName::Broker);
        let broker = broker.context("the broker's link")?;
        let requests = seeds::frames("rpc_broker")?;
        under(scene, row, "requests to the broker", |over, count| {
            flood_stream(broker.socket, &requests, over, count);
            Ok(())
        })?;
    }
    Ok(())
}

/// Says of itself what would steer an administrator's terminal, or does not fit.
fn odd_words(scene: &Scene, puppet: &Puppet, row: &mut Row) -> Result<()> {
    let begun = Instant::now();
    puppet.summarise(&"\u{1b}]0;taken over\u{7}\u{202e}".repeat(100))?;
    let commands: [&[&str]; 5] =
        [&["status"], &["status", "--json"], &["logs"], &["metrics"], &["metrics", "--json"]];
    for command in commands {
        let shown = scene.host.lumen(command)?;
        let words = command.join(" ");
        row.expect(Goal::Supervisor, shown.status.success(), || {
            format!("`lumen {words}` fails: {}", String::from_utf8_lossy(&shown.stderr))
        });
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        let steers = text.chars().find(|&character| character != '\n' && !is_visible(character));
        row.expect(Goal::Supervisor, steers.is_none(), || {
            format!("`lumen {words}` shows {steers:?}")
        });
    }
    row.tried(Goal::Supervisor, commands.len(), begun);
    Ok(())
}

/// Floods `control` with replies that nobody asked for, which costs the liar its life. Returns the next.
pub(crate) fn flood_control(scene: &Scene, puppet: Puppet, row: &mut Row) -> Result<Puppet> {
    let borrowed = puppet.borrow()?;
    let replies = seeds::frames("rpc_control")?.split_off(2);
    under(scene, row, "replies on control", |over, count| {
        flood_stream(&borrowed.control, &replies, over, count);
        Ok(())
    })?;
    row.expect(Goal::Supervisor, puppet.borrow().is_err(), || {
        "replies that nobody asked for are no breach".to_owned()
    });
    let next = scene.next_liar()?;
    next.confine()?;
    Ok(next)
}

/// Has the liar stand still.
pub(crate) fn silence(scene: &Scene, puppet: &Puppet, row: &mut Row) -> Result<()> {
    let liar = Pid::from_raw(i32::try_from(puppet.process()?.0)?);
    kill(liar, Signal::SIGSTOP)?;
    let outcome = under(scene, row, "silence", |over, count| {
        count.fetch_add(1, Ordering::Relaxed);
        wait_while(over);
        Ok(())
    });
    // It may have been ended meanwhile.
    let _ = kill(liar, Signal::SIGCONT);
    outcome
}

/// Runs `deed` for the time of a flood, and judges the supervisors meanwhile.
fn under(
    scene: &Scene,
    row: &mut Row,
    what: &str,
    deed: impl FnOnce(&AtomicBool, &AtomicUsize) -> Result<()> + Send,
) -> Result<()> {
    let (over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let begun = Instant::now();
    let before = used(scene)?;
    let (slowest, done) = thread::scope(|scope| {
        let deed = scope.spawn(|| deed(&over, &count));
        let slowest = ask_until(scene, begun + FLOOD);
        over.store(true, Ordering::Relaxed);
        (slowest, deed.join())
    });
    done.map_err(|_| anyhow::anyhow!("the flood panicked"))?.context("flooding")?;
    let (lasted, after) = (begun.elapsed(), used(scene)?);
    row.tried(Goal::Supervisor, count.into_inner(), begun);
    let mut largest = 0.0_f64;
    for (before, after) in before.into_iter().zip(after) {
        let name = before.name;
        let share = (after.time - before.time).as_secs_f64() / lasted.as_secs_f64();
        let grown = after.memory.saturating_sub(before.memory);
        row.expect(Goal::Supervisor, grown <= GROWTH_KIB, || {
            format!("{what}: the supervisor of {name} grows by {grown} KiB")
        });
        largest = largest.max(share);
        row.expect(Goal::Supervisor, share <= SHARE, || {
            format!("{what}: the supervisor of {name} uses {share:.2} of a processor")
        });
    }
    let slowest = match slowest {
        Ok(slowest) => slowest,
        Err(error) => {
            row.reached(Goal::Supervisor, format!("{what}: no status: {error:#}"));
            return Ok(());
        }
    };
    println!("{what}: at most {largest:.2} of a processor, status in {slowest:?}");
    row.expect(Goal::Supervisor, slowest <= ANSWER, || {
        format!("{what}: a status took {slowest:?}")
    });
    Ok(())
}

/// What a supervisor has used.
struct Use {
    name: &'static str,
    time: Duration,
    /// In KiB.
    memory: u64,
}

fn used(scene: &Scene) -> Result<Vec<Use>> {
    let names = ["the host", "the session", "the other session"];
    let supervisors = names.into_iter().zip(scene.supervisors()?);
    supervisors
        .map(|(name, process)| {
            let memory = process.status_field("VmRSS")?;
            let memory = memory.trim_end_matches(" kB").trim().parse().context("its memory")?;
            Ok(Use { name, time: process.processor_time()?, memory })
        })
        .collect()
}

/// Asks for the status again and again; returns the longest time until an answer.
fn ask_until(scene: &Scene, end: Instant) -> Result<Duration> {
    let mut slowest = Duration::ZERO;
    loop {
        let asked = Instant::now();
        scene.host.status()?;
        slowest = slowest.max(asked.elapsed());
        if Instant::now() >= end {
            return Ok(slowest);
        }
    }
}

fn wait_while(over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        thread::yield_now();
    }
}

/// Reports about pairs of its links that never were.
fn flood_reports(borrowed: &Borrowed, over: &AtomicBool, count: &AtomicUsize) {
    let mut number = 0_u32;
    for end in borrowed.ends().iter().cycle().take_while(|_| !over.load(Ordering::Relaxed)) {
        let generation = Generation(0x8000_0000 | number);
        let report = match (end.session, number % 3) {
            (Some(session), 0) => ToSupervisor::SignallingViolated { session, generation },
            (Some(session), _) => {
                let reason = LossReason::Full;
                ToSupervisor::SignallingLost { session, generation, reason }
            }
            (None, 0) => ToSupervisor::LinkViolated { link: end.link, generation },
            (None, _) => {
                let reason = LossReason::Closed;
                ToSupervisor::LinkLost { link: end.link, generation, reason }
            }
        };
        match borrowed.grants.send(&report, &[]) {
            Ok(()) => {
                number = number.wrapping_add(1);
                count.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => wait_for_room(borrowed.grants.as_fd()),
        }
    }
}

fn wait_for_room(socket: std::os::fd::BorrowedFd<'_>) {
    let mut waiting = [PollFd::new(socket, PollFlags::POLLOUT)];
    // Whatever comes of it, the flood goes on until its time is over.
    let _ = poll(&mut waiting, PollTimeout::from(50_u8));
}

/// Lines on standard error; without blocking, so that the liar still hears its test.
fn flood_log(puppet: &Puppet, over: &AtomicBool, count: &AtomicUsize) -> Result<()> {
    let line = b"ERROR liar: \x1b[2J a line of the flood\n".repeat(80);
    let write = || {
        let bytes = lumen_liar::order::Argument::Bytes(line.clone());
        call(c::SYS_write, [word(2), bytes, word(line.len() as u32)])
    };
    let nonblocking = [word(2), word(c::F_SETFL), word(c::O_NONBLOCK)];
    puppet.make(&[call(c::SYS_fcntl, nonblocking)])?;
    while !over.load(Ordering::Relaxed) {
        let tried = puppet.make(&vec![write(); 16])?;
        count.fetch_add(tried.results.len(), Ordering::Relaxed);
    }
    Ok(())
}

/// Frames on a stream, as fast as they are taken.
fn flood_stream(socket: &OwnedFd, frames: &[Vec<u8>], over: &AtomicBool, count: &AtomicUsize) {
    let all: Vec<u8> = frames.iter().cycle().take(500).flatten().copied().collect();
    let mut rest = all.as_slice();
    while !over.load(Ordering::Relaxed) {
        match send(socket.as_raw_fd(), rest, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
            Ok(sent) => {
                count.fetch_add(1, Ordering::Relaxed);
                rest = rest.get(sent..).filter(|rest| !rest.is_empty()).unwrap_or(&all);
            }
            Err(nix::errno::Errno::EAGAIN) => wait_for_room(socket.as_fd()),
            // The supervisor has ended the connection, and with it the flood.
            Err(_) => return wait_while(over),
        }
    }
}
