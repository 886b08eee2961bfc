//! What this machine knows of an account, from its files or directory services.

use std::{ffi::CString, fs};

use nix::{
    errno::Errno,
    unistd::{Gid, Group, Uid, User, getgrouplist, getgroups, initgroups},
};

use crate::{
    accounts::{Facts, Rules, uid_min},
    environment::Person,
};

/// An account.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) person: Person,
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    /// All its groups.
    groups: Vec<Gid>,
    name: CString,
}

/// Why nothing is known of an account.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unknown {
    #[error("there is no such account")]
    None,
    #[error("its name cannot be looked up")]
    Name,
    #[error("the accounts cannot be read: {0}")]
    Database(#[from] Errno),
}

impl Account {
    /// Looks an account up.
    pub(super) fn of(name: &str) -> Result<Self, Unknown> {
        let user = User::from_name(name)?.ok_or(Unknown::None)?;
        let name = CString::new(user.name.as_bytes()).map_err(|_| Unknown::Name)?;
        let groups = getgrouplist(&name, user.gid)?;
        let person = Person { name: user.name, home: user.dir, shell: user.shell };
        Ok(Self { person, uid: user.uid, gid: user.gid, groups, name })
    }

    /// What the rules are about.
    pub(super) fn facts(&self) -> Facts {
        let groups = self.groups.iter().chain([&self.gid]).map(|group| group.as_raw()).collect();
        Facts { uid: self.uid.as_raw(), groups }
    }

    /// Gives this process, which is root, the groups of the account; and reads them back, because a process
    /// that kept root's would pass them on.
    pub(super) fn take_groups(&self) -> Result<(), Errno> {
        initgroups(&self.name, self.gid)?;
        let sorted = |mut groups: Vec<Gid>| {
            groups.sort_by_key(|group| group.as_raw());
            groups.dedup();
            groups
        };
        let wanted = sorted([self.groups.as_slice(), &[self.gid]].concat());
        let mut found = getgroups()?;
        // Whether a process's own group is among the others, too, is up to the library.
        found.push(self.gid);
        if sorted(found) == wanted { Ok(()) } else { Err(Errno::EPERM) }
    }
}

/// The rules of this machine, with the groups that the host has named.
pub(super) fn rules(groups: &[&str]) -> Result<Rules, Errno> {
    let uid_min = uid_min(&fs::read_to_string("/etc/login.defs").unwrap_or_default());
    let number = |name: &&str| Group::from_name(name).transpose();
    let known = groups.iter().filter_map(number);
    let known = known.map(|group| Ok(group?.gid.as_raw())).collect::<Result<Vec<_>, Errno>>()?;
    Ok(Rules { uid_min, groups: (!groups.is_empty()).then_some(known) })
}
