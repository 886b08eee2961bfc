//! Programs in the desktop that are not workers: the app, its helpers, and what they leave behind.

mod led;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use lumen_ipc::{log::LogSource, message::login::ToSupervisor};
use nix::{
    fcntl::OFlag,
    sys::signal::Signal,
    unistd::{self, Pid},
};
use tracing::warn;

use self::led::{Led, Role};
use super::{
    child::Child,
    event::{Event, Events, HelperEvent},
    family::Family,
    helpers::{HelperLaunch, Sign},
    leader::Leader,
    log::Log,
    sound,
    spawn::{self, AppLaunch, Spawned},
    watch,
    worker::{Roster, Workers},
};
use crate::{
    lifecycle::{Helper, Instance},
    plan::Identity,
};

/// How many of the app's last lines are shown when it fails at once.
const APP_LINES: usize = 10;

/// The processes that are not workers.
pub(super) struct Guests {
    /// The app's process, which leads a process group.
    app: Option<Arc<Child>>,
    /// Why the app could not be executed.
    not_executed: Option<String>,
    /// The helpers' processes, each of which leads a process group, too.
    helpers: BTreeMap<Helper, (Arc<Child>, Instance)>,
    /// The variables that ready helpers add to the app's environment.
    said: BTreeMap<Helper, (&'static str, OsString)>,
    /// The compositor's end of the bridge's connection, until the compositor has received it.
    unmet: Option<OwnedFd>,
    /// Those that the leader of a login session starts: all of them, if there is one.
    led: Option<Led>,
    /// The signal that all remaining processes have been sent, since their end was decided.
    ending: Option<Signal>,
    family: Family,
    /// The workers' processes, which are neither the app's nor a helper's.
    roster: Roster,
    events: Events,
    log: Log,
}

impl Guests {
    pub(super) fn new(family: Family, roster: Roster, events: Events, log: Log) -> Self {
        Self {
            app: None,
            not_executed: None,
            helpers: BTreeMap::new(),
            said: BTreeMap::new(),
            unmet: None,
            led: None,
            ending: None,
            family,
            roster,
            events,
            log,
        }
    }

    /// Has this leader start everything.
    pub(super) fn led_by(&mut self, leader: Leader) {
        self.led = Some(Led::new(leader, self.log.clone(), self.events.clone()));
    }

    /// The leader says something.
    pub(super) fn leader_said(&mut self, said: ToSupervisor) {
        if let Some(led) = &mut self.led {
            led.said(said);
        }
    }

    /// The login session is over, and with it every guest.
    pub(super) fn leader_lost(&mut self) {
        if let Some(led) = &mut self.led {
            led.lost();
        }
    }

    /// Asks the leader to end the login session; false if there is none.
    pub(super) fn part(&self) -> bool {
        self.led.as_ref().map(Led::part).is_some()
    }

    /// Executes the app. A failure to do so is reported as its end.
    pub(super) fn start_app(&mut self, launch: &AppLaunch) -> io::Result<()> {
        self.not_executed = None;
        let launch = self.with_helpers(launch);
        if let Some(led) = &mut self.led {
            let started = led.start((Role::App, LogSource::App), &launch, (&[], None));
            return started.inspect_err(|error| self.not_executed = Some(error.to_string()));
        }
        let Spawned { child, ended: gone, output } = spawn::app(&launch).inspect_err(|error| {
            self.not_executed = Some(error.to_string());
        })?;
        self.app = Some(Arc::clone(&child));
        let (ended, tail) = (self.events.clone(), self.log.follow(LogSource::App, output));
        tokio::spawn(async move {
            // Processes of the app's group would outlive it.
            let verdict = watch::end(&child, gone, || {
                child.signal_group(Signal::SIGTERM);
            });
            let verdict = verdict.await;
            tail.settled().await;
            let _ = ended.send(Event::AppEnded(verdict)).await; // The loop outlives the app.
        });
        Ok(())
    }

    /// Executes a helper, as the app's user in the app's environment.
    pub(super) fn start_helper(
        &mut self,
        helper: &HelperLaunch,
        instance: Instance,
        app: &AppLaunch,
    ) -> io::Result<()> {
        let mut launch = self.with_helpers(app);
        launch.program.clone_from(&helper.program);
        launch.name = helper.opened.as_ref().map(|(name, _)| *name);
        launch.arguments.clone_from(&helper.arguments);
        for (variable, value) in &helper.own {
            launch.environment.set(*variable, value);
        }
        let (end, its_end) = helper.connects.then(UnixStream::pair).transpose()?.unzip();
        let connection = its_end.as_ref().map(AsFd::as_fd);
        let (ready, says) = unistd::pipe2(OFlag::O_CLOEXEC)?;
        let given: Vec<_> = [says.as_fd()].into_iter().chain(connection).collect();
        let name = helper.helper;
        let opened = helper.opened.as_ref().map(|(_, program)| program.as_fd());
        let spawned = match &mut self.led {
            Some(led) => {
                let role = (Role::Helper(name, instance), source(name));
                led.start(role, &launch, (&given, opened))?;
                None
            }
            None => Some(spawn::helper(&launch, &given)?),
        };
        if let Some(end) = end {
            self.unmet = Some(end.into());
        }
        let events = self.events.clone();
        // The loop outlives its helpers.
        let report = move |news| {
            let events = events.clone();
            async move {
                let _ = events.send(Event::Helper(name, instance, news)).await;
            }
        };
        if let Some(Spawned { child, ended: gone, output }) = spawned {
            self.helpers.insert(name, (Arc::clone(&child), instance));
            let (ended, tail) = (report.clone(), self.log.follow(source(name), output));
            tokio::spawn(async move {
                let verdict = watch::end(&child, gone, || {}).await;
                tail.settled().await;
                ended(HelperEvent::Ended(verdict)).await;
            });
        }
        let announce = move |line| report(HelperEvent::Ready(line));
        match &helper.ready {
            Sign::Announcement => drop(tokio::spawn(announced(ready, announce))),
            Sign::Execution => drop(tokio::spawn(announce(String::new()))),
            Sign::Listening(path, owner) => {
                drop(tokio::spawn(listening((path.clone(), *owner), ready, announce)));
            }
        }
        Ok(())
    }

