//! The link table: which processes may talk, how, and about what.
//!
//! INVARIANT: the supervisor wires exactly [`TABLE`]. `lumen status` and ARCHITECTURE.md print it,
//! and the tests compare `/proc/PID/fd` of a running system with it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::process::{Scope, Worker};

/// Name of a link.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum LinkName {
    /// Command line → supervisor.
    Admin,
    /// Gateway → supervisor.
    Broker,
    /// Supervisor → worker: requests.
    Control,
    /// Compositor → rtc: the desktop's state besides the picture.
    Desktop,
    /// Compositor → media: pictures.
    Frames,
    /// Supervisor → worker: descriptors.
    Grants,
    /// Gateway → turn: connections on a shared port that belong to the relay.
    Handover,
    /// Rtc → compositor: viewers' input.
    Input,
    /// Host ↔ `lumen-login`: one attempt to sign in, and then the account's login session.
    Login,
    /// Media → rtc: encoded pictures.
    Packets,
    /// Rtc → gamepad: the state of viewers' gamepads.
    Pads,
    /// Compositor → gamepad: whether a viewer is there.
    Presence,
    /// Session ↔ host: registration, ends of the signalling link, the app, the administrator.
    Session,
    /// Gateway ↔ rtc: the WebRTC handshake.
    Signalling,
    /// Sound → rtc: encoded sound.
    Sound,
    /// Rtc ↔ compositor: content of any length, such as the clipboard's.
    Transfer,
    /// Rtc → media: what viewers and network want of the stream.
    Tuning,
    /// Compositor → sound: whether a viewer's microphone is on.
    Voice,
}

/// Numbers the successive socket pairs of a link. A report about a link refers to one pair and is
/// ignored once that pair has been replaced.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
pub struct Generation(pub u32);

impl Generation {
    /// The generation of the next pair.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One end of a link.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum End {
    /// The `lumen` command line.
    CommandLine,
    /// The supervisor of the other end's scope.
    Supervisor,
    /// The supervisor of the host.
    Host,
    /// The supervisor of a session.
    Session,
    /// The process in which PAM runs, and which then leads the account's session.
    Leader,
    /// Every worker.
    EachWorker,
    /// One kind of worker.
    Worker(Worker),
}

impl End {
    /// The scope of this end; `None` where each scope has such an end, or where it belongs to
    /// neither.
    #[must_use]
    pub const fn scope(self) -> Option<Scope> {
        match self {
            Self::Worker(worker) => Some(worker.scope()),
            Self::Host => Some(Scope::Host),
            Self::Session => Some(Scope::Session),
            Self::CommandLine | Self::Supervisor | Self::EachWorker | Self::Leader => None,
        }
    }
}

/// How a link carries its messages.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Carriage {
    /// tarpc: request, reply and deadline over a stream socket.
    Rpc,
    /// One message per datagram on a `SOCK_SEQPACKET` socketpair, descriptors beside it.
    Messages,
}

/// One row of the link table.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Link {
    /// Its name.
    pub name: LinkName,
    /// The side that speaks first: the caller of an RPC link.
    pub from: End,
    /// The side that answers.
    pub to: End,
    /// The transport.
    pub carriage: Carriage,
    /// A description of the messages, for people.
    pub carries: &'static str,
    /// The most descriptors one message on it can carry.
    pub max_descriptors: usize,
}

/// The most descriptors any message carries (planes of a multi-planar DMA-BUF).
pub const MAX_DESCRIPTORS: usize = 4;

