//! What every worker needs while it serves, whatever its task: [`Policy::base`].
//!
//! Nothing here creates a path, a socket, a process, a thread or executable memory, or reaches another
//! process except over sockets the worker already holds. Nor does anything here turn a held socket
//! into another kind (a listener into a connection), or change what a successor gets with it:
//! every call on a socket has its flags, options and commands listed.
//!
//! A filter cannot see what is behind a pointer, above all the address in `sendmsg`'s header. A
//! worker with a UDP socket can send from it to any address.

use libc::{self as c, c_long};

use super::policy::{Condition, Policy};

/// A permission without conditions.
type Plain = (c_long, &'static str);

/// Memory that is not executable.
const MEMORY: &[Plain] = &[
    (c::SYS_brk, "malloc grows the heap"),
    (c::SYS_munmap, "malloc, ended threads, shared memory that is retired"),
];

/// Reading and writing descriptors the worker holds.
const DESCRIPTORS: &[Plain] = &[
    (c::SYS_close, "descriptors of retired links and buffers"),
    (c::SYS_fstat, "size of granted shared memory, checked before it is mapped"),
    (c::SYS_fstatfs, "kind of pages of shared memory, checked before it is mapped"),
    (c::SYS_read, "eventfd, timerfd, stream sockets"),
    (c::SYS_write, "eventfd, stream sockets, log lines"),
    (c::SYS_writev, "stream sockets through tokio, log lines"),
];

/// Waiting for descriptors, threads and instants.
const WAITING: &[Plain] = &[
    (c::SYS_clock_gettime, "where the vDSO has no answer"),
    (c::SYS_clock_nanosleep, "a thread that sleeps"),
    (c::SYS_epoll_create1, "event loops"),
    (c::SYS_epoll_ctl, "event loops"),
    (c::SYS_epoll_pwait, "event loops"),
    (c::SYS_epoll_pwait2, "event loops with nanosecond deadlines"),
    (c::SYS_eventfd2, "waking event loops"),
    (c::SYS_ppoll, "waiting for a few descriptors"),
    (c::SYS_restart_syscall, "the kernel resumes a wait after a stop signal"),
    (c::SYS_timerfd_create, "deadlines of event loops"),
    (c::SYS_timerfd_settime, "deadlines of event loops"),
];

/// System calls that only older architectures have; newer ones have only those above.
#[cfg(target_arch = "x86_64")]
const WAITING_LEGACY: &[Plain] = &[
    (c::SYS_epoll_wait, "event loops; the C library and mio still use this form"),
    (c::SYS_poll, "waiting for a few descriptors; libraries still use this form"),
];
#[cfg(not(target_arch = "x86_64"))]
const WAITING_LEGACY: &[Plain] = &[];

/// Threads, signals, randomness, and exiting.
const THREADS: &[Plain] = &[
    (c::SYS_exit, "a thread ends"),
    (c::SYS_exit_group, "the process ends"),
    (c::SYS_getpid, "the C library, before it signals itself in abort"),
    (c::SYS_getrandom, "seeds of hash maps and of malloc"),
    (c::SYS_getrusage, "the process_ metrics"),
    (c::SYS_gettid, "the C library, before it signals itself in abort"),
    (c::SYS_rt_sigprocmask, "a thread ends, abort"),
    (c::SYS_rt_sigreturn, "returning from a signal handler"),
    (c::SYS_sched_getaffinity, "malloc and std count processors and read a thread's stack bounds"),
    (c::SYS_sched_yield, "spinning locks"),
    (c::SYS_sigaltstack, "std takes back the stack for overflow reports of a thread that ends"),
];

/// Commands of `fcntl` that change nothing but the worker's own descriptors.
const FCNTL: [(i32, &str); 4] = [
    (c::F_DUPFD_CLOEXEC, "a second handle of a held descriptor"),
    (c::F_GETFD, "debug assertions of std on descriptors it closes"),
    (c::F_GETFL, "tokio asks whether a socket blocks"),
    (c::F_GET_SEALS, "seals of granted shared memory, checked before it is mapped"),
];

/// Flags that `F_SETFL` could change besides blocking (fcntl(2)).
const OTHER_STATUS_FLAGS: i32 = c::O_APPEND | c::O_ASYNC | c::O_DIRECT | c::O_NOATIME;

/// Options that may be read with `getsockopt`.
const SOCKET_OPTIONS: [(i32, &str); 3] = [
    (c::SO_DOMAIN, "kind of a granted socket, checked before it is used"),
    (c::SO_ERROR, "pending error of a stream"),
    (c::SO_TYPE, "kind of a granted socket, checked before it is used"),
];

/// What the C library passes to `clone` for a thread, and nothing else: no process, no namespace.
pub(crate) const THREAD_FLAGS: i32 = c::CLONE_VM
    | c::CLONE_FS
    | c::CLONE_FILES
    | c::CLONE_SIGHAND
    | c::CLONE_THREAD
    | c::CLONE_SYSVSEM
    | c::CLONE_SETTLS
    | c::CLONE_PARENT_SETTID
    | c::CLONE_CHILD_CLEARTID;

/// Operations of `futex` that the C library and std make, the most frequent first. Not the others,
/// which few programs use and which have had the kernel's worst faults: priority inheritance,
/// requeueing.
const FUTEX: [(i32, &str); 3] = [
    (c::FUTEX_WAKE, "locks, channels"),
    (c::FUTEX_WAIT, "locks of the C library"),
    (c::FUTEX_WAIT_BITSET, "locks of std, conditions, joining threads"),
];

/// Signals whose action may be changed. Never SIGSYS: whoever replaced its handler could try out
/// what is forbidden.
const SIGNALS: [(i32, &str); 3] = [
    (c::SIGABRT, "abort restores the default action"),
    (c::SIGBUS, "memory that others cut short is mended; std gives up its handler"),
    (c::SIGSEGV, "std gives up its handler when a fault is none of its"),
];

/// Advice that may be given about the process's own memory. Newer C libraries make the guard page of
/// each thread's stack by advice (glibc from 2.42 on), and do so on kernels, too, that do not know it.
const ADVICE: [(i32, &str); 4] = [
    (c::MADV_DONTNEED, "malloc and the thread library give pages back"),
    (MADV_GUARD_INSTALL, "the thread library makes the guard page of a stack"),
    (MADV_GUARD_REMOVE, "the thread library moves the guard page of a stack that is used again"),
    (c::MADV_HUGEPAGE, "x264 asks for large pages for its pictures"),
];

/// `MADV_GUARD_INSTALL` and `MADV_GUARD_REMOVE` (`asm-generic/mman-common.h`).
const MADV_GUARD_INSTALL: i32 = 102;
const MADV_GUARD_REMOVE: i32 = 103;

/// Flags of private mappings. Not `MAP_GROWSDOWN`, which like `MAP_SHARED` without a descriptor would be
/// memory that the limit does not count (`limits`), nor large or locked pages.
const PRIVATE_FLAGS: i32 = c::MAP_ANONYMOUS | c::MAP_FIXED | c::MAP_NORESERVE | c::MAP_STACK;

/// `prctl(PR_SET_VMA)` names anonymous memory (`linux/prctl.h`).
const PR_SET_VMA: i64 = 0x5356_4d41;

/// Also lets threads be started.
pub(super) fn with_threads(policy: Policy, reason: &'static str) -> Policy {
    policy
        .allow_when(c::SYS_clone, &[Condition::arg(0).equals(THREAD_FLAGS)], reason)
        .refuse(
            c::SYS_clone3,
            c::ENOSYS,
            "its flags lie in memory, where no filter sees them; the C library then uses clone",
        )
        .allow(c::SYS_rseq, "the C library registers each new thread")
        .allow(c::SYS_set_robust_list, "the C library registers each new thread")
        .allow_when(c::SYS_prctl, &[Condition::arg(0).equals(c::PR_SET_NAME)], "names of threads")
}

pub(super) fn policy() -> Policy {
    let plain = [MEMORY, DESCRIPTORS, WAITING, WAITING_LEGACY, THREADS];
    let policy = plain
        .into_iter()
        .flatten()
        .fold(Policy::nothing(), |policy, (syscall, reason)| policy.allow(*syscall, reason));
    own_process(descriptors(sockets(threads(memory(policy)))))
}

fn memory(policy: Policy) -> Policy {
    let not_executable = Condition::arg(2).only(c::PROT_READ | c::PROT_WRITE);
    let flags = Condition::arg(3);
    let policy = policy
        .allow_when(
            c::SYS_mmap,
            &[not_executable, flags.is_with_any_of(c::MAP_PRIVATE, PRIVATE_FLAGS)],
            "malloc, stacks, a page in place of one that is gone; never code",
        )
        .allow_when(
            c::SYS_mmap,
            &[not_executable, flags.equals(c::MAP_SHARED)],
            "shared memory that has a descriptor; never code",
        )
        .allow_when(c::SYS_mprotect, &[not_executable], "guard pages, malloc; never code")
        .allow_when(
            c::SYS_mremap,
            &[Condition::arg(3).only(c::MREMAP_MAYMOVE)],
            "realloc of large blocks; keeps protections, and puts nothing in another's place",
        );
    ADVICE.into_iter().fold(policy, |policy, (advice, reason)| {
        policy.allow_when(c::SYS_madvise, &[Condition::arg(2).equals(advice)], reason)
    })
}

fn threads(policy: Policy) -> Policy {
    let flags = c::FUTEX_PRIVATE_FLAG | c::FUTEX_CLOCK_REALTIME;
    let policy = FUTEX.into_iter().fold(policy, |policy, (operation, reason)| {
        let is = Condition::arg(1).is_with_any_of(operation, flags);
        policy.allow_when(c::SYS_futex, &[is], reason)
    });
    SIGNALS.into_iter().fold(policy, |policy, (signal, reason)| {
        policy.allow_when(c::SYS_rt_sigaction, &[Condition::arg(0).equals(signal)], reason)
    })
}

/// Flags are what turns a harmless call into another: `MSG_FASTOPEN` connects, `MSG_OOB` is news
/// beside the stream, `MSG_PEEK` leaves what was read, `MSG_ERRQUEUE` reads something else.
fn sockets(policy: Policy) -> Policy {
    let sent = c::MSG_DONTWAIT | c::MSG_NOSIGNAL;
    let policy = policy
        .allow_when(
            c::SYS_sendto,
            &[Condition::arg(4).is_zero(), Condition::arg(3).only(sent)],
            "send on connected sockets; an address needs a permission of its own",
        )
        .allow_when(
            c::SYS_sendmsg,
            &[Condition::arg(2).only(sent)],
            "messages with their descriptors",
        )
        .allow_when(
            c::SYS_recvfrom,
            &[Condition::arg(3).only(c::MSG_DONTWAIT)],
            "recv on held sockets",
        )
        .allow_when(
            c::SYS_recvmsg,
            &[Condition::arg(2).only(c::MSG_DONTWAIT | c::MSG_CMSG_CLOEXEC)],
            "messages and grants with their descriptors",
        );
    SOCKET_OPTIONS.into_iter().fold(policy, |policy, (name, reason)| {
        policy.allow_when(
            c::SYS_getsockopt,
            &[Condition::arg(1).equals(c::SOL_SOCKET), Condition::arg(2).equals(name)],
            reason,
        )
    })
}

fn descriptors(policy: Policy) -> Policy {
    let policy = FCNTL.into_iter().fold(policy, |policy, (command, reason)| {
        policy.allow_when(c::SYS_fcntl, &[Condition::arg(1).equals(command)], reason)
    });
    let never_to_block = u64::from((c::O_NONBLOCK | OTHER_STATUS_FLAGS).cast_unsigned());
    policy
        .allow_when(
            c::SYS_fcntl,
            &[Condition::arg(1).equals(c::F_SETFD), Condition::arg(2).equals(c::FD_CLOEXEC)],
            "close-on-exec of received descriptors",
        )
        .allow_when(
            c::SYS_fcntl,
            &[
                Condition::arg(1).equals(c::F_SETFL),
                Condition::arg(2).masked_equals(never_to_block, c::O_NONBLOCK as u64),
            ],
            "received sockets become non-blocking; one that a successor gets too stays so",
        )
}

fn own_process(policy: Policy) -> Policy {
    let own_pid = std::process::id();
    policy
        .allow_when(
            c::SYS_prctl,
            &[Condition::arg(0).equals(PR_SET_VMA)],
            "the C library names its memory",
        )
        .allow_when(
            c::SYS_tgkill,
            &[Condition::arg(0).equals(own_pid)],
            "abort signals its own thread",
        )
}
