//! All peers of the session, as one pure machine: signalling, datagrams, pictures and the
//! compositor's statements in; datagrams, answers, input and demands on media out.
//!
//! Decides who is admitted ([`MAX_PEERS`]), which peer a datagram belongs to, who gets a picture,
//! what media is asked for ([`crate::demand`]), which viewer's window determines the desktop's size
//! (`sizes`), what viewers may do (`leases`) and are told about the desktop (`desk`). Messages of the gateway are
//! handled in `signalling`.
//!
//! Peers have two numbers. The gateway's is unique only while that gateway runs; ours, which the
//! compositor knows, is unique while this process runs, so that a peer that outlives the gateway is
//! never confused with a peer that the next gateway gives the same number.
//!
//! INVARIANT: every peer whose input reached the compositor is followed by one
//! [`PeerLeft`](lumen_ipc::message::input::Action::PeerLeft), whatever ended it; so is every peer whose pads reached gamepad, by its like.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use lumen_ipc::{
    codec::{ProtocolViolation, Violation},
    demand::Demand,
    lease::{Challenge, LeaseId},
    link::LinkName,
    login::{LoginId, Rights},
    message::{
        desktop,
        input::ToCompositor,
        packets::FrameStamps,
        pads::ToGamepad,
        signalling::ToGateway,
        sound::{SoundDemand, Speech},
        transfer::{self, ClipboardPolicy},
    },
    service::ResizePolicy,
    text::Secret,
    units::{Kbps, OutputId, PeerId},
    video::{VideoFormat, VideoFormats},
};
use str0m::Input as RtcInput;

use crate::{
    clipboard::Clipboard,
    demand::{KeyframeAllowance, Network, Wanted},
    peer::{
        Datagram, Ending, Input, Output as PeerOutput, Peer, Setup,
        encode::{DesktopState, Heard},
        media::VideoFrame,
        rate::FLOOR_BPS,
    },
    relay::Relay,
    sound::SoundWanted,
};

mod clipboard;
#[cfg(test)]
mod clipboard_tests;
mod desk;
mod events;
mod floor;
mod leases;
mod networks;
mod pads;
mod relayed;
mod signalling;
mod sizes;
mod sound;
#[cfg(test)]
mod tests;

use desk::Desk;
use floor::Floor;
pub use networks::Networks;
use pads::PluggedPads;
use sizes::Sizes;

/// Most peers at a time, because every packet is encrypted for each of them.
pub const MAX_PEERS: usize = 16;
/// Most remote addresses remembered; a browser uses two or three. Others are looked up at every
/// peer.
const MAX_ROUTES: usize = 8 * MAX_PEERS;
/// A browser that has not connected after this time never will.
const CONNECT_PATIENCE: Duration = Duration::from_secs(20);

/// An output of the machine.
#[derive(Debug)]
pub enum Output {
    /// Tell media the new demand.
    Demand(Demand),
    /// Record that a peer has ended.
    Ended {
        /// The peer, by our number.
        peer: PeerId,
        /// Why.
        ending: Ending,
    },
    /// Record that the last packet of a frame was sent to one peer.
    FrameSent(FrameStamps),
    /// Tell the sound worker the new demand.
    SoundDemand(SoundDemand),
    /// Pass on to the sound worker what a viewer says.
    Speech(Speech),
    /// Send to the gateway.
    ToGateway(ToGateway),
    /// Send to the compositor.
    Input(ToCompositor),
    /// Send to the gamepad worker.
    Pad(ToGamepad),
    /// Send to the compositor, about the clipboard.
    Transfer(transfer::ToCompositor),
    /// Send a datagram.
    Transmit(Datagram),
}

