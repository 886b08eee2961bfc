//! The worker as the supervisor sees it: the grants it takes at start, and its event loop.
//!
//! One thread sleeps on the socket, the links and the supervisor, until the deadline that [`Peers`]
//! names. It never blocks elsewhere: messages for a full link wait in a bounded queue until the
//! link is writable, and the control thread sends media its demand.
//!
//! A closed link end means that the other worker restarts; the next grant of that name replaces it.

mod figures;
mod links;
mod pads;
mod reading;
mod socket;
mod sound;
#[cfg(test)]
mod tests;
mod transfer;
mod tuning;

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Instant,
};

use lumen_ipc::{
    link::LinkName,
    message::{desktop, grants::ToWorker, input, packets::FrameStamps},
    process::Worker as WorkerName,
    service::RtcConfig,
    text::counted,
    units::{MonotonicMicros, PeerId},
};
use lumen_ipc_runtime::{
    bootstrap::{Grant, ServeError, StartError, Supervision, SupervisorEvent, Worker},
    channel::NotALink,
    clock::{self, Anchor},
    confine::Policy,
    link_end::{LinkEnd, LinkGuard},
    log::RateLimit,
    metrics::Registry,
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, ppoll},
    sys::time::TimeSpec,
};
use tracing::{info, warn};

use self::{
    figures::Figures,
    links::{Over, Packets, Signalling, send},
    pads::Pads,
    socket::MediaSocket,
    sound::Sound,
    transfer::Transfer,
    tuning::Tuning,
};
use crate::{
    outbox::{Outbox, Overflow},
    peer::{Datagram, Ending, Setup, encode::DesktopState, media::RtpClock},
    peers::{Output, Peers},
    policy,
    sound::SoundClock,
};

type InputEnd = LinkEnd<input::ToRtc, input::ToCompositor>;
type DesktopEnd = LinkEnd<desktop::ToRtc, desktop::ToCompositor>;

/// Pictures read per wake-up, so that datagrams are not starved.
const MAX_PICTURES: usize = 8;
/// Frames of sound read per wake-up: half a second.
const MAX_SOUND: usize = 50;
/// Statements and signalling messages read per wake-up.
const MAX_MESSAGES: usize = 64;

/// The rtc worker.
#[derive(Debug)]
pub struct Rtc {
    socket: MediaSocket,
    peers: Peers,
    packets: Option<Packets>,
    input: Option<InputEnd>,
    desktop: Option<DesktopEnd>,
    signalling: Option<Signalling>,
    tuning_link: Option<(OwnedFd, LinkGuard)>,
    outbox: Outbox,
    pads: Pads,
    sound: Sound,
    transfer: Transfer,
    clock: RtpClock,
    sound_clock: SoundClock,
    anchor: Anchor,
    newest_commit: MonotonicMicros,
    figures: Figures,
}

impl Worker for Rtc {
    const WORKER: WorkerName = WorkerName::Rtc;
    type Config = RtcConfig;

    fn acquire(config: RtcConfig, mut grants: Vec<Grant>) -> Result<Self, StartError> {
        let position = grants.iter().position(|grant| grant.what == ToWorker::MediaSocket);
        let socket = position.map(|index| grants.swap_remove(index).descriptor);
        let socket = socket.ok_or_else(|| StartError::new("no media socket was granted"))?;
        let socket = MediaSocket::new(socket)
            .map_err(|error| StartError::caused("cannot use the media socket", error))?;
        // This also warms up the cryptography library: it examines the processor and the kernel's
        // randomness here, before confinement.
        let setup = Setup::new(config.candidates, config.bitrate)
            .map_err(|error| StartError::caused("cannot make a DTLS certificate", error))?;
        let RtcConfig { bitrate, relay, clipboard, resize, sound, speech, rights, .. } = config;
        let mut peers = Peers::new(setup, bitrate, relay, clipboard, resize);
        peers.set_rights(Instant::now(), &rights);
        let peers = if speech { peers.with_speech() } else { peers };
        let mut rtc = Self {
            socket,
            peers: match sound {
                Some(most) => peers.with_sound(most),
                None => peers,
            },
            packets: None,
            input: None,
            desktop: None,
            signalling: None,
            tuning_link: None,
            outbox: Outbox::default(),
            pads: Pads::default(),
            sound: Sound::default(),
            transfer: Transfer::default(),
            clock: RtpClock::default(),
            sound_clock: SoundClock::default(),
            anchor: Anchor::new(),
            newest_commit: MonotonicMicros::default(),
            figures: Figures::new(),
        };
        for grant in grants {
            let what = grant.what;
            rtc.take(grant)
                .map_err(|error| StartError::caused(format!("cannot use grant {what:?}"), error))?;
        }
        Ok(rtc)
    }

    fn metrics(&self) -> Registry {
        self.figures.registry.clone()
    }

    fn policy(&self) -> Policy {
        policy::policy()
    }

