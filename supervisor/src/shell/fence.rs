//! The outer fence: what the supervisor takes from a worker between fork and exec (the identity of
//! root and of other users, shared namespaces, core dumps, gaining privileges). At the start,
//! children that do nothing else find out how much of it this machine permits.
//!
//! INVARIANT: a failed step fails the worker. There are two exceptions, which are decided once,
//! before anything runs, and logged: root does without namespaces if the kernel forbids or lacks
//! them, also to the users that it becomes, as in most containers; so does an ordinary user, also if a security module forbids them or
//! their limit is zero. Any other error (no memory, a limit that has been reached) may be caused by
//! another process and pass: it never costs the workers their fence. Changing the user and giving
//! up privileges are never left out.

use std::{
    ffi::{CStr, CString},
    fmt, io,
    os::fd::AsFd,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sched::{CloneFlags, unshare},
    sys::{
        prctl,
        resource::{Resource, setrlimit},
        signal::Signal,
        stat::Mode,
    },
    unistd::{self, Gid, Pid, Uid},
};

use super::ffi;
use crate::plan::{Identity, Users};

/// The namespaces a worker gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Namespaces {
    /// None: the kernel forbids them.
    Shared,
    /// Network, IPC and host name, made with root's privilege.
    Privileged,
    /// The same and a user namespace, which an ordinary user needs to create them, and so does a root
    /// without CAP_SYS_ADMIN, once it has become the worker's user. It maps the user to itself, so that no
    /// capability outlives exec.
    WithUser,
}

impl Namespaces {
    /// Their names in `/proc/self/ns`.
    pub(crate) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Shared => &[],
            Self::Privileged => &["net", "ipc", "uts"],
            Self::WithUser => &["user", "net", "ipc", "uts"],
        }
    }

    fn flags(self) -> CloneFlags {
        let apart = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
        match self {
            Self::Shared => CloneFlags::empty(),
            Self::Privileged => apart,
            Self::WithUser => apart | CloneFlags::CLONE_NEWUSER,
        }
    }
}

/// The steps, in this order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    CoreDumps,
    Namespaces,
    UserMap,
    Groups,
    Group,
    User,
    WayBack,
    Privileges,
    Parent,
}

/// All steps, to turn a child's number back into a step.
const STEPS: [Step; 9] = [
    Step::CoreDumps,
    Step::Namespaces,
    Step::UserMap,
    Step::Groups,
    Step::Group,
    Step::User,
    Step::WayBack,
    Step::Privileges,
    Step::Parent,
];

/// A step that the kernel, or a container's filter, refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Refused {
    step: Step,
    /// The kernel's error.
    pub(crate) errno: Errno,
}

impl Refused {
    fn is_about_namespaces(self) -> bool {
        matches!(self.step, Step::Namespaces | Step::UserMap)
    }

    /// Whether it means that these users never get namespaces here.
    fn is_for_good(self, users: Users, limits: Limits) -> bool {
        match self.errno {
            Errno::EPERM | Errno::EINVAL | Errno::ENOSYS => true,
            // A security module's variant of EPERM.
            Errno::EACCES => !users.are_apart(),
            // A limit was reached, for which any program of the user may be the reason, or the
            // limit is zero.
            Errno::ENOSPC => !users.are_apart() && limits == Limits::None,
            _ => false,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.step {
            Step::CoreDumps => {
                "core dumps cannot be turned off by setrlimit nor by coredump_filter"
            }
            Step::Namespaces => "unshare is refused",
            Step::UserMap => "a user namespace may not map its own user",
            Step::Groups => "setgroups is refused",
            Step::Group => "setresgid is refused",
            Step::User => "setresuid is refused",
            Step::WayBack => "a user that root became can become root again",
            Step::Privileges => "prctl(PR_SET_NO_NEW_PRIVS) is refused",
            Step::Parent => "the supervisor is gone",
        })?;
        write!(f, ": {}", self.errno.desc())
    }
}

/// The limits on namespaces that the administrator has set for users.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Limits {
    /// Zero for some kind that workers get.
    None,
    /// Above zero.
    Some,
}

