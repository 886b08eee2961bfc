//! The worker as the supervisor sees it: the grants it takes, and its event loop.
//!
//! The loop sleeps on the sound server, the links and the supervisor. It has no deadline but the end of the
//! session's microphone: while nothing is played and nobody speaks nothing wakes it.

mod connection;
mod defaults;
mod entrance;
mod ffi;
mod figures;
mod intake;
mod links;
mod microphone;
mod outlet;
pub mod server;

use std::{cell::RefCell, io, os::fd::AsFd, rc::Rc, time::Instant};

use lumen_ipc::{
    link::LinkName,
    message::{
        grants::ToWorker,
        sound::{SoundDemand, ToRtc},
    },
    process::Worker as WorkerName,
    service::SoundConfig,
    sound::{Percent, SoundFormat, SoundKbps},
    text::counted,
    units::StreamId,
};
use lumen_ipc_runtime::{
    bootstrap::{Grant, ServeError, StartError, Supervision, SupervisorEvent, Worker},
    confine::Policy,
    metrics::Registry,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::{info, warn};

use self::{
    entrance::Entrance,
    figures::Figures,
    outlet::{Delivery, Outlet},
    server::{Reach, Server},
};
use super::{
    coder::{Coder, CoderError},
    packetiser::{FRAME_SAMPLES, Frame},
    policy,
    speech::Voices,
};

/// The format of the one stream.
const FORMAT: SoundFormat = SoundFormat::OpusStereo;

/// The sound worker.
#[derive(Debug)]
pub struct Sound {
    server: Server,
    coder: Coder,
    outlet: Outlet,
    entrance: Entrance,
    /// Whether viewers may speak.
    speech: bool,
    voices: Rc<RefCell<Voices>>,
    /// The most that is ever used.
    most: SoundKbps,
    figures: Figures,
    /// What the last summary was made of.
    summarised: Option<(Reach, Option<SoundDemand>, bool)>,
}

impl Worker for Sound {
    const WORKER: WorkerName = WorkerName::Sound;
    type Config = SoundConfig;

    fn acquire(config: SoundConfig, grants: Vec<Grant>) -> Result<Self, StartError> {
        let server = Server::new(FORMAT)
            .map_err(|error| StartError::caused("cannot load the sound server's library", error))?;
        let failed = |error| StartError::caused("the encoder does not encode", error);
        let mut coder = Coder::new(FORMAT, config.bitrate).map_err(failed)?;
        // Touches its memory for the first time before anybody waits for it.
        coder.encode(&vec![0.0; FRAME_SAMPLES * FORMAT.channels()]).map_err(failed)?;
        let mut sound = Self {
            server,
            coder,
            outlet: Outlet::new(StreamId::SOUND),
            entrance: Entrance::default(),
            speech: config.speech,
            voices: Rc::default(),
            most: config.bitrate,
            figures: Figures::new(Registry::default()),
            summarised: None,
        };
        grants.into_iter().for_each(|grant| sound.accept(grant));
        Ok(sound)
    }

    fn metrics(&self) -> Registry {
        self.figures.registry.clone()
    }

    fn policy(&self) -> Policy {
        policy::policy()
    }

    fn start_threads(&mut self) -> io::Result<()> {
        self.server.start_thread()
    }

    fn serve(mut self, supervision: Supervision) -> Result<(), ServeError> {
        if !self.server.is_connected() {
            supervision.want_sound_server();
        }
        loop {
            if let Some(reason) = self.server.turn() {
                info!(%reason, "the connection to the sound server is lost");
                supervision.want_sound_server();
            }
            if self.server.take_made() {
                supervision.tell_sink_made();
            }
            if self.server.take_ready() {
                supervision.tell_sink_ready();
            }
            self.hear();
            self.pass_on().map_err(|error| ServeError::caused("no sound can be encoded", error))?;
            self.summarise(&supervision);
            self.wait(&supervision)
                .map_err(|error| ServeError::caused("cannot wait for events", error))?;
            while let Some(event) = supervision.next() {
                match event {
                    SupervisorEvent::Drain => {
                        self.server.leave();
                        return Ok(());
                    }
                    SupervisorEvent::Granted(grant) => {
                        // What a sink belongs to comes before the connection that was asked for.
                        let is_connection = grant.what == ToWorker::SoundServer;
                        self.accept(grant);
                        if is_connection && !self.server.is_connected() {
                            supervision.want_sound_server();
                        }
                    }
                }
            }
        }
    }
}

impl Sound {
    /// Takes a link end or a connection, replacing the one before.
    fn accept(&mut self, grant: Grant) {
        match grant.what {
            ToWorker::LinkEnd { link: LinkName::Sound, .. } => match grant.into_link_end() {
                Ok(end) => self.outlet.attach(end),
                Err(error) => warn!(%error, "a granted descriptor cannot be used"),
            },
            // Without a compositor's word nobody's voice counts.
            ToWorker::LinkEnd { link: LinkName::Voice, .. } if !self.speech => {}
            ToWorker::LinkEnd { link: LinkName::Voice, .. } => match grant.into_link_end() {
                Ok(end) => {
                    self.entrance.attach(end, Instant::now(), &mut self.voices.borrow_mut());
                }
                Err(error) => warn!(%error, "a granted descriptor cannot be used"),
            },
            ToWorker::SoundSinkOwner => self.server.give_owner(grant.descriptor),
            ToWorker::SoundServer => match self.server.connect(grant.descriptor) {
                Ok(()) => info!("connected to the sound server"),
                Err(error) => warn!(%error, "cannot use the connection to the sound server"),
            },
            what => info!(?what, "closed a grant that sound does not use"),
        }
    }

    /// Takes what viewers say.
    fn hear(&mut self) {
        let now = Instant::now();
        let voices = &self.voices;
        // First whose voice counts.
        let violated = self.entrance.receive(now, &mut voices.borrow_mut());
        self.figures.link_violations.add(violated.into());
        let violated = self.outlet.receive(|speech| voices.borrow_mut().say(now, speech));
        self.figures.link_violations.add(violated.into());
        voices.borrow_mut().rest(now);
        self.server.speak(now, voices);
        let mut voices = voices.borrow_mut();
        self.figures.spoken(voices.is_spoken(now), voices.take_tally());
    }

    /// Encodes and sends what was played.
    fn pass_on(&mut self) -> Result<(), CoderError> {
        self.figures.frames_dropped.add(self.server.dropped());
        let demand = self.outlet.demand();
        self.server.set_listening(demand.is_some());
        self.figures.listeners.set(demand.map_or(0, |demand| demand.listeners.into()));
        let frames = self.server.frames();
        let Some(demand) = demand else { return Ok(()) };
        self.coder.set(demand.bitrate.min(self.most), demand.loss)?;
        self.figures.target.set(demand.bitrate.min(self.most).value().into());
        frames.into_iter().try_for_each(|frame| self.send(frame))
    }

    fn send(&mut self, frame: Frame) -> Result<(), CoderError> {
        let begun = Instant::now();
        let payload = self.coder.encode(&frame.samples)?;
        self.figures.frames_encoded.increment();
        self.figures.encoded.add(payload.as_bytes().len() as u64);
        let micros = begun.elapsed().as_micros();
        self.figures.encode.record(micros.try_into().unwrap_or(u64::MAX));
        let Frame { position, captured, begins, .. } = frame;
        let stream = StreamId::SOUND;
        let message = ToRtc { stream, format: FORMAT, position, captured, begins, payload };
        if self.outlet.send(&message) == Delivery::Dropped {
            self.figures.frames_dropped.increment();
        }
        Ok(())
    }

    /// Sleeps until an event.
    fn wait(&self, supervision: &Supervision) -> io::Result<()> {
        let descriptors = [supervision.as_fd(), self.server.interest()];
        let links = [self.outlet.interest(), self.entrance.interest()];
        let all = descriptors.into_iter().chain(links.into_iter().flatten());
        let mut interests: Vec<_> =
            all.map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN)).collect();
        // What is due already is done at once: nothing else may wake the loop.
        let left =
            self.voices.borrow().due().map(|due| due.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut interests, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn summarise(&mut self, supervision: &Supervision) {
        let speaks = self.voices.borrow().is_spoken(Instant::now());
        let state = (self.server.reach(), self.outlet.demand(), speaks);
        if self.summarised == Some(state) {
            return;
        }
        self.summarised = Some(state);
        let (reach, demand, _) = state;
        let heard = match (reach, demand) {
            (Reach::Nothing, _) => "no sound server: install or start PipeWire".to_owned(),
            (Reach::Server, _) => {
                "the sound server has no session manager yet: install or start WirePlumber"
                    .to_owned()
            }
            (Reach::Sink, None) => "nobody listens".to_owned(),
            (Reach::Sink, Some(SoundDemand { listeners, bitrate, loss, .. })) => {
                let listeners = counted(listeners.into(), "listener");
                let lossy = loss > Percent::default();
                let repair = if lossy {
                    format!(", repairing {} % loss", loss.value())
                } else {
                    String::new()
                };
                format!("Opus, at most {} kbit/s, {listeners}{repair}", bitrate.min(self.most))
            }
        };
        let speak = if speaks { ", a viewer's microphone is on" } else { "" };
        supervision.set_summary(format!("{heard}{speak}"));
    }
}
