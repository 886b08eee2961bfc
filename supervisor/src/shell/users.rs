//! Which user runs what: from the command line, `sudo` and the user database.
//!
//! Root's own uid runs no worker and no app. The host's workers run as the users `lumen-gateway`
//! and `lumen-turn` if these exist. All others get uids from the range that systemd reserves for
//! dynamic users, locked so that two hosts or sessions never share one. A uid that any process has,
//! of a killed session or of a service, is skipped: that process would have power over the new
//! session.

use std::{
    collections::BTreeSet,
    ffi::{CString, OsString},
    fs::File,
    path::{Path, PathBuf},
};

use nix::{
    fcntl::Flock,
    unistd::{Gid, Uid, User, getgrouplist},
};

use super::{
    places::{self, PlaceError},
    proc,
};
use crate::plan::{Identity, Users};

/// Uids without a name: <https://systemd.io/UIDS-GIDS/>, "dynamic service users".
const DYNAMIC: std::ops::RangeInclusive<u32> = 61184..=65519;

/// The user of a desktop.
#[derive(Clone, Debug)]
pub(crate) struct SessionUser {
    /// By number.
    pub(crate) identity: Identity,
    /// By name.
    pub(crate) name: OsString,
    /// Home directory; `None` for a user without an account.
    pub(crate) home: Option<PathBuf>,
    /// Shell.
    pub(crate) shell: PathBuf,
    /// All groups.
    pub(crate) groups: Vec<Gid>,
}

/// The users of one session, and the locks on those without a name.
#[derive(Debug)]
pub(crate) struct Cast {
    pub(crate) users: Users,
    pub(crate) session: SessionUser,
    _locks: Vec<Flock<File>>,
}

/// The users of one host, and the locks on those without a name.
#[derive(Debug)]
pub(crate) struct HostCast {
    pub(crate) users: Users,
    _locks: Vec<Flock<File>>,
}

/// Why no user can be chosen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserError {
    /// Only root can choose the user.
    #[error("--user is for root; run without it, or by sudo")]
    NotRoot,
    /// No such user.
    #[error("there is no user {0}")]
    Unknown(String),
    /// Root cannot be a session's user.
    #[error("--user root would give the desktop all power over this machine; choose another user")]
    Root,
    /// The user database cannot be read.
    #[error("cannot read the user database: {0}")]
    Database(nix::errno::Errno),
    /// Every dynamic uid is taken.
    #[error("no unused uid is left from {} to {}", DYNAMIC.start(), DYNAMIC.end())]
    NoUid,
    /// The directory of locks cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

/// Users such as a session of the caller would have, to try what they may do.
pub(crate) fn example() -> Users {
    if !Uid::effective().is_root() {
        return Users::Own(own());
    }
    let nth = |number| Identity { uid: DYNAMIC.start() + number, gid: DYNAMIC.start() + number };
    Users::Session { session: nth(0), rtc: nth(1), gamepad: nth(2) }
}

/// Finds the users of a session. `wanted` is `--user`, `sudo` the user who called sudo.
pub(crate) fn of_session(
    wanted: Option<&str>,
    sudo: Option<&str>,
    locks: &Path,
) -> Result<Cast, UserError> {
    if !Uid::effective().is_root() {
        return ordinary(wanted);
    }
    let mut pool = Pool::open(locks)?;
    let session = match wanted.or_else(|| sudo.filter(|name| *name != "root")) {
        Some(name) => named(name)?,
        None => nobody_in_particular(pool.take()?)?,
    };
    // Never users of the database: every session has its own.
    let (rtc, gamepad) = (pool.take()?, pool.take()?);
    let users = Users::Session { session: session.identity, rtc, gamepad };
    Ok(Cast { users, session, _locks: pool.locks })
}

/// Finds the users of a host.
pub(crate) fn of_host(locks: &Path) -> Result<HostCast, UserError> {
    if !Uid::effective().is_root() {
        return Ok(HostCast { users: Users::Own(own()), _locks: Vec::new() });
    }
    let mut pool = Pool::open(locks)?;
    let gateway = service(&mut pool, "lumen-gateway")?;
    let turn = service(&mut pool, "lumen-turn")?;
    Ok(HostCast { users: Users::Host { gateway, turn }, _locks: pool.locks })
}