impl Limits {
    /// The limits of this system (namespaces(7), `/proc/sys/user`).
    fn here() -> Self {
        let none = ["user", "net", "ipc", "uts"].into_iter().any(|kind| {
            let path = format!("/proc/sys/user/max_{kind}_namespaces");
            std::fs::read_to_string(path).is_ok_and(|most| most.trim() == "0")
        });
        if none { Self::None } else { Self::Some }
    }
}

/// For std, which passes only a number from the child to the parent before exec.
impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        refused.errno.into()
    }
}

fn at<Failure: Into<Errno>>(step: Step) -> impl Fn(Failure) -> Refused {
    move |failure| Refused { step, errno: failure.into() }
}

/// Why no worker can run here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoFence {
    /// The trial itself failed.
    #[error("cannot find out what workers may do here")]
    Trial(#[source] io::Error),
    /// Root may not become another user.
    #[error(
        "root may not become another user here, as each worker and the app must ({0}); give this \
         container CAP_SETUID, CAP_SETGID and a range of users, or start Lumen as an ordinary user"
    )]
    Users(Refused),
    /// Namespaces fail for another reason than permission.
    #[error(
        "the namespaces that workers need cannot be made now ({0}); see \
         /proc/sys/user/max_*_namespaces, and whether another program uses them up"
    )]
    Namespaces(Refused),
    /// A mandatory step.
    #[error("no worker may run unconfined, and this machine refuses to confine it: {0}")]
    Mandatory(Refused),
}

/// How much of a fence this machine permits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// The namespaces that workers get.
    pub(crate) namespaces: Namespaces,
    /// Why some are missing.
    pub(crate) refused: Option<Refused>,
}

const WITH_USER: Namespaces = Namespaces::WithUser;

/// Tries, as each of `users`, what workers may do. For the start.
pub(crate) fn find(users: Users) -> Result<Found, NoFence> {
    let (wanted, others) = match users {
        Users::Own(_) => (Namespaces::WithUser, vec![None]),
        Users::Host { gateway, turn } => {
            (Namespaces::Privileged, [gateway, turn].map(Some).to_vec())
        }
        Users::Session { owner, compositor, media, sound, rtc, gamepad } => {
            let all = [owner, compositor, media, sound, rtc, gamepad];
            (Namespaces::Privileged, all.map(Some).to_vec())
        }
    };
    let first = others.first().copied().flatten();
    let mut found = Found { namespaces: wanted, refused: None };
    if let Err(refused) = try_out(first, wanted)? {
        found = match is_for_users_to_make(wanted, refused) && try_out(first, WITH_USER)?.is_ok() {
            true => Found { namespaces: WITH_USER, refused: None },
            false => without_namespaces(users, refused, Limits::here())?,
        };
    }
    for identity in others {
        try_out(identity, found.namespaces)?.map_err(mandatory)?;
    }
    Ok(found)
}

/// Whether root was refused what the users that it becomes may be permitted: it lacks CAP_SYS_ADMIN.
fn is_for_users_to_make(wanted: Namespaces, refused: Refused) -> bool {
    wanted == Namespaces::Privileged
        && refused.is_about_namespaces()
        && refused.errno == Errno::EPERM
}

fn without_namespaces(users: Users, refused: Refused, limits: Limits) -> Result<Found, NoFence> {
    if !refused.is_about_namespaces() {
        return Err(mandatory(refused));
    }
    if !refused.is_for_good(users, limits) {
        return Err(NoFence::Namespaces(refused));
    }
    Ok(Found { namespaces: Namespaces::Shared, refused: Some(refused) })
}

fn mandatory(refused: Refused) -> NoFence {
    match refused.step {
        Step::Groups | Step::Group | Step::User | Step::WayBack => NoFence::Users(refused),
        _ => NoFence::Mandatory(refused),
    }
}

fn try_out(
    identity: Option<Identity>,
    namespaces: Namespaces,
) -> Result<Result<(), Refused>, NoFence> {
    let fence = Fence::new(identity, namespaces).map_err(NoFence::Trial)?;
    // A number past the steps means that all succeeded.
    let answer = ffi::in_child(|| match fence.put_up() {
        Ok(()) => [u32::MAX, 0],
        Err(refused) => [refused.step as u32, (refused.errno as i32).unsigned_abs()],
    });
    let [step, errno] = answer.map_err(NoFence::Trial)?;
    let step = usize::try_from(step).ok().and_then(|step| STEPS.get(step).copied());
    Ok(step
        .map_or(Ok(()), |step| Err(Refused { step, errno: Errno::from_raw(errno.cast_signed()) })))
}

