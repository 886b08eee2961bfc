//! Executes `lumen run`, `lumen serve` and `lumen session`: prepares a host, a session or both, and
//! runs their event loops. A session finds its host over a socketpair when both are one process,
//! and otherwise over a socket in the user's directory; nothing else differs.

use std::{
    error::Error,
    io::{self, Write},
    os::fd::AsFd,
    panic, process,
};

use lumen_ipc::{process::ExitCode, text::Text, visible::visible};
use lumen_ipc_runtime::{
    confine::ConfineError,
    log::{self as tracing_log, Filter},
};
use nix::{
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
        stat::{Mode, umask},
    },
    unistd::Uid,
};
use tokio::net::UnixListener;
use tracing::{info, warn};

use super::{
    activation::{self, Activation, ActivationError},
    administration::Office,
    app::Caller,
    audit::Audit,
    config_files::Rereading,
    event::{ConnectionId, Event, Events},
    family, ffi,
    granted::{Granted, NotGranted},
    host::{Host, Managed, Memory},
    keeper::{self, Keeper},
    label::Label,
    link,
    log::Log,
    manager::Manager,
    places::{self, PlaceError},
    restrained, sentence,
    session::{Introduction, Session},
    session_group::Tree,
    spawn::{self, ReservedNumbers},
    stage::{Ground, HostStage, SessionStage, StageError},
    worker::Roster,
};
use crate::{
    broker::{Access, NoRandomness, Token},
    config::{HostConfig, RunConfig, SessionConfig},
    lifecycle::Outcome,
};

