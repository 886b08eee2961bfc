//! The events of an event loop, sent by tasks that each watch one thing. A host's loop and a
//! session's loop have a queue each.

use std::{net::IpAddr, os::fd::OwnedFd, sync::Arc};

use lumen_ipc::{
    lease::Lease,
    link::{Generation, LinkName},
    login::{
        Login, LoginId, LoginNews, LoginRefusal, MAX_RETURN_BYTES, MAX_VISIT_BYTES, Method,
        Progress, Revocation, SignIn, Visitor,
    },
    message::{
        grants::ToSupervisor,
        login::{AccountName, Answers, Prompts, ToLeader, ToSupervisor as FromLeader},
        oidc::OidcFailure,
        session::{Answer, Question, ToHost, ToSession},
    },
    process::{ProcessId, Worker},
    service::{
        AppNews, ConfinementReport, ControlClient, HostStatus, Refusal, RelayPair, SessionSummary,
    },
    text::{Secret, Text},
    units::{PeerId, SessionId},
    vouching::VoucherFault,
};
use lumen_ipc_runtime::{AsyncChannel, channel::Channel};
use nix::unistd::Uid;
use tokio::sync::{mpsc, oneshot};

use super::certificate::{PemError, PemPair};
use crate::{
    admin::rights::Asker,
    broker::{AttemptId, ErrandId, desktops::OpeningId},
    control_group::Resource,
    lifecycle::{Helper, Instance, Verdict},
};

/// Most events that wait. When the queue is full, their senders wait.
pub(crate) const QUEUE: usize = 256;

/// A session's end of the link to its host.
pub(crate) type SessionEnd = Channel<ToSession, ToHost>;
/// The end of the link to the leader of a login session that its host has, and then the session.
pub(crate) type LeaderEnd = Channel<FromLeader, ToLeader>;
/// The host's end.
pub(crate) type HostEnd = Channel<ToHost, ToSession>;

/// Where tasks report to.
pub(crate) type Events = mpsc::Sender<Event>;

/// An event.
#[derive(Debug)]
pub(crate) enum Event {
    /// A request of the administrator.
    Admin(AdminRequest),
    /// News of an attempt to sign in, for the host.
    Attempt(AttemptId, AttemptNews),
    /// News of a browser that signs in by an identity provider, for the host.
    Errand(ErrandId, ErrandNews),
    /// A session may have reached a limit, for the host.
    LimitDue,
    /// A desktop could not be started, for the host.
    NotOpened(OpeningId, LoginRefusal, String),
    /// News of the leader of the login session, for a session that has one.
    Leader(LeaderNews),
    /// The app ended.
    AppEnded(Verdict),
    /// A request of the gateway.
    Broker(BrokerRequest),
    /// So often a session's guests have lacked a resource.
    GuestsShort(Resource, u32),
    /// The files of the page's certificate have changed, and were read.
    CertificateRead(Result<PemPair, PemError>),
    /// The addresses of this machine have changed to these.
    Moved(Vec<IpAddr>),
    /// News of a helper.
    Helper(Helper, Instance, HelperEvent),
    /// A child has ended, perhaps an orphan.
    ChildEnded,
    /// This user has connected to the proxy's socket, for the host.
    ProxyConnected(OwnedFd, Uid),
    /// SIGINT, SIGTERM or SIGHUP.
    Signal,
    /// SIGHUP of a service manager, for the host: the configuration is to be read anew.
    Reload,
    /// The service manager expects a sign of life, for the host.
    SignDue,
    /// News of the host, for a session.
    FromHost(FromHost),
    /// News of a session, for the host.
    FromSession(ConnectionId, FromSession),
    /// This signalling pair was closed a while ago, for a session.
    SignallingCut(Generation),
    /// The time for expected sessions to come back is over, for the host.
    ExpectedDue,
    /// The number of the session with this link is stored, for the host.
    Remembered(ConnectionId),
    /// The sound server may be looked for again, for a session.
    SoundServerDue,
    /// Somebody who watched may have left, for the host.
    VisitDue,
    /// Signalling links that had to wait may be made.
    WiringDue,
    /// News of a worker.
    Worker(Worker, Instance, WorkerEvent),
}

/// One link between a host and a session, in the order in which they came.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// News of an attempt to sign in.
#[derive(Debug)]
pub(crate) enum AttemptNews {
    /// The account is accepted.
    Accepted(Box<Accepted>),
    /// Something is asked.
    Asked(Prompts),
    /// It has failed.
    Denied,
}

/// News of a browser that signs in by an identity provider.
#[derive(Debug)]
pub(crate) enum ErrandNews {
    /// It is to go there.
    Visit(Text<MAX_VISIT_BYTES>),
    /// The provider says whose it is.
    Is(AccountName),
    /// It has failed.
    Failed(OidcFailure),
}

/// An account that was accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// Its name as the machine knows it.
    pub(crate) account: AccountName,
    /// Its user.
    pub(crate) uid: u32,
    /// What was said at the end.
    pub(crate) said: Prompts,
    /// The link to what may become the leader of its login session, and ends with the link otherwise.
    pub(crate) leader: AsyncChannel<FromLeader, ToLeader>,
}

