//! What the supervisor itself gives up: as root all capabilities but those listed here, and as `lumen
//! serve`, from which no app descends, also calls and files. Pure.
//!
//! `lumen run` and `lumen session` start the user's apps, which inherit what their parent gave up: with
//! `no_new_privs`, a filter or an emptier bounding set, `sudo` and sandboxes of browsers would not work
//! on the desktop. So those two only lower what they hold themselves.

use std::path::{Path, PathBuf};

use lumen_ipc_runtime::confine::{Condition, Denied, Restraint, Use, UsedPath};
use nix::libc::{self as c, c_long};
use rustix::thread::CapabilitySet;

/// A capability that root's supervisor keeps.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Which.
    pub capability: CapabilitySet,
    /// Whether only a session needs it.
    pub session_only: bool,
    /// What for.
    pub reason: &'static str,
}

const fn kept(capability: CapabilitySet, session_only: bool, reason: &'static str) -> Kept {
    Kept { capability, session_only, reason }
}

/// All capabilities that root's supervisor keeps, if it has them.
pub const KEPT: [Kept; 12] = [
    kept(CapabilitySet::BPF, false, "programs on the sockets for datagrams, without CAP_SYS_ADMIN"),
    kept(CapabilitySet::CHOWN, true, "directories become the user's, without a login session"),
    kept(CapabilitySet::DAC_OVERRIDE, false, "sockets in a proxy's folder, programs of any user"),
    kept(CapabilitySet::FOWNER, true, "modes of what has become the session's user's"),
    kept(CapabilitySet::KILL, false, "workers, apps and what they leave behind are other users'"),
    kept(CapabilitySet::NET_ADMIN, false, "room for datagrams beyond the usual limit"),
    kept(CapabilitySet::NET_BIND_SERVICE, false, "ports below 1024, also when made anew"),
    kept(CapabilitySet::SETGID, false, "workers and apps become other users"),
    kept(CapabilitySet::SETPCAP, false, "the bounding sets of workers are emptied"),
    kept(CapabilitySet::SETUID, false, "workers and apps become other users"),
    kept(
        CapabilitySet::SYS_ADMIN,
        false,
        "namespaces of workers; the app's view of the users' names",
    ),
    kept(CapabilitySet::SYS_PTRACE, true, "which processes are a user's, where /proc hides them"),
];

/// The capabilities that are kept: by a host alone, or by a session.
#[must_use]
pub fn capabilities(session: bool) -> CapabilitySet {
    let kept = KEPT.iter().filter(|kept| session || !kept.session_only);
    kept.fold(CapabilitySet::empty(), |all, kept| all | kept.capability)
}

/// The paths that `lumen serve` uses while it serves.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The run directory.
    pub run: PathBuf,
    /// The configuration files, or folders of them.
    pub config: Vec<PathBuf>,
    /// The socket for browsers, if it is a file.
    pub door: Option<PathBuf>,
    /// The socket of a proxy that vouches for accounts, if there is one.
    pub proxy: Option<PathBuf>,
    /// The folder of the group of the relay's sockets, if there is one.
    pub group: Option<PathBuf>,
    /// The folders of the page's certificate and its key, if files were named.
    pub certificates: Vec<PathBuf>,
    /// The programs of the workers.
    pub programs: Vec<PathBuf>,
    /// The files of shared libraries that `lumen` has mapped, its interpreter among them.
    pub libraries: Vec<PathBuf>,
    /// Whether it connects to `lumen-login`.
    pub signs_in: bool,
    /// Whether workers write to `/proc` before they are executed: a namespace's map of users, or that
    /// no memory goes into core dumps.
    pub writes_proc: bool,
}

/// What `lumen serve` gives up before it starts its first worker.
#[must_use]
pub fn host(places: &Places) -> Restraint {
    let mut denied = denied();
    if places.signs_in {
        // The gateway and the relay have filters of their own, which permit no connection.
        denied.retain(|denied| denied.syscall != c::SYS_connect);
    }
    Restraint { denied, paths: paths(places) }
}