/// All peers.
#[derive(Debug)]
pub struct Peers {
    setup: Setup,
    relay: Option<Relay>,
    peers: BTreeMap<PeerId, Entry>,
    /// What the viewers of each lease may do.
    rights: BTreeMap<LeaseId, Rights>,
    /// What the next proof of each lease answers, as far as the compositor has said.
    challenges: BTreeMap<LeaseId, Challenge>,
    routes: HashMap<SocketAddr, PeerId>,
    generation: u32,
    numbered: u64,
    desk: Desk,
    pads: PluggedPads,
    sizes: Sizes,
    /// The viewer who acted last.
    working: Option<PeerId>,
    wanted: Wanted,
    clipboard: Clipboard,
    /// `None` where the session has no sound.
    sound: Option<SoundWanted>,
    floor: Floor,
    outputs: VecDeque<Output>,
}

/// A peer's entry, from its joining on; the peer itself exists from its first offer on.
#[derive(Debug)]
struct Entry {
    generation: u32,
    gateway_number: PeerId,
    /// The ticket with which a browser resumes it.
    ticket: Secret,
    login: LoginId,
    /// The lease that its page has named.
    lease: Option<LeaseId>,
    /// What the viewers of that lease may do.
    rights: Rights,
    /// Whether its page's channel can carry clipboard messages.
    wants_clipboard: bool,
    /// When its login ends, unless it is renewed.
    expires: Option<Instant>,
    peer: Option<Peer>,
    connect_by: Option<Instant>,
    has_acted: bool,
    /// Whose microphone its page was told is heard.
    told_heard: Heard,
    /// Whether its page is hidden, and so needs no pictures.
    is_hidden: bool,
    /// Its allowance of keyframe requests.
    keyframes: KeyframeAllowance,
}

impl Peers {
    /// Sets this machine's addresses for new viewers.
    pub fn set_candidates(&mut self, candidates: Vec<SocketAddr>) {
        self.setup.set_candidates(candidates);
    }

    /// Nobody yet; the encoder makes at most `encoder`, there may be a relay, and two policies say what
    /// viewers may do with the clipboard and to the desktop's size.
    #[must_use]
    pub fn new(
        setup: Setup,
        encoder: Kbps,
        relay: Option<SocketAddr>,
        clipboard: ClipboardPolicy,
        resize: ResizePolicy,
    ) -> Self {
        let relay = relay.and_then(|server| Relay::new(server, setup.candidates()));
        Self {
            setup,
            relay,
            peers: BTreeMap::new(),
            rights: BTreeMap::new(),
            challenges: BTreeMap::new(),
            routes: HashMap::new(),
            generation: 0,
            numbered: 0,
            desk: Desk::default(),
            pads: PluggedPads::default(),
            sizes: Sizes::new(resize),
            working: None,
            wanted: Wanted::new(Kbps::clamped(FLOOR_BPS / 1000), encoder),
            clipboard: Clipboard::new(clipboard),
            sound: None,
            floor: Floor::default(),
            outputs: VecDeque::new(),
        }
    }

    /// The next output, oldest first.
    pub fn poll_output(&mut self) -> Option<Output> {
        let Self { outputs, wanted, sound, .. } = self;
        let sound = || sound.as_mut()?.news().map(Output::SoundDemand);
        outputs.pop_front().or_else(|| wanted.news().map(Output::Demand)).or_else(sound)
    }

