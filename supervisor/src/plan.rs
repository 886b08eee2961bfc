//! From configuration to processes: the workers with their users, configurations and grants. Pure.
//!
//! This module alone decides the uid of each worker, the content of its [`WorkerConfig`], and the
//! descriptors it starts with. Links come from the contract's table, so a row added there is wired
//! without a change here.

use std::net::{IpAddr, SocketAddr};

use lumen_ipc::{
    front_door::{FrontDoor, Listen},
    graphics::NodeUse,
    lease::LeaseRights,
    link::{Link, TABLE},
    message::{grants::ToWorker, session::TokenDigest},
    process::{Scope, Worker},
    service::{
        CompositorConfig, GamepadConfig, GatewayConfig, Handover, MediaConfig, RtcConfig,
        SoundConfig, TurnConfig, WorkerConfig,
    },
    text::Text,
};

use crate::config::{HostConfig, SessionConfig};

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

/// Who runs what of a host or of a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Users {
    /// An ordinary user runs everything as itself: it cannot do otherwise.
    Own(Identity),
    /// Root gives each worker of a host to a user of its own.
    Host {
        /// Gateway.
        gateway: Identity,
        /// Turn.
        turn: Identity,
    },
    /// Root gives the app to the desktop's user, and each worker of a session to a user of its own.
    Session {
        /// Whose desktop it is.
        owner: Identity,
        /// Compositor.
        compositor: Identity,
        /// Media.
        media: Identity,
        /// Sound.
        sound: Identity,
        /// Rtc.
        rtc: Identity,
        /// Gamepad.
        gamepad: Identity,
    },
}

impl Users {
    /// Who runs `worker`; `None` for one of the other scope.
    #[must_use]
    pub fn of(self, worker: Worker) -> Option<Identity> {
        match (self, worker) {
            (Self::Own(own), _) => Some(own),
            (Self::Host { gateway, .. }, Worker::Gateway) => Some(gateway),
            (Self::Host { turn, .. }, Worker::Turn) => Some(turn),
            (Self::Session { compositor, .. }, Worker::Compositor) => Some(compositor),
            (Self::Session { media, .. }, Worker::Media) => Some(media),
            (Self::Session { sound, .. }, Worker::Sound) => Some(sound),
            (Self::Session { rtc, .. }, Worker::Rtc) => Some(rtc),
            (Self::Session { gamepad, .. }, Worker::Gamepad) => Some(gamepad),
            (Self::Host { .. } | Self::Session { .. }, _) => None,
        }
    }

    /// The user of the desktop, as whom the app runs; `None` for a host.
    #[must_use]
    pub fn owner(self) -> Option<Identity> {
        match self {
            Self::Own(own) => Some(own),
            Self::Host { .. } => None,
            Self::Session { owner, .. } => Some(owner),
        }
    }

    /// Whether each part is given to another user.
    #[must_use]
    pub fn are_apart(self) -> bool {
        !matches!(self, Self::Own(_))
    }
}

/// What the machine adds to a host's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct HostFacts {
    /// Who runs what.
    pub users: Users,
    /// Where the listener is bound, its port known.
    pub listen: Listen,
    /// This machine's name.
    pub hostname: String,
    /// What relayed addresses can be made of, the public address first; none without a relay.
    pub relay_addresses: Vec<IpAddr>,
    /// The digest of the token for metrics, if there is one.
    pub metrics_token: Option<TokenDigest>,
}

/// What the machine adds to a session's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionFacts {
    /// Who runs what.
    pub users: Users,
    /// Where the media socket can be reached.
    pub candidates: Vec<SocketAddr>,
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

/// The workers of a host, in the order of [`Worker::ALL`].
#[must_use]
pub fn host(config: &HostConfig, facts: &HostFacts) -> Vec<WorkerPlan> {
    let present = |worker: &Worker| match worker {
        Worker::Turn => config.relay.is_some(),
        other => other.scope() == Scope::Host,
    };
    let configured = |worker| match worker {
        Worker::Gateway => Some(WorkerConfig::Gateway(gateway(config, facts))),
        Worker::Turn => Some(WorkerConfig::Turn(TurnConfig {
            own: facts.relay_addresses.clone(),
            realm: Text::truncated(REALM),
            allocations: MOST_ALLOCATIONS,
        })),
        _ => None,
    };
    planned(facts.users, present, configured)
}