/// The fence of one worker.
#[derive(Debug)]
pub(crate) struct Fence {
    parent: Pid,
    identity: Option<Identity>,
    namespaces: Namespaces,
    uid_map: CString,
    gid_map: CString,
}

impl Fence {
    /// The fence of a worker that becomes `identity` (`None` for the current user). To be made
    /// before the fork.
    pub(crate) fn new(identity: Option<Identity>, namespaces: Namespaces) -> io::Result<Self> {
        let own = (unistd::geteuid().as_raw(), unistd::getegid().as_raw());
        let (uid, gid) = identity.map_or(own, |identity| (identity.uid, identity.gid));
        Ok(Self {
            parent: unistd::getpid(),
            identity,
            namespaces,
            uid_map: CString::new(format!("{uid} {uid} 1"))?,
            gid_map: CString::new(format!("{gid} {gid} 1"))?,
        })
    }

    /// Applies it to this process, a child of `new`'s process, for good. Neither allocates nor
    /// locks.
    pub(crate) fn put_up(&self) -> Result<(), Refused> {
        forbid_core_dumps()?;
        if self.namespaces == Namespaces::Privileged {
            unshare(self.namespaces.flags()).map_err(at(Step::Namespaces))?;
        }
        // If it cannot be emptied, it still grants nothing: see the last step but one.
        ffi::empty_bounding_set();
        if let Some(identity) = self.identity {
            become_user(identity, &[])?;
        }
        if self.namespaces == Namespaces::WithUser {
            self.make_with_user()?;
            // A user namespace begins with all capabilities over itself.
            ffi::empty_bounding_set();
        }
        prctl::set_no_new_privs().map_err(at(Step::Privileges))?;
        // After the change of user, which resets it.
        die_with(self.parent, Signal::SIGKILL)
    }
}

impl Fence {
    fn make_with_user(&self) -> Result<(), Refused> {
        unshare(self.namespaces.flags()).map_err(at(Step::Namespaces))?;
        if self.identity.is_some() {
            // A process that has changed its user does not own its files in /proc until it is dumpable
            // again; its limit of core dumps is zero already.
            prctl::set_dumpable(true).map_err(at(Step::UserMap))?;
        }
        let write = |path, content| write_file(path, content).map_err(at(Step::UserMap));
        write(c"/proc/self/setgroups", c"deny")?;
        write(c"/proc/self/uid_map", &self.uid_map)?;
        write(c"/proc/self/gid_map", &self.gid_map)
    }
}

/// A core dump would contain keys. If its size cannot be limited, no memory goes into it (core(5)).
fn forbid_core_dumps() -> Result<(), Refused> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)
        .or_else(|_| write_file(c"/proc/self/coredump_filter", c"0"))
        .map_err(at(Step::CoreDumps))
}

/// Becomes a user for good. Every step is checked, the result is read back, and going back must be
/// impossible: a worker that is still root is worse than none.
pub(crate) fn become_user(identity: Identity, groups: &[Gid]) -> Result<(), Refused> {
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    unistd::setgroups(groups).map_err(at(Step::Groups))?;
    unistd::setresgid(gid, gid, gid).map_err(at(Step::Group))?;
    unistd::setresuid(uid, uid, uid).map_err(at(Step::User))?;
    let users = unistd::getresuid().map_err(at(Step::User))?;
    let own = unistd::getresgid().map_err(at(Step::Group))?;
    let is_uid = users.real == uid && users.effective == uid && users.saved == uid;
    let is_gid = own.real == gid && own.effective == gid && own.saved == gid;
    let way_back = !uid.is_root() && unistd::setuid(Uid::from_raw(0)).is_ok();
    if is_uid && is_gid && !way_back { Ok(()) } else { Err(at(Step::WayBack)(Errno::EPERM)) }
}

