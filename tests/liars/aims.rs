//! What an intruder aims at, and the system calls that reach it: with arguments with which they succeed
//! where nothing confines, so that their failure says something. `control` tries that.

use std::{
    fs,
    net::SocketAddrV4,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use lumen_liar::order::{Argument, Call};
use lumen_tests::process::Process;
use nix::libc::{self as c, c_int, c_long};

use crate::calls::{
    address, call, here, internet, kernels_ciphers, link_layer, local, netlink, result_of, space,
    text, word,
};

/// Calls of which the last one tells whether the aim is reached.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) kind: &'static str,
    pub(crate) calls: Vec<Call>,
    /// What the control does instead; `None` for the same calls.
    pub(crate) control: Option<Vec<Call>>,
    /// Why there is no control: then only the filter's verdict counts.
    pub(crate) uncontrolled: Option<&'static str>,
}

impl Way {
    pub(crate) const fn new(kind: &'static str, calls: Vec<Call>) -> Self {
        Self { kind, calls, control: None, uncontrolled: None }
    }

    fn one<const COUNT: usize>(
        kind: &'static str,
        number: c_long,
        arguments: [Argument; COUNT],
    ) -> Self {
        Self::new(kind, vec![call(number, arguments)])
    }

    /// The control makes this call first.
    fn after(mut self, mut first: Vec<Call>) -> Self {
        first.extend(self.calls.iter().cloned());
        self.control = Some(first);
        self
    }

    /// The control undoes with this call what was done.
    fn undone_by<const COUNT: usize>(
        mut self,
        number: c_long,
        arguments: [Argument; COUNT],
    ) -> Self {
        let mut all = self.calls.clone();
        all.push(call(number, arguments));
        self.control = Some(all);
        self
    }

    const fn without_control(mut self, why: &'static str) -> Self {
        self.uncontrolled = Some(why);
        self
    }
}

/// Files of a user.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) folder: PathBuf,
    /// A file that everybody may read and write.
    pub(crate) letter: PathBuf,
    /// Another one.
    pub(crate) other: PathBuf,
    /// A symbolic link to the first.
    pub(crate) link: PathBuf,
    /// Where there is nothing yet.
    pub(crate) nothing: PathBuf,
}

/// The way to read a file.
pub(crate) fn read(path: &Path) -> Way {
    let arguments = [here(), text(path), word(c::O_RDONLY), word(0)];
    Way::one("a file that is read", c::SYS_openat, arguments)
}

/// A program that does nothing, which everybody may execute.
const PROGRAM: &str = "/bin/true";

