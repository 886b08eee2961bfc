//! The session's side of its host: it registers, is welcomed, receives ends of the signalling link,
//! answers, and prints the page's URL. All of it may happen again at any time.

use std::{os::fd::OwnedFd, process, time::Instant};

use lumen_ipc::{
    message::{
        session::{Answer, Audience, Question, SESSION_HASH, ToHost, ToSession},
        signalling::Reason,
    },
    process::{ExitCode, Worker},
    service::Refusal,
};
use tracing::{info, warn};

use super::{
    super::{
        certificate,
        event::{Event, FromHost, LeaderNews},
        inquiry,
    },
    Session,
    host_link::Page,
};
use crate::lifecycle::Input;

impl Session {
    /// Waits until a host has welcomed the session, however long that takes; returns the exit code
    /// of `lumen` if a host refuses.
    pub(super) async fn meet_host(&mut self) -> Result<(), process::ExitCode> {
        while !self.host.welcome {
            match self.inbox.recv().await {
                Some(Event::FromHost(FromHost::Said(ToSession::Refused { reason }, _))) => {
                    self.log.say(&format!("the host refuses this session: {reason}"));
                    return Err(ExitCode::CouldNotStart.into());
                }
                Some(Event::FromHost(FromHost::Lost(_))) if self.host.joined => {
                    return Err(ExitCode::CouldNotStart.into());
                }
                Some(Event::FromHost(FromHost::Absent)) => self.log.say(
                    "no host is there for this session (`lumen serve` starts one); the desktop waits \
                     for it",
                ),
                Some(Event::Leader(LeaderNews::Lost(reason))) => {
                    info!(reason, "the login session has ended");
                    self.is_led = false;
                    return Err(ExitCode::Ok.into());
                }
                Some(Event::Signal) | None => return Err(ExitCode::Ok.into()),
                Some(event) => self.take_in(event),
            }
        }
        Ok(())
    }

    pub(super) fn take_in_host(&mut self, news: FromHost) {
        match news {
            // Logged only before the first host; the loss of a host is logged on its own.
            FromHost::Absent => {}
            FromHost::Found(channel) => {
                self.host.channel = Some(channel);
                self.send(&ToHost::Registered {
                    form: SESSION_HASH,
                    was: self.host.id,
                    name: self.name.clone(),
                    token: self.token.digest(),
                    supervisor_pid: process::id(),
                    owner: self.stage.owner().as_raw(),
                    age_seconds: self.started.elapsed().as_secs(),
                });
            }
            FromHost::Said(said, end) => self.heed_host(said, end),
            FromHost::Lost(reason) => {
                if self.host.welcome {
                    info!(reason, "the host is gone; looking for it");
                }
                self.host.channel = None;
                self.host.welcome = false;
                self.crew.machine.set_pages_reachable(false);
                if self.host.joined {
                    self.crew.feed(Input::Stop);
                }
            }
        }
    }

    fn heed_host(&mut self, said: ToSession, end: Option<OwnedFd>) {
        match said {
            // Taken at the start.
            ToSession::Granted { .. } => warn!("the host says again whose this desktop is"),
            ToSession::Refused { reason } => {
                // The host was asked again and refused again for the same reason.
                if self.host.refusal.as_ref() != Some(&reason) {
                    warn!(%reason, "the host refuses this session; asking it again now and then");
                    self.host.refusal = Some(reason);
                }
            }
            ToSession::Welcomed { session, relay, audience } => {
                self.host.id = Some(session);
                self.host.welcome = true;
                self.host.refusal = None;
                self.stage.tell_relay(relay);
                self.move_media(audience);
                self.crew.machine.set_pages_reachable(true);
                self.say_app();
                if self.crew.workers.client(Worker::Rtc).is_some() {
                    self.want_signalling();
                }
            }
            ToSession::Opened { page, with_token, fingerprint } => {
                let url = page.into_string();
                self.host.page = Some(Page { url, with_token, fingerprint });
                self.announce();
            }
            ToSession::SignallingEnd => {
                if let Some(end) = end {
                    self.host.generation = self.host.generation.next();
                    self.crew.workers.deliver_to_rtc(self.host.generation, end);
                }
            }
            ToSession::RtcViolated => {
                warn!("rtc broke the contract with the gateway; starting it anew");
                // While everything is ending, nothing is restarted.
                let _ = self.crew.machine.restart(Instant::now(), Worker::Rtc);
            }
            ToSession::PagesTold { serial } => {
                if serial == self.serial {
                    self.crew.feed(Input::PagesTold);
                }
            }
            ToSession::Logins { live } => self.keep_logins(&live),
            ToSession::Leased { lease } => self.add_lease(lease),
            ToSession::Asked { number, question } => self.answer(number, question),
            ToSession::StopAsked { why } => {
                let reason = why.as_ref().map_or("somebody wants it", Reason::as_str);
                info!(reason, "the host asked this session to end");
                self.farewell = why;
                self.crew.feed(Input::Stop);
            }
        }
    }