/// The workers of a session, in the order of [`Worker::ALL`].
#[must_use]
pub fn session(config: &SessionConfig, facts: &SessionFacts) -> Vec<WorkerPlan> {
    let present = |worker: &Worker| match worker {
        Worker::Gamepad => config.pad.is_some(),
        Worker::Sound => config.sound.is_some(),
        other => other.scope() == Scope::Session,
    };
    planned(facts.users, present, |worker| session_worker(worker, config, facts))
}

/// Tells a session's rtc where the relay of its host takes datagrams from this machine, from its next
/// start on.
pub fn tell_relay(plan: &mut [WorkerPlan], near: Option<SocketAddr>) {
    if let Some(rtc) = rtc_of(plan) {
        rtc.relay = near;
    }
}

/// Tells a session's rtc the rights of viewers, for its next start.
pub fn tell_rights(plan: &mut [WorkerPlan], rights: &[LeaseRights]) {
    if let Some(rtc) = rtc_of(plan) {
        rights.clone_into(&mut rtc.rights);
    }
}

/// Tells a session's media how to use the render node that it gets at its next start, if it gets one.
pub fn tell_node(plan: &mut [WorkerPlan], node: Option<NodeUse>) {
    for part in plan {
        if let WorkerConfig::Media(media) = &mut part.config {
            media.node = node;
        }
    }
}

fn planned(
    users: Users,
    present: impl Fn(&Worker) -> bool,
    configured: impl Fn(Worker) -> Option<WorkerConfig>,
) -> Vec<WorkerPlan> {
    let part = |worker| {
        let (identity, config) = (users.of(worker)?, configured(worker)?);
        Some(WorkerPlan { worker, identity, config, grants: grants(worker) })
    };
    Worker::ALL.into_iter().filter(present).filter_map(part).collect()
}

/// Notes where the media socket can be reached from here on.
pub fn set_candidates(plan: &mut [WorkerPlan], candidates: &[SocketAddr]) {
    if let Some(rtc) = rtc_of(plan) {
        candidates.clone_into(&mut rtc.candidates);
    }
}

fn rtc_of(plan: &mut [WorkerPlan]) -> Option<&mut RtcConfig> {
    plan.iter_mut().find_map(|part| match &mut part.config {
        WorkerConfig::Rtc(rtc) => Some(rtc),
        _ => None,
    })
}

/// The links whose ends `worker` is granted.
pub fn links(worker: Worker) -> impl Iterator<Item = &'static Link> {
    TABLE.iter().filter(move |link| link.is_granted_to(worker))
}