/// Ways to read, change or execute files.
pub(crate) fn files(aim: &Files) -> Vec<Way> {
    let (letter, other) = (|| text(&aim.letter), || text(&aim.other));
    let (nothing, none) = (|| text(&aim.nothing), || word(0));
    let open = |kind: &'static str, path: Argument, flags: c_int| {
        Way::one(kind, c::SYS_openat, [here(), path, word(flags), word(0o600)])
    };
    // A mount is seen by nobody but the control.
    let apart = || {
        let private = word((c::MS_REC | c::MS_PRIVATE) as c_int);
        vec![
            call(c::SYS_unshare, [word(c::CLONE_NEWNS)]),
            call(c::SYS_mount, [none(), text("/"), none(), private, none()]),
        ]
    };
    let mounted = || {
        let kind = || text("tmpfs");
        let mounted = [kind(), text(&aim.folder), kind(), none(), none()];
        [apart(), vec![call(c::SYS_mount, mounted)]].concat()
    };
    // `struct file_handle` says how long a handle may be.
    let handle = Argument::Bytes([128_u32.to_ne_bytes().to_vec(), vec![0; 132]].concat());
    vec![
        read(&aim.letter),
        open("a file that is written", letter(), c::O_WRONLY | c::O_TRUNC),
        open("a file that is appended to", letter(), c::O_WRONLY | c::O_APPEND),
        open("a file that is named", letter(), c::O_PATH),
        open("a new file", nothing(), c::O_CREAT | c::O_WRONLY),
        Way::one("openat2", c::SYS_openat2, [here(), letter(), space(24), word(24)]),
        Way::one("stat", c::SYS_newfstatat, [here(), letter(), space(256), none()]),
        Way::one("statx", c::SYS_statx, [here(), letter(), none(), word(0x7ff), space(256)]),
        Way::one("faccessat", c::SYS_faccessat, [here(), letter(), word(c::R_OK)]),
        Way::one("unlinkat", c::SYS_unlinkat, [here(), letter(), none()]),
        Way::one("fchmodat", c::SYS_fchmodat, [here(), letter(), word(0o600)]),
        Way::one("fchownat", c::SYS_fchownat, [here(), letter(), none(), none(), none()]),
        Way::one("utimensat", c::SYS_utimensat, [here(), letter(), none(), none()]),
        Way::one("readlinkat", c::SYS_readlinkat, [here(), text(&aim.link), space(256), word(256)]),
        Way::one(
            "name_to_handle_at",
            c::SYS_name_to_handle_at,
            [here(), letter(), handle, space(4), none()],
        ),
        Way::one("execve", c::SYS_execve, [text(PROGRAM), none(), none()]),
        Way::one("execveat", c::SYS_execveat, [here(), text(PROGRAM), none(), none(), none()]),
        Way::one("open_tree", c::SYS_open_tree, [here(), letter(), none()]),
        Way::one("truncate", c::SYS_truncate, [letter(), word(1)]),
        Way::one("chdir", c::SYS_chdir, [text(&aim.folder)]),
        Way::one("chroot", c::SYS_chroot, [text(&aim.folder)]),
        Way::one(
            "setxattr",
            c::SYS_setxattr,
            [letter(), text("trusted.lumen"), space(1), word(1), none()],
        ),
        Way::one("statfs", c::SYS_statfs, [letter(), space(256)]),
        Way::one("swapon", c::SYS_swapon, [letter(), none()])
            .without_control("a swap file would be made and used"),
        Way::one("acct", c::SYS_acct, [letter()])
            .without_control("the machine's own accounting would end"),
        Way::one("renameat2", c::SYS_renameat2, [here(), letter(), here(), nothing(), none()]),
        Way::one("linkat", c::SYS_linkat, [here(), letter(), here(), nothing(), none()]),
        Way::one("symlinkat", c::SYS_symlinkat, [letter(), here(), nothing()]),
        Way::one("mkdirat", c::SYS_mkdirat, [here(), nothing(), word(0o700)]),
        Way::one("mknodat", c::SYS_mknodat, [here(), nothing(), word(c::S_IFIFO | 0o600)]),
        Way::one(
            "mount",
            c::SYS_mount,
            [letter(), other(), none(), word(c::MS_BIND as c_int), none()],
        )
        .after(apart()),
        Way::one("umount2", c::SYS_umount2, [text(&aim.folder), none()]).after(mounted()),
        Way::one("io_uring_setup", c::SYS_io_uring_setup, [word(4), space(120)]),
        Way::one("inotify_init1", c::SYS_inotify_init1, [none()]),
        Way::one("fanotify_init", c::SYS_fanotify_init, [none(), none()]),
        Way::one("userfaultfd", c::SYS_userfaultfd, [none()]),
    ]
}

/// Ways into what a descriptor is, and to what lies beside it.
pub(crate) fn descriptor(number: i32, aim: &Files) -> Vec<Way> {
    let again = |number: i32| text(format!("/proc/self/fd/{number}"));
    let open = |from, path, flags| call(c::SYS_openat, [from, path, word(flags), word(0)]);
    // The control's own: its input, and a folder.
    let mut reopened =
        Way::new("a descriptor opened again", vec![open(here(), again(number), c::O_RDWR)]);
    reopened.control = Some(vec![open(here(), again(0), c::O_RDWR)]);
    let mut beside = Way::new(
        "a path that begins at a descriptor",
        vec![open(word(number), text(".."), c::O_RDONLY)],
    );
    beside.control = Some(vec![
        open(here(), text(&aim.folder), c::O_RDONLY),
        open(result_of(0), text(".."), c::O_RDONLY),
    ]);
    vec![reopened, beside]
}

/// Services of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    pub(crate) tcp: SocketAddrV4,
    pub(crate) udp: SocketAddrV4,
    /// An abstract name.
    pub(crate) hidden: Vec<u8>,
    pub(crate) named: PathBuf,
}

impl Services {
    /// Their socket addresses: TCP, UDP, the abstract name, the path.
    pub(crate) fn addresses(&self) -> [Vec<u8>; 4] {
        [
            internet(self.tcp),
            internet(self.udp),
            local(&[&[0][..], &self.hidden].concat()),
            local(self.named.to_string_lossy().as_bytes()),
        ]
    }
}