/// Requests `signal` for when the supervisor, our parent, dies, and checks that it is still alive.
/// If this is refused, a worker still ends when its control link closes.
pub(crate) fn die_with(parent: Pid, signal: Signal) -> Result<(), Refused> {
    let _ = prctl::set_pdeathsig(signal);
    if unistd::getppid() == parent { Ok(()) } else { Err(at(Step::Parent)(Errno::ESRCH)) }
}

fn write_file(path: &CStr, content: &CStr) -> Result<(), Errno> {
    let file = open(path, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let written = unistd::write(file.as_fd(), content.to_bytes())?;
    if written == content.count_bytes() { Ok(()) } else { Err(Errno::EIO) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Users = Users::Own(Identity { uid: 1000, gid: 1000 });

    fn apart() -> Users {
        let identity = |id| Identity { uid: id, gid: id };
        Users::Host { gateway: identity(61185), turn: identity(61186) }
    }

    fn refused(step: Step, errno: Errno) -> Refused {
        Refused { step, errno }
    }

    #[test]
    fn steps_are_listed_by_their_numbers() {
        for (number, step) in STEPS.into_iter().enumerate() {
            assert_eq!(step as usize, number);
        }
    }

    #[test]
    fn namespaces_refused_to_an_ordinary_user_for_good_are_done_without() {
        for step in [Step::Namespaces, Step::UserMap] {
            for errno in [Errno::EPERM, Errno::EACCES, Errno::EINVAL, Errno::ENOSYS] {
                let found = without_namespaces(OWN, refused(step, errno), Limits::Some);
                let found = found.expect("starts");
                assert_eq!(found.namespaces, Namespaces::Shared);
                assert_eq!(found.refused, Some(refused(step, errno)));
            }
        }
        let none = refused(Step::Namespaces, Errno::ENOSPC);
        assert!(without_namespaces(OWN, none, Limits::None).is_ok());
    }

    #[test]
    fn namespaces_that_cannot_be_made_at_the_moment_end_the_start_of_anybody() {
        for users in [OWN, apart()] {
            for errno in [Errno::ENOSPC, Errno::ENOMEM, Errno::EAGAIN, Errno::EMFILE, Errno::EIO] {
                let refused = refused(Step::Namespaces, errno);
                let outcome = without_namespaces(users, refused, Limits::Some);
                assert!(matches!(outcome, Err(NoFence::Namespaces(_))), "{errno}");
            }
        }
    }

    #[test]
    fn namespaces_refused_to_root_are_done_without_only_for_want_of_power() {
        let outcome =
            |errno| without_namespaces(apart(), refused(Step::Namespaces, errno), Limits::None);
        assert!(outcome(Errno::EPERM).is_ok() && outcome(Errno::ENOSYS).is_ok());
        assert!(matches!(outcome(Errno::ENOSPC), Err(NoFence::Namespaces(_))));
        assert!(matches!(outcome(Errno::ENOMEM), Err(NoFence::Namespaces(_))));
    }

    #[test]
    fn namespaces_refused_to_root_for_want_of_power_are_tried_by_its_users() {
        let tried = |wanted, step, errno| is_for_users_to_make(wanted, refused(step, errno));
        assert!(tried(Namespaces::Privileged, Step::Namespaces, Errno::EPERM));
        assert!(!tried(Namespaces::Privileged, Step::Namespaces, Errno::ENOMEM));
        assert!(!tried(Namespaces::Privileged, Step::User, Errno::EPERM));
        assert!(!tried(Namespaces::WithUser, Step::Namespaces, Errno::EPERM));
    }

    #[test]
    fn change_of_user_refused_ends_the_start_with_what_to_do() {
        let error = without_namespaces(apart(), refused(Step::User, Errno::EPERM), Limits::Some)
            .expect_err("no");
        let said = error.to_string();
        assert!(said.contains("CAP_SETUID") && said.contains("setresuid is refused"), "{said}");
    }

    #[test]
    fn privileges_that_cannot_be_given_up_end_the_start_of_anybody() {
        for users in [OWN, apart()] {
            let error =
                without_namespaces(users, refused(Step::Privileges, Errno::EPERM), Limits::Some);
            assert!(matches!(error, Err(NoFence::Mandatory(_))));
        }
    }
}
