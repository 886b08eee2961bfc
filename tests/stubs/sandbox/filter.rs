//! The system calls that a sandbox refuses, and the filter for them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use lumen_ipc_runtime::confine::syscall_name;
use nix::libc::{self, c_long};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

/// A call that fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    call: c_long,
    when: When,
    errno: i32,
}

/// The first arguments for which a call is refused.
#[derive(Clone, Copy, Debug)]
enum When {
    Always,
    Is(u64),
    Has(u64),
    /// Any value to which `personality` may not be set.
    OddPersonality,
}

/// Calls that docker's filter denies to a container without added capabilities.
const DOCKERS: [c_long; 48] = [
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_get_mempolicy,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_mbind,
    libc::SYS_migrate_pages,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_move_pages,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_madvise,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_set_mempolicy,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];

/// Calls newer than the filters of older dockers.
const NEWER: [c_long; 12] = [
    libc::SYS_close_range,
    libc::SYS_epoll_pwait2,
    libc::SYS_faccessat2,
    libc::SYS_futex_waitv,
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_restrict_self,
    libc::SYS_memfd_secret,
    libc::SYS_openat2,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_process_mrelease,
];

/// Flags of `clone` that make namespaces.
const NEW_NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// What docker's filter refuses, in a container without added capabilities.
pub(crate) fn dockers() -> Vec<Refusal> {
    let refuse = |call, when, errno| Refusal { call, when, errno };
    let mut refusals = DOCKERS.map(|call| refuse(call, When::Always, libc::EPERM)).to_vec();
    for flag in NEW_NAMESPACES {
        let has = When::Has(u64::from(flag.cast_unsigned()));
        refusals.push(refuse(libc::SYS_clone, has, libc::EPERM));
    }
    // Its flags are in memory: the C library must fall back to clone.
    refusals.push(refuse(libc::SYS_clone3, When::Always, libc::ENOSYS));
    refusals.push(refuse(libc::SYS_personality, When::OddPersonality, libc::EPERM));
    refusals.push(refuse(libc::SYS_socket, When::Is(libc::AF_VSOCK as u64), libc::EPERM));
    refusals
}

/// The same for a filter that does not know the newer calls.
pub(crate) fn older_dockers() -> Vec<Refusal> {
    let refuse = |call| Refusal { call, when: When::Always, errno: libc::EPERM };
    dockers().into_iter().chain(NEWER.map(refuse)).collect()
}

impl Refusal {
    /// Parses `close_range=EPERM` or `prctl:24=ENOSYS`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (what, errno) = text.split_once('=').context("CALL=ERRNO")?;
        let errno = match errno {
            "EPERM" => libc::EPERM,
            "ENOSYS" => libc::ENOSYS,
            other => bail!("refuse with {other}?"),
        };
        let (name, when) = match what.split_once(':') {
            Some((name, first)) => (name, When::Is(first.parse()?)),
            None => (what, When::Always),
        };
        let call = (0..1024).find(|number| syscall_name(*number) == Some(name));
        Ok(Self { call: call.with_context(|| format!("no call {name}"))?, when, errno })
    }

    /// Conditions that must all hold; none means always.
    fn conditions(self) -> Result<Vec<SeccompCondition>> {
        let first =
            |operator, value| SeccompCondition::new(0, SeccompCmpArgLen::Dword, operator, value);
        Ok(match self.when {
            When::Always => Vec::new(),
            When::Is(value) => vec![first(SeccompCmpOp::Eq, value)?],
            When::Has(bits) => vec![first(SeccompCmpOp::MaskedEq(bits), bits)?],
            // Linux, with and without address randomisation and 32-bit names; and the query.
            When::OddPersonality => [0, 8, 0x20000, 0x20008, 0xffff_ffff]
                .into_iter()
                .map(|usual| first(SeccompCmpOp::Ne, usual))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Makes these calls fail from now on.
pub(crate) fn put_on(refusals: &[Refusal]) -> Result<()> {
    let mut by_errno: BTreeMap<i32, BTreeMap<i64, Vec<SeccompRule>>> = BTreeMap::new();
    for refusal in refusals {
        let rules = by_errno.entry(refusal.errno).or_default().entry(refusal.call).or_default();
        let conditions = refusal.conditions()?;
        if !conditions.is_empty() {
            rules.push(SeccompRule::new(conditions)?);
        }
    }
    for (errno, rules) in by_errno {
        let refused = SeccompAction::Errno(errno.unsigned_abs());
        let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, architecture)?;
        apply_filter(&BpfProgram::try_from(filter)?)?;
    }
    Ok(())
}