    fn serve(mut self, supervision: Supervision) -> Result<(), ServeError> {
        let demand = self.peers.demand();
        let mut tuning = Tuning::new(supervision.handle(), demand);
        self.figures.wanted(demand, demand);
        self.summarise(&supervision);
        loop {
            if let Some((link, guard)) = self.tuning_link.take() {
                tuning.attach(link, guard);
            }
            let ready = self
                .wait(&supervision)
                .map_err(|error| ServeError::caused("cannot wait for events", error))?;
            self.figures.wakeups.increment();
            let now = Instant::now();
            if !self.heed(now, &supervision) {
                self.peers.close_all(now);
                self.act(now, &tuning, &supervision);
                return Ok(());
            }
            self.read_links(now, &ready);
            if ready.is(Source::Socket) {
                // A viewer's proof follows the word of its lease.
                self.take_rights(now, &supervision);
                self.read_socket(now)
                    .map_err(|error| ServeError::caused("the media socket failed", error))?;
            }
            if self.peers.deadline().is_some_and(|at| at <= now) {
                self.peers.timeout(now);
            }
            self.act(now, &tuning, &supervision);
        }
    }
}

impl Rtc {
    /// Takes a granted descriptor.
    fn take(&mut self, grant: Grant) -> Result<(), NotALink> {
        match grant.what {
            ToWorker::LinkEnd { link: LinkName::Packets, .. } => {
                self.packets = Some(Packets::new(grant)?)
            }
            ToWorker::LinkEnd { link: LinkName::Tuning, .. } => {
                self.tuning_link = Some(grant.into_guarded()?)
            }
            ToWorker::LinkEnd { link: LinkName::Input, .. } => {
                self.input = Some(grant.into_link_end()?);
                self.outbox.clear();
            }
            ToWorker::LinkEnd { link: LinkName::Desktop, .. } => {
                self.desktop = Some(grant.into_link_end()?);
            }
            ToWorker::LinkEnd { link: LinkName::Pads, .. } => {
                self.pads.attach(grant)?;
                self.peers.pads_replaced();
            }
            ToWorker::LinkEnd { link: LinkName::Sound, .. } => {
                self.sound.attach(grant, self.peers.sound_demand())?;
            }
            ToWorker::LinkEnd { link: LinkName::Transfer, .. } => {
                self.transfer.attach(grant)?;
                self.peers.transfer_replaced(Instant::now());
            }
            ToWorker::LinkEnd { link: LinkName::Signalling, .. } => {
                self.signalling = Some(Signalling::new(grant)?);
                self.peers.signalling_replaced();
            }
            other => warn!(?other, "closed a grant that rtc does not use"),
        }
        Ok(())
    }

