//! The workers' processes: their sockets, their pending link ends, and their signals.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use lumen_ipc::{
    link::{Carriage, End, Generation, Link, LinkName},
    log::LogSource,
    message::grants::{ToSupervisor, ToWorker},
    process::{ProcessId, Worker},
    service::{ConfinementReport, ControlClient},
    units::SessionId,
};
use lumen_ipc_runtime::{
    AsyncChannel,
    channel::{Channel, ReceiveError, SendError},
    rpc,
};
use nix::{
    sys::{
        signal::Signal,
        socket::{AddressFamily, SockFlag, SockType, socketpair},
    },
    unistd::Pid,
};
use tarpc::{
    ChannelError,
    client::{self, NewClient},
};
use tracing::error;

use super::{
    child::Child,
    event::{Clients, Event, Events, WorkerEvent},
    evict,
    fence::Namespaces,
    handshake,
    log::Log,
    service,
    spawn::{self, Spawned, WorkerLaunch},
    stage::Part,
    watch,
};
use crate::{
    lifecycle::{Instance, Lifecycle, StateName},
    pace::Pace,
    plan::Identity,
};

/// Why grants could not be passed to a worker.
#[derive(Debug, thiserror::Error)]
pub(super) enum GrantError {
    /// It has no process.
    #[error("the worker has no process")]
    Gone,
    /// The grants link failed.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// The pids of all workers of this supervisor's scopes.
#[derive(Clone, Default)]
pub(super) struct Roster(Rc<RefCell<BTreeSet<Pid>>>);

impl Roster {
    /// Whether a process is a worker.
    pub(super) fn has(&self, pid: Pid) -> bool {
        self.0.borrow().contains(&pid)
    }
}

/// The owner of an end of a link: the gateway has one end for the rtc of each session.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Place {
    link: LinkName,
    session: Option<SessionId>,
}

impl Place {
    fn grant(self, generation: Generation) -> ToWorker {
        match self.session {
            Some(session) => ToWorker::SignallingEnd { session, generation },
            None => ToWorker::LinkEnd { link: self.link, generation },
        }
    }
}

/// The current process of every worker.
pub(super) struct Workers {
    processes: BTreeMap<Worker, Process>,
    /// Those whose user processes that do not end have.
    haunted: BTreeSet<Worker>,
    roster: Roster,
    namespaces: Namespaces,
    events: Events,
    log: Log,
}

struct Process {
    instance: Instance,
    child: Arc<Child>,
    client: ControlClient,
    grants: Arc<Channel<ToSupervisor, ToWorker>>,
    /// Link ends that are held back until it takes its grants; `None` afterwards.
    waiting: Option<BTreeMap<Place, (Generation, OwnedFd)>>,
    confinement: ConfinementReport,
}

impl Workers {
    pub(super) fn new(namespaces: Namespaces, roster: Roster, events: Events, log: Log) -> Self {
        let (processes, haunted) = (BTreeMap::new(), BTreeSet::new());
        Self { processes, haunted, roster, namespaces, events, log }
    }

    /// Notes whether processes that do not end have a worker's user.
    pub(super) fn haunted(&mut self, worker: Worker, haunted: bool) {
        match haunted {
            true => self.haunted.insert(worker),
            false => self.haunted.remove(&worker),
        };
    }

