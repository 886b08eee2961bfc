//! The tarpc services of the RPC links: `control`, `broker`, `tuning` and `admin`.
//!
//! Requests and replies are encoded like messages ([`crate::codec`]); one frame is at most
//! [`MAX_RPC_BYTES`]. Every refusal is a value, so that a caller can tell "no" from "broken".

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::{
    ProtoHash,
    demand::Demand,
    front_door::{FrontDoor, Listen},
    graphics::NodeUse,
    lease::{Lease, LeaseRights},
    log::{LogPage, LogSource},
    login::{
        Login, LoginId, LoginNews, LoginRefusal, MAX_RETURN_BYTES, Method, Progress, Revocation,
        SignIn, Visitor,
    },
    message::{
        login::{AccountName, Answers},
        session::TokenDigest,
        transfer::ClipboardPolicy,
    },
    process::{ProcessId, Worker},
    sound::SoundKbps,
    text::{Secret, Text},
    tls::{Fingerprint, Tls},
    units::{Fps, FrameSize, Kbps, PadGrace, PeerId, SessionId},
    vouching::{VoucherFault, VoucherHeader},
};

pub use crate::{
    relay::{RelayCredentials, RelayPair},
    status::{
        AppNews, AppState, AppStatus, ConfinementReport, EndCause, Ends, Histogram, Metric,
        MetricValue, ProcessStatus, Refusal, SessionStatus, SessionSummary, Shortages, Watcher,
        WorkerStatus,
    },
};

/// Largest tarpc frame on any RPC link, in bytes: a page of log lines fits.
pub const MAX_RPC_BYTES: usize = 256 * 1024;

/// Supervisor → worker. The life of a worker is `hello`, `configure`, `start`, then any number of
/// `status`, `metrics`, `alive` and changes (`set_…`), then `drain`; see [`Phase::permits`](crate::phase::Phase::permits).
#[tarpc::service]
pub trait Control {
    /// Identifies the caller and the worker. Both sides compare the build.
    async fn hello(caller: Hello) -> Result<Hello, Refusal>;
    /// Sends the configuration. `log` is a filter in `tracing`'s syntax ("info",
    /// "lumen_rtc=debug").
    async fn configure(config: WorkerConfig, log: Text<128>) -> Result<(), Refusal>;
    /// Asks to take `grants` grants from the `grants` link, acquire what is needed, confine and
    /// serve. Answered when the worker is [`Phase::Ready`](crate::phase::Phase::Ready).
    async fn start(grants: u16) -> Result<ConfinementReport, Refusal>;
    /// The addresses at which the media socket can be reached from now on, as
    /// [`RtcConfig::candidates`]; for rtc.
    async fn set_candidates(candidates: Vec<SocketAddr>) -> Result<(), Refusal>;
    /// The status of the worker.
    async fn status() -> WorkerStatus;
    /// The metrics of the worker.
    async fn metrics() -> Vec<Metric>;
    /// Asks it to finish and exit; answered once it takes no new work.
    async fn drain() -> Result<(), Refusal>;
    /// A sign of life, given by the loop that serves when it next looks for its supervisor's events;
    /// at once by a worker that does not serve.
    async fn alive();
    /// All leases of the session, of which those that permit control count; for the compositor.
    async fn set_leases(leases: Vec<Lease>) -> Result<(), Refusal>;
    /// The rights of all leases of the session; for rtc.
    async fn set_rights(rights: Vec<LeaseRights>) -> Result<(), Refusal>;
}