    /// Sleeps until something is ready; returns what.
    fn wait(&self, supervision: &Supervision) -> Result<Ready, Errno> {
        let packets = self.packets.as_ref();
        let signalling = self.signalling.as_ref();
        let sources = [
            (Source::Supervision, Some(supervision.as_fd()), false),
            (Source::Socket, Some(self.socket.as_fd()), self.socket.is_waiting()),
            (
                Source::Packets,
                packets.map(AsFd::as_fd),
                packets.is_some_and(Packets::wants_to_send),
            ),
            (Source::Input, self.input.as_ref().map(AsFd::as_fd), self.outbox.front().is_some()),
            (Source::Desktop, self.desktop.as_ref().map(AsFd::as_fd), false),
            (Source::Pads, self.pads.descriptor(), self.pads.wants_to_send()),
            (Source::Sound, self.sound.descriptor(), self.sound.wants_to_send()),
            (Source::Transfer, self.transfer.descriptor(), self.transfer.wants_to_send()),
            (
                Source::Signalling,
                signalling.map(AsFd::as_fd),
                signalling.is_some_and(Signalling::wants_to_send),
            ),
        ];
        let (names, mut waits): (Vec<_>, Vec<_>) = sources
            .into_iter()
            .filter_map(|(name, fd, writes)| Some((name, poll_for(fd?, writes))))
            .unzip();
        let patience = self.peers.deadline().map(|at| at.saturating_duration_since(Instant::now()));
        match ppoll(&mut waits, patience.map(TimeSpec::from), None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
        let awake = waits.iter().zip(names).filter(|(wait, _)| wait.any() == Some(true));
        Ok(Ready(awake.map(|(_, name)| name).collect()))
    }

    fn take_rights(&mut self, now: Instant, supervision: &Supervision) {
        if let Some(rights) = supervision.new_rights() {
            self.peers.set_rights(now, &rights);
        }
    }

    /// Handles the supervisor's events; `false` when the worker is to end.
    fn heed(&mut self, now: Instant, supervision: &Supervision) -> bool {
        if let Some(candidates) = supervision.new_candidates() {
            info!(count = candidates.len(), "the addresses of this machine changed");
            self.peers.set_candidates(candidates);
        }
        self.take_rights(now, supervision);
        while let Some(event) = supervision.next() {
            match event {
                SupervisorEvent::Drain => return false,
                SupervisorEvent::Granted(grant) => {
                    let what = grant.what;
                    info!(?what, "received a grant");
                    if matches!(what, ToWorker::LinkEnd { link: LinkName::Desktop, .. }) {
                        self.peers.desktop_state(now, DesktopState::Running);
                    }
                    if let Err(error) = self.take(grant) {
                        warn!(?what, %error, "a granted descriptor cannot be used");
                    }
                }
            }
        }
        true
    }

    /// Carries out all outputs of the peers.
    fn act(&mut self, now: Instant, tuning: &Tuning, supervision: &Supervision) {
        let mut datagrams = Vec::new();
        let mut sent = Vec::new();
        while let Some(output) = self.peers.poll_output() {
            match output {
                Output::Transmit(datagram) => datagrams.push(datagram),
                Output::FrameSent(stamps) => sent.push(stamps),
                Output::Input(message) => self.pass_on(now, message),
                Output::Pad(message) => {
                    if let Err(overflow) = self.pads.push(message) {
                        self.note_overflow(now, overflow);
                    }
                }
                Output::Transfer(message) => self.transfer.push(message),
                Output::SoundDemand(demand) => self.sound.tell(demand),
                Output::Speech(speech) => {
                    self.figures.speech_packets.add(self.sound.say(speech).into());
                }
                Output::ToGateway(message) => {
                    let result = self.signalling.as_mut().map_or(Ok(()), |it| it.push(message));
                    self.keep(LinkName::Signalling, now, result);
                }
                Output::Demand(demand) => {
                    self.figures.wanted(tuning.tell(demand), demand);
                    self.summarise(supervision);
                }
                Output::Ended { peer, ending } => self.note_end(peer, &ending),
            }
        }
        self.transmit(datagrams, &sent);
        self.figures.networks(&self.peers.take_networks());
        let result = self.flush_input();
        self.keep(LinkName::Input, now, result);
        let result = self.flush_pads();
        self.keep(LinkName::Pads, now, result);
        let result = self.sound.flush();
        self.keep(LinkName::Sound, now, result);
        let result = self.transfer.flush();
        self.keep(LinkName::Transfer, now, result);
    }

    fn transmit(&mut self, datagrams: Vec<Datagram>, frames: &[FrameStamps]) {
        if datagrams.is_empty() && !self.socket.is_waiting() {
            return;
        }
        let tally = self.socket.send(datagrams);
        self.figures.packets_sent.add(tally.sent);
        self.figures.sent.add(tally.bytes);
        self.figures.send_errors.add(tally.failed);
        let at = clock::now();
        for stamps in frames {
            self.figures.encoded_to_sent.record(at.since(stamps.encoded));
            // A keyframe of a still screen shows an old commit, whose latency was already
            // recorded.
            if stamps.committed > self.newest_commit {
                self.newest_commit = stamps.committed;
                self.figures.commit_to_sent.record(at.since(stamps.committed));
            }
        }
    }

    fn pass_on(&mut self, now: Instant, message: input::ToCompositor) {
        // Without a compositor there is nobody to receive input.
        if self.input.is_none() {
            return;
        }
        if let Err(overflow) = self.outbox.push(message) {
            self.note_overflow(now, overflow);
        }
    }

    fn note_overflow(&mut self, now: Instant, overflow: Overflow) {
        static LIMIT: RateLimit = RateLimit::per_second(1);
        if LIMIT.allows() {
            warn!(peer = %overflow.peer, "a peer sends more input than the desktop can take");
        }
        self.peers.overflowed(now, overflow.peer);
    }

    fn flush_pads(&mut self) -> Result<(), Over> {
        let sent = self.pads.flush()?;
        self.figures.pads_sent.add(sent);
        Ok(())
    }

    fn flush_input(&mut self) -> Result<(), Over> {
        let Some(channel) = &self.input else { return Ok(()) };
        while let Some(message) = self.outbox.front() {
            if !send(channel, message)? {
                break;
            }
            self.figures.input_sent.increment();
            self.outbox.pop();
        }
        Ok(())
    }

    fn note_end(&self, peer: PeerId, ending: &Ending) {
        static LIMIT: RateLimit = RateLimit::per_second(5);
        self.figures.peers_ended.increment();
        if matches!(ending, Ending::Violation(_)) {
            self.figures.peers_misbehaved.increment();
        }
        if LIMIT.allows() {
            info!(%peer, %ending, suppressed = LIMIT.suppressed(), "a peer ended");
        }
    }

    fn summarise(&self, supervision: &Supervision) {
        let demand = self.peers.demand();
        let viewers = match demand.watchers {
            0 => "no viewer".to_owned(),
            count => counted(count.into(), "viewer"),
        };
        supervision.set_summary(format!("{viewers}, {} kbit/s", demand.bitrate));
    }
}

/// The descriptors that the event loop polls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Source {
    Desktop,
    Input,
    Packets,
    Pads,
    Signalling,
    Socket,
    Sound,
    Supervision,
    Transfer,
}

/// Those that are readable, writable or closed.
struct Ready(Vec<Source>);

impl Ready {
    fn is(&self, source: Source) -> bool {
        self.0.contains(&source)
    }
}

fn poll_for(descriptor: BorrowedFd<'_>, writes: bool) -> PollFd<'_> {
    let flags = if writes { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
    PollFd::new(descriptor, flags)
}
