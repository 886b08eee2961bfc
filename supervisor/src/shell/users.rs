//! Which user runs what: from the command line, `sudo` and the user database.
//!
//! Root's own uid runs no worker and no app, and no two workers have the same. The host's workers run as
//! the users `lumen-gateway` and `lumen-turn` if these exist and no other host has them; they are for
//! nothing else. All others get uids without a name ([`super::uids`]).

use std::{
    ffi::{CString, OsString},
    path::PathBuf,
};

use nix::unistd::{Gid, Uid, User, getgrouplist};

use tracing::info;

use super::{
    places::PlaceError,
    uids::{Leases, NoUid, Pool, Residents, Role},
};
use crate::plan::{Identity, Users};

/// The users of the host's workers, where the administrator has made them.
const SERVICES: [&str; 2] = ["lumen-gateway", "lumen-turn"];

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

/// The users of one session; those that nobody else is to have are leased.
#[derive(Debug)]
pub(crate) struct Cast {
    pub(crate) users: Users,
    pub(crate) session: SessionUser,
    _leases: Leases,
}

impl Cast {
    /// Whose desktop it is.
    pub(crate) fn owner(&self) -> Uid {
        Uid::from_raw(self.session.identity.uid)
    }
}

/// The users of one host; those that nobody else is to have are leased.
#[derive(Debug)]
pub(crate) struct HostCast {
    pub(crate) users: Users,
    _leases: Leases,
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
    /// A worker's user cannot be a session's user.
    #[error("--user {0} is the user of a worker of Lumen's; choose another user")]
    Service(String),
    /// The user database cannot be read.
    #[error("cannot read the user database: {0}")]
    Database(nix::errno::Errno),
    /// There is no uid without a name.
    #[error(transparent)]
    NoUid(#[from] NoUid),
    /// The directory of locks cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

/// Users such as a session of the caller would have, to try what they may do. Ends no process.
pub(crate) fn example() -> Result<(Users, Leases), UserError> {
    if !Uid::effective().is_root() {
        return Ok((Users::Own(own()), Leases::default()));
    }
    let mut pool = Pool::open(Residents::Spare)?;
    let [owner] = pool.take(Role::Desktop)?;
    Ok((workers_of(owner, &mut pool)?, pool.leases()))
}

/// Finds the users of a session. `wanted` is `--user`, `sudo` the user who called sudo.
pub(crate) fn of_session(wanted: Option<&str>, sudo: Option<&str>) -> Result<Cast, UserError> {
    if !Uid::effective().is_root() {
        return ordinary(wanted);
    }
    let mut pool = Pool::open(Residents::End)?;
    let session = match wanted.or_else(|| sudo.filter(|name| *name != "root")) {
        Some(name) => named(name)?,
        None => {
            let [owner] = pool.take(Role::Desktop)?;
            nobody_in_particular(owner)?
        }
    };
    let users = workers_of(session.identity, &mut pool)?;
    Ok(Cast { users, session, _leases: pool.leases() })
}

/// The user that a session of the caller would have, to try what it may do. `sudo` is the user who called
/// sudo. Ends no process.
pub(crate) fn example_owner(sudo: Option<&str>) -> Result<SessionUser, UserError> {
    if !Uid::effective().is_root() {
        return Ok(ordinary(None)?.session);
    }
    match sudo.filter(|name| *name != "root") {
        Some(name) => named(name),
        None => {
            let [owner] = Pool::open(Residents::Spare)?.take(Role::Desktop)?;
            nobody_in_particular(owner)
        }
    }
}

/// Finds the users of a host.
pub(crate) fn of_host() -> Result<HostCast, UserError> {
    if !Uid::effective().is_root() {
        return Ok(HostCast { users: Users::Own(own()), _leases: Leases::default() });
    }
    let mut pool = Pool::open(Residents::End)?;
    let [gateway, turn] = SERVICES.map(|name| service(&mut pool, name));
    Ok(HostCast { users: Users::Host { gateway: gateway?, turn: turn? }, _leases: pool.leases() })
}

/// A user of its own for each worker of the session of `owner`.
fn workers_of(owner: Identity, pool: &mut Pool) -> Result<Users, UserError> {
    let [compositor, media, sound, rtc, gamepad] = pool.take(Role::Worker)?;
    Ok(Users::Session { owner, compositor, media, sound, rtc, gamepad })
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
    Ok(Cast { users: Users::Own(identity), session, _leases: Leases::default() })
}

fn named(name: &str) -> Result<SessionUser, UserError> {
    let user = User::from_name(name)
        .map_err(UserError::Database)?
        .ok_or_else(|| UserError::Unknown(name.to_owned()))?;
    if user.uid.is_root() {
        return Err(UserError::Root);
    }
    for service in SERVICES {
        let service = User::from_name(service).map_err(UserError::Database)?;
        if service.is_some_and(|service| service.uid == user.uid) {
            return Err(UserError::Service(name.to_owned()));
        }
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
fn service(pool: &mut Pool, name: &str) -> Result<Identity, UserError> {
    let user = User::from_name(name).map_err(UserError::Database)?;
    if let Some(user) = user.filter(|user| !user.uid.is_root()) {
        let identity = Identity { uid: user.uid.as_raw(), gid: user.gid.as_raw() };
        if let Some(held) = pool.hold(identity)? {
            return Ok(held);
        }
        info!("another process has the user {name}; this host's worker gets one without a name");
    }
    let [nameless] = pool.take(Role::Worker)?;
    Ok(nameless)
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