fn paths(places: &Places) -> Vec<UsedPath> {
    let used = |path: &Path, way, reason| UsedPath { path: path.to_owned(), way, reason };
    let proc = if places.writes_proc { Use::Write } else { Use::Read };
    let mut paths = vec![
        used(&places.run, Use::Keep, "sockets, and the state that outlives the process"),
        used(
            Path::new("/proc"),
            proc,
            "what workers cost; their programs, by descriptor; what they write",
        ),
        used(Path::new("/dev/null"), Use::Write, "standard input of workers"),
        used(Path::new("/etc/ld.so.cache"), Use::Read, "workers' libraries are found by it"),
    ];
    for config in &places.config {
        paths.push(used(config, Use::Read, "the configuration is read anew"));
    }
    if let Some(folder) = places.door.as_deref().and_then(Path::parent) {
        paths.push(used(folder, Use::Keep, "the socket for browsers is made anew"));
    }
    if let Some(folder) = places.proxy.as_deref().and_then(Path::parent) {
        paths.push(used(folder, Use::Keep, "the proxy's socket goes with the host"));
    }
    if let Some(folder) = places.group.as_deref().and_then(Path::parent) {
        paths.push(used(folder, Use::RemoveFolders, "the group of sockets goes with the host"));
    }
    for folder in &places.certificates {
        paths.push(used(folder, Use::Read, "the page's certificate is read anew when it changes"));
    }
    for program in &places.programs {
        paths.push(used(program, Use::Execute, "a worker"));
    }
    for library in &places.libraries {
        paths.push(used(library, Use::Execute, "the interpreter executes and maps workers"));
        if let Some(folder) = library.parent() {
            paths.push(used(folder, Use::Read, "libraries that only workers use lie beside ours"));
        }
    }
    paths
}

/// Calls that neither `lumen serve` nor a worker of it makes, whatever the arguments.
const NEVER: &[(&str, &[c_long])] = &[
    (
        "other processes are signalled and waited for, and nothing else",
        &[
            c::SYS_kcmp,
            c::SYS_pidfd_getfd,
            c::SYS_process_madvise,
            c::SYS_process_vm_readv,
            c::SYS_process_vm_writev,
            c::SYS_ptrace,
        ],
    ),
    (
        "what is mounted stays",
        &[
            c::SYS_chroot,
            c::SYS_fsconfig,
            c::SYS_fsmount,
            c::SYS_fsopen,
            c::SYS_fspick,
            c::SYS_mount,
            c::SYS_mount_setattr,
            c::SYS_move_mount,
            c::SYS_open_tree,
            c::SYS_pivot_root,
            c::SYS_quotactl,
            c::SYS_swapoff,
            c::SYS_swapon,
            c::SYS_umount2,
        ],
    ),
    (
        "files are opened by paths, and none is a device",
        &[c::SYS_mknodat, c::SYS_name_to_handle_at, c::SYS_open_by_handle_at],
    ),
    (
        "the machine is the administrator's",
        &[
            c::SYS_acct,
            c::SYS_adjtimex,
            c::SYS_clock_adjtime,
            c::SYS_clock_settime,
            c::SYS_delete_module,
            c::SYS_finit_module,
            c::SYS_init_module,
            c::SYS_kexec_file_load,
            c::SYS_kexec_load,
            c::SYS_reboot,
            c::SYS_setdomainname,
            c::SYS_sethostname,
            c::SYS_settimeofday,
            c::SYS_syslog,
            c::SYS_vhangup,
        ],
    ),
    (
        "parts of the kernel that are not used, where many of its faults were",
        &[
            c::SYS_add_key,
            c::SYS_bpf,
            c::SYS_fanotify_init,
            c::SYS_io_uring_enter,
            c::SYS_io_uring_register,
            c::SYS_io_uring_setup,
            c::SYS_keyctl,
            c::SYS_lookup_dcookie,
            c::SYS_memfd_secret,
            c::SYS_perf_event_open,
            c::SYS_personality,
            c::SYS_request_key,
            c::SYS_userfaultfd,
        ],
    ),
    ("namespaces are made and never entered", &[c::SYS_setns]),
    ("all connections come from others", &[c::SYS_connect]),
];

/// The same, of calls that newer architectures lack.
#[cfg(target_arch = "x86_64")]
const NEVER_LEGACY: &[c_long] =
    &[c::SYS_ioperm, c::SYS_iopl, c::SYS_mknod, c::SYS_modify_ldt, c::SYS_uselib];
#[cfg(not(target_arch = "x86_64"))]
const NEVER_LEGACY: &[c_long] = &[];

/// Namespaces that no worker gets.
const OTHER_NAMESPACES: [i32; 3] = [c::CLONE_NEWCGROUP, c::CLONE_NEWNS, c::CLONE_NEWPID];

/// Namespaces that a worker gets, by `unshare` only.
const NAMESPACES: [i32; 4] = [c::CLONE_NEWIPC, c::CLONE_NEWNET, c::CLONE_NEWUSER, c::CLONE_NEWUTS];