/// News of the leader of a login session.
#[derive(Debug)]
pub(crate) enum LeaderNews {
    /// A message.
    Said(FromLeader),
    /// The login session has ended, or its leader broke the contract.
    Lost(String),
}

/// News of the host.
#[derive(Debug)]
pub(crate) enum FromHost {
    /// There is no host.
    Absent,
    /// A host accepted the connection.
    Found(Arc<SessionEnd>),
    /// A message of the host, perhaps with the end of a link.
    Said(ToSession, Option<OwnedFd>),
    /// The link has ended, for this reason.
    Lost(String),
}

/// News of a session.
#[derive(Debug)]
pub(crate) enum FromSession {
    /// A session connected.
    Came(Arc<HostEnd>),
    /// A message of the session.
    Said(ToHost),
    /// The link has ended, for this reason.
    Lost(String),
}

/// News of one process of a helper.
#[derive(Debug)]
pub(crate) enum HelperEvent {
    /// It ended.
    Ended(Verdict),
    /// It is ready, with this report.
    Ready(String),
}

/// News of one process of a worker.
#[derive(Debug)]
pub(crate) enum WorkerEvent {
    /// The loop in which it serves has answered.
    Alive,
    /// It broke the contract with the supervisor in this way.
    Broke(String),
    /// It has its configuration.
    Configured,
    /// It ended.
    Ended(Verdict),
    /// It closed its end of `control` or of `grants`.
    Left(LinkName),
    /// Whether processes that do not end have its user, so that no successor may get it.
    Haunted(bool),
    /// The handshake failed, for this reason.
    HandshakeFailed(String),
    /// It serves, with this confinement.
    Ready(ConfinementReport),
    /// A message about one of its links.
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
    /// End logins to sessions for which the asker may do that; answers how many.
    Revoke(Asker, Revocation, oneshot::Sender<u32>),
    /// What the host knows of all sessions without asking them.
    Sessions(oneshot::Sender<Vec<SessionSummary>>),
    /// All logins that last.
    SignIns(oneshot::Sender<Vec<SignIn>>),
    /// The host's status as far as it knows it, and whom to ask for the rest. For sessions it
    /// contains their summaries.
    Status(oneshot::Sender<(HostStatus, Clients)>),
    /// End a session.
    Stop(SessionId, oneshot::Sender<Result<(), Refusal>>),
}

/// Workers that can be asked.
pub(crate) type Clients = Vec<(ProcessId, ControlClient)>;

/// A request on the broker link and where its answer goes, once there is one.
#[derive(Debug)]
pub(crate) enum BrokerRequest {
    /// Give an attempt up.
    Abandon(Secret),
    /// Answer what an attempt has asked.
    Answer(Secret, Answers, oneshot::Sender<Result<Progress, LoginRefusal>>),
    /// Sign a browser in.
    Begin(Method, IpAddr, oneshot::Sender<Result<Progress, LoginRefusal>>),
    /// A certificate with this serial number is used, or refused for this reason.
    CertificateJudged(u32, Option<Text<256>>, oneshot::Sender<()>),
    /// Record that a header of the browser at this address was not believed.
    Distrusted(VoucherFault, IpAddr),
    /// Recognise the key of a page that has been connected since it was admitted with it.
    Keep(Secret, oneshot::Sender<Result<Login, LoginRefusal>>),
    /// Mint an input lease for a page with this key.
    MintLease(Option<Secret>, oneshot::Sender<Option<Lease>>),
    /// Mint relay credentials for a peer.
    MintRelayCredentials(SessionId, PeerId, oneshot::Sender<Option<RelayPair>>),
    /// Another key for the login of this one, if it is time.
    Renew(Secret, oneshot::Sender<Option<Secret>>),
    /// Recognise a key; by way of a proxy that names an account, one of that account's.
    Resume(Secret, Option<AccountName>, oneshot::Sender<Result<Login, LoginRefusal>>),
    /// A browser is back from an identity provider, with this query.
    Returned(Secret, Text<MAX_RETURN_BYTES>, oneshot::Sender<Result<Progress, LoginRefusal>>),
    /// End another login to the session of a key's.
    Revoke(Secret, LoginId, oneshot::Sender<bool>),
    /// The logins to the session of a key's, and which of them that is.
    SignIns(Secret, oneshot::Sender<Option<(LoginId, Vec<SignIn>)>>),
    /// End the login of a key.
    SignOut(Secret, oneshot::Sender<Option<(SessionId, LoginId)>>),
    /// Start the app of a session again.
    StartApp(SessionId, oneshot::Sender<Result<(), Refusal>>),
    /// All pages that are connected.
    Visited(Vec<Visitor>),
    /// Report the state of the app, once there is news after that with this number.
    WatchApp(u32, oneshot::Sender<AppNews>),
    /// Report what becomes of logins, once there is news after that with this number.
    WatchLogins(u32, oneshot::Sender<LoginNews>),
}
