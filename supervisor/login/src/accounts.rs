//! Which accounts may sign in, whatever PAM says of them. Pure.

use std::ops::RangeInclusive;

/// Users of services that systemd makes and removes (`DynamicUser=`), among them Lumen's workers
/// (<https://systemd.io/UIDS-GIDS/>).
const DYNAMIC: RangeInclusive<u32> = 61184..=65519;
/// The users nobody, and those that stand for "no user" in 16 and in 32 bits.
const NOBODY: [u32; 3] = [65534, 65535, u32::MAX];
/// The least uid of a person where login.defs(5) does not say.
const UID_MIN: u32 = 1000;

/// What an account must be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rules {
    /// The least uid of a person.
    pub uid_min: u32,
    /// Groups of which a person must be in one; any person may sign in if nobody named a group.
    pub groups: Option<Vec<u32>>,
}

/// What an account is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// Its user.
    pub uid: u32,
    /// Its own group and the others.
    pub groups: Vec<u32>,
}

/// Why an account may not sign in; for the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotAdmitted {
    /// It is root, or another name of root's.
    #[error("root may not sign in")]
    Root,
    /// It is a service's.
    #[error("uid {uid} is below UID_MIN {uid_min}, so the account is no person's")]
    Service {
        /// Its user.
        uid: u32,
        /// The least uid of a person.
        uid_min: u32,
    },
    /// It is nobody's, or a service's that exists only for a while.
    #[error("uid {0} belongs to services or to nobody")]
    Nobody(u32),
    /// It is in no group that may sign in.
    #[error("the account is in none of the groups whose members may sign in")]
    Group,
}

impl Rules {
    /// Whether this account may sign in.
    ///
    /// # Errors
    /// [`NotAdmitted`] when it may not.
    pub fn admit(&self, account: &Facts) -> Result<(), NotAdmitted> {
        let Facts { uid, ref groups } = *account;
        if uid == 0 {
            return Err(NotAdmitted::Root);
        }
        if uid < self.uid_min {
            return Err(NotAdmitted::Service { uid, uid_min: self.uid_min });
        }
        if DYNAMIC.contains(&uid) || NOBODY.contains(&uid) {
            return Err(NotAdmitted::Nobody(uid));
        }
        let is_member = |named: &Vec<u32>| named.iter().any(|group| groups.contains(group));
        match self.groups.as_ref().is_none_or(is_member) {
            true => Ok(()),
            false => Err(NotAdmitted::Group),
        }
    }
}

/// `UID_MIN` of the text of `/etc/login.defs`, or what is usual. As the programs that read this file do, takes
/// the last of several lines, and no number below 1 for one.
#[must_use]
pub fn uid_min(login_defs: &str) -> u32 {
    let values = login_defs.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "UID_MIN").then_some(words.next()?)
    });
    let mut numbers = values.filter_map(|value| match value.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => value.parse().ok(),
    });
    numbers.rfind(|number| *number > 0).unwrap_or(UID_MIN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(groups: Option<&[u32]>) -> Rules {
        Rules { uid_min: 1000, groups: groups.map(<[u32]>::to_vec) }
    }

    fn account(uid: u32, groups: &[u32]) -> Facts {
        Facts { uid, groups: groups.to_vec() }
    }

    #[test]
    fn admit_lets_in_persons_and_nobody_else() {
        let open = rules(None);
        for person in [1000, 1001, 60_000, 65_520, 100_000, 1_897_600_001] {
            assert_eq!(open.admit(&account(person, &[])), Ok(()), "{person}");
        }
        assert_eq!(open.admit(&account(0, &[])), Err(NotAdmitted::Root));
        let service = NotAdmitted::Service { uid: 999, uid_min: 1000 };
        assert_eq!(open.admit(&account(999, &[])), Err(service));
        for nobody in [61_184, 65_000, 65_519, 65_534, 65_535, u32::MAX] {
            assert_eq!(open.admit(&account(nobody, &[])), Err(NotAdmitted::Nobody(nobody)));
        }
    }

    #[test]
    fn admit_with_groups_lets_in_their_members_only() {
        let members = rules(Some(&[27, 2000]));
        assert_eq!(members.admit(&account(1000, &[1000, 2000])), Ok(()));
        assert_eq!(members.admit(&account(1000, &[1000])), Err(NotAdmitted::Group));
        // A group was named, but this machine does not know it.
        assert_eq!(rules(Some(&[])).admit(&account(1000, &[1000])), Err(NotAdmitted::Group));
        assert_eq!(members.admit(&account(0, &[2000])), Err(NotAdmitted::Root));
    }

    #[test]
    fn uid_min_is_what_login_defs_says_last_and_never_root() {
        for (text, expected) in [
            ("", 1000),
            ("UID_MIN 500", 500),
            ("# UID_MIN 500\nUID_MIN\t\t 2000 # persons\nUID_MAX 60000", 2000),
            ("UID_MIN 500\nUID_MIN 600", 600),
            ("UID_MIN 0x3e9", 1001),
            ("UID_MIN 0", 1000),
            ("UID_MIN -1", 1000),
            ("UID_MIN many", 1000),
            ("SYS_UID_MIN 100", 1000),
        ] {
            assert_eq!(uid_min(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn admit_never_lets_in_root_or_a_service(
            uid: u32,
            text in "(UID_MIN[ \t]+[0-9a-fx-]{0,12}\n?){0,3}",
            groups in prop::option::of(prop::collection::vec(0_u32..4, 0..3)),
            own in prop::collection::vec(0_u32..4, 0..3),
        ) {
            let rules = Rules { uid_min: uid_min(&text), groups };
            if rules.admit(&account(uid, &own)).is_ok() {
                prop_assert!(uid > 0 && uid >= rules.uid_min);
                prop_assert!(rules.groups.is_none_or(|named| named.iter().any(|g| own.contains(g))));
            }
        }
    }
}