/// Ways to services through sockets of one's own.
pub(crate) fn sockets(aim: &Services) -> Vec<Way> {
    let [tcp, udp, hidden, named] = aim.addresses();
    let reach = |kind, family: c_int, (socket, protocol): (c_int, c_int), number, to: &[u8]| {
        let made = call(c::SYS_socket, [word(family), word(socket), word(protocol)]);
        let [to, length] = address(to);
        Way::new(kind, vec![made, call(number, [result_of(0), to, length])])
    };
    let (stream, datagrams, raw) = (c::SOCK_STREAM, c::SOCK_DGRAM, c::SOCK_RAW);
    let (connect, bind) = (c::SYS_connect, c::SYS_bind);
    vec![
        reach("a socket for TCP", c::AF_INET, (stream, 0), connect, &tcp),
        reach("a socket for UDP", c::AF_INET, (datagrams, 0), connect, &udp),
        reach("a socket for raw IP", c::AF_INET, (raw, c::IPPROTO_ICMP), connect, &tcp),
        reach("a socket for MPTCP", c::AF_INET, (stream, c::IPPROTO_MPTCP), connect, &tcp),
        reach("a socket for an abstract name", c::AF_UNIX, (stream, 0), connect, &hidden),
        reach("a socket for a path", c::AF_UNIX, (stream, 0), connect, &named),
        reach("a socket for netlink", c::AF_NETLINK, (raw, 0), connect, &netlink()),
        reach("a socket for packets", c::AF_PACKET, (raw, 0), bind, &link_layer()),
        reach(
            "a socket for the kernel's ciphers",
            c::AF_ALG,
            (c::SOCK_SEQPACKET, 0),
            bind,
            &kernels_ciphers(),
        ),
        Way::one(
            "a socket for a virtual machine's host",
            c::SYS_socket,
            [word(c::AF_VSOCK), word(stream), word(0)],
        ),
    ]
}

/// `siginfo_t` of a signal that a process queues.
fn queued(signal: c_int) -> Argument {
    const SI_QUEUE: c_int = -1;
    let words: Vec<u8> = [signal, 0, SI_QUEUE].into_iter().flat_map(c_int::to_ne_bytes).collect();
    Argument::Bytes([words, vec![0; 116]].concat())
}

/// A set of processors or of nodes of memory that has the first.
fn first() -> Argument {
    Argument::Bytes(vec![1, 0, 0, 0, 0, 0, 0, 0])
}

/// Ways to end, stop, slow or steer a process.
pub(crate) fn process(process: Process) -> Vec<Way> {
    let (pid, none) = (|| word(process.0), || word(0));
    let kill = || word(c::SIGKILL);
    let seize = word(c::PTRACE_SEIZE as c_int);
    vec![
        Way::one("kill", c::SYS_kill, [pid(), kill()]),
        Way::one("tkill", c::SYS_tkill, [pid(), kill()]),
        Way::one("tgkill", c::SYS_tgkill, [pid(), pid(), kill()]),
        Way::one(
            "rt_sigqueueinfo",
            c::SYS_rt_sigqueueinfo,
            [pid(), word(c::SIGTERM), queued(c::SIGTERM)],
        ),
        Way::one("ptrace", c::SYS_ptrace, [seize, pid(), none(), none()]),
        Way::one("pidfd_open", c::SYS_pidfd_open, [pid(), none()]),
        Way::one("prlimit64", c::SYS_prlimit64, [pid(), none(), space(16), space(16)]),
        Way::one("sched_setaffinity", c::SYS_sched_setaffinity, [pid(), word(8), first()]),
        Way::one("sched_setscheduler", c::SYS_sched_setscheduler, [pid(), none(), space(8)]),
        Way::one("setpriority", c::SYS_setpriority, [none(), pid(), word(19)]),
        Way::one("ioprio_set", c::SYS_ioprio_set, [word(1), pid(), none()]),
        Way::one("kcmp", c::SYS_kcmp, [pid(), pid(), none(), none(), none()]),
        Way::one("setpgid", c::SYS_setpgid, [pid(), pid()])
            .without_control("only a process's parent may"),
        Way::one("migrate_pages", c::SYS_migrate_pages, [pid(), word(64), first(), first()]),
    ]
}

