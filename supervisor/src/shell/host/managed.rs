//! A host under a service manager: what that is told, and reading the configuration anew when it asks.

use std::time::Duration;

use lumen_ipc::text::Text;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::{
    super::{
        event::{Event, Events},
        manager::Word,
    },
    Host,
    configuration::Managed,
};

impl Host {
    /// Reports to a service manager, and reads the configuration anew when it asks.
    pub(in super::super) fn managed(self, managed: Managed) -> Self {
        if let Some(interval) = managed.manager.interval() {
            tokio::spawn(give_signs(interval, self.events.clone()));
        }
        Self { managed: Some(managed), ..self }
    }

    /// The options whose new values wait for a restart of the host.
    pub(super) fn waiting(&self) -> Vec<Text<64>> {
        let waiting = self.managed.iter().flat_map(|managed| &managed.waiting);
        waiting.copied().map(Text::truncated).collect()
    }

    /// The loop handled an event, so it is not stuck.
    pub(super) fn tell_alive(&self) {
        self.tell(&[Word::Alive]);
    }

    /// Browsers can connect.
    pub(super) fn tell_ready(&self) {
        self.tell(&[Word::Ready, Word::Status(&self.condition())]);
    }

    /// Tells how the host fares, once it serves.
    pub(super) fn tell_condition(&self) {
        if self.open {
            self.tell(&[Word::Status(&self.condition())]);
        }
    }

    /// The host ends.
    pub(super) fn tell_end(&self) {
        self.tell(&[Word::Stopping, Word::Status("The host ends; its desktops go on.")]);
    }

    fn tell(&self, words: &[Word<'_>]) {
        if let Some(managed) = &self.managed {
            managed.manager.tell(words);
        }
    }

    fn condition(&self) -> String {
        let sessions = match self.sessions.all().len() {
            1 => "1 session".to_owned(),
            count => format!("{count} sessions"),
        };
        let waiting = self.managed.as_ref().map_or(&[][..], |managed| &managed.waiting);
        let waiting = match waiting {
            [] => String::new(),
            options => format!(" A restart is due for {}.", options.join(", ")),
        };
        format!("Browsers connect to {}; {sessions}.{waiting}", self.stage.page())
    }

    /// Reads the configuration anew. What is wrong with it changes nothing; what can take effect does; the
    /// rest waits for a restart.
    pub(super) fn reload(&mut self) {
        self.tell(&[Word::Reloading]);
        let Some(managed) = &mut self.managed else { return };
        match managed.again.host() {
            Err(error) => warn!("the configuration stays as it was: {error}"),
            Ok(new) => {
                let changes = managed.config.changes_to(&new);
                if let Some(lifetimes) = changes.lifetimes {
                    managed.config.lifetimes = lifetimes;
                    self.access.set_lifetimes(lifetimes);
                    if let Some(memory) = &mut self.memory {
                        memory.set_idle(lifetimes.idle);
                    }
                }
                if let Some(limits) = changes.session_limits {
                    managed.config.session_limits = limits;
                }
                if let Some(log) = changes.log {
                    if let Err(error) = managed.levels.replace(log.as_str()) {
                        warn!(%error, "the new log filter is not understood");
                    }
                    managed.config.log = log.clone();
                    self.stage.set_log(log);
                }
                info!("the configuration is read anew");
                if !changes.waiting.is_empty() {
                    let options = changes.waiting.join(", ");
                    warn!("what changed of {options} takes effect when the host is started again");
                }
                managed.waiting = changes.waiting;
                if let Some(limits) = changes.session_limits {
                    self.set_limits(limits);
                }
            }
        }
        match self.open {
            true => self.tell_ready(),
            // It is told as soon as that is true.
            false => self.tell(&[Word::Status("The configuration is read anew; starting.")]),
        }
        self.tell_ended_logins();
    }
}

/// Asks the loop for signs of life for ever.
async fn give_signs(interval: Duration, events: Events) {
    let mut times = tokio::time::interval(interval);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        if events.send(Event::SignDue).await.is_err() {
            return;
        }
    }
}