/// Gateway → supervisor.
#[tarpc::service]
pub trait Broker {
    /// Begins a sign-in. `from` is the browser's address as far as it is known, for penalties. The
    /// answer may take as long as a person needs, and no other request waits for it.
    async fn begin(method: Method, from: IpAddr) -> Result<Progress, LoginRefusal>;
    /// Answers what an attempt has asked, one answer for each prompt that asks.
    async fn answer(attempt: Secret, answers: Answers) -> Result<Progress, LoginRefusal>;
    /// A browser has come back from an identity provider, with this query.
    async fn returned(
        attempt: Secret,
        query: Text<MAX_RETURN_BYTES>,
    ) -> Result<Progress, LoginRefusal>;
    /// Gives an attempt up.
    async fn abandon(attempt: Secret);
    /// Recognises the key of an earlier login, which then counts as used. Where a proxy says whose the
    /// browser is, only a login that this account got by a proxy is recognised.
    async fn resume(key: Secret, named: Option<AccountName>) -> Result<Login, LoginRefusal>;
    /// Recognises the key of a page that has been connected since it was admitted with it, even if another has
    /// replaced it. Its login then counts as used.
    async fn keep(key: Secret) -> Result<Login, LoginRefusal>;
    /// Another key for the login of this one, if it is time: with another half for the cookie. Both are good until
    /// a browser shows the other.
    async fn renew(key: Secret) -> Option<Secret>;
    /// A request of the browser at this address was refused, because a header that names an account cannot
    /// be believed; for the record.
    async fn distrusted(fault: VoucherFault, from: IpAddr);
    /// Ends the login of a key; returns which one that was, so that everything that depends on it
    /// can be ended.
    async fn sign_out(key: Secret) -> Option<(SessionId, LoginId)>;
    /// Credentials with which `peer` of `session`, and rtc on its behalf, may use the relay; `None`
    /// when there is none.
    async fn mint_relay_credentials(session: SessionId, peer: PeerId) -> Option<RelayPair>;
    /// The state of the app, as soon as it differs from the news numbered `seen`; zero asks for the
    /// current state. The next request implies that every page has been told. `None` when another
    /// gateway asks, or there has been no news for a long time.
    async fn watch_app(seen: u32) -> Option<AppNews>;
    /// What became of logins after the news numbered `seen`, as soon as there is something; zero asks for
    /// what is to come. `None` when another gateway asks, or nothing happened for a long time.
    async fn watch_logins(seen: u32) -> Option<LoginNews>;
    /// All pages that are connected, one entry for each; replaces what was reported before.
    async fn visited(visitors: Vec<Visitor>);
    /// The logins to the session of the login with this key, and which of them that is; `None` if there is
    /// no such login.
    async fn sign_ins(key: Secret) -> Option<(LoginId, Vec<SignIn>)>;
    /// Ends another login to the session of the login with this key. False if either does not exist.
    async fn revoke(key: Secret, login: LoginId) -> bool;
    /// Starts the app of `session` again after it has ended, for a viewer that may control it.
    async fn start_app(session: SessionId) -> Result<(), Refusal>;
    /// Mints a lease for a page whose login has this key, or for any page where no sign-in is required.
    /// `None` when there is no such login, its session is gone, or it asks too often.
    async fn mint_lease(key: Option<Secret>) -> Option<Lease>;
    /// The gateway has used the granted certificate with this serial number from now on, or has `refused`
    /// it for this reason and keeps the one before.
    async fn certificate_judged(serial: u32, refused: Option<Text<256>>);
    /// The state of every process, as an administrator sees it.
    async fn overview() -> HostStatus;
    /// The metrics of the workers of a session, or of the host's own.
    async fn metrics(session: Option<SessionId>) -> Vec<(ProcessId, Vec<Metric>)>;
}

/// Rtc → media.
#[tarpc::service]
pub trait Tuning {
    /// States what is wanted from now on, replacing everything that was wanted before.
    async fn demand(demand: Demand) -> Result<(), Refusal>;
}

/// Command line → supervisor. Callers are identified by `SO_PEERCRED` and `SO_PEERGROUPS`, and each request
/// is judged: root, the supervisor's own user and the group of administrators may everything, every other
/// user what concerns their own sessions, and they are told of no others.
#[tarpc::service]
pub trait Admin {
    /// The status of every process.
    async fn status() -> HostStatus;
    /// Restarts one worker.
    async fn restart(process: ProcessId) -> Result<(), Refusal>;
    /// All sessions, in the order of their numbers; answered without asking them, so that one that
    /// is stuck delays nothing.
    async fn sessions() -> Vec<SessionSummary>;
    /// Log lines with numbers above `after`, of one source or of all, oldest first: of a session's log, or
    /// of the host's own. `None` when there is no such session any more.
    async fn logs(
        session: Option<SessionId>,
        source: Option<LogSource>,
        after: u64,
    ) -> Result<Option<LogPage>, Refusal>;
    /// Every metric of every worker: of a session, or of all and of the host.
    async fn metrics(session: Option<SessionId>) -> Vec<(ProcessId, Vec<Metric>)>;
    /// Ends a session.
    async fn stop(session: SessionId) -> Result<(), Refusal>;
    /// All logins that last.
    async fn sign_ins() -> Vec<SignIn>;
    /// Ends logins, and what their browsers have; returns how many.
    async fn revoke(which: Revocation) -> Result<u32, Refusal>;
}

