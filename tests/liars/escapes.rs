//! System calls of an intruder, made under the worker's policy by a child of the liar: the worker itself
//! would end at the first forbidden one.

use std::time::Instant;

use anyhow::{Context, Result};
use lumen_ipc::{
    message::grants::ToWorker,
    process::{ExitCode, Worker},
};
use lumen_liar::order::{Call, Ended, Held, Tried};
use lumen_tests::process::Process;
use nix::libc::{self as c, c_int};

use crate::{
    aims::{self, Way},
    calls::{address, call, space, word},
    control::Controls,
    devices,
    goal::{Goal, Row},
    puppet::Puppet,
    scene::{Bait, Scene},
};

/// Calls towards one goal.
struct Attempt {
    goal: Goal,
    name: String,
    calls: Vec<Call>,
    tells: Tells,
}

/// What an attempt tells by what becomes of its last call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Tells {
    /// Nothing: what it reaches is seen elsewhere, at the bait or in what the worker's successor can do.
    Nothing,
    /// The goal is reached if it succeeds, and held if it fails: it does not fail elsewhere.
    All,
    /// The goal is reached if it succeeds. It might fail elsewhere, too, so it is held only if the filter
    /// ends the process.
    Filter,
}

/// Everything that is tried, in the order in which it is.
struct Attempts<'controls> {
    all: Vec<Attempt>,
    controls: &'controls Controls,
}

impl Attempts<'_> {
    /// Ways that must lead nowhere.
    fn never(&mut self, goal: Goal, whose: &str, ways: Vec<Way>) {
        for Way { kind, calls, .. } in ways {
            let tells = if self.controls.succeeds(kind) { Tells::All } else { Tells::Filter };
            self.all.push(Attempt { goal, name: format!("{kind} ({whose})"), calls, tells });
        }
    }

    /// Ways that the filter must bar: what they would lead to is somewhere else here.
    fn ended(&mut self, goal: Goal, whose: &str, ways: Vec<Way>) {
        for Way { kind, calls, .. } in ways {
            let name = format!("{kind} ({whose})");
            self.all.push(Attempt { goal, name, calls, tells: Tells::Filter });
        }
    }

    /// A call whose effect is looked at afterwards.
    fn maybe(&mut self, goal: Goal, name: String, calls: Vec<Call>) {
        self.all.push(Attempt { goal, name, calls, tells: Tells::Nothing });
    }
}

/// Makes all attempts, and looks at the bait.
pub(crate) fn try_all(scene: &Scene, bait: &Bait, puppet: &Puppet, row: &mut Row) -> Result<()> {
    let held = puppet.holds()?;
    let mut all = Attempts { all: Vec::new(), controls: Controls::known()? };
    files(&mut all, bait, &held);
    ports(&mut all, bait, &held);
    others(&mut all, scene)?;
    memory(&mut all, scene)?;
    leavings(&mut all, &held);
    for number in held.iter().map(|held| held.number) {
        all.ended(Goal::Keys, &number.to_string(), devices::ways(number, &bait.files.nothing));
    }
    for attempt in all.all {
        let begun = Instant::now();
        let tried = puppet.attempt(&attempt.calls).with_context(|| attempt.name.clone())?;
        row.tried(attempt.goal, 1, begun);
        judge(&attempt, &tried, row);
    }
    row.expect(Goal::File, bait.file_is_untouched().is_ok(), || "the file is changed".to_owned());
    for reached in bait.connected() {
        row.reached(Goal::Port, format!("it reached {reached}"));
    }
    let sent = bait.has_datagram();
    match scene.part.kind() {
        Worker::Rtc | Worker::Turn if sent => {
            row.admit(Goal::Port, "a datagram reaches a UDP service; nothing else is reached");
        }
        Worker::Rtc | Worker::Turn => {
            row.fenced(Goal::Port, "no datagram passes the fence of this machine's control groups");
        }
        _ => row.expect(Goal::Port, !sent, || "it reached a UDP service".to_owned()),
    }
    Ok(())
}

