//! The step from root to the account's user, taken in the child between fork and exec.
//!
//! INVARIANT: a child that is executed has the user and the group of the account, in every sense that the
//! kernel knows, and no way back. Its other groups are those of its parent, which has taken the account's and
//! to which PAM's modules may have added some. Any doubt fails the exec: another server kept root when
//! setuid(2) failed.

use std::io;

use nix::{
    errno::Errno,
    sys::signal::SigSet,
    unistd::{Gid, Uid, getresgid, getresuid, setresgid, setresuid, setsid, setuid},
};

/// Becomes this user for good, as the first process of a session of the kernel's.
pub(super) fn become_user(uid: Uid, gid: Gid) -> io::Result<()> {
    SigSet::empty().thread_set_mask()?;
    setsid()?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    // What the kernel says, not that it did not complain.
    let (users, groups) = (getresuid()?, getresgid()?);
    let is_user = [users.real, users.effective, users.saved].into_iter().all(|id| id == uid);
    let is_group = [groups.real, groups.effective, groups.saved].into_iter().all(|id| id == gid);
    let way_back = uid.is_root() || setuid(Uid::from_raw(0)).is_ok();
    if is_user && is_group && !way_back { Ok(()) } else { Err(Errno::EPERM.into()) }
}
