//! System calls of an intruder, made under the worker's policy by a child of the liar: the worker itself
//! would end at the first forbidden one.

use std::time::Instant;

use anyhow::{Context, Result};
use lumen_ipc::{message::grants::ToWorker, process::Worker};
use lumen_liar::order::{Call, Ended, Held};
use nix::libc::{self as c, c_int};

use crate::{
    calls::{address, call, here, internet, local, result_of, space, text, word},
    goal::{Goal, Row},
    puppet::Puppet,
    scene::{Bait, Scene},
};

/// Calls towards one goal.
struct Attempt {
    goal: Goal,
    name: String,
    calls: Vec<Call>,
    /// Whether the goal is reached if the last call succeeds. What the others reach is seen elsewhere:
    /// at the bait, or in what the worker's successor can do.
    tells: bool,
}

/// Everything that is tried, in the order in which it is.
struct Attempts(Vec<Attempt>);

impl Attempts {
    /// A call that must not succeed.
    fn never(&mut self, goal: Goal, name: &str, calls: Vec<Call>) {
        self.0.push(Attempt { goal, name: name.to_owned(), calls, tells: true });
    }

    /// A call whose effect is looked at afterwards.
    fn maybe(&mut self, goal: Goal, name: String, calls: Vec<Call>) {
        self.0.push(Attempt { goal, name, calls, tells: false });
    }
}

/// Makes all attempts, and looks at the bait.
pub(crate) fn try_all(scene: &Scene, bait: &Bait, puppet: &Puppet, row: &mut Row) -> Result<()> {
    let held = puppet.holds()?;
    let mut all = Attempts(Vec::new());
    files(&mut all, bait, &held);
    ports(&mut all, bait, &held)?;
    others(&mut all, scene)?;
    memory(&mut all, scene)?;
    leavings(&mut all, &held);
    for attempt in all.0 {
        let begun = Instant::now();
        let tried = puppet.attempt(&attempt.calls).with_context(|| attempt.name.clone())?;
        row.tried(attempt.goal, 1, begun);
        let succeeded = tried.last().is_some_and(|result| result >= 0);
        row.expect(attempt.goal, !(attempt.tells && succeeded), || {
            format!("{} succeeds: {tried:?}", attempt.name)
        });
        row.expect(attempt.goal, began(tried.ended), || format!("{}: {tried:?}", attempt.name));
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
        _ => row.expect(Goal::Port, !sent, || "it reached a UDP service".to_owned()),
    }
    Ok(())
}

/// Whether the child was confined before it ended: an attempt that was not made proves nothing.
fn began(ended: Option<Ended>) -> bool {
    const COULD_NOT_CONFINE: i32 = 113;
    !matches!(ended, Some(Ended::Code(COULD_NOT_CONFINE | 1)))
}

fn files(all: &mut Attempts, bait: &Bait, held: &[Held]) {
    let path = || text(&bait.file);
    let never = |all: &mut Attempts, name: &str, calls| all.never(Goal::File, name, calls);
    for (name, flags) in [
        ("read", c::O_RDONLY),
        ("written", c::O_WRONLY | c::O_TRUNC),
        ("appended to", c::O_WRONLY | c::O_APPEND),
        ("named", c::O_PATH),
    ] {
        let calls = vec![call(c::SYS_openat, [here(), path(), word(flags), word(0)])];
        never(all, &format!("a file that is {name}"), calls);
    }
    never(
        all,
        "a new file",
        vec![call(
            c::SYS_openat,
            [here(), text("/tmp/lumen-liar-was-here"), word(c::O_CREAT | c::O_WRONLY), word(0o600)],
        )],
    );
    never(all, "openat2", vec![call(c::SYS_openat2, [here(), path(), space(24), word(24)])]);
    for number in held.iter().map(|held| held.number).chain(0..3) {
        let reopened = text(format!("/proc/self/fd/{number}"));
        let calls = vec![call(c::SYS_openat, [here(), reopened, word(c::O_RDWR), word(0)])];
        never(all, &format!("descriptor {number} opened again"), calls);
        let parent = text("..");
        let calls = vec![call(c::SYS_openat, [word(number), parent, word(c::O_RDONLY), word(0)])];
        never(all, &format!("a path that begins at descriptor {number}"), calls);
    }
    for (name, number) in [
        ("stat", c::SYS_newfstatat),
        ("faccessat", c::SYS_faccessat),
        ("unlinkat", c::SYS_unlinkat),
        ("fchmodat", c::SYS_fchmodat),
        ("fchownat", c::SYS_fchownat),
        ("utimensat", c::SYS_utimensat),
        ("readlinkat", c::SYS_readlinkat),
        ("name_to_handle_at", c::SYS_name_to_handle_at),
        ("execveat", c::SYS_execveat),
        ("open_tree", c::SYS_open_tree),
        ("statx", c::SYS_statx),
    ] {
        let calls = vec![call(number, [here(), path(), space(256), space(256), word(0)])];
        never(all, name, calls);
    }
    for (name, number) in [
        ("truncate", c::SYS_truncate),
        ("chdir", c::SYS_chdir),
        ("chroot", c::SYS_chroot),
        ("execve", c::SYS_execve),
        ("setxattr", c::SYS_setxattr),
        ("swapon", c::SYS_swapon),
        ("acct", c::SYS_acct),
        ("umount2", c::SYS_umount2),
        ("statfs", c::SYS_statfs),
    ] {
        never(all, name, vec![call(number, [path(), space(64), space(64), word(0)])]);
    }
    let elsewhere = || text("/tmp/lumen-liar-was-here");
    for (name, number) in [("renameat2", c::SYS_renameat2), ("linkat", c::SYS_linkat)] {
        never(all, name, vec![call(number, [here(), path(), here(), elsewhere(), word(0)])]);
    }
    never(all, "symlinkat", vec![call(c::SYS_symlinkat, [path(), here(), elsewhere()])]);
    never(all, "mkdirat", vec![call(c::SYS_mkdirat, [here(), elsewhere(), word(0o700)])]);
    never(
        all,
        "mknodat",
        vec![call(c::SYS_mknodat, [here(), elsewhere(), word(c::S_IFIFO | 0o600)])],
    );
    never(
        all,
        "mount",
        vec![call(c::SYS_mount, [path(), elsewhere(), space(8), word(c::MS_BIND as c_int)])],
    );
    never(all, "io_uring_setup", vec![call(c::SYS_io_uring_setup, [word(4), space(120)])]);
    never(all, "inotify_init1", vec![call(c::SYS_inotify_init1, [word(0)])]);
    never(all, "fanotify_init", vec![call(c::SYS_fanotify_init, [word(0), word(0)])]);
    never(all, "userfaultfd", vec![call(c::SYS_userfaultfd, [word(0)])]);
}