const fn grants(worker: Worker) -> &'static [ToWorker] {
    match worker {
        Worker::Compositor => &[ToWorker::WaylandListener],
        Worker::Gamepad => &[ToWorker::PadDevices],
        Worker::Gateway => &[ToWorker::HttpListener, ToWorker::PageCertificate],
        Worker::Media => &[ToWorker::RenderNode],
        Worker::Rtc => &[ToWorker::MediaSocket],
        // It gets its connection when there is a server.
        Worker::Sound => &[],
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

fn gateway(config: &HostConfig, facts: &HostFacts) -> GatewayConfig {
    GatewayConfig {
        auth: config.auth,
        front_door: FrontDoor { listen: facts.listen.clone(), ..config.front_door.clone() },
        hostname: Text::truncated(facts.hostname.clone()),
        handover: Handover {
            plain: config.relay.is_some(),
            name: relay_name(config).unwrap_or_default(),
        },
        tls: config.tls.kind(),
        metrics_token: facts.metrics_token,
        provider: config.sign_in.provider.as_ref().map(|provider| provider.name.clone()),
        voucher: config.proxy.as_ref().map(|proxy| proxy.header.clone()),
    }
}

/// What a worker of a session is told; `None` for the host's, and for one that the session is without.
fn session_worker(
    worker: Worker,
    config: &SessionConfig,
    facts: &SessionFacts,
) -> Option<WorkerConfig> {
    Some(match worker {
        Worker::Compositor => WorkerConfig::Compositor(CompositorConfig {
            size: config.size,
            max_fps: config.fps,
            keymap: config.keymap.clone(),
            clipboard: config.clipboard,
        }),
        Worker::Gamepad => WorkerConfig::Gamepad(GamepadConfig {
            identity: config.pad?,
            owner: facts.users.owner()?.uid,
            grace: config.pad_grace,
        }),
        Worker::Media => WorkerConfig::Media(MediaConfig {
            size: config.size,
            max_fps: config.fps,
            bitrate: config.bitrate,
            // The session's ladder says so before each start.
            node: None,
        }),
        Worker::Rtc => WorkerConfig::Rtc(RtcConfig {
            candidates: facts.candidates.clone(),
            bitrate: config.bitrate,
            // Its host says so later.
            relay: None,
            clipboard: config.clipboard,
            resize: config.resize,
            sound: config.sound,
            speech: config.sound.is_some() && config.microphone,
            rights: Vec::new(),
        }),
        Worker::Sound => {
            let (bitrate, speech) = (config.sound?, config.microphone);
            WorkerConfig::Sound(SoundConfig { bitrate, speech })
        }
        Worker::Gateway | Worker::Turn => return None,
    })
}

/// The TLS server name that belongs to the relay on the gateway's port.
fn relay_name(config: &HostConfig) -> Option<Text<253>> {
    config.relay.as_ref()?.tls.as_ref()?.name.clone()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use lumen_ipc::{lease::LeaseId, link::LinkName, login::Rights};

    use super::*;
    use crate::config::{Invocation, RunConfig, parse};

    fn config() -> RunConfig {
        config_of(&["run"])
    }

    fn config_of(words: &[&str]) -> RunConfig {
        let (invocation, _) = parse(words.iter().map(Into::into), &|_: &str| None).expect("legal");
        let Invocation::Run(config) = invocation else { panic!("not run") };
        *config
    }

    fn identity(id: u32) -> Identity {
        Identity { uid: id, gid: id }
    }

    fn host_users() -> Users {
        Users::Host { gateway: identity(61185), turn: identity(61186) }
    }

    fn session_users() -> Users {
        let (compositor, media) = (identity(61187), identity(61188));
        let (rtc, gamepad) = (identity(61189), identity(61190));
        let sound = identity(61191);
        Users::Session { owner: identity(1000), compositor, media, sound, rtc, gamepad }
    }

    fn host_plan(config: &RunConfig) -> Vec<WorkerPlan> {
        let facts = HostFacts {
            users: host_users(),
            listen: "127.0.0.1:8080".parse().expect("an address"),
            hostname: "host".to_owned(),
            relay_addresses: vec!["192.0.2.7".parse().expect("an address")],
            metrics_token: None,
        };
        host(&config.host, &facts)
    }

    fn session_plan(config: &RunConfig) -> Vec<WorkerPlan> {
        let candidates = vec!["127.0.0.1:5000".parse().expect("an address")];
        session(&config.session, &SessionFacts { users: session_users(), candidates })
    }

    fn workers(plan: &[WorkerPlan]) -> Vec<Worker> {
        plan.iter().map(|part| part.worker).collect()
    }

    #[test]
    fn plans_tell_each_worker_its_own_part_only_and_share_no_worker() {
        let (host, session) = (host_plan(&config()), session_plan(&config()));
        for part in host.iter().chain(&session) {
            assert_eq!(part.config.worker(), part.worker);
        }
        assert!(host.iter().all(|part| part.worker.scope() == Scope::Host));
        assert!(session.iter().all(|part| part.worker.scope() == Scope::Session));
        assert_eq!([workers(&session), workers(&host)].concat(), Worker::ALL);
    }

    #[test]
    fn plan_without_pads_has_no_gamepad() {
        let without = workers(&session_plan(&config_of(&["run", "--pad", "off"])));
        assert_eq!(without, [Worker::Compositor, Worker::Media, Worker::Sound, Worker::Rtc]);
    }

    #[test]
    fn plan_without_microphone_or_sound_takes_no_viewer_s_voice() {
        for (options, takes) in [
            (&["run"][..], [Some(true), Some(true)]),
            (&["run", "--microphone", "off"], [Some(false), Some(false)]),
            (&["run", "--sound", "off"], [Some(false), None]),
        ] {
            let plan = session_plan(&config_of(options));
            let rtc = plan.iter().find_map(|planned| match &planned.config {
                WorkerConfig::Rtc(rtc) => Some(rtc.speech),
                _ => None,
            });
            let sound = plan.iter().find_map(|planned| match &planned.config {
                WorkerConfig::Sound(sound) => Some(sound.speech),
                _ => None,
            });
            assert_eq!([rtc, sound], takes, "{options:?}");
        }
    }

    #[test]
    fn plan_without_sound_has_no_sound_worker_and_offers_viewers_none() {
        let plan = session_plan(&config_of(&["run", "--sound", "off"]));
        assert!(!workers(&plan).contains(&Worker::Sound));
        let offered = |part: &WorkerPlan| match &part.config {
            WorkerConfig::Rtc(rtc) => Some(rtc.sound),
            _ => None,
        };
        assert_eq!(plan.iter().find_map(offered), Some(None));
    }

    #[test]
    fn plan_without_relay_has_neither_turn_nor_a_way_to_it() {
        let plan = host_plan(&config_of(&["run", "--relay", "off"]));
        assert_eq!(workers(&plan), [Worker::Gateway]);
        let WorkerConfig::Gateway(gateway) = &plan[0].config else { panic!("its") };
        assert_eq!(gateway.handover, Handover::default());
    }

    #[test]
    fn plan_tells_the_gateway_whose_connections_are_the_relays() {
        let plan = host_plan(&config());
        let WorkerConfig::Gateway(gateway) = &plan[0].config else { panic!("its") };
        assert!(gateway.handover.plain && gateway.handover.name.as_str().is_empty());
    }

    #[test]
    fn rtc_starts_with_the_rights_of_viewers() {
        let mut plan = session_plan(&config());
        let told = |plan: &mut [WorkerPlan]| rtc_of(plan).map(|rtc| rtc.rights.clone());
        assert_eq!(told(&mut plan), Some(vec![]));
        let rights = [LeaseRights { lease: LeaseId(1), rights: Rights { control: true } }];
        tell_rights(&mut plan, &rights);
        assert_eq!(told(&mut plan), Some(rights.to_vec()));
    }

    #[test]
    fn rtc_is_told_where_the_relay_is_as_soon_as_that_is_known() {
        let mut plan = session_plan(&config());
        let told = |plan: &[WorkerPlan]| -> Vec<_> {
            let rtc = |part: &WorkerPlan| match &part.config {
                WorkerConfig::Rtc(rtc) => Some(rtc.relay),
                _ => None,
            };
            plan.iter().filter_map(rtc).collect()
        };
        assert_eq!(told(&plan), [None]);
        let near = Some("127.0.0.1:3478".parse().expect("an address"));
        tell_relay(&mut plan, near);
        assert_eq!(told(&plan), [near]);
    }

    #[test]
    fn plan_of_root_gives_each_worker_a_user_of_its_own_and_pads_to_the_desktops() {
        let (host, session) = (host_plan(&config()), session_plan(&config()));
        let uids: BTreeSet<u32> =
            host.iter().chain(&session).map(|part| part.identity.uid).collect();
        assert_eq!(uids.len(), Worker::ALL.len());
        let owner = session_users().owner().expect("a session's").uid;
        assert!(!uids.contains(&owner));
        let told = session.iter().find_map(|part| match &part.config {
            WorkerConfig::Gamepad(gamepad) => Some(gamepad.owner),
            _ => None,
        });
        assert_eq!(told, Some(owner));
    }

    #[test]
    fn links_follow_the_table() {
        let names = |worker| links(worker).map(|link| link.name).collect::<Vec<_>>();
        use LinkName::{
            Broker, Desktop, Frames, Handover, Input, Packets, Pads, Presence, Signalling, Sound,
            Transfer, Tuning, Voice,
        };
        assert_eq!(names(Worker::Compositor), [Frames, Input, Desktop, Transfer, Presence, Voice]);
        assert_eq!(names(Worker::Media), [Frames, Packets, Tuning]);
        assert_eq!(
            names(Worker::Rtc),
            [Packets, Tuning, Sound, Input, Desktop, Transfer, Pads, Signalling]
        );
        assert_eq!(names(Worker::Sound), [Sound, Voice]);
        assert_eq!(names(Worker::Gamepad), [Pads, Presence]);
        assert_eq!(names(Worker::Gateway), [Broker, Handover, Signalling]);
        assert_eq!(names(Worker::Turn), [Handover]);
    }
}
