//! Who may ask a host for what. Pure.
//!
//! Every request is judged here, in the host, by what the kernel says of the process at the other end of
//! its connection; the command line decides nothing. Root, the host's own user and members of the group
//! [`GROUP`] may do everything; every other user of the machine may see and do what concerns their own
//! sessions, and learns of no others.

use std::time::Instant;

use crate::pace::Pace;

/// The group whose members administer a host of root's.
pub const GROUP: &str = "lumen-admin";

/// Most connections at a time. Otherwise programs could use up the descriptors of the host, which it also
/// needs to start workers.
const MOST: usize = 64;
/// Most of them of one user without the right to everything.
const MOST_OF_USER: usize = 8;
/// Requests of a user without the right to everything on one connection, per second in the long run,
const REQUESTS_PER_SECOND: u32 = 20;
/// and at once.
const REQUESTS_AT_ONCE: u32 = 40;

/// The process at the other end of a connection, as the kernel describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Its effective user when it connected.
    pub uid: u32,
    /// All its groups.
    pub groups: Vec<u32>,
}

/// Whom a host belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Owner {
    /// The user it runs as.
    pub uid: u32,
    /// The group of its administrators; only root's host has one.
    pub admins: Option<u32>,
}

/// Somebody who asks, and what they may.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Asker {
    /// Their user.
    pub uid: u32,
    rights: Rights,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rights {
    Everything,
    OwnSessions,
}

impl Owner {
    /// What a peer may; `None` for nothing at all.
    #[must_use]
    pub fn judge(self, peer: &Peer) -> Option<Asker> {
        let is_admin = self.admins.is_some_and(|admins| peer.groups.contains(&admins));
        let rights = match peer.uid {
            0 => Rights::Everything,
            uid if uid == self.uid || is_admin => Rights::Everything,
            // The sessions of another user's host are that user's.
            _ if self.uid != 0 => return None,
            _ => Rights::OwnSessions,
        };
        Some(Asker { uid: peer.uid, rights })
    }
}

impl Asker {
    /// Whether they may see and do everything.
    #[must_use]
    pub fn may_all(self) -> bool {
        self.rights == Rights::Everything
    }

    /// Whether they may see and do what concerns the sessions of this user.
    #[must_use]
    pub fn may(self, owner: u32) -> bool {
        self.may_all() || self.uid == owner
    }

    /// How often they may ask on one connection.
    #[must_use]
    pub fn pace(self, now: Instant) -> Option<Pace> {
        (!self.may_all()).then(|| Pace::new(now, REQUESTS_PER_SECOND, REQUESTS_AT_ONCE))
    }
}

/// The connections of those who ask, oldest first.
#[derive(Debug)]
pub struct Connections<Handle>(Vec<(Asker, Handle)>);

impl<Handle> Default for Connections<Handle> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<Handle> Connections<Handle> {
    /// Forgets those that are over.
    pub fn retain(&mut self, lives: impl Fn(&Handle) -> bool) {
        self.0.retain(|(_, handle)| lives(handle));
    }

    /// Adds a connection; returns the one that must end for it, if there are too many. Users without the
    /// right to everything make room for themselves, and then for administrators.
    pub fn add(&mut self, asker: Asker, handle: Handle) -> Option<Handle> {
        let limited = |other: &Asker| !other.may_all();
        let own = self.0.iter().filter(|(other, _)| *other == asker).count();
        let victim = match (limited(&asker), self.0.len()) {
            (true, _) if own >= MOST_OF_USER => self.oldest(|other| *other == asker),
            (_, count) if count < MOST => None,
            (true, _) if own > 0 => self.oldest(|other| *other == asker),
            _ => self.oldest(limited).or_else(|| self.oldest(|_| true)),
        };
        let victim = victim.map(|at| self.0.remove(at).1);
        self.0.push((asker, handle));
        victim
    }

    fn oldest(&self, of: impl Fn(&Asker) -> bool) -> Option<usize> {
        self.0.iter().position(|(asker, _)| of(asker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOTS: Owner = Owner { uid: 0, admins: Some(50) };

    fn peer(uid: u32, groups: &[u32]) -> Peer {
        Peer { uid, groups: groups.to_vec() }
    }

    fn asker(uid: u32) -> Asker {
        ROOTS.judge(&peer(uid, &[])).expect("anybody may ask root's host")
    }

    #[test]
    fn root_and_the_group_may_everything_and_a_user_their_own_sessions() {
        for peer in [peer(0, &[]), peer(1000, &[1000, 50])] {
            let asker = ROOTS.judge(&peer).expect("may ask");
            assert!(asker.may_all() && asker.may(1001), "{peer:?}");
        }
        let user = ROOTS.judge(&peer(1000, &[1000, 51])).expect("may ask");
        assert!(!user.may_all() && user.may(1000) && !user.may(1001) && !user.may(0));
        // No session has this owner before it has said whose it is.
        assert!(!user.may(u32::MAX));
    }

    #[test]
    fn group_is_nobodys_where_it_does_not_exist() {
        let owner = Owner { uid: 0, admins: None };
        assert!(!owner.judge(&peer(1000, &[0, 50])).expect("may ask").may_all());
    }

    #[test]
    fn host_of_a_user_answers_that_user_and_root_only() {
        let owner = Owner { uid: 1000, admins: None };
        for uid in [0, 1000] {
            assert!(owner.judge(&peer(uid, &[])).expect("may ask").may_all());
        }
        assert_eq!(owner.judge(&peer(1001, &[1000, 0])), None);
    }

    #[test]
    fn connections_of_a_user_take_no_place_of_anybody_else() {
        let mut connections = Connections::default();
        for number in 0..1000_usize {
            let victim = connections.add(asker(1000), number);
            assert_eq!(victim, number.checked_sub(MOST_OF_USER), "the own oldest");
        }
        assert_eq!(connections.add(asker(0), 1000), None);
    }

    #[test]
    fn administrator_finds_a_place_among_any_number_of_users() {
        let mut connections = Connections::default();
        for user in 1000..2000 {
            for _ in 0..MOST_OF_USER {
                connections.add(asker(user), user);
            }
            assert!(connections.0.len() <= MOST);
        }
        let evicted = connections.add(asker(0), 0).expect("it is full");
        assert!(evicted >= 1000, "a user's");
        for user in 2000..3000 {
            assert_ne!(connections.add(asker(user), user), Some(0), "an administrator stays");
        }
    }

    #[test]
    fn administrators_alone_make_room_for_the_newest() {
        let mut connections = Connections::default();
        for number in 0..MOST {
            assert_eq!(connections.add(asker(0), number), None);
        }
        assert_eq!(connections.add(asker(0), MOST), Some(0));
        connections.retain(|number| *number > 10);
        assert_eq!(connections.add(asker(0), 99), None);
    }
}