fn ports(all: &mut Attempts, bait: &Bait, held: &[Held]) -> Result<()> {
    let tcp = internet(bait.tcp_address()?);
    let udp = internet(bait.udp_address()?);
    let hidden = local(&[&[0][..], &bait.hidden_name].concat());
    let named = local(bait.path.to_string_lossy().as_bytes());
    let own_sockets = [
        ("TCP", c::AF_INET, c::SOCK_STREAM, &tcp),
        ("UDP", c::AF_INET, c::SOCK_DGRAM, &udp),
        ("raw IP", c::AF_INET, c::SOCK_RAW, &tcp),
        ("MPTCP", c::AF_INET, c::SOCK_STREAM | c::SOCK_CLOEXEC, &tcp),
        ("an abstract name", c::AF_UNIX, c::SOCK_STREAM, &hidden),
        ("a path", c::AF_UNIX, c::SOCK_STREAM, &named),
        ("netlink", c::AF_NETLINK, c::SOCK_RAW, &tcp),
        ("packets", c::AF_PACKET, c::SOCK_RAW, &tcp),
        ("a virtual machine's host", c::AF_VSOCK, c::SOCK_STREAM, &tcp),
        ("the kernel's ciphers", c::AF_ALG, c::SOCK_SEQPACKET, &tcp),
    ];
    for (name, family, kind, to) in own_sockets {
        let made = call(c::SYS_socket, [word(family), word(kind), word(0)]);
        let [to, length] = address(to);
        let reached = call(c::SYS_connect, [result_of(0), to, length]);
        all.never(Goal::Port, &format!("a socket for {name}"), vec![made, reached]);
    }
    for held in held {
        for (name, to) in [("TCP", &tcp), ("UDP", &udp), ("abstract", &hidden), ("named", &named)] {
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
    Ok(())
}

fn header(to: &[u8]) -> lumen_liar::order::Argument {
    let (address, body) = (to.to_vec(), b"x".to_vec());
    lumen_liar::order::Argument::Header { address, body }
}

/// Attempts on other processes: apps, the other session's workers, supervisors.
fn others(all: &mut Attempts, scene: &Scene) -> Result<()> {
    let status = scene.host.status()?;
    let stranger = status
        .sessions
        .iter()
        .find(|session| session.id == scene.other.number)
        .and_then(|session| session.workers.first()?.pid)
        .context("a worker of the other session")?;
    let supervisor = scene.own.session.supervisor().0;
    let processes = [
        (Goal::App, "its app", scene.own.app.0),
        (Goal::App, "the other app", scene.other.app.0),
        (Goal::Session, "a worker of the other session", stranger),
        (Goal::Supervisor, "its supervisor", supervisor),
    ];
    for (goal, whose, pid) in processes {
        let pid = || word(pid);
        let nothing = || word(0);
        let attempts = [
            ("kill", call(c::SYS_kill, [pid(), word(c::SIGKILL)])),
            ("tkill", call(c::SYS_tkill, [pid(), word(c::SIGKILL)])),
            ("tgkill", call(c::SYS_tgkill, [pid(), pid(), word(c::SIGKILL)])),
            (
                "rt_sigqueueinfo",
                call(c::SYS_rt_sigqueueinfo, [pid(), word(c::SIGTERM), space(128)]),
            ),
            (
                "ptrace",
                call(c::SYS_ptrace, [word(c::PTRACE_SEIZE as c_int), pid(), nothing(), nothing()]),
            ),
            ("pidfd_open", call(c::SYS_pidfd_open, [pid(), nothing()])),
            ("prlimit64", call(c::SYS_prlimit64, [pid(), word(0), space(16), space(16)])),
            ("sched_setaffinity", call(c::SYS_sched_setaffinity, [pid(), word(8), space(8)])),
            ("sched_setscheduler", call(c::SYS_sched_setscheduler, [pid(), word(0), space(8)])),
            ("setpriority", call(c::SYS_setpriority, [word(0), pid(), word(19)])),
            ("ioprio_set", call(c::SYS_ioprio_set, [word(1), pid(), word(0)])),
            ("kcmp", call(c::SYS_kcmp, [pid(), pid(), word(0), word(0), word(0)])),
            ("setpgid", call(c::SYS_setpgid, [pid(), pid()])),
            ("migrate_pages", call(c::SYS_migrate_pages, [pid(), word(8), space(8), space(8)])),
        ];
        for (name, made) in attempts {
            all.never(goal, &format!("{name} of {whose}"), vec![made]);
        }
    }
    all.never(
        Goal::App,
        "a timer that signals another",
        vec![call(c::SYS_timer_create, [word(0), space(64), space(8)])],
    );
    all.never(Goal::App, "reboot", vec![call(c::SYS_reboot, [word(0), word(0), word(0)])]);
    // Memory that processes of different sessions could share.
    let key = 0x11a5;
    for (name, made) in [
        ("shmget", call(c::SYS_shmget, [word(key), word(4096), word(c::IPC_CREAT | 0o666)])),
        ("semget", call(c::SYS_semget, [word(key), word(1), word(c::IPC_CREAT | 0o666)])),
        ("msgget", call(c::SYS_msgget, [word(key), word(c::IPC_CREAT | 0o666)])),
        (
            "mq_open",
            call(c::SYS_mq_open, [text("liar"), word(c::O_CREAT | c::O_RDWR), word(0o666)]),
        ),
        ("setns", call(c::SYS_setns, [word(0), word(0)])),
        ("unshare", call(c::SYS_unshare, [word(c::CLONE_NEWUSER)])),
        ("a process", call(c::SYS_clone, [word(c::SIGCHLD), word(0), word(0), word(0), word(0)])),
        ("a process by clone3", call(c::SYS_clone3, [space(88), word(88)])),
        (
            "fork by vfork's flags",
            call(c::SYS_clone, [word(c::CLONE_VM | c::CLONE_VFORK | c::SIGCHLD), word(0)]),
        ),
    ] {
        all.never(Goal::Session, name, vec![made]);
    }
    Ok(())
}

/// Attempts to read other processes' memory and what the kernel keeps for them.
fn memory(all: &mut Attempts, scene: &Scene) -> Result<()> {
    let mut never = |name: &str, made| all.never(Goal::Secret, name, vec![made]);
    for supervisor in scene.supervisors()? {
        let pid = || word(supervisor.0);
        never(
            "process_vm_readv",
            call(c::SYS_process_vm_readv, [pid(), space(16), word(1), space(16), word(1), word(0)]),
        );
        never(
            "process_vm_writev",
            call(
                c::SYS_process_vm_writev,
                [pid(), space(16), word(1), space(16), word(1), word(0)],
            ),
        );
        for file in ["mem", "environ", "cmdline", "maps", "fd/3"] {
            let path = text(format!("/proc/{}/{file}", supervisor.0));
            never(file, call(c::SYS_openat, [here(), path, word(c::O_RDONLY), word(0)]));
        }
    }
    let state = text(scene.host.run_folder().join("state"));
    never("the host's state", call(c::SYS_openat, [here(), state, word(c::O_RDONLY), word(0)]));
    never(
        "add_key",
        call(c::SYS_add_key, [text("user"), text("liar"), space(1), word(1), word(-3)]),
    );
    never("request_key", call(c::SYS_request_key, [text("user"), text("liar"), word(0), word(0)]));
    never("keyctl", call(c::SYS_keyctl, [word(0), word(-3), word(0)]));
    never(
        "perf_event_open",
        call(c::SYS_perf_event_open, [space(128), word(-1), word(0), word(-1), word(0)]),
    );
    never("bpf", call(c::SYS_bpf, [word(5), space(128), word(128)]));
    never("syslog", call(c::SYS_syslog, [word(3), space(128), word(128)]));
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
fn leavings(all: &mut Attempts, held: &[Held]) {
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