    /// Executes a worker and begins the handshake.
    pub(super) fn spawn(&mut self, part: Part<'_>, instance: Instance) -> io::Result<()> {
        let worker = part.plan.worker;
        let report = Report { worker, instance, events: self.events.clone() };
        if let Some(user) = part.becomes.filter(|_| self.haunted.contains(&worker)) {
            // The next try may find them gone.
            tokio::spawn(async move { report.user_cleared(user).await });
            return Err(io::Error::other("processes that do not end have its user"));
        }
        let (control, its_control) = UnixStream::pair()?;
        let (grants, its_grants) = Channel::<ToSupervisor, ToWorker>::pair()?;
        // All steps that may fail come before the process starts, because nobody would wait for it.
        let grants = Arc::new(grants);
        let heard = AsyncChannel::new(Arc::clone(&grants))?;
        let transport = rpc::transport(OwnedFd::from(control))?;
        let NewClient { client, dispatch } =
            ControlClient::new(client::Config::default(), transport);
        let spawned = spawn::worker(&WorkerLaunch {
            worker,
            program: part.program,
            identity: part.becomes,
            namespaces: self.namespaces,
            group: part.group,
            control: its_control.as_fd(),
            grants: its_grants.as_fd(),
        })?;
        let process = Process {
            instance,
            child: Arc::clone(&spawned.child),
            client: client.clone(),
            grants,
            waiting: Some(BTreeMap::new()),
            confinement: ConfinementReport::default(),
        };
        self.roster.0.borrow_mut().insert(spawned.child.pid());
        self.processes.insert(worker, process);
        let (config, log) = (part.plan.config.clone(), part.log.clone());
        let news = report.clone();
        let leaver = report.clone();
        tokio::spawn(async move {
            let over = dispatch.await;
            leaver.send(end_of_control(over)).await;
        });
        tokio::spawn(async move {
            news.send(handshake::introduce(client, worker, config, log).await).await;
        });
        tokio::spawn(heed(report.clone(), heard));
        watch_process(report, spawned, part.becomes, &self.log);
        Ok(())
    }

