//! Everything that touches the operating system: [`run`] carries out `lumen run`.
//!
//! Order: descriptors 3 and 4 are reserved, the [`stage`] is set (everything that can be wrong is
//! found there), then the [`session`]'s loop owns all until it has ended. One thread does it all, so
//! that children's death signals, which follow the thread that forked them, follow the process; others
//! carry the [`log`], and wait where the loop may not.

mod addresses;
mod app;
mod child;
mod crew;
pub(crate) mod demo;
mod event;
mod family;
pub(crate) mod fence;
pub(crate) mod ffi;
mod guests;
mod handshake;
mod helpers;
mod host;
mod link;
mod log;
mod nameless;
mod news;
pub(crate) mod pads;
pub(crate) mod places;
mod proc;
pub(crate) mod programs;
pub(crate) mod relay;
mod service;
mod session;
pub(crate) mod sockets;
mod spawn;
pub(crate) mod stage;
pub(crate) mod users;
mod watch;
mod worker;

use std::{
    error::Error,
    io::{self, Write},
    os::fd::AsFd,
    panic, process,
};

use lumen_ipc::{process::ExitCode, visible::visible};
use lumen_ipc_runtime::log as tracing_log;
use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
    stat::{Mode, umask},
};
use tokio::net::UnixListener;
use tracing::{info, warn};

use crate::{
    broker::{Access, NoRandomness, Token},
    config::RunConfig,
    lifecycle::Outcome,
};
use app::Caller;
use event::{ConnectionId, Event, Events};
use host::Host;
use log::Log;
use session::{Introduction, Session};
use spawn::ReservedNumbers;
use stage::{Ground, HostStage, SessionStage, StageError};
use worker::Roster;

/// Why there is no desktop.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The event loop cannot be set up.
    #[error("cannot set up the event loop")]
    Loop(#[from] io::Error),
    /// No token could be made.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// Something that must be there is not.
    #[error(transparent)]
    Stage(#[from] StageError),
}

impl RunError {
    /// What `lumen` ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Loop(_) | Self::Randomness(_) => ExitCode::CouldNotStart,
            Self::Stage(error) => error.exit_code(),
        }
    }
}

/// Starts a desktop and serves it until it ends; returns what `lumen` ends with, which may be the
/// app's own status. What kept it from starting is said.
pub(crate) fn run(config: &RunConfig) -> process::ExitCode {
    let prepared = ReservedNumbers::take()
        .and_then(|reserved| Ok((reserved, block_signals()?, Log::start()?)))
        .map_err(RunError::from);
    let (_reserved, signals, log) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            // Without a log nothing else can be said either.
            let _ = writeln!(io::stderr(), "lumen: {}", visible(&sentence(&error)));
            return error.exit_code().into();
        }
    };
    let said = log.clone();
    panic::set_hook(Box::new(move |bug| {
        said.say(&format!("a bug: {bug}"));
        said.flush();
    }));
    let code = serve(config, signals, &log).unwrap_or_else(|error| {
        log.say(&sentence(&error));
        error.exit_code().into()
    });
    log.flush();
    code
}

fn serve(config: &RunConfig, signals: SignalFd, log: &Log) -> Result<process::ExitCode, RunError> {
    // What we make is for us, unless it says otherwise.
    umask(Mode::from_bits_truncate(0o022));
    let said = log.clone();
    let filter = tracing_log::start_to(move |line| said.say(line));
    if let Err(error) = filter.replace(config.host.log.as_str()) {
        warn!(%error, "the log filter is not understood; logging at info");
    }
    let (family, children) = family::adopt()?;
    let caller = Caller::here();
    let (host_ground, host_cast) = Ground::of_host(&caller)?;
    let host = HostStage::set(&config.host, (&host_ground, host_cast))?;
    let (ground, cast) = Ground::of_session(&caller, config.session.user.as_deref())?;
    ground.warn();
    let label = config.host.name.as_str();
    let stage = SessionStage::set(&config.session, label, (&ground, cast), &caller)?;
    if let Some(uid) = stage.anonymous_uid() {
        info!("the desktop runs as uid {uid}, which exists only meanwhile; --user NAME chooses");
    }
    if let Some(home) = stage.passing_home() {
        let home = home.display();
        info!("nothing that is saved in {home} outlives the desktop; a user with a home keeps it");
    }
    let access = Access::new(config.host.auth, config.host.lifetimes);
    let introduction = Introduction { token: Token::random()?, name: None, joined: true };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let admin = host.admin.socket.try_clone()?;
        let roster = Roster::default();
        let host = Host::new(host, access, (host_ground.namespaces, roster.clone()), log.clone());
        let fence = (ground.namespaces, roster);
        let session = Session::new(stage, introduction, fence, family, log.clone());
        let (near, far) = link::joined()?;
        link::attend_session(ConnectionId(0), far, host.events());
        tokio::spawn(link::attend_host(near, session.events()));
        tokio::spawn(watch_signals(signals, session.events(), || Event::Signal));
        tokio::spawn(watch_signals(children, session.events(), || Event::ChildEnded));
        let admin = UnixListener::from_std(admin)?;
        tokio::spawn(service::admin(admin, host.events(), log.clone()));
        let (host_ends, session_ends) = (host.events(), session.run());
        let session = async move {
            let code = session_ends.await;
            // A host that has ended needs no telling.
            let _ = host_ends.send(Event::Signal).await;
            code
        };
        let (outcome, code) = tokio::join!(host.run(), session);
        Ok(match outcome {
            Outcome::CouldNotStart(worker) => {
                log.say(&format!("{worker} could not be started; its lines above say why"));
                ExitCode::CouldNotStart.into()
            }
            _ => code,
        })
    })
}

/// An error with its causes.
pub(crate) fn sentence(error: &dyn Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        sentence.push_str(&format!(": {error}"));
        cause = error.source();
    }
    sentence
}

/// Has the signals that ask for an end wait in a descriptor instead of ending us. Those that the
/// caller has us ignore (`nohup`, a shell's `&`) stay ignored: blocked they would wait, too.
fn block_signals() -> io::Result<SignalFd> {
    // Whose children's ends are ignored cannot wait for them.
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
    news: impl Fn() -> Event,
) -> io::Result<()> {
    let waiting = spawn::watched(signals.as_fd().try_clone_to_owned()?)?;
    loop {
        let mut ready = waiting.readable().await?;
        match signals.read_signal()? {
            Some(_) => {
                // A loop that has ended needs no telling.
                let _ = events.send(news()).await;
            }
            None => ready.clear_ready(),
        }
    }
}
