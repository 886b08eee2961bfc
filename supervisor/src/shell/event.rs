//! What reaches a loop, from tasks that each watch one thing. A host's loop and a session's have a
//! queue each.

use std::{net::IpAddr, os::fd::OwnedFd, sync::Arc};

use lumen_ipc::{
    link::{Generation, LinkName},
    login::{Login, LoginId, LoginRefusal, Method, SignedIn},
    message::{
        grants::ToSupervisor,
        session::{Answer, Question, ToHost, ToSession},
    },
    process::{ProcessId, Worker},
    service::{AppNews, ConfinementReport, ControlClient, HostStatus, Refusal, RelayPair},
    text::Secret,
    units::{PeerId, SessionId},
};
use lumen_ipc_runtime::channel::Channel;
use tokio::sync::{mpsc, oneshot};

use crate::lifecycle::{Helper, Instance, Verdict};

/// How many events may wait. When it is full their sources wait, each in its turn.
pub(crate) const QUEUE: usize = 256;

/// A session's end of the link to its host.
pub(crate) type SessionEnd = Channel<ToSession, ToHost>;
/// The host's end.
pub(crate) type HostEnd = Channel<ToHost, ToSession>;

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
    /// News of the host, for a session.
    FromHost(FromHost),
    /// News of a session, for the host.
    FromSession(ConnectionId, FromSession),
    /// The end of this signalling pair was found closed a while ago, for a session.
    SignallingCut(Generation),
    /// The time of sessions that were expected is over, for the host.
    ExpectedDue,
    /// The number of the session with this link is kept, for the host.
    Remembered(ConnectionId),
    /// Signalling links that had to wait may be made.
    WiringDue,
    /// News of a worker.
    Worker(Worker, Instance, WorkerEvent),
}

/// One link between a host and a session, in the order in which they came.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// News of the host.
#[derive(Debug)]
pub(crate) enum FromHost {
    /// None is there.
    Absent,
    /// It is there.
    Found(Arc<SessionEnd>),
    /// It says this, and hands over the end of a link with it.
    Said(ToSession, Option<OwnedFd>),
    /// It is gone, or broke the contract; how.
    Lost(String),
}

/// News of a session.
#[derive(Debug)]
pub(crate) enum FromSession {
    /// It is there.
    Came(Arc<HostEnd>),
    /// It says this.
    Said(ToHost),
    /// It is gone, or broke the contract; how.
    Lost(String),
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
    /// Ask a session.
    Ask(SessionId, Question, oneshot::Sender<Answer>),
    /// Restart a worker of the host.
    Restart(Worker, oneshot::Sender<Result<(), Refusal>>),
    /// How the host is, as far as it knows, and whom to ask for the rest. Of the sessions it says who
    /// they are.
    Status(oneshot::Sender<(HostStatus, Clients)>),
    /// End a session.
    Stop(SessionId, oneshot::Sender<Result<(), Refusal>>),
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
    /// Recognise a key.
    Resume(Secret, oneshot::Sender<Result<Login, LoginRefusal>>),
    /// End the login of a key.
    SignOut(Secret, oneshot::Sender<Option<LoginId>>),
    /// Start the app of a session again.
    StartApp(SessionId, oneshot::Sender<Result<(), Refusal>>),
    /// Say how the app is, once there is news after those with this number.
    WatchApp(u32, oneshot::Sender<AppNews>),
}