/// Ways to get what processes of different sessions could share, and to be another process.
pub(crate) fn shared() -> Vec<Way> {
    let none = || word(0);
    let (key, all) = (|| word(0x11a5), || word(c::IPC_CREAT | 0o666));
    let remove = || word(c::IPC_RMID);
    let queue = || text("liar");
    let create = word(c::O_CREAT | c::O_RDWR);
    vec![
        Way::one("shmget", c::SYS_shmget, [key(), word(4096), all()])
            .undone_by(c::SYS_shmctl, [result_of(0), remove(), none()]),
        Way::one("semget", c::SYS_semget, [key(), word(1), all()])
            .undone_by(c::SYS_semctl, [result_of(0), none(), remove()]),
        Way::one("msgget", c::SYS_msgget, [key(), all()])
            .undone_by(c::SYS_msgctl, [result_of(0), remove(), none()]),
        Way::one("mq_open", c::SYS_mq_open, [queue(), create, word(0o666), none()])
            .undone_by(c::SYS_mq_unlink, [queue()]),
        Way::one("setns", c::SYS_setns, [none(), none()])
            .without_control("it needs a descriptor of a namespace"),
        Way::one("unshare", c::SYS_unshare, [word(c::CLONE_NEWUSER)]),
        Way::one("a process", c::SYS_clone, [word(c::SIGCHLD), none(), none(), none(), none()]),
        Way::one("a process by clone3", c::SYS_clone3, [space(88), word(88)]),
        Way::one(
            "fork by vfork's flags",
            c::SYS_clone,
            [word(c::CLONE_VM | c::CLONE_VFORK | c::SIGCHLD), none()],
        )
        .without_control("the child would destroy its parent's stack"),
    ]
}

/// Ways to signal oneself later, or to restart the machine.
pub(crate) fn machine() -> Vec<Way> {
    // `sigevent`: a value, then the signal, then how it is told.
    let event = [vec![0; 8], c::SIGTERM.to_ne_bytes().to_vec(), vec![0; 52]].concat();
    vec![
        Way::one(
            "a timer that signals",
            c::SYS_timer_create,
            [word(0), Argument::Bytes(event), space(8)],
        ),
        Way::one("reboot", c::SYS_reboot, [word(0), word(0), word(0)])
            .without_control("the machine would restart"),
    ]
}

/// The last byte of a process's stack, which it may read and write from its first moment to its last. Other areas
/// change their rights while a program is loaded.
fn stack(process: Process) -> Result<u64> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", process.0))?;
    let line = maps.lines().find(|line| line.ends_with("[stack]"));
    let range = line.and_then(|line| line.split_once(' ')).context("there is no stack")?.0;
    let (_, end) = range.split_once('-').context("an area has no end")?;
    Ok(u64::from_str_radix(end, 16)? - 1)
}

/// Ways into a process's memory and what the kernel tells of it.
pub(crate) fn memory(process: Process) -> Result<Vec<Way>> {
    let copied = |kind, number: c_long| -> Result<Way> {
        let there = [stack(process)?, 1].map(u64::to_ne_bytes).concat();
        let (here, there) = (Argument::Part(vec![0]), Argument::Bytes(there));
        let arguments = [word(process.0), here, word(1), there, word(1), word(0)];
        Ok(Way::one(kind, number, arguments))
    };
    let read = |file: &&'static str| {
        let path = text(format!("/proc/{}/{file}", process.0));
        Way::one(file, c::SYS_openat, [here(), path, word(c::O_RDONLY), word(0)])
    };
    let mut ways = vec![
        copied("process_vm_readv", c::SYS_process_vm_readv)?,
        copied("process_vm_writev", c::SYS_process_vm_writev)?,
    ];
    ways.extend(["mem", "environ", "cmdline", "maps", "fd/1"].iter().map(read));
    Ok(ways)
}

/// Ways to what the kernel keeps.
pub(crate) fn kernel() -> Vec<Way> {
    let none = || word(0);
    // The session's keyring (`linux/keyctl.h`).
    let ring = || word(-3);
    let key = || [text("user"), text("liar")];
    let added = || {
        let [kind, name] = key();
        call(c::SYS_add_key, [kind, name, space(1), word(1), ring()])
    };
    let [kind, name] = key();
    // `perf_event_attr`: a clock in software; `bpf_attr`: an array of one word.
    let clock = Argument::Bytes([vec![1, 0, 0, 0], vec![0; 124]].concat());
    let map: Vec<u8> = [2_u32, 4, 4, 1].into_iter().flat_map(u32::to_ne_bytes).collect();
    let map = Argument::Bytes([map, vec![0; 112]].concat());
    vec![
        Way::new("add_key", vec![added()]),
        Way::one("request_key", c::SYS_request_key, [kind, name, none(), none()])
            .after(vec![added()]),
        Way::one("keyctl", c::SYS_keyctl, [none(), ring(), none()]),
        Way::one(
            "perf_event_open",
            c::SYS_perf_event_open,
            [clock, word(-1), none(), word(-1), none()],
        ),
        Way::one("bpf", c::SYS_bpf, [none(), map, word(128)]),
        Way::one("syslog", c::SYS_syslog, [word(3), space(128), word(128)]),
    ]
}