fn judge(attempt: &Attempt, tried: &Tried, row: &mut Row) {
    const FORBIDDEN: i32 = ExitCode::ForbiddenSyscall as i32;
    let Attempt { goal, name, calls, tells } = attempt;
    row.expect(*goal, began(tried.ended), || format!("{name}: {tried:?}"));
    let reached = *tells != Tells::Nothing && tried.reaches(calls.len());
    row.expect(*goal, !reached, || format!("{name} succeeds: {tried:?}"));
    let proven = *tells != Tells::Filter || tried.ended == Some(Ended::Code(FORBIDDEN));
    row.expect(*goal, proven || reached, || format!("{name} proves nothing: {tried:?}"));
}

/// Whether the child was confined before it ended: an attempt that was not made proves nothing.
fn began(ended: Option<Ended>) -> bool {
    const COULD_NOT_CONFINE: i32 = ExitCode::CouldNotConfine as i32;
    !matches!(ended, Some(Ended::Code(COULD_NOT_CONFINE | 1)))
}

fn files(all: &mut Attempts<'_>, bait: &Bait, held: &[Held]) {
    all.never(Goal::File, "the user's", aims::files(&bait.files));
    for number in held.iter().map(|held| held.number).chain(0..3) {
        all.never(Goal::File, &number.to_string(), aims::descriptor(number, &bait.files));
    }
}

fn ports(all: &mut Attempts<'_>, bait: &Bait, held: &[Held]) {
    all.never(Goal::Port, "its own", aims::sockets(&bait.services));
    let addresses = bait.services.addresses();
    for held in held {
        for (name, to) in ["TCP", "UDP", "abstract", "named"].iter().zip(&addresses) {
            let (number, [at, length]) = (word(held.number), address(to));
            let mut attempts = vec![
                ("connect", call(c::SYS_connect, [number.clone(), at.clone(), length.clone()])),
                ("bind", call(c::SYS_bind, [number.clone(), at.clone(), length.clone()])),
                (
                    "sendmsg that connects",
                    call(c::SYS_sendmsg, [number.clone(), header(to), word(c::MSG_FASTOPEN)]),
                ),
            ];
            // On a link a datagram is a message, and a breach of the contract.
            if outlives(held) {
                let sent = [number.clone(), space(1), word(1), word(0), at, length];
                attempts.push(("sendto", call(c::SYS_sendto, sent)));
                attempts.push(("sendmsg", call(c::SYS_sendmsg, [number, header(to), word(0)])));
            }
            for (call_name, made) in attempts {
                let name = format!("{call_name} to {name} with descriptor {held:?}");
                all.maybe(Goal::Port, name, vec![made]);
            }
        }
    }
}

fn header(to: &[u8]) -> lumen_liar::order::Argument {
    let (address, body) = (to.to_vec(), b"x".to_vec());
    lumen_liar::order::Argument::Header { address, body }
}

/// Attempts on other processes: apps, the other session's workers, supervisors.
fn others(all: &mut Attempts<'_>, scene: &Scene) -> Result<()> {
    let status = scene.host.status()?;
    let stranger = status
        .sessions
        .iter()
        .find(|session| session.id == scene.other.number)
        .and_then(|session| session.workers.first()?.pid)
        .context("a worker of the other session")?;
    let processes = [
        (Goal::App, "its app", scene.own.app),
        (Goal::App, "the other app", scene.other.app),
        (Goal::Session, "a worker of the other session", Process(stranger)),
        (Goal::Supervisor, "its supervisor", scene.own.session.supervisor()),
    ];
    for (goal, whose, process) in processes {
        all.never(goal, whose, aims::process(process));
    }
    all.never(Goal::App, "the machine's", aims::machine());
    all.never(Goal::Session, "shared", aims::shared());
    Ok(())
}

/// Attempts to read other processes' memory and what the kernel keeps for them.
fn memory(all: &mut Attempts<'_>, scene: &Scene) -> Result<()> {
    for supervisor in scene.supervisors()? {
        all.never(Goal::Secret, "a supervisor's", aims::memory(supervisor)?);
    }
    let state = scene.host.run_folder().join("state");
    all.never(Goal::Secret, "the host's state", vec![aims::read(&state)]);
    all.never(Goal::Secret, "the kernel's", aims::kernel());
    Ok(())
}