    /// Moves the media socket to where browsers are expected from. That costs an rtc that runs its
    /// connections, but happens only when a host is followed by one with another kind of address.
    fn move_media(&mut self, audience: Audience) {
        if !self.stage.tell_audience(audience) {
            return;
        }
        self.candidates = None;
        if self.crew.workers.client(Worker::Rtc).is_some() {
            info!(?audience, "other browsers reach the host than before; starting rtc anew");
            // While everything is ending, nothing is restarted.
            let _ = self.crew.machine.restart(Instant::now(), Worker::Rtc);
        }
    }

    fn answer(&mut self, number: u32, question: Question) {
        let answer = match question {
            Question::Logs { source, after } => Answer::Logs(self.log.page(source, after)),
            Question::Restart { worker } => {
                info!(%worker, "a restart was requested");
                if worker == Worker::Media {
                    self.stage.graphics.retry();
                }
                let outcome = self.crew.machine.restart(Instant::now(), worker);
                Answer::Done(outcome.map_err(|error| Refusal::because(error.to_string())))
            }
            Question::StartApp => {
                let started = self.crew.machine.start_app_again(Instant::now());
                Answer::Done(started.map_err(|error| Refusal::because(error.to_string())))
            }
            Question::Metrics { worker } => {
                let client =
                    self.crew.clients(self.id()).into_iter().find(|(id, _)| id.kind() == worker);
                return self.reply(number, async move {
                    Answer::Metrics(inquiry::metrics_of(client.map(|(_, client)| client)).await)
                });
            }
            Question::Status => {
                let (status, clients) = (self.status(), self.crew.clients(self.id()));
                return self.reply(number, async move {
                    Answer::Status(inquiry::with_summaries(status, clients).await)
                });
            }
        };
        self.send(&ToHost::Answered { number, answer });
    }

    /// Sends the answer once it is known.
    fn reply(&self, number: u32, answer: impl Future<Output = Answer> + Send + 'static) {
        let Some(channel) = self.host.channel.clone() else { return };
        tokio::spawn(async move {
            let answer = answer.await;
            // If the link has ended, the request is repeated over the next one.
            let _ = channel.send(&ToHost::Answered { number, answer }, &[]);
        });
    }

    fn send(&self, message: &ToHost) {
        let Some(channel) = &self.host.channel else { return };
        if let Err(error) = channel.send(message, &[]) {
            // A host that is found again is told everything again.
            tracing::debug!(%error, "cannot send to the host");
        }
    }

    pub(super) fn want_signalling(&self) {
        if self.host.welcome {
            self.send(&ToHost::SignallingWanted);
        }
    }

    pub(super) fn say_acts(&self) {
        if self.host.welcome {
            self.send(&ToHost::Acts);
        }
    }

    pub(super) fn say_app(&self) {
        let (serial, state) = (self.serial, self.app_state.clone());
        self.send(&ToHost::AppChanged { serial, state });
    }

    /// The only place that prints the token: on standard output, once browsers can connect and the
    /// desktop is ready, and again only if the next host has another address. Never that of a desktop to
    /// which its account signs in.
    pub(super) fn announce(&mut self) {
        if self.quiet {
            return;
        }
        if !self.complete || self.host.page.is_none() || self.host.shown == self.host.page {
            return;
        }
        let earlier = std::mem::replace(&mut self.host.shown, self.host.page.clone());
        let Some(Page { url, with_token, fingerprint }) = self.host.page.clone() else { return };
        let address = match with_token {
            true => format!("{url}#token={}", self.token.reveal()),
            false => url,
        };
        let certificate = certificate::line(fingerprint.as_ref());
        if earlier.is_some() {
            let text = format!("Lumen has another address: {address}\n{certificate}");
            return self.log.announce(text);
        }
        let ends = match self.stage.outlives_app {
            true => "on ctrl-c and on `lumen stop`",
            false => "on ctrl-c, on `lumen stop`, or when its app exits",
        };
        let text = format!(
            "Lumen is ready: {address}\n{certificate}  Open it in a browser. The desktop ends {ends}.\n  \
             `lumen status` shows how it is, `lumen logs -f` what it logs.\n"
        );
        self.log.announce(text);
    }
}