    /// When to call [`Peers::timeout`].
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let peers = self.peers().map(Peer::deadline);
        let patience = self.peers.values().filter_map(|entry| entry.connect_by);
        let relay = self.relay.as_ref().and_then(Relay::deadline);
        let logins = self.peers.values().filter_map(|entry| entry.expires);
        let asking = self.peers.values().filter_map(|entry| entry.keyframes.deadline());
        let own = patience.chain(logins).chain(asking).chain(self.bulk_due());
        let own = own.chain(relay).chain(self.floor.due());
        peers.chain(own).min()
    }

    /// Number of peers, connected or not.
    #[must_use]
    pub fn count(&self) -> usize {
        self.peers.len()
    }

    /// The demand on media.
    #[must_use]
    pub const fn demand(&self) -> Demand {
        self.wanted.demand()
    }

    /// Passes on a picture of media's.
    pub fn video(&mut self, now: Instant, frame: &VideoFrame) {
        if frame.keyframe {
            self.wanted.keyframe_came();
            self.peers.values_mut().for_each(|entry| entry.keyframes.served());
        }
        self.for_those(now, |entry| !entry.is_hidden, || Input::Video(frame));
        if !frame.keyframe {
            self.ask_for_the_starving(now, frame.format);
        }
        self.refresh_demand(now);
    }

    /// Media offers formats.
    pub fn formats_offered(&mut self, now: Instant, formats: VideoFormats) {
        self.wanted.offered(formats);
        self.refresh_demand(now);
    }

    /// Asks for a keyframe on behalf of viewers that accept the current format but cannot start
    /// decoding.
    fn ask_for_the_starving(&mut self, now: Instant, format: VideoFormat) {
        let waits = |peer: &Peer| peer.takes(format) && peer.awaits_keyframe();
        let starves = |entry: &Entry| !entry.is_hidden && entry.peer.as_ref().is_some_and(waits);
        let starving = self.peers.iter().filter(|(_, entry)| starves(entry));
        for number in starving.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.on_keyframe_wanted(now, number);
        }
    }

    /// Media has ended; the pictures of its successor do not refer to earlier ones.
    pub fn video_interrupted(&mut self, now: Instant) {
        self.for_each(now, || Input::VideoInterrupted);
        self.desktop_state(now, DesktopState::MediaRestarting);
    }

    /// Pictures flow, possibly again.
    pub fn video_resumed(&mut self, now: Instant) {
        if self.desk.state() == DesktopState::MediaRestarting {
            self.desktop_state(now, DesktopState::Running);
        }
    }

    /// Passes on a statement of the compositor.
    ///
    /// # Errors
    /// [`ProtocolViolation`] when it is about an output that no viewer watches.
    pub fn desktop(
        &mut self,
        now: Instant,
        message: &desktop::ToRtc,
    ) -> Result<(), ProtocolViolation> {
        if message.output != OutputId::PRIMARY {
            let what = Violation::Illegal("a statement on an output that no viewer watches");
            return Err(ProtocolViolation { link: LinkName::Desktop, what });
        }
        let bytes = self.desk.note(&message.statement);
        self.broadcast(now, &bytes);
        Ok(())
    }

    /// A process that the picture depends on has ended or returned.
    pub fn desktop_state(&mut self, now: Instant, state: DesktopState) {
        if let Some(bytes) = self.desk.note_state(state) {
            self.broadcast(now, &bytes);
        }
    }

    /// Closes a peer that sends more than the compositor can take.
    pub fn overflowed(&mut self, now: Instant, number: PeerId) {
        let Some(entry) = self.peers.get(&number) else { return };
        let reason = "The desktop is too busy to take your input; please try again.";
        self.tell_closed(entry.generation, entry.gateway_number, reason, true);
        self.forget_gateway_number(number);
        self.close(now, number);
        self.refresh_demand(now);
    }

    /// Closes all peers.
    pub fn close_all(&mut self, now: Instant) {
        self.close_those(now, "The desktop's connection is being restarted.", |_| true);
        self.refresh_demand(now);
    }

    /// Handles deadlines that have passed.
    pub fn timeout(&mut self, now: Instant) {
        let due = |entry: &Entry| entry.peer.as_ref().is_some_and(|due| due.deadline() <= now);
        let numbers = self.peers.iter().filter(|(_, entry)| due(entry)).map(|(number, _)| *number);
        for number in numbers.collect::<Vec<_>>() {
            self.feed(now, number, Input::Timeout);
        }
        self.expire(now);
        let due = self.peers.values_mut().map(|entry| entry.keyframes.due(now));
        // Every one is evaluated, because each has a side effect.
        if due.fold(false, |any, due| any | due) {
            self.wanted.keyframe_asked();
        }
        self.floor.rest(now);
        self.tell_heard(now);
        self.relay_timeout(now);
        self.send_bulk(now);
        self.refresh_demand(now);
    }

    fn owner(&mut self, source: SocketAddr, datagram: &RtcInput<'_>) -> Option<PeerId> {
        let accepts = |entry: &Entry| entry.peer.as_ref().is_some_and(|it| it.accepts(datagram));
        if let Some(number) = self.routes.get(&source)
            && self.peers.get(number).is_some_and(accepts)
        {
            return Some(*number);
        }
        let number =
            self.peers.iter().find(|(_, entry)| accepts(entry)).map(|(number, _)| *number)?;
        if self.routes.len() < MAX_ROUTES || self.routes.contains_key(&source) {
            self.routes.insert(source, number);
        }
        Some(number)
    }

    fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values().filter_map(|entry| entry.peer.as_ref())
    }

    fn for_each<'a>(&mut self, now: Instant, input: impl Fn() -> Input<'a>) {
        self.for_those(now, |_| true, input);
    }

    /// Gives an input to each peer that is meant.
    fn for_those<'a>(
        &mut self,
        now: Instant,
        meant: impl Fn(&Entry) -> bool,
        input: impl Fn() -> Input<'a>,
    ) {
        let meant = self.peers.iter().filter(|(_, entry)| meant(entry));
        for number in meant.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.feed(now, number, input());
        }
    }

    fn broadcast(&mut self, now: Instant, bytes: &[u8]) {
        self.for_each(now, || Input::Message(bytes));
    }

    fn close(&mut self, now: Instant, number: PeerId) {
        match self.peers.get(&number) {
            Some(Entry { peer: Some(_), .. }) => self.feed(now, number, Input::Close),
            _ => drop(self.peers.remove(&number)),
        }
    }

    fn feed(&mut self, now: Instant, number: PeerId, input: Input<'_>) {
        let Some(peer) = self.peers.get_mut(&number).and_then(|entry| entry.peer.as_mut()) else {
            return;
        };
        peer.handle(now, input);
        self.collect(now, number);
    }

    fn collect(&mut self, now: Instant, number: PeerId) {
        loop {
            let entry = self.peers.get_mut(&number);
            let output = entry.and_then(|entry| entry.peer.as_mut()?.poll_output());
            match output {
                None => return,
                Some(PeerOutput::Transmit(datagram)) => self.transmit(now, datagram),
                Some(PeerOutput::Event(event)) => self.on_event(now, number, event),
            }
        }
    }

    fn expire(&mut self, now: Instant) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let unreached = "The browser could not reach this desktop over UDP.";
        self.close_those(now, unreached, |entry| is_due(entry.connect_by));
        self.close_those(now, "The login has ended.", |entry| is_due(entry.expires));
    }

    /// Closes some peers and tells the gateway.
    fn close_those(&mut self, now: Instant, reason: &str, which: impl Fn(&Entry) -> bool) {
        let numbers = self.peers.iter().filter(|(_, entry)| which(entry));
        for number in numbers.map(|(number, _)| *number).collect::<Vec<_>>() {
            if let Some(entry) = self.peers.get(&number) {
                self.tell_closed(entry.generation, entry.gateway_number, reason, true);
            }
            self.forget_gateway_number(number);
            self.close(now, number);
        }
    }

    fn refresh_demand(&mut self, now: Instant) {
        if self.peers.is_empty() {
            self.release_relay(now);
        }
        self.wanted.resized(self.sizes.wanted());
        let Self { peers, wanted, working, .. } = self;
        let watching = peers.iter().filter(|(_, entry)| !entry.is_hidden);
        let peers = watching.filter_map(|(number, entry)| Some((*number, entry.peer.as_ref()?)));
        let connected = peers.filter(|(_, peer)| peer.is_connected());
        let network = |(number, peer): (PeerId, &Peer)| Network {
            bps: peer.encoder_bps(),
            works: *working == Some(number),
        };
        wanted.watched(now, connected.clone().map(network));
        wanted.choose(|format| connected.clone().filter(|(_, peer)| peer.takes(format)).count());
        self.refresh_sound(now);
    }
}