/// Every link there is.
pub const TABLE: [Link; 18] = [
    Link {
        name: LinkName::Control,
        from: End::Supervisor,
        to: End::EachWorker,
        carriage: Carriage::Rpc,
        carries: "hello, configure, start, candidates, status, metrics, drain",
        max_descriptors: 0,
    },
    Link {
        name: LinkName::Grants,
        from: End::Supervisor,
        to: End::EachWorker,
        carriage: Carriage::Messages,
        carries: "descriptors: sockets, devices, link ends; a new link end replaces the old; back: \
                  a link is lost, the other side broke the contract",
        max_descriptors: 1,
    },
    Link {
        name: LinkName::Broker,
        from: End::Worker(Worker::Gateway),
        to: End::Supervisor,
        carriage: Carriage::Rpc,
        carries: "log in by token, resume by key, mint relay credentials, how the app is, start \
                  it again",
        max_descriptors: 0,
    },
    Link {
        name: LinkName::Frames,
        from: End::Worker(Worker::Compositor),
        to: End::Worker(Worker::Media),
        carriage: Carriage::Messages,
        carries: "buffer announced and retired, frame ready with damage and times; back: released, \
                  demand, renderer offered, buffer accepted or refused",
        max_descriptors: MAX_DESCRIPTORS,
    },
    Link {
        name: LinkName::Packets,
        from: End::Worker(Worker::Media),
        to: End::Worker(Worker::Rtc),
        carriage: Carriage::Messages,
        carries: "formats offered, rings announced and retired by stream, packet written; back: \
                  ring consumed",
        max_descriptors: 1,
    },
    Link {
        name: LinkName::Tuning,
        from: End::Worker(Worker::Rtc),
        to: End::Worker(Worker::Media),
        carriage: Carriage::Rpc,
        carries: "what is wanted of a stream, whole each time: watchers, bit rate, keyframes",
        max_descriptors: 0,
    },
    Link {
        name: LinkName::Sound,
        from: End::Worker(Worker::Sound),
        to: End::Worker(Worker::Rtc),
        carriage: Carriage::Messages,
        carries: "encoded sound; back: what is wanted of it: listeners, bit rate, loss; what viewers say",
        max_descriptors: 0,
    },
    Link {
        name: LinkName::Input,
        from: End::Worker(Worker::Rtc),
        to: End::Worker(Worker::Compositor),
        carriage: Carriage::Messages,
        carries: "key, pointer, wheel, peer left, output size wanted",
        max_descriptors: 0,
    },
    Link {
        name: LinkName::Desktop,
        from: End::Worker(Worker::Compositor),
        to: End::Worker(Worker::Rtc),
        carriage: Carriage::Messages,
        carries: "cursor image, output size, window title",
        max_descriptors: 0,
    },
    Link {
        name: LinkName::Transfer,
        from: End::Worker(Worker::Rtc),
        to: End::Worker(Worker::Compositor),
        carriage: Carriage::Messages,
        carries: "clipboard offered, requested, sent in chunks with credit; back: the same",
        max_descriptors: 0,
    },
    Link {
        name: LinkName::Pads,
        from: End::Worker(Worker::Rtc),
        to: End::Worker(Worker::Gamepad),
        carriage: Carriage::Messages,
        carries: "pad plugged, unplugged, reported; back: whether there are pads, rumble",
        max_descriptors: 0,
    },
    Link {
        name: LinkName::Presence,
        from: End::Worker(Worker::Compositor),
        to: End::Worker(Worker::Gamepad),
        carriage: Carriage::Messages,
        carries: "for how long pads count, because a viewer has proved to be there",
        max_descriptors: 0,
    },
    Link {
        name: LinkName::Voice,
        from: End::Worker(Worker::Compositor),
        to: End::Worker(Worker::Sound),
        carriage: Carriage::Messages,
        carries: "for how long voices count, because a page has proved that its microphone is on",
        max_descriptors: 0,
    },
    Link {
        name: LinkName::Handover,
        from: End::Worker(Worker::Gateway),
        to: End::Worker(Worker::Turn),
        carriage: Carriage::Messages,
        carries: "connections to a shared port that speak TURN, unread",
        max_descriptors: 1,
    },
    Link {
        name: LinkName::Signalling,
        from: End::Worker(Worker::Gateway),
        to: End::Worker(Worker::Rtc),
        carriage: Carriage::Messages,
        carries: "peer joined, offer, candidate, relay renewed, peer gone; back: answer, candidate, \
                  peer refused or closed",
        max_descriptors: 0,
    },
    Link {
        name: LinkName::Session,
        from: End::Session,
        to: End::Host,
        carriage: Carriage::Messages,
        carries: "registered, how the app is, signalling end wanted, answers; back: whom it is for, \
                  welcomed, opened, signalling end, questions, stop",
        max_descriptors: 2,
    },
    Link {
        name: LinkName::Login,
        from: End::Supervisor,
        to: End::Leader,
        carriage: Carriage::Messages,
        carries: "account that signs in, answers, session opened, program started and ended; back: \
                  prompts, accepted or refused, the Wayland socket, how programs end",
        max_descriptors: 4,
    },
    Link {
        name: LinkName::Admin,
        from: End::CommandLine,
        to: End::Supervisor,
        carriage: Carriage::Rpc,
        carries: "status, restart, logs, metrics, stop",
        max_descriptors: 0,
    },
];

