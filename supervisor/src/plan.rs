//! From configuration to processes: which workers, as whom, told what, granted what. Pure.
//!
//! Decides nothing else does: the uid of each worker, the content of its [`WorkerConfig`], and the
//! descriptors it starts with. Links come from the contract's table, so a row added there is wired
//! without a change here.

use std::net::{IpAddr, SocketAddr};

use lumen_ipc::{
    front_door::{FrontDoor, Listen},
    link::{Link, TABLE},
    message::grants::ToWorker,
    process::Worker,
    service::{
        CompositorConfig, GamepadConfig, GatewayConfig, Handover, MediaConfig, PadIdentity,
        RtcConfig, TurnConfig, WorkerConfig,
    },
    text::Text,
};

use crate::config::RunConfig;

/// Most allocations of the relay: as many relayed viewers as a host of many desktops has, twice.
const MOST_ALLOCATIONS: u32 = 512;
/// The relay's realm. Any stranger is told it, so it says nothing about this host.
const REALM: &str = "lumen";

/// A user and its group, by number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Who runs what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Users {
    /// An ordinary user runs everything as itself: it cannot do otherwise.
    Own(Identity),
    /// Root gives every part to the user it belongs to.
    Apart {
        /// Whose desktop it is: the app, compositor and media.
        session: Identity,
        /// Rtc.
        rtc: Identity,
        /// Gateway.
        gateway: Identity,
        /// Turn.
        turn: Identity,
        /// Gamepad.
        gamepad: Identity,
    },
}

impl Users {
    /// Who runs `worker`.
    #[must_use]
    pub fn of(self, worker: Worker) -> Identity {
        match (self, worker) {
            (Self::Own(own), _) => own,
            (Self::Apart { session, .. }, Worker::Compositor | Worker::Media) => session,
            (Self::Apart { rtc, .. }, Worker::Rtc) => rtc,
            (Self::Apart { gateway, .. }, Worker::Gateway) => gateway,
            (Self::Apart { turn, .. }, Worker::Turn) => turn,
            (Self::Apart { gamepad, .. }, Worker::Gamepad) => gamepad,
        }
    }

    /// Whose desktop it is.
    #[must_use]
    pub fn session(self) -> Identity {
        match self {
            Self::Own(session) | Self::Apart { session, .. } => session,
        }
    }

    /// Whether each part is given to another user.
    #[must_use]
    pub fn are_apart(self) -> bool {
        matches!(self, Self::Apart { .. })
    }
}

/// What the machine adds to the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Who runs what.
    pub users: Users,
    /// Where the listener is bound, its port known.
    pub listen: Listen,
    /// Where the media socket can be reached.
    pub candidates: Vec<SocketAddr>,
    /// This machine's name.
    pub hostname: String,
    /// The relay, if there is one.
    pub relay: Option<RelayFacts>,
}

/// What the machine says of the relay.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RelayFacts {
    /// Where this host itself finds it by UDP.
    pub near: Option<SocketAddr>,
    /// What relayed addresses can be made of, the public address first.
    pub own: Vec<IpAddr>,
}

/// One worker to run.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerPlan {
    /// Which.
    pub worker: Worker,
    /// As whom.
    pub identity: Identity,
    /// What it is told.
    pub config: WorkerConfig,
    /// What it is granted besides its link ends. A kind of which the machine has several is granted
    /// several times, one of which it has none not at all.
    pub grants: &'static [ToWorker],
}

/// The workers this desktop has, in the order of [`Worker::ALL`].
pub fn present(config: &RunConfig) -> impl Iterator<Item = Worker> {
    Worker::ALL.into_iter().filter(|worker| match worker {
        Worker::Gamepad => config.pad.is_some(),
        Worker::Turn => config.relay.is_some(),
        _ => true,
    })
}

/// Every worker to run.
#[must_use]
pub fn plan(config: &RunConfig, facts: &Facts) -> Vec<WorkerPlan> {
    let part = |worker| WorkerPlan {
        worker,
        identity: facts.users.of(worker),
        config: worker_config(worker, config, facts),
        grants: grants(worker),
    };
    present(config).map(part).collect()
}

/// The links whose ends `worker` is granted.
pub fn links(worker: Worker) -> impl Iterator<Item = &'static Link> {
    TABLE.iter().filter(move |link| link.is_granted_to(worker))
}

const fn grants(worker: Worker) -> &'static [ToWorker] {
    match worker {
        Worker::Compositor => &[ToWorker::WaylandListener],
        Worker::Gamepad => &[ToWorker::PadDevices],
        Worker::Gateway => &[ToWorker::HttpListener],
        Worker::Media => &[],
        Worker::Rtc => &[ToWorker::MediaSocket],
        Worker::Turn => &[
            ToWorker::RelaySecret,
            ToWorker::RelayCertificate,
            ToWorker::RelayKey,
            ToWorker::RelayDatagrams,
            ToWorker::RelayStreams,
            ToWorker::RelaySecured,
        ],
    }
}

