//! What reaches the loop, from tasks that each watch one thing.

use std::net::IpAddr;

use lumen_ipc::{
    link::LinkName,
    login::{Login, LoginId, LoginRefusal, Method, SignedIn},
    message::grants::ToSupervisor,
    process::{ProcessId, Worker},
    service::{AppNews, ConfinementReport, ControlClient, HostStatus, Refusal, RelayPair},
    text::Secret,
    units::{PeerId, SessionId},
};
use tokio::sync::{mpsc, oneshot};

use crate::lifecycle::{Helper, Instance, Verdict};

/// How many events may wait. When it is full their sources wait, each in its turn.
pub(crate) const QUEUE: usize = 256;

/// Where tasks report to.
pub(crate) type Events = mpsc::Sender<Event>;

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The administrator asks.
    Admin(AdminRequest),
    /// The app ended, so.
    AppEnded(Verdict),
    /// The gateway asks.
    Broker(BrokerRequest),
    /// The addresses of this machine are these from now on.
    Moved(Vec<IpAddr>),
    /// News of a helper.
    Helper(Helper, Instance, HelperEvent),
    /// A child has ended, perhaps one that nobody waits for.
    ChildEnded,
    /// SIGINT, SIGTERM or SIGHUP.
    Signal,
    /// News of a worker.
    Worker(Worker, Instance, WorkerEvent),
}

/// News of one process of a helper.
#[derive(Debug)]
pub(crate) enum HelperEvent {
    /// It ended.
    Ended(Verdict),
    /// It serves, and said this.
    Ready(String),
}

/// News of one process of a worker.
#[derive(Debug)]
pub(crate) enum WorkerEvent {
    /// It broke the contract with the supervisor; how.
    Broke(String),
    /// It has its configuration.
    Configured,
    /// It ended.
    Ended(Verdict),
    /// It closed its end of `control` or of `grants`.
    Left(LinkName),
    /// It broke the handshake; how.
    HandshakeFailed(String),
    /// It serves, confined like this.
    Ready(ConfinementReport),
    /// It says something about one of its links.
    Said(ToSupervisor),
    /// It is of another build.
    WrongBuild,
}

/// A request on the admin socket and where its answer goes.
#[derive(Debug)]
pub(crate) enum AdminRequest {
    /// Restart a worker.
    Restart(ProcessId, oneshot::Sender<Result<(), Refusal>>),
    /// How everything is, as far as the supervisor knows, and whom to ask for the rest.
    Status(oneshot::Sender<(HostStatus, Clients)>),
    /// End everything.
    Stop,
}

/// Workers that can be asked.
pub(crate) type Clients = Vec<(ProcessId, ControlClient)>;

/// A request on the broker link and where its answer goes, whenever there is one.
#[derive(Debug)]
pub(crate) enum BrokerRequest {
    /// Sign a browser in.
    Begin(Method, IpAddr, oneshot::Sender<Result<SignedIn, LoginRefusal>>),
    /// Mint relay credentials for a peer.
    MintRelayCredentials(SessionId, PeerId, oneshot::Sender<Option<RelayPair>>),
    /// Recognise a cookie.
    Resume(Secret, oneshot::Sender<Result<Login, LoginRefusal>>),
    /// End the login of a cookie.
    SignOut(Secret, oneshot::Sender<Option<LoginId>>),
    /// Start the app of a session again.
    StartApp(SessionId, oneshot::Sender<Result<(), Refusal>>),
    /// Say how the app is, once there is news after those with this number.
    WatchApp(u32, oneshot::Sender<AppNews>),
}