impl LinkName {
    /// The name in logs and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Broker => "broker",
            Self::Control => "control",
            Self::Desktop => "desktop",
            Self::Frames => "frames",
            Self::Grants => "grants",
            Self::Handover => "handover",
            Self::Input => "input",
            Self::Login => "login",
            Self::Packets => "packets",
            Self::Pads => "pads",
            Self::Presence => "presence",
            Self::Session => "session",
            Self::Signalling => "signalling",
            Self::Sound => "sound",
            Self::Transfer => "transfer",
            Self::Tuning => "tuning",
            Self::Voice => "voice",
        }
    }

    /// Its row of [`TABLE`].
    #[must_use]
    pub fn row(self) -> &'static Link {
        TABLE
            .iter()
            .find(|link| link.name == self)
            .expect("the test `table_has_one_row_per_name` proves that every name has a row")
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Link {
    /// Whether `worker` is granted an end of this link: links between two workers, and the
    /// gateway's broker link. `control` and `grants` are inherited at exec.
    #[must_use]
    pub fn is_granted_to(&self, worker: Worker) -> bool {
        self.from == End::Worker(worker) || self.to == End::Worker(worker)
    }

    /// Whether one end is the host's and the other a session's, so that no single scope can wire
    /// it.
    #[must_use]
    pub fn crosses_scopes(&self) -> bool {
        match (self.from.scope(), self.to.scope()) {
            (Some(from), Some(to)) => from != to,
            _ => false,
        }
    }

    /// The worker to end if `accuser` accuses the other side repeatedly: the less trusted of the
    /// two, or of two equally trusted the accuser. Never the supervisor.
    #[must_use]
    pub fn answers_for(&self, accuser: Worker) -> Worker {
        match self.other_worker(accuser) {
            Some(other) if other.trust() < accuser.trust() => other,
            _ => accuser,
        }
    }

    /// The worker at the other end of `worker`'s, if it is one.
    #[must_use]
    pub fn other_worker(&self, worker: Worker) -> Option<Worker> {
        let (End::Worker(from), End::Worker(to)) = (self.from, self.to) else { return None };
        [(from, to), (to, from)].into_iter().find_map(|(near, far)| (near == worker).then_some(far))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variants::variants_of;

    #[test]
    fn table_has_one_row_per_name() {
        let mut rows: Vec<String> = TABLE.iter().map(|link| format!("{:?}", link.name)).collect();
        let mut names = variants_of::<LinkName>();
        rows.sort();
        names.sort_unstable();
        assert_eq!(rows, names);
    }

    #[test]
    fn signalling_and_what_hands_its_ends_over_cross_scopes() {
        let crossing = TABLE.iter().filter(|link| link.crosses_scopes()).map(|link| link.name);
        assert_eq!(crossing.collect::<Vec<_>>(), [LinkName::Signalling, LinkName::Session]);
    }

    #[test]
    fn answers_for_never_names_the_more_trusted_side() {
        for link in &TABLE {
            let owners = Worker::ALL.into_iter().filter(|worker| link.is_granted_to(*worker));
            for accuser in owners {
                let ended = link.answers_for(accuser);
                assert!(ended.trust() <= accuser.trust(), "{}: {accuser} ends {ended}", link.name);
                assert!(link.is_granted_to(ended), "{}: {ended}", link.name);
            }
        }
        assert_eq!(LinkName::Input.row().answers_for(Worker::Rtc), Worker::Rtc);
        assert_eq!(LinkName::Input.row().answers_for(Worker::Compositor), Worker::Rtc);
        assert_eq!(LinkName::Broker.row().answers_for(Worker::Gateway), Worker::Gateway);
    }

    #[test]
    fn answers_for_of_two_trusted_alike_names_the_accuser() {
        let (from, to) = (End::Worker(Worker::Rtc), End::Worker(Worker::Turn));
        let link = Link { from, to, ..TABLE[0] };
        assert_eq!(link.answers_for(Worker::Rtc), Worker::Rtc);
        assert_eq!(link.answers_for(Worker::Turn), Worker::Turn);
    }

    #[test]
    fn no_row_allows_more_descriptors_than_a_receiver_makes_room_for() {
        assert!(TABLE.iter().all(|link| link.max_descriptors <= MAX_DESCRIPTORS));
    }
}
