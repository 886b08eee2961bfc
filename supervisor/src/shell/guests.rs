//! Somebody else's programs in the desktop: the app, and what it leaves behind.

use std::{collections::VecDeque, io};

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tracing::warn;

use super::{
    event::{Event, Events},
    family,
    spawn::{self, AppLaunch, Spawned},
    watch,
};
/// How many of the app's last lines are shown when it fails at once.
const APP_LINES: usize = 10;

/// The processes that are no workers.
pub(super) struct Guests {
    /// The app's process, which is also its process group.
    app: Option<Pid>,
    last_lines: VecDeque<String>,
    /// What everything that is left has been sent, since its end was decided.
    ending: Option<Signal>,
    events: Events,
}

impl Guests {
    pub(super) fn new(events: Events) -> Self {
        Self { app: None, last_lines: VecDeque::new(), ending: None, events }
    }

    /// Executes the app. What keeps it from running is told as its end.
    pub(super) fn start_app(&mut self, launch: &AppLaunch) -> io::Result<()> {
        self.last_lines.clear();
        let Spawned { pid, ended: gone, output } = spawn::app(launch).inspect_err(|error| {
            self.last_lines.push_back(error.to_string());
        })?;
        self.app = Some(pid);
        let (ended, wrote) = (self.events.clone(), self.events.clone());
        tokio::spawn(async move {
            // What the app leaves in its group would outlive it.
            let verdict = watch::end(pid, gone, || signal_group(pid, Signal::SIGTERM)).await;
            let _ = ended.send(Event::AppEnded(verdict)).await; // The loop outlives the app.
        });
        tokio::spawn(async move {
            let report = async |line| {
                let _ = wrote.send(Event::AppWrote(line)).await; // Lines after the end are lost.
            };
            watch::lines(output, report).await
        });
        Ok(())
    }

    pub(super) fn app_ended(&mut self) {
        self.app = None;
    }

    pub(super) fn app_wrote(&mut self, line: String) {
        if self.last_lines.len() >= APP_LINES {
            self.last_lines.pop_front();
        }
        self.last_lines.push_back(line);
    }

    pub(super) fn app_pid(&self) -> Option<Pid> {
        self.app
    }

    pub(super) fn last_lines(&self) -> impl Iterator<Item = &String> {
        self.last_lines.iter()
    }

    pub(super) fn signal_app(&self, signal: Signal) {
        if let Some(pid) = self.app {
            signal_group(pid, signal);
        }
    }

    /// Ends all that is left, workers aside; whether nothing is.
    pub(super) fn end_rest(&mut self, signal: Signal, is_worker: impl Fn(Pid) -> bool) -> bool {
        self.ending = Some(signal);
        nothing_of(family::signal_descendants(signal, is_worker))
    }

    /// A child has ended: reaps it if nobody else does. Whether nothing is left of what is to end.
    pub(super) fn child_ended(&self, is_worker: impl Fn(Pid) -> bool) -> bool {
        let app = self.app;
        family::reap_orphans(|pid| app == Some(pid) || is_worker(pid));
        match self.ending {
            None => false,
            // Whoever was about to fork when it was killed has left a child.
            Some(Signal::SIGKILL) => {
                nothing_of(family::signal_descendants(Signal::SIGKILL, is_worker))
            }
            Some(_) => nothing_of(family::count_descendants(is_worker)),
        }
    }
}

impl Drop for Guests {
    /// Nothing of ours may outlive the loop, however it ends.
    fn drop(&mut self) {
        self.signal_app(Signal::SIGKILL);
    }
}

fn nothing_of(left: io::Result<usize>) -> bool {
    match left {
        Ok(count) => count == 0,
        Err(error) => {
            warn!(%error, "/proc does not tell what the app left behind; it is left alone");
            true
        }
    }
}

fn signal_group(leader: Pid, signal: Signal) {
    match killpg(leader, signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => warn!(%error, "cannot signal the app"),
    }
}