/// Why a desktop or host could not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    /// A socket of the service manager cannot be used.
    #[error(transparent)]
    Activation(#[from] ActivationError),
    /// A host that had this session started does not say whose it is.
    #[error(transparent)]
    Granted(#[from] NotGranted),
    /// The event loop cannot be set up.
    #[error("cannot set up the event loop")]
    Loop(#[from] io::Error),
    /// No token could be made.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The supervisor cannot give up what it does not need.
    #[error("cannot give up what the supervisor does not need")]
    Restraint(#[from] ConfineError),
    /// Something is missing.
    #[error(transparent)]
    Stage(#[from] StageError),
}

impl From<PlaceError> for StartError {
    fn from(error: PlaceError) -> Self {
        Self::Stage(error.into())
    }
}

impl StartError {
    /// The exit code of `lumen` for this error.
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Activation(_)
            | Self::Granted(_)
            | Self::Loop(_)
            | Self::Randomness(_)
            | Self::Restraint(_) => ExitCode::CouldNotStart,
            Self::Stage(error) => error.exit_code(),
        }
    }
}

/// What every start needs.
struct Beginning {
    log: Log,
    /// Signals that ask for the end.
    signals: SignalFd,
    /// What this process itself logs.
    levels: Filter,
    caller: Caller,
    /// The sockets that the service manager made, if this is a host alone.
    sockets: Activation,
}

/// Starts a host and its one session and serves both until they end; returns the exit status of
/// `lumen`, which may be the app's own. An error at the start is logged.
pub(crate) fn run(config: &RunConfig) -> process::ExitCode {
    begun(&config.host.log, true, |beginning| host_and_session(config, beginning))
}

/// Starts a host and serves it until it ends. `again` reads its configuration anew.
pub(crate) fn serve(config: &HostConfig, again: Rereading) -> process::ExitCode {
    begun(&config.log, false, |beginning| host(config, again, beginning))
}

/// Starts a session of a host and serves it until it ends; returns the exit status of `lumen`,
/// which may be the app's own.
pub(crate) fn session(config: &SessionConfig) -> process::ExitCode {
    begun(&config.log, true, |beginning| session_of_host(config, beginning))
}

/// Begins a start and carries it out. `session` says whether apps will descend from this process.
fn begun(
    filter: &Text<128>,
    session: bool,
    serve: impl FnOnce(Beginning) -> Result<process::ExitCode, StartError>,
) -> process::ExitCode {
    let prepared = prepare(session);
    let (_reserved, sockets, signals, log) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return unheard(&error),
    };
    let said = log.clone();
    panic::set_hook(Box::new(move |bug| {
        said.say(&format!("a bug: {bug}"));
        said.flush();
    }));
    // Only we may write to files that we create, unless stated otherwise.
    umask(Mode::from_bits_truncate(0o022));
    let said = log.clone();
    let levels = tracing_log::start_to(move |line| said.say(line));
    if let Err(error) = levels.replace(filter.as_str()) {
        warn!(%error, "the log filter is not understood; logging at info");
    }
    let beginning =
        Beginning { log: log.clone(), signals, levels, caller: Caller::here(), sockets };
    let code = serve(beginning).unwrap_or_else(|error| {
        log.say(&sentence(&error));
        error.exit_code().into()
    });
    log.flush();
    code
}

type Prepared = (ReservedNumbers, Activation, SignalFd, Log);

/// What comes before the first thread, which would keep what this process has, and before anything is
/// opened.
fn prepare(session: bool) -> Result<Prepared, StartError> {
    let passed = activation::take()?;
    hidden_if_root()?;
    restrained::shed_capabilities(session)?;
    let reserved = ReservedNumbers::take()?;
    if session && let Some((name, _)) = passed.first() {
        return Err(ActivationError::Unknown(name.clone()).into());
    }
    let sockets = Activation::of(passed)?;
    Ok((reserved, sockets, block_signals()?, Log::start()?))
}

/// Root's memory is root's: of every desktop, relay and token.
fn hidden_if_root() -> io::Result<()> {
    match Uid::effective().is_root() {
        true => Ok(places::hide_memory()?),
        false => Ok(()),
    }
}

/// Reports an error on standard error, because there is no log.
fn unheard(error: &StartError) -> process::ExitCode {
    let _ = writeln!(io::stderr(), "lumen: {}", visible(&sentence(error as &dyn Error)));
    error.exit_code().into()
}

fn host_and_session(
    config: &RunConfig,
    beginning: Beginning,
) -> Result<process::ExitCode, StartError> {
    let Beginning { log, signals, caller, .. } = beginning;
    let (family, children) = family::adopt()?;
    let (host_ground, host_cast) = Ground::of_host(&caller)?;
    let host =
        HostStage::set(&config.host, (&host_ground, host_cast), Activation::default(), || None)?;
    let (ground, cast) = Ground::of_session(&caller, config.session.user.as_deref())?;
    ground.warn();
    let label = Label::of_only_session(&config.host.name);
    let mut tree = Tree::find();
    let label = (label, &mut tree);
    let stage = SessionStage::set(&config.session, label, (&ground, cast), &caller, None)?;
    tell_user(&stage);
    let owners = [Uid::from_raw(0), Uid::effective(), stage.owner()];
    let access = Access::new(config.host.auth, config.host.lifetimes).open_to(owners.into());
    let introduction =
        Introduction { token: Token::random()?, name: None, joined: true, leader: None };
    runtime()?.block_on(async {
        let admin = host.admin.socket.try_clone()?;
        let roster = Roster::default();
        let host = Host::new(host, access, (host_ground.namespaces, roster.clone()), log.clone())
            .limited(config.host.session_limits);
        let fence = (ground.namespaces, roster);
        let session = Session::new(stage, introduction, fence, family, log.clone());
        let (near, far) = link::joined()?;
        link::attend_session(ConnectionId(0), far, host.events()).await;
        tokio::spawn(link::attend_own_host(near, session.events()));
        tokio::spawn(watch_signals(signals, session.events(), |_| Event::Signal));
        tokio::spawn(watch_signals(children, session.events(), |_| Event::ChildEnded));
        let admin = UnixListener::from_std(admin)?;
        let (audit, admins) = (Audit::default(), host.admins());
        let office = Office { events: host.events(), log: log.clone(), audit, admins };
        tokio::spawn(office.serve(admin));
        let (host_ends, session_ends) = (host.events(), session.run());
        let session = async move {
            let code = session_ends.await;
            // It fails only when the host has ended.
            let _ = host_ends.send(Event::Signal).await;
            code
        };
        let (outcome, code) = tokio::join!(host.run(), session);
        Ok(conclude(outcome, &log).unwrap_or(code))
    })
}

fn host(
    config: &HostConfig,
    again: Rereading,
    beginning: Beginning,
) -> Result<process::ExitCode, StartError> {
    let Beginning { log, signals, levels, caller, sockets } = beginning;
    let asked = config;
    let config = &at_passed(config, &sockets);
    // Before this process gives up to connect.
    let (manager, audit) = (Manager::find(), Audit::start());
    // Without a manager it is the terminal that hangs up.
    let reloads = manager.is_there();
    let (ground, cast) = Ground::of_host(&caller)?;
    ground.warn();
    let file = ground.home.state(&config.name);
    let mut stage = HostStage::set(config, (&ground, cast), sockets, || keeper::load(&file))?;
    let was = stage.memory.take().unwrap_or_default();
    let relay = stage.kept_relay.take();
    // The keeper's thread, which is started next, has no more than this one.
    let restraint = restrained::host(&ground, &stage, again.places())?;
    let memory = Memory::new(Keeper::start(file)?, relay, config.lifetimes.idle);
    let place = ground.home.sessions(&config.name);
    let sessions = match stage.sessions.take() {
        Some(socket) => {
            activation::ready("sessions", &socket, &place)?;
            places::adopt(&place, socket)?
        }
        None => places::listen_for_links(&place)?,
    };
    let access = Access::new(config.auth, config.lifetimes);
    runtime()?.block_on(async {
        let admin = UnixListener::from_std(stage.admin.socket.try_clone()?)?;
        let arrivals = UnixListener::from_std(sessions.socket.try_clone()?)?;
        let fence = (ground.namespaces, Roster::default());
        let host = Host::new(stage, access, fence, log.clone()).limited(config.session_limits);
        let host = host.announced_on(log.clone()).remembering(memory, &was).restrained(restraint);
        let host = host.audited(audit.clone());
        let host = host.managed(Managed::new(manager, asked.clone(), again, levels));
        tokio::spawn(link::accept_sessions(arrivals, host.events()));
        let news = move |signal| match signal == Signal::SIGHUP as u32 && reloads {
            true => Event::Reload,
            false => Event::Signal,
        };
        tokio::spawn(watch_signals(signals, host.events(), news));
        let (events, admins) = (host.events(), host.admins());
        tokio::spawn(Office { events, log: log.clone(), audit, admins }.serve(admin));
        let outcome = host.run().await;
        Ok(conclude(outcome, &log).unwrap_or_else(|| ExitCode::Ok.into()))
    })
}

/// The configuration of a host at the address of the socket for browsers that was passed.
fn at_passed(config: &HostConfig, sockets: &Activation) -> HostConfig {
    match &sockets.page {
        Some(page) => config.reached_at(page.listen.clone()),
        None => config.clone(),
    }
}

fn session_of_host(
    config: &SessionConfig,
    beginning: Beginning,
) -> Result<process::ExitCode, StartError> {
    let Beginning { log, signals, caller, .. } = beginning;
    let granted = config.granted.then(Granted::take).transpose()?;
    let user = granted.as_ref().map(|granted| granted.account.as_str());
    let (family, children) = family::adopt()?;
    let (ground, cast) = Ground::of_session(&caller, user.or(config.user.as_deref()))?;
    ground.warn();
    let label = Label::first_free(&ground.home)?;
    let mut tree = Tree::find();
    let (mut introduction, mut first, mut display) = (introduction(config)?, None, None);
    let mut host = ground.home.sessions(&config.host);
    if let Some(granted) = granted {
        granted.is_of(cast.owner())?;
        host = ground.home.sessions(&granted.host);
        introduction = Introduction { leader: Some(granted.leader), name: None, ..introduction };
        (first, display) = (Some(granted.link), Some(granted.display));
    }
    let label = (label, &mut tree);
    let stage = SessionStage::set(config, label, (&ground, cast), &caller, display)?;
    tell_user(&stage);
    runtime()?.block_on(async {
        let fence = (ground.namespaces, Roster::default());
        let session = Session::new(stage, introduction, fence, family, log);
        tokio::spawn(link::keep_host(host, first, session.events()));
        tokio::spawn(watch_signals(signals, session.events(), |_| Event::Signal));
        tokio::spawn(watch_signals(children, session.events(), |_| Event::ChildEnded));
        Ok(session.run().await)
    })
}

/// How a session of a host introduces itself to it.
fn introduction(config: &SessionConfig) -> Result<Introduction, StartError> {
    let (token, name) = (Token::random()?, config.name.clone());
    Ok(Introduction { token, name, joined: false, leader: None })
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Logs the desktop's user and home if they may surprise.
fn tell_user(stage: &SessionStage) {
    if let Some(uid) = stage.anonymous_uid() {
        info!("the desktop runs as uid {uid}, which exists only meanwhile; --user NAME chooses");
    }
    if let Some(home) = stage.passing_home() {
        let home = home.display();
        info!("nothing that is saved in {home} outlives the desktop; a user with a home keeps it");
    }
}

/// If the host could not start, logs that and returns the exit status of `lumen`.
fn conclude(outcome: Outcome, log: &Log) -> Option<process::ExitCode> {
    let Outcome::CouldNotStart(worker) = outcome else { return None };
    log.say(&format!("{worker} could not be started; its lines above say why"));
    Some(ExitCode::CouldNotStart.into())
}

/// Blocks the signals that ask for the end, to read them from a descriptor. Those that the caller
/// ignores (`nohup`, a shell's `&`) stay ignored: blocked signals are queued even if they are ignored.
fn block_signals() -> io::Result<SignalFd> {
    // A process that ignores SIGCHLD cannot wait for its children.
    ffi::restore_signal(Signal::SIGCHLD as i32);
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
        if !ffi::is_ignored(signal)? {
            signals.add(signal);
        }
    }
    signals.thread_block()?;
    Ok(SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

async fn watch_signals(
    signals: SignalFd,
    events: Events,
    news: impl Fn(u32) -> Event,
) -> io::Result<()> {
    let waiting = spawn::watched(signals.as_fd().try_clone_to_owned()?)?;
    loop {
        let mut ready = waiting.readable().await?;
        match signals.read_signal()? {
            Some(signal) => {
                // It fails only when the event loop has ended.
                let _ = events.send(news(signal.ssi_signo)).await;
            }
            None => ready.clear_ready(),
        }
    }
}