/// Who sends, and of which build it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The contract it was built with.
    pub proto_hash: ProtoHash,
    /// The worker that is addressed (by the supervisor) or that answers.
    pub worker: Worker,
}

/// The configuration of a worker. Contains no secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum WorkerConfig {
    /// For the compositor.
    Compositor(CompositorConfig),
    /// For gamepad.
    Gamepad(GamepadConfig),
    /// For the gateway.
    Gateway(GatewayConfig),
    /// For media.
    Media(MediaConfig),
    /// For rtc.
    Rtc(RtcConfig),
    /// For sound.
    Sound(SoundConfig),
    /// For turn.
    Turn(TurnConfig),
}

impl WorkerConfig {
    /// The worker it is for.
    #[must_use]
    pub const fn worker(&self) -> Worker {
        match self {
            Self::Compositor(_) => Worker::Compositor,
            Self::Gamepad(_) => Worker::Gamepad,
            Self::Gateway(_) => Worker::Gateway,
            Self::Media(_) => Worker::Media,
            Self::Rtc(_) => Worker::Rtc,
            Self::Sound(_) => Worker::Sound,
            Self::Turn(_) => Worker::Turn,
        }
    }
}

/// A configuration for another worker.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the configuration belongs to {0}")]
pub struct OtherWorkers(pub Worker);

/// Lets a worker convert [`WorkerConfig`] into its own part.
macro_rules! part_of_worker_config {
    ($($variant:ident($part:ty)),*) => {$(
        impl TryFrom<WorkerConfig> for $part {
            type Error = OtherWorkers;

            fn try_from(config: WorkerConfig) -> Result<Self, OtherWorkers> {
                match config {
                    WorkerConfig::$variant(part) => Ok(part),
                    other => Err(OtherWorkers(other.worker())),
                }
            }
        }
    )*};
}

part_of_worker_config!(
    Compositor(CompositorConfig),
    Gamepad(GamepadConfig),
    Gateway(GatewayConfig),
    Media(MediaConfig),
    Rtc(RtcConfig),
    Sound(SoundConfig),
    Turn(TurnConfig)
);

/// The compositor's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompositorConfig {
    /// Size of the output at start.
    pub size: FrameSize,
    /// The most frames drawn per second.
    pub max_fps: Fps,
    /// Keyboard layout.
    pub keymap: Keymap,
    /// In which directions text may be copied.
    pub clipboard: ClipboardPolicy,
}

/// An XKB keymap by names (`setxkbmap`'s rules, model, layout, variant, options); an empty text
/// means the default of xkbcommon.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Keymap {
    /// Layouts, separated by commas.
    pub layout: Text<128>,
    /// Variants, separated by commas.
    pub variant: Text<128>,
    /// Options, separated by commas.
    pub options: Text<256>,
}

/// Media's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MediaConfig {
    /// Size of the output at start, so that the encoder is ready before the first frame.
    pub size: FrameSize,
    /// The most frames the compositor draws per second.
    pub max_fps: Fps,
    /// Bit rate until the network's rate is known, and the most that is ever used.
    pub bitrate: Kbps,
    /// How the granted render node is used; `None` when none is granted.
    pub node: Option<NodeUse>,
}

/// Rtc's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RtcConfig {
    /// Every address the media socket can be reached at from here: loopback and each interface's,
    /// all with the socket's port.
    pub candidates: Vec<SocketAddr>,
    /// The encoder's configured bit rate: where the estimate starts and the most it may ask for.
    pub bitrate: Kbps,
    /// Where the relay takes datagrams from this host; `None` when there is no relay.
    pub relay: Option<SocketAddr>,
    /// In which directions text may be copied.
    pub clipboard: ClipboardPolicy,
    /// Whether the output follows the viewers' windows.
    pub resize: ResizePolicy,
    /// The highest bit rate of sound; `None` for a session without sound.
    pub sound: Option<SoundKbps>,
    /// Whether viewers may speak.
    pub speech: bool,
    /// The rights of all leases of the session at the start: viewers come back before anything could be said of
    /// them afterwards.
    pub rights: Vec<LeaseRights>,
}