/// `fcntl`'s commands that libc does not name everywhere (`linux/fcntl.h`).
const F_SETSIG: c_int = 10;
const F_SETOWN_EX: c_int = 15;

/// Whether the next worker gets the same: not the ends of links, which are made anew.
fn outlives(held: &Held) -> bool {
    use ToWorker::{LinkEnd, SignallingEnd};
    !matches!(held.grant, None | Some(LinkEnd { .. } | SignallingEnd { .. }))
}

/// Calls that would leave what is granted changed for the next worker.
fn leavings(all: &mut Attempts<'_>, held: &[Held]) {
    for held in held.iter().filter(|held| outlives(held)) {
        let number = || word(held.number);
        let mut maybe = |name: &str, made| {
            all.maybe(Goal::Successor, format!("{name} of {held:?}"), vec![made]);
        };
        for (name, way) in [("read", c::SHUT_RD), ("both", c::SHUT_RDWR), ("write", c::SHUT_WR)] {
            maybe(&format!("shutdown {name}"), call(c::SYS_shutdown, [number(), word(way)]));
        }
        for (name, command, value) in [
            ("F_SETFL blocking", c::F_SETFL, 0),
            ("F_SETFL with signals", c::F_SETFL, c::O_ASYNC | c::O_NONBLOCK),
            ("F_SETFL appending", c::F_SETFL, c::O_APPEND | c::O_NONBLOCK),
            ("F_SETOWN", c::F_SETOWN, 1),
            ("F_SETOWN_EX", F_SETOWN_EX, 0),
            ("F_SETSIG", F_SETSIG, c::SIGKILL),
            ("F_SETLK", c::F_SETLK, 0),
            ("F_OFD_SETLK", c::F_OFD_SETLK, 0),
            ("F_SETLEASE", c::F_SETLEASE, c::F_WRLCK),
            ("F_NOTIFY", c::F_NOTIFY, 1),
            ("F_SETPIPE_SZ", c::F_SETPIPE_SZ, 4096),
            ("F_ADD_SEALS", c::F_ADD_SEALS, 0xf),
        ] {
            maybe(name, call(c::SYS_fcntl, [number(), word(command), word(value)]));
        }
        for (level, option) in [
            (c::SOL_SOCKET, c::SO_RCVBUF),
            (c::SOL_SOCKET, c::SO_SNDBUF),
            (c::SOL_SOCKET, c::SO_RCVTIMEO),
            (c::SOL_SOCKET, c::SO_LINGER),
            (c::SOL_SOCKET, c::SO_ATTACH_FILTER),
            (c::SOL_SOCKET, c::SO_BINDTODEVICE),
            (c::SOL_SOCKET, c::SO_KEEPALIVE),
            (c::IPPROTO_TCP, c::TCP_NODELAY),
            (c::IPPROTO_TCP, c::TCP_USER_TIMEOUT),
            (c::IPPROTO_TCP, c::TCP_DEFER_ACCEPT),
            (c::IPPROTO_IP, c::IP_TTL),
        ] {
            let arguments = [number(), word(level), word(option), space(16), word(16)];
            maybe(&format!("option {level}/{option}"), call(c::SYS_setsockopt, arguments));
        }
        maybe("listen", call(c::SYS_listen, [number(), word(0)]));
        maybe("flock", call(c::SYS_flock, [number(), word(c::LOCK_EX | c::LOCK_NB)]));
        maybe("FIONBIO", call(c::SYS_ioctl, [number(), word(0x5421), space(4)]));
        maybe("FIOASYNC", call(c::SYS_ioctl, [number(), word(0x5452), space(4)]));
        maybe("ftruncate", call(c::SYS_ftruncate, [number(), word(0)]));
        maybe("fallocate", call(c::SYS_fallocate, [number(), word(3), word(0), word(4096)]));
        maybe("write", call(c::SYS_write, [number(), space(64), word(64)]));
        maybe(
            "receive",
            call(c::SYS_recvfrom, [number(), space(64), word(64), word(c::MSG_DONTWAIT)]),
        );
        maybe("accept4", call(c::SYS_accept4, [number(), word(0), word(0), word(c::SOCK_CLOEXEC)]));
    }
}