    /// Hands the compositor its end of the bridge's connection, if it serves and does not have it yet.
    pub(super) fn introduce_bridge(&mut self, workers: &Workers) {
        self.unmet = self.unmet.take().and_then(|end| workers.deliver_bridge(end));
    }

    /// A helper is ready and has announced itself with `line`.
    pub(super) fn helper_ready(&mut self, launch: &HelperLaunch, line: &str) {
        if let Some((variable, before)) = launch.said {
            self.said.insert(launch.helper, (variable, format!("{before}{line}").into()));
        }
    }

    pub(super) fn helper_ended(&mut self, helper: Helper, instance: Instance) {
        if self.helpers.get(&helper).is_some_and(|(_, present)| *present == instance) {
            self.helpers.remove(&helper);
            self.said.remove(&helper);
        }
    }

    pub(super) fn kill_helper(&self, helper: Helper) {
        if let Some((child, _)) = self.helpers.get(&helper) {
            child.signal_group(Signal::SIGKILL);
        }
        if let Some(led) = &self.led {
            led.end(
                Signal::SIGKILL,
                |role| matches!(role, Role::Helper(name, _) if name == helper),
            );
        }
    }

    fn with_helpers(&self, launch: &AppLaunch) -> AppLaunch {
        let mut launch = launch.clone();
        for (variable, value) in self.said.values() {
            launch.environment.set(*variable, value);
        }
        launch
    }

    pub(super) fn app_ended(&mut self) {
        self.app = None;
    }

    pub(super) fn app_pid(&self) -> Option<Pid> {
        let own = self.app.as_ref().map(|app| app.pid());
        own.or_else(|| self.led.as_ref()?.app_pid())
    }

    /// The last lines of the app, or the reason why it wrote none.
    pub(super) fn last_lines(&self) -> Vec<String> {
        match &self.not_executed {
            Some(reason) => vec![reason.clone()],
            None => self.log.latest(LogSource::App, APP_LINES),
        }
    }

    pub(super) fn signal_app(&self, signal: Signal) {
        if let Some(app) = &self.app {
            app.signal_group(signal);
        }
        if let Some(led) = &self.led {
            led.end(signal, |role| role == Role::App);
        }
    }

    /// Signals all remaining processes except workers; returns whether there are none.
    pub(super) fn end_rest(&mut self, signal: Signal) -> bool {
        self.ending = Some(signal);
        nothing_of(self.family.signal(signal, |pid| self.roster.has(pid)))
    }

    /// Reaps an ended child unless a task does so. Returns whether all processes that must end have
    /// ended.
    pub(super) fn child_ended(&mut self) -> bool {
        let roster = self.roster.clone();
        let is_worker = |pid| roster.has(pid);
        let helpers = self.helpers.values().map(|(child, _)| child.pid());
        let app = self.app.as_ref().map(|app| app.pid());
        let watched: Vec<Pid> = helpers.chain(app).collect();
        self.family.reap_orphans(|pid| watched.contains(&pid) || is_worker(pid));
        match self.ending {
            None => false,
            // A process that was forking when it was killed may have left a child.
            Some(Signal::SIGKILL) => nothing_of(self.family.signal(Signal::SIGKILL, is_worker)),
            Some(_) => nothing_of(self.family.count(is_worker)),
        }
    }
}

impl Drop for Guests {
    /// Our processes must not outlive the loop, however it ends.
    fn drop(&mut self) {
        self.signal_app(Signal::SIGKILL);
        for helper in self.helpers.keys() {
            self.kill_helper(*helper);
        }
    }
}

/// The log source of a helper.
fn source(helper: Helper) -> LogSource {
    match helper {
        Helper::Bridge => LogSource::Clipboard,
        Helper::Bus => LogSource::Bus,
        Helper::SoundManager => LogSource::Wireplumber,
        Helper::SoundPulse => LogSource::Pulse,
        Helper::SoundServer => LogSource::Pipewire,
        Helper::XServer => LogSource::XServer,
    }
}

/// Reports the first line of a helper on its descriptor 3; nothing if it ends without one.
async fn announced<Report: Future<Output = ()>>(
    ready: OwnedFd,
    report: impl FnOnce(String) -> Report,
) -> io::Result<()> {
    if let Some(line) = watch::first_line(ready).await? {
        report(line).await;
    }
    Ok(())
}

/// How often a socket is tried on which a helper is to listen.
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// Reports when a helper listens at `path`, in a directory of `owner`'s; nothing if it ends before, which closes
/// its end of `pipe`.
async fn listening<Report: Future<Output = ()>>(
    (path, owner): (PathBuf, Identity),
    pipe: OwnedFd,
    report: impl FnOnce(String) -> Report,
) {
    let ended = watch::first_line(pipe);
    let listens = async {
        while sound::reach(&path, owner).is_err() {
            tokio::time::sleep(TRY_AGAIN).await;
        }
    };
    tokio::select! {
        () = listens => report(String::new()).await,
        _ = ended => {}
    }
}

fn nothing_of(left: io::Result<usize>) -> bool {
    match left {
        Ok(count) => count == 0,
        Err(error) => {
            warn!(%error, "cannot read from /proc what the app left behind; leaving it alone");
            true
        }
    }
}