fn own() -> Identity {
    Identity { uid: Uid::effective().as_raw(), gid: Gid::effective().as_raw() }
}

fn ordinary(wanted: Option<&str>) -> Result<Cast, UserError> {
    let identity = own();
    let known = User::from_uid(Uid::effective()).map_err(UserError::Database)?;
    if wanted.is_some_and(|wanted| known.as_ref().is_none_or(|own| own.name != wanted)) {
        return Err(UserError::NotRoot);
    }
    let session = match known {
        Some(user) => SessionUser {
            identity,
            name: user.name.into(),
            home: Some(user.dir),
            shell: usable(user.shell),
            groups: Vec::new(),
        },
        None => nobody_in_particular(identity)?,
    };
    Ok(Cast { users: Users::Own(identity), session, _locks: Vec::new() })
}

fn named(name: &str) -> Result<SessionUser, UserError> {
    let user = User::from_name(name)
        .map_err(UserError::Database)?
        .ok_or_else(|| UserError::Unknown(name.to_owned()))?;
    if user.uid.is_root() {
        return Err(UserError::Root);
    }
    let c_name = CString::new(name).map_err(|_| UserError::Unknown(name.to_owned()))?;
    let groups = getgrouplist(&c_name, user.gid).map_err(UserError::Database)?;
    Ok(SessionUser {
        identity: Identity { uid: user.uid.as_raw(), gid: user.gid.as_raw() },
        name: user.name.into(),
        home: Some(user.dir),
        shell: usable(user.shell),
        groups,
    })
}

fn nobody_in_particular(identity: Identity) -> Result<SessionUser, UserError> {
    let taken = User::from_name("lumen").map_err(UserError::Database)?.is_some();
    let name = if taken { format!("lumen-{}", identity.uid) } else { "lumen".to_owned() };
    Ok(SessionUser {
        identity,
        name: name.into(),
        home: None,
        shell: friendliest_shell(),
        groups: Vec::new(),
    })
}

/// A terminal in the desktop of a user who may not log in elsewhere must not end at once.
fn usable(shell: PathBuf) -> PathBuf {
    let refuses = shell.file_name().is_some_and(|name| name == "nologin" || name == "false");
    if refuses || shell.as_os_str().is_empty() { friendliest_shell() } else { shell }
}

/// A shell for a user without an account: one that edits lines, if there is one.
fn friendliest_shell() -> PathBuf {
    let bash = PathBuf::from("/bin/bash");
    if bash.exists() { bash } else { PathBuf::from("/bin/sh") }
}

/// The user set up for a worker, or else one without a name.
fn service(pool: &mut Pool<'_>, name: &str) -> Result<Identity, UserError> {
    match User::from_name(name).map_err(UserError::Database)? {
        Some(user) if !user.uid.is_root() => {
            Ok(Identity { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
        }
        _ => pool.take(),
    }
}

/// Assigns uids that no user has and no other host or session uses.
struct Pool<'pool> {
    next: u32,
    /// Uids of running processes.
    used: BTreeSet<u32>,
    directory: &'pool Path,
    locks: Vec<Flock<File>>,
}

impl<'pool> Pool<'pool> {
    fn open(directory: &'pool Path) -> Result<Self, UserError> {
        places::directory(directory, 0o700)?;
        Ok(Self { next: *DYNAMIC.start(), used: proc::users(), directory, locks: Vec::new() })
    }

    fn take(&mut self) -> Result<Identity, UserError> {
        while DYNAMIC.contains(&self.next) {
            let id = self.next;
            self.next += 1;
            let user = User::from_uid(Uid::from_raw(id)).map_err(UserError::Database)?;
            if user.is_some() || self.used.contains(&id) {
                continue;
            }
            match places::lock(&self.directory.join(id.to_string())) {
                Ok(lock) => {
                    self.locks.push(lock);
                    return Ok(Identity { uid: id, gid: id });
                }
                Err(PlaceError::Taken(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(UserError::NoUid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usable_shell_is_kept_and_one_that_refuses_is_not() {
        assert_eq!(usable("/usr/bin/fish".into()), PathBuf::from("/usr/bin/fish"));
        for refusing in ["/usr/sbin/nologin", "/bin/false", ""] {
            assert_eq!(usable(refusing.into()), friendliest_shell());
        }
    }
}