    /// Makes a new pair for a link and passes its ends to the owners that can receive them.
    pub(super) fn wire(
        &mut self,
        link: &Link,
        generation: Generation,
        from: bool,
        to: bool,
    ) -> io::Result<()> {
        let (near, far) = pair(link.carriage)?;
        for (owner, end, takes) in [(link.from, near, from), (link.to, far, to)] {
            // An end without a receiver is closed: the other side then sees a restarting worker.
            match owner {
                End::Worker(worker) if takes => {
                    let place = Place { link: link.name, session: None };
                    self.deliver(worker, place, generation, end);
                }
                End::Supervisor if takes => service::broker(end, self.events.clone()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Grants the gateway its end of the signalling link to a session's rtc.
    pub(super) fn deliver_signalling(
        &mut self,
        session: SessionId,
        generation: Generation,
        end: OwnedFd,
    ) {
        let place = Place { link: LinkName::Signalling, session: Some(session) };
        self.deliver(Worker::Gateway, place, generation, end);
    }

    /// Grants rtc its end of the signalling link.
    pub(super) fn deliver_to_rtc(&mut self, generation: Generation, end: OwnedFd) {
        let place = Place { link: LinkName::Signalling, session: None };
        self.deliver(Worker::Rtc, place, generation, end);
    }

    /// Hands the compositor that serves its end of the bridge's connection; gives it back while there is
    /// none.
    pub(super) fn deliver_bridge(&self, end: OwnedFd) -> Option<OwnedFd> {
        let process = self.processes.get(&Worker::Compositor);
        let Some(process) = process.filter(|process| process.waiting.is_none()) else {
            return Some(end);
        };
        if let Err(error) = process.grants.send(&ToWorker::BridgeClient, &[end.as_fd()]) {
            // The bridge sees its connection closed, ends, and is started anew.
            tracing::debug!(%error, "the compositor does not take the clipboard's bridge");
        }
        None
    }

    /// Hands a worker that serves another descriptor of a kind that it was granted at its start. One that
    /// has not taken its grants yet gets it with them.
    pub(super) fn grant_again(&self, worker: Worker, grant: ToWorker, descriptor: BorrowedFd<'_>) {
        let process = self.processes.get(&worker);
        let Some(process) = process.filter(|process| process.waiting.is_none()) else { return };
        if let Err(error) = process.grants.send(&grant, &[descriptor]) {
            // If the worker has ended, its successor is granted it at the start.
            tracing::debug!(%worker, %error, "the worker does not take a grant");
        }
    }

    /// Whether a worker has taken its grants, so that it takes more.
    pub(super) fn takes_more(&self, worker: Worker) -> bool {
        self.processes.get(&worker).is_some_and(|process| process.waiting.is_none())
    }

    /// Hands sound a connection to the sound server, and one for the sink; returns whether they have
    /// been taken.
    pub(super) fn deliver_sound_server(&self, connection: &OwnedFd, sink: &OwnedFd) -> bool {
        let process = self.processes.get(&Worker::Sound);
        let Some(process) = process.filter(|process| process.waiting.is_none()) else {
            return false;
        };
        // A worker that has ended or does not read sees its connection closed, or its successor asks.
        let send = |grant, connection: &OwnedFd| process.grants.send(&grant, &[connection.as_fd()]);
        send(ToWorker::SoundSinkOwner, sink).is_ok()
            && send(ToWorker::SoundServer, connection).is_ok()
    }

    fn deliver(&mut self, worker: Worker, place: Place, generation: Generation, end: OwnedFd) {
        let Some(process) = self.processes.get_mut(&worker) else { return };
        if let Some(waiting) = &mut process.waiting {
            waiting.insert(place, (generation, end));
            return;
        }
        match process.grants.send(&place.grant(generation), &[end.as_fd()]) {
            // If the worker has ended, its end is reported separately.
            Ok(()) | Err(SendError::Closed) => {}
            Err(error) => {
                let link = place.link;
                error!(%worker, %link, %error, "the worker does not read its grants; ending it");
                process.child.signal(Signal::SIGKILL);
            }
        }
    }

    /// Grants a worker everything it starts with and asks it to serve.
    pub(super) fn start(&mut self, part: Part<'_>) -> Result<(), GrantError> {
        let worker = part.plan.worker;
        let process = self.processes.get_mut(&worker).ok_or(GrantError::Gone)?;
        let ends = process.waiting.take().unwrap_or_default();
        let mut count = 0;
        for (grant, descriptor) in part.grants() {
            process.grants.send(&grant, &[descriptor])?;
            count += 1;
        }
        for (place, (generation, end)) in ends {
            process.grants.send(&place.grant(generation), &[end.as_fd()])?;
            count += 1;
        }
        let client = process.client.clone();
        let outside = (self.namespaces.names(), part.only_answers());
        let report = Report { worker, instance: process.instance, events: self.events.clone() };
        tokio::spawn(async move {
            report.send(handshake::start(client, count, outside).await).await;
        });
        Ok(())
    }

    /// Asks a process for a sign of life.
    pub(super) fn ask(&self, worker: Worker, instance: Instance) {
        let present = self.processes.get(&worker);
        let Some(process) = present.filter(|process| process.instance == instance) else { return };
        let (client, events) = (process.client.clone(), self.events.clone());
        let report = Report { worker, instance, events };
        tokio::spawn(async move {
            if let Some(news) = handshake::sign_of_life(client).await {
                report.send(news).await;
            }
        });
    }

    /// Sends a signal, if there is a process.
    pub(super) fn signal(&self, worker: Worker, signal: Signal) {
        if let Some(process) = self.processes.get(&worker) {
            process.child.signal(signal);
        }
    }

    /// A process was reaped: its number is not valid any more.
    pub(super) fn forget(&mut self, worker: Worker, instance: Instance) {
        let present = self.processes.get(&worker);
        if let Some(process) = present.filter(|process| process.instance == instance) {
            self.roster.0.borrow_mut().remove(&process.child.pid());
            self.processes.remove(&worker);
        }
    }

    /// Stores a worker's report on its confinement.
    pub(super) fn confined(
        &mut self,
        worker: Worker,
        instance: Instance,
        report: ConfinementReport,
    ) {
        let process = self.processes.get_mut(&worker);
        if let Some(process) = process.filter(|process| process.instance == instance) {
            process.confinement = report;
        }
    }

    pub(super) fn confinement(&self, worker: Worker) -> ConfinementReport {
        self.processes.get(&worker).map(|process| process.confinement.clone()).unwrap_or_default()
    }

    pub(super) fn pid(&self, worker: Worker) -> Option<u32> {
        self.processes.get(&worker).map(|process| process.child.pid().as_raw().unsigned_abs())
    }

    pub(super) fn client(&self, worker: Worker) -> Option<ControlClient> {
        self.processes.get(&worker).map(|process| process.client.clone())
    }

    /// The clients of workers that serve, because only those answer at once; named as those of `session`
    /// if they are not the host's.
    pub(super) fn ready_clients(&self, machine: &Lifecycle, session: SessionId) -> Clients {
        let ready = |worker: &Worker| machine.report(*worker).state == StateName::Ready;
        let processes = self.processes.iter().filter(|(worker, _)| ready(worker));
        let named = |worker| ProcessId::serving(session, worker);
        processes.map(|(worker, process)| (named(*worker), process.client.clone())).collect()
    }
}

/// Sends news of one process to the loop.
#[derive(Clone)]
struct Report {
    worker: Worker,
    instance: Instance,
    events: Events,
}

impl Report {
    async fn send(&self, news: WorkerEvent) {
        // A loop that has ended receives no news.
        let _ = self.events.send(Event::Worker(self.worker, self.instance, news)).await;
    }

    /// Ends what has the worker's user after the worker's own end, and reports what does not end.
    async fn user_cleared(&self, user: Identity) {
        let cleared =
            tokio::task::spawn_blocking(move || evict::clear(&[user], evict::Contained::Spare))
                .await;
        let clean = cleared.is_ok_and(|cleared| {
            cleared.report();
            cleared.is_clean(user.uid)
        });
        self.send(WorkerEvent::Haunted(!clean)).await;
    }
}

/// The rate of a worker's unsolicited reports: far more than a healthy worker makes, far less than
/// would keep the loop busy. A worker that sends more has to wait.
const WORDS_PER_SECOND: u32 = 32;
const WORDS_AT_ONCE: u32 = 128;

/// Receives a worker's unsolicited reports until it closes the link.
async fn heed(report: Report, grants: AsyncChannel<ToSupervisor, ToWorker>) {
    let mut pace = Pace::new(Instant::now(), WORDS_PER_SECOND, WORDS_AT_ONCE);
    loop {
        tokio::time::sleep(pace.wait(Instant::now())).await;
        pace.spend(Instant::now(), 1);
        match grants.receive().await.map(|received| received.message) {
            Ok(said) => report.send(WorkerEvent::Said(said)).await,
            Err(ReceiveError::Closed) => {
                return report.send(WorkerEvent::Left(LinkName::Grants)).await;
            }
            Err(error) => return report.send(WorkerEvent::Broke(error.to_string())).await,
        }
    }
}

/// What the end of `control` says about its worker.
fn end_of_control(over: Result<(), ChannelError<io::Error>>) -> WorkerEvent {
    match over {
        Err(ChannelError::Read(error)) if rpc::is_breach(&error) => {
            WorkerEvent::Broke(error.to_string())
        }
        // Closed, or reset because the process ended.
        Ok(()) | Err(_) => WorkerEvent::Left(LinkName::Control),
    }
}

fn watch_process(report: Report, spawned: Spawned, user: Option<Identity>, log: &Log) {
    let Spawned { child, ended, output } = spawned;
    let tail = log.follow(LogSource::Worker(report.worker), output);
    tokio::spawn(async move {
        let verdict = watch::end(&child, ended, || {}).await;
        tail.settled().await;
        if let Some(user) = user {
            report.user_cleared(user).await;
        }
        report.send(WorkerEvent::Ended(verdict)).await;
    });
}

fn pair(carriage: Carriage) -> io::Result<(OwnedFd, OwnedFd)> {
    let kind = match carriage {
        Carriage::Rpc => SockType::Stream,
        Carriage::Messages => SockType::SeqPacket,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socketpair(AddressFamily::Unix, kind, None, flags)?)
}