/// Sound's part.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SoundConfig {
    /// Bit rate until rtc says what the network carries, and the most that is ever used.
    pub bitrate: SoundKbps,
    /// Whether viewers may speak.
    pub speech: bool,
}

/// What decides the output's size.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum ResizePolicy {
    /// It stays as configured; viewers letterbox it.
    Fixed,
    /// It follows the window of the viewer that resized it or acted last.
    Follow,
}

/// The gateway's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GatewayConfig {
    /// How browsers authenticate.
    pub auth: AuthMode,
    /// Where browsers connect.
    pub front_door: FrontDoor,
    /// The title of the page.
    pub hostname: Text<256>,
    /// Which connections to the listener are for the relay.
    pub handover: Handover,
    /// Whether browsers connect by TLS.
    pub tls: Tls,
    /// Digest of the token of those who may see metrics from elsewhere; `None` for nobody.
    pub metrics_token: Option<TokenDigest>,
    /// The header in which a proxy names the browser's account, if there is such a proxy.
    pub voucher: Option<VoucherHeader>,
    /// What pages call the identity provider, if browsers may sign in by one.
    pub provider: Option<Text<64>>,
}

/// Which connections to the gateway's port are handed to the relay.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Handover {
    /// Those that speak STUN without TLS.
    pub plain: bool,
    /// Those that ask for this name in TLS; empty for none.
    pub name: Text<253>,
}

/// Gamepad's part.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct GamepadConfig {
    /// Which device the virtual gamepads imitate.
    pub identity: PadIdentity,
    /// The user of the desktop: part of the devices' `phys`, by which the udev rule knows whom to
    /// give them to.
    pub owner: u32,
    /// How long a device outlives its viewer's connection, which may come back.
    pub grace: PadGrace,
}

/// A device that a virtual gamepad can imitate.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum PadIdentity {
    /// Microsoft X-Box 360 pad, which every game knows.
    Xbox360,
    /// Microsoft Xbox Wireless Controller.
    XboxOne,
    /// Sony DualShock 4.
    DualShock4,
    /// Nintendo Switch Pro Controller.
    SwitchPro,
}

/// Turn's part. Its secret and its TLS key come as grants.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TurnConfig {
    /// This host's addresses, of which relayed addresses are made; the public one first, if the
    /// administrator named one.
    pub own: Vec<IpAddr>,
    /// Realm of the long-term credential mechanism (RFC 8489, section 9.2).
    pub realm: Text<128>,
    /// Most allocations, two for each viewer that is relayed.
    pub allocations: u32,
}

/// How browsers authenticate.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
// As spelled on the command line.
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Not at all; the supervisor allows this on loopback only.
    None,
    /// With the name and the password of an account of this machine, or by a proxy's word, if there is one;
    /// or as with [`Self::Token`].
    Password,
    /// With the token printed at start, then with the key received for it.
    Token,
}

/// Everything `lumen status` shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostStatus {
    /// Where browsers connect.
    pub listen: Listen,
    /// How browsers authenticate.
    pub auth: AuthMode,
    /// Whether they connect by TLS.
    pub tls: Tls,
    /// The fingerprint of the certificate, if Lumen made that itself.
    pub fingerprint: Option<Fingerprint>,
    /// Process id of the host's supervisor.
    pub supervisor_pid: u32,
    /// What that process has given up: the number of calls that its filter denies, and Landlock. Nothing
    /// where apps descend from it.
    pub restraint: ConfinementReport,
    /// The options whose new values, read while the host runs, wait for its restart.
    pub waiting: Vec<Text<64>>,
    /// The host's own workers.
    pub workers: Vec<ProcessStatus>,
    /// Every session.
    pub sessions: Vec<SessionStatus>,
}

impl HostStatus {
    /// Every worker of every scope: the sessions', then the host's.
    pub fn processes(&self) -> impl Iterator<Item = &ProcessStatus> {
        self.sessions.iter().flat_map(|session| &session.workers).chain(&self.workers)
    }

    /// The only session, if there is exactly one: it need not be named.
    #[must_use]
    pub fn sole_session(&self) -> Option<&SessionStatus> {
        match self.sessions.as_slice() {
            [session] => Some(session),
            _ => None,
        }
    }
}