/// Families of sockets beside those for streams and datagrams between processes and machines.
const OTHER_FAMILIES: [i32; 6] =
    [c::AF_ALG, c::AF_BLUETOOTH, c::AF_CAN, c::AF_KEY, c::AF_PACKET, c::AF_VSOCK];

fn denied() -> Vec<Denied> {
    let one = |syscall, conditions: &[Condition], errno, reason| Denied {
        syscall,
        conditions: conditions.to_vec(),
        errno,
        reason,
    };
    let never =
        NEVER.iter().flat_map(|(reason, calls)| calls.iter().map(move |call| (*call, *reason)));
    let legacy = NEVER_LEGACY.iter().map(|call| (*call, "ways of old programs"));
    let mut denied: Vec<Denied> =
        never.chain(legacy).map(|(call, reason)| one(call, &[], c::EPERM, reason)).collect();
    // The C library then uses clone, whose flags a filter sees.
    denied.push(one(c::SYS_clone3, &[], c::ENOSYS, "its flags lie in memory"));
    let has = |argument, bit: i32| {
        let bit = u64::from(bit.cast_unsigned());
        [Condition::arg(argument).masked_equals(bit, bit)]
    };
    for bit in OTHER_NAMESPACES {
        denied.push(one(c::SYS_unshare, &has(0, bit), c::EPERM, "no worker gets such a namespace"));
    }
    for bit in OTHER_NAMESPACES.into_iter().chain(NAMESPACES) {
        denied.push(one(c::SYS_clone, &has(0, bit), c::EPERM, "a child stays where its parent is"));
    }
    for family in OTHER_FAMILIES {
        let is = [Condition::arg(0).equals(family)];
        denied.push(one(c::SYS_socket, &is, c::EPERM, "a family that is not used"));
    }
    let raw = [Condition::arg(0).equals(c::AF_INET), Condition::arg(0).equals(c::AF_INET6)]
        .map(|family| [family, Condition::arg(1).masked_equals(0xf, c::SOCK_RAW as u64)]);
    for conditions in raw {
        denied.push(one(c::SYS_socket, &conditions, c::EPERM, "packets are the kernel's"));
    }
    denied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_of_a_host_are_fewer_than_those_of_a_session() {
        let (host, session) = (capabilities(false), capabilities(true));
        assert!(session.contains(host) && host != session);
        for powerful in [
            CapabilitySet::SYS_MODULE,
            CapabilitySet::SYS_RAWIO,
            CapabilitySet::NET_RAW,
            CapabilitySet::MKNOD,
            CapabilitySet::SYS_BOOT,
            CapabilitySet::SETFCAP,
        ] {
            assert!(!session.intersects(powerful));
        }
    }

    #[test]
    fn paths_of_a_host_are_written_only_in_its_own_folders() {
        let places = Places {
            run: "/run/lumen".into(),
            config: vec!["/etc/lumen".into()],
            door: Some("/run/proxy/lumen.sock".into()),
            proxy: Some("/run/vouching/lumen.sock".into()),
            group: Some("/sys/fs/cgroup/lumen.service/sockets".into()),
            certificates: vec!["/etc/letsencrypt/live/desk".into()],
            programs: vec!["/usr/lib/lumen/lumen-turn".into()],
            libraries: vec!["/usr/lib/libc.so.6".into()],
            signs_in: false,
            writes_proc: false,
        };
        let kept: Vec<_> = host(&places)
            .paths
            .into_iter()
            .filter(|used| matches!(used.way, Use::Keep | Use::Write))
            .map(|used| used.path)
            .collect();
        assert_eq!(
            kept,
            ["/run/lumen", "/dev/null", "/run/proxy", "/run/vouching"].map(PathBuf::from)
        );
    }

    #[test]
    fn host_connects_only_where_accounts_sign_in() {
        let may_connect = |signs_in| {
            let restraint = host(&Places { signs_in, ..Places::default() });
            restraint.denied.iter().all(|denied| denied.syscall != c::SYS_connect)
        };
        assert!(may_connect(true) && !may_connect(false));
    }

    #[test]
    fn denied_calls_are_named_once_unless_under_conditions() {
        let mut whole: Vec<_> = denied()
            .into_iter()
            .filter(|denied| denied.conditions.is_empty())
            .map(|denied| denied.syscall)
            .collect();
        let count = whole.len();
        whole.sort_unstable();
        whole.dedup();
        assert_eq!(whole.len(), count);
        for needed in [c::SYS_execve, c::SYS_unshare, c::SYS_seccomp, c::SYS_landlock_restrict_self]
        {
            assert!(!whole.contains(&needed), "workers are confined by it");
        }
    }
}