fn worker_config(worker: Worker, config: &RunConfig, facts: &Facts) -> WorkerConfig {
    match worker {
        Worker::Compositor => WorkerConfig::Compositor(CompositorConfig {
            size: config.size,
            max_fps: config.fps,
            resize: config.resize,
            keymap: config.keymap.clone(),
        }),
        Worker::Gateway => WorkerConfig::Gateway(GatewayConfig {
            auth: config.auth,
            front_door: FrontDoor { listen: facts.listen.clone(), ..config.front_door.clone() },
            hostname: Text::truncated(facts.hostname.clone()),
            handover: Handover {
                plain: config.relay.is_some(),
                name: relay_name(config).unwrap_or_default(),
            },
        }),
        Worker::Gamepad => WorkerConfig::Gamepad(GamepadConfig {
            // Without one there is no such worker.
            identity: config.pad.unwrap_or(PadIdentity::Xbox360),
            owner: facts.users.session().uid,
            grace: config.pad_grace,
        }),
        Worker::Media => WorkerConfig::Media(MediaConfig {
            size: config.size,
            max_fps: config.fps,
            bitrate: config.bitrate,
        }),
        Worker::Rtc => WorkerConfig::Rtc(RtcConfig {
            candidates: facts.candidates.clone(),
            bitrate: config.bitrate,
            relay: facts.relay.as_ref().and_then(|relay| relay.near),
        }),
        Worker::Turn => WorkerConfig::Turn(TurnConfig {
            own: facts.relay.iter().flat_map(|relay| relay.own.iter().copied()).collect(),
            realm: Text::truncated(REALM),
            allocations: MOST_ALLOCATIONS,
        }),
    }
}

/// The TLS server name that belongs to the relay on the gateway's port.
fn relay_name(config: &RunConfig) -> Option<Text<253>> {
    config.relay.as_ref()?.tls.as_ref()?.name.clone()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use lumen_ipc::link::LinkName;

    use super::*;
    use crate::config::{Invocation, parse};

    fn config() -> RunConfig {
        config_of(&["run"])
    }

    fn config_of(words: &[&str]) -> RunConfig {
        let (invocation, _) = parse(words.iter().map(Into::into), &|_| None).expect("legal");
        let Invocation::Run(config) = invocation else { panic!("not run") };
        *config
    }

    fn facts() -> Facts {
        let identity = |id| Identity { uid: id, gid: id };
        Facts {
            users: Users::Apart {
                session: identity(1000),
                rtc: identity(61184),
                gateway: identity(61185),
                turn: identity(61186),
                gamepad: identity(61187),
            },
            listen: "127.0.0.1:8080".parse().expect("an address"),
            candidates: vec!["127.0.0.1:5000".parse().expect("an address")],
            hostname: "host".to_owned(),
            relay: Some(RelayFacts {
                near: Some("127.0.0.1:3478".parse().expect("an address")),
                own: vec!["192.0.2.7".parse().expect("an address")],
            }),
        }
    }

    #[test]
    fn plan_tells_each_worker_its_own_part_only() {
        for part in plan(&config(), &facts()) {
            assert_eq!(part.config.worker(), part.worker);
        }
    }

    #[test]
    fn plan_without_pads_has_no_gamepad() {
        let workers = |words: &[&str]| -> Vec<Worker> {
            plan(&config_of(words), &facts()).iter().map(|part| part.worker).collect()
        };
        assert_eq!(workers(&["run"]), Worker::ALL);
        let without = workers(&["run", "--pad", "off"]);
        assert!(!without.contains(&Worker::Gamepad) && without.len() == Worker::ALL.len() - 1);
    }

    #[test]
    fn plan_without_relay_has_neither_turn_nor_a_way_to_it() {
        let config = RunConfig { relay: None, ..config() };
        for part in plan(&config, &Facts { relay: None, ..facts() }) {
            assert_ne!(part.worker, Worker::Turn);
            match part.config {
                WorkerConfig::Gateway(gateway) => assert_eq!(gateway.handover, Handover::default()),
                WorkerConfig::Rtc(rtc) => assert_eq!(rtc.relay, None),
                _ => {}
            }
        }
    }

    #[test]
    fn plan_tells_rtc_where_the_relay_is_and_the_gateway_whose_connections_are_its() {
        let parts = plan(&config(), &facts());
        let of = |worker| parts.iter().find(|part| part.worker == worker).expect("planned");
        let WorkerConfig::Rtc(rtc) = &of(Worker::Rtc).config else { panic!("rtc's") };
        assert_eq!(rtc.relay, facts().relay.and_then(|relay| relay.near));
        let WorkerConfig::Gateway(gateway) = &of(Worker::Gateway).config else { panic!("its") };
        assert!(gateway.handover.plain && gateway.handover.name.as_str().is_empty());
    }

    #[test]
    fn plan_of_root_gives_the_network_to_nobody_else() {
        let users = facts().users;
        assert_eq!(users.of(Worker::Compositor), users.session());
        assert_eq!(users.of(Worker::Media), users.session());
        let apart = [Worker::Rtc, Worker::Gamepad, Worker::Gateway, Worker::Turn];
        let uids: BTreeSet<u32> = apart.map(|worker| users.of(worker).uid).into();
        assert_eq!(uids.len(), apart.len());
        assert!(!uids.contains(&users.session().uid));
    }

    #[test]
    fn links_follow_the_table() {
        let names = |worker| links(worker).map(|link| link.name).collect::<Vec<_>>();
        use LinkName::{
            Broker, Desktop, Frames, Handover, Input, Packets, Pads, Signalling, Tuning,
        };
        assert_eq!(names(Worker::Compositor), [Frames, Input, Desktop]);
        assert_eq!(names(Worker::Media), [Frames, Packets, Tuning]);
        assert_eq!(names(Worker::Rtc), [Packets, Tuning, Input, Desktop, Pads, Signalling]);
        assert_eq!(names(Worker::Gamepad), [Pads]);
        assert_eq!(names(Worker::Gateway), [Broker, Handover, Signalling]);
        assert_eq!(names(Worker::Turn), [Handover]);
    }
}
