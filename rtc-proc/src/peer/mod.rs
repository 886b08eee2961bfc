//! One peer: a pure state machine around the WebRTC implementation. Takes bytes and instants
//! ([`Peer::handle`]), returns datagrams and events ([`Peer::poll_output`]), and uses neither
//! socket nor clock.
//!
//! Decides the negotiated codec and extensions ([`setup`]), which pictures the peer gets
//! ([`media`], `sound`), what its viewer says ([`speech`]), what its data-channel messages mean and whether
//! they count ([`channel`], [`decode`], [`transfer`]), what the page is told about pictures ([`sent`]), how fast it is sent
//! to ([`rate`]), whether its line failed ([`outage`]), and when its timers may wait ([`quiet`]);
//! `sending` acts on the last three.
//!
//! Trusts no input. The implementation drops what it cannot authenticate; authenticated messages
//! that are not exactly ours end the peer with a reason.
//!
//! INVARIANT: after [`Peer::handle`] the implementation has been polled until it only waits for
//! time, so [`Peer::deadline`] and the queued outputs are complete.

use std::{collections::VecDeque, net::SocketAddr, time::Instant};

use lumen_ipc::{login::Rights, message::packets::FrameStamps, video::VideoFormat};
use lumen_ipc_runtime::bootstrap::contain;
use str0m::{
    Event, IceConnectionState, Input as RtcInput, Output as RtcOutput, Rtc,
    bwe::BweKind,
    channel::ChannelId,
    media::MediaKind,
    rtp::{RawPacket, rtcp::Rtcp},
};

pub mod alert;
pub mod channel;
mod data;
pub mod decode;
pub mod encode;
pub mod limit;
pub mod media;
pub mod outage;
pub mod quiet;
pub mod rate;
mod relayed;
mod sending;
pub mod sent;
pub mod setup;
mod sound;
pub mod speech;
pub mod stillness;
#[cfg(test)]
mod tests;
mod traffic;
pub mod transfer;
mod video;
#[cfg(test)]
pub(crate) mod viewer;

pub use alert::FatalAlert;
use channel::Channels;
pub use channel::Said;
use data::Bulk;
use media::{FrameGate, VideoFrame};
use outage::Outage;
use quiet::Activity;
use rate::Measures;
use sending::Sending;
use sent::SentPictures;
use setup::Track;
pub use setup::{BadOffer, Setup};
use sound::SoundTrack;
use speech::SpeechTrack;
use stillness::Stillness;
pub use traffic::{Datagram, Ending, Input, Output, PeerEvent};

/// Time steps of the implementation that are taken without asking for the time again. It advances
/// its clock by a microsecond per packet.
const STEP: std::time::Duration = std::time::Duration::from_micros(2);
/// Bounds the steps of one call: each packet takes two, so this is a picture of 10 MB. A larger one
/// is continued at once by the next call.
const MAX_STEPS: usize = 16_000;

/// One peer.
#[derive(Debug)]
pub struct Peer {
    rtc: Rtc,
    channels: Channels,
    input: Option<ChannelId>,
    motion: Option<ChannelId>,
    pads: Option<ChannelId>,
    bulk: Bulk,
    video: Option<Track>,
    sound: Option<SoundTrack>,
    speech: SpeechTrack,
    gate: FrameGate,
    sending: Sending,
    activity: Activity,
    stillness: Stillness,
    outage: Outage,
    connected: bool,
    /// Our address at the relay.
    relayed: Option<SocketAddr>,
    /// Stamps and RTP time of the frame written last, until all of it has been sent.
    in_flight: Option<(FrameStamps, u64)>,
    sent: SentPictures,
    now: Instant,
    deadline: Instant,
    outputs: VecDeque<Output>,
    events: Vec<Event>,
    ended: bool,
}

impl Peer {
    /// Accepts a browser's offer; returns the peer and the answer.
    ///
    /// # Errors
    /// [`BadOffer`] says what is wrong with it.
    pub fn accept(
        now: Instant,
        setup: &Setup,
        rights: Rights,
        offer: &str,
        relayed: Option<SocketAddr>,
    ) -> Result<(Self, String), BadOffer> {
        let (mut rtc, answer) = setup.accept(now, offer)?;
        let speech = SpeechTrack::new(now, setup.takes_speech());
        let answer = speech.answer(relayed::answer(&mut rtc, answer, relayed));
        let mut peer = Self {
            rtc,
            channels: Channels::new(now, rights),
            input: None,
            motion: None,
            pads: None,
            bulk: Bulk::default(),
            video: None,
            sound: None,
            speech,
            gate: FrameGate::AwaitingKeyframe,
            sending: Sending::new(now, setup.encoder_bps(), setup::feedback_id(&answer)),
            activity: Activity::Busy { last: now },
            stillness: Stillness::default(),
            outage: Outage::new(now),
            connected: false,
            relayed,
            in_flight: None,
            sent: SentPictures::default(),
            now,
            deadline: now,
            outputs: VecDeque::new(),
            events: Vec::new(),
            ended: false,
        };
        peer.handle(now, Input::Timeout);
        Ok((peer, answer))
    }

    /// Restarts ICE for the same connection, because the path to the browser was lost; returns the
    /// answer.
    ///
    /// # Errors
    /// [`BadOffer`] says what is wrong with the offer; the peer continues without it.
    pub fn restart(
        &mut self,
        now: Instant,
        offer: &str,
        relayed: Option<SocketAddr>,
    ) -> Result<String, BadOffer> {
        self.forget_relayed();
        let answer = setup::restart(&mut self.rtc, offer)?;
        self.relayed = relayed;
        let answer = self.speech.answer(relayed::answer(&mut self.rtc, answer, relayed));
        self.now = now;
        self.wake_up();
        self.handle(now, Input::Timeout);
        Ok(answer)
    }

    /// Changes the peer's rights.
    pub const fn set_rights(&mut self, rights: Rights) {
        self.channels.set_rights(rights);
    }

    /// Whether a datagram belongs to this peer, by its credentials, its keys or its address.
    #[must_use]
    pub fn accepts(&self, datagram: &RtcInput<'_>) -> bool {
        !self.ended && self.rtc.accepts(datagram)
    }

    /// Takes one input and acts on it at once. A bug of the implementation ends this peer and no
    /// other.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        if !self.ended && contain(|| self.act(now, input)).is_err() {
            // The implementation is in no state to say goodbye.
            self.ended = true;
            self.outputs.clear();
            self.emit(PeerEvent::Ended(Ending::Broken));
        }
    }

    fn act(&mut self, now: Instant, input: Input<'_>) {
        self.now = self.now.max(now);
        match input {
            Input::Datagram(datagram) => self.receive(datagram),
            Input::Candidate(line) => self.add_candidate(line),
            Input::Message(message) => self.send_message(message),
            Input::Transfer(message) => self.send_transfer(message),
            Input::Violated(violation) => return self.close(violation.into()),
            // Believed during the handshake although it is not authenticated: a sender that can use
            // the browser's address can disturb the handshake in other ways, too.
            Input::Refused(alert) if !self.connected => self.end(Ending::Unsecured(alert)),
            Input::Refused(_) => {}
            Input::RelayedAddress(relayed) => self.move_relayed(relayed),
            Input::Sound(frame) => self.write_sound(frame),
            Input::Video(frame) => self.write_frame(frame),
            Input::VideoInterrupted => self.gate.interrupt(),
            Input::Timeout => self.advance(),
            Input::Close => return self.close(Ending::Asked),
        }
        self.settle();
    }

    /// The next output, oldest first. What the viewer said may change its rights ([`Peer::set_rights`]), which
    /// count for what it said next.
    pub fn poll_output(&mut self) -> Option<Output> {
        loop {
            let output = self.outputs.pop_front()?;
            match &output {
                Output::Event(PeerEvent::Said(said)) if !self.channels.permits(said) => {}
                _ => return Some(output),
            }
        }
    }

    /// When to call [`Peer::handle`] with [`Input::Timeout`], unless another input comes first.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether pictures can flow.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.connected && !self.ended
    }

    /// Whether the peer waits for a keyframe.
    #[must_use]
    pub fn awaits_keyframe(&self) -> bool {
        self.is_connected() && self.gate == FrameGate::AwaitingKeyframe
    }

    /// Whether the browser accepts pictures of `format`.
    #[must_use]
    pub fn takes(&self, format: VideoFormat) -> bool {
        self.video.as_ref().is_some_and(|track| track.payload(format).is_some())
    }

    /// What its network leaves to the encoder, in bit/s.
    #[must_use]
    pub fn encoder_bps(&self) -> u64 {
        self.sending.encoder_bps(self.now)
    }

    /// Handles an action of its viewer, who waits for what the next pictures show of it.
    pub const fn acted(&mut self, now: Instant) {
        self.sending.acted(now);
    }

    /// What its network carries, in bit/s.
    #[must_use]
    pub const fn network_bps(&self) -> u64 {
        self.sending.bps()
    }

    /// What was measured of its network; what is counted begins anew.
    pub fn take_measures(&mut self) -> Measures {
        self.sending.take_measures()
    }

    /// Whether so much waits for its network that it gets no pictures.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.gate == FrameGate::Behind
    }

    /// Number of legal messages that were ignored because the peer has no right to control.
    #[must_use]
    pub const fn ignored_messages(&self) -> u64 {
        self.channels.ignored()
    }

    fn receive(&mut self, datagram: RtcInput<'_>) {
        // A datagram from the right address need not be the browser's: one that does not parse or
        // decrypt changes nothing. A failure that matters closes the machine, which `settle`
        // notices.
        if let Err(error) = self.rtc.handle_input(datagram) {
            tracing::debug!(%error, "refused a datagram");
        } else if self.outage.on_heard(self.now) {
            self.resume();
        }
    }

    fn advance(&mut self) {
        let now = self.now;
        if self.activity.has_faded(now) {
            self.fall_quiet();
        }
        if let Err(error) = self.rtc.handle_input(RtcInput::Timeout(now)) {
            self.end(Ending::Failed(error.to_string()));
        }
    }

    fn add_candidate(&mut self, line: &str) {
        // Browsers hide their addresses behind names that only they can resolve (".local"); their
        // connectivity checks still reach us and reveal the address.
        match str0m::Candidate::from_sdp_string(line) {
            Ok(candidate) => self.rtc.add_remote_candidate(candidate),
            Err(error) => tracing::debug!(%error, "ignored a candidate"),
        }
    }

    /// Polls until the machine only waits for time.
    fn settle(&mut self) {
        for _ in 0..MAX_STEPS {
            if self.ended {
                return;
            }
            match self.rtc.poll_output() {
                Ok(RtcOutput::Transmit(transmit)) => self.transmit(transmit),
                Ok(RtcOutput::Event(Event::RawPacket(packet)))
                    if !matches!(*packet, RawPacket::RtcpRx(Rtcp::Twcc(_))) =>
                {
                    self.on_copy(&packet);
                }
                // Handled after the machine is drained, because it must not be changed in between.
                Ok(RtcOutput::Event(event)) => self.events.push(event),
                Ok(RtcOutput::Timeout(at)) => {
                    if !self.settle_timeout(at) {
                        return;
                    }
                }
                Err(error) => self.end(Ending::Failed(error.to_string())),
            }
        }
        self.deadline = self.now;
    }

    /// Completes a drained machine; returns whether it must be polled again.
    fn settle_timeout(&mut self, at: Instant) -> bool {
        if !self.events.is_empty() {
            for event in std::mem::take(&mut self.events) {
                self.on_event(event);
            }
            return !self.ended;
        }
        if !self.rtc.is_alive() {
            self.end(Ending::Closed);
            return false;
        }
        if at <= self.now + STEP {
            self.now = self.now.max(at);
            self.advance();
            return true;
        }
        self.count_bulk();
        self.release();
        if self.gate == FrameGate::Behind && self.sending.has_caught_up() {
            self.gate = FrameGate::AwaitingKeyframe;
            self.emit(PeerEvent::Said(Said::KeyframeWanted));
        }
        let queue_empty = self.sending.is_idle();
        if queue_empty && let Some((stamps, rtp_ticks)) = self.in_flight.take() {
            self.emit(PeerEvent::FrameSent(stamps));
            self.sent.on_sent(rtp_ticks);
        }
        if self.tell_sent() {
            return true;
        }
        self.rest(at, queue_empty);
        false
    }

    /// Tells the page which picture was sent, if due; returns whether the machine must be polled
    /// again.
    fn tell_sent(&mut self) -> bool {
        let Some(id) = self.input else { return false };
        let Some(ticks) = self.sent.take(self.now) else { return false };
        // A full or broken channel is noticed elsewhere. If the page has closed its channel, the
        // message is dropped, so that it does not stay due for ever.
        self.rtc.channel(id).is_some_and(|mut channel| {
            matches!(channel.write(true, &encode::picture_sent(ticks)), Ok(true))
        })
    }

    fn rest(&mut self, at: Instant, queue_empty: bool) {
        let reason = self.rtc.last_timeout_reason();
        // Before the connection exists, every timer is needed to establish it.
        self.deadline = if self.connected {
            self.activity.deadline(self.now, at, reason, queue_empty)
        } else {
            at
        };
        let told = self.input.and_then(|_| self.sent.due(self.now));
        for due in [told, self.sending.due(self.now)].into_iter().flatten() {
            self.deadline = self.deadline.min(due);
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Connected => self.on_connected(),
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                self.end(Ending::Lost);
            }
            Event::MediaAdded(media) if media.kind == MediaKind::Video && self.video.is_none() => {
                self.video = setup::track(&mut self.rtc, media.mid);
                setup::repair_without_limit(&mut self.rtc, media.mid);
            }
            Event::MediaAdded(media) if media.kind == MediaKind::Audio => {
                self.add_sound(media.mid);
                self.add_speech(media.mid);
            }
            Event::MediaData(media) => self.on_media_data(media),
            Event::ChannelOpen(id, label) => self.on_channel_open(id, &label),
            Event::ChannelData(data) => self.on_channel_data(&data),
            Event::KeyframeRequest(_) if self.sending.is_sending_keyframe(self.now) => {}
            Event::KeyframeRequest(_) if self.stillness.excuses(self.now) => {}
            Event::KeyframeRequest(_) => self.emit(PeerEvent::Said(Said::KeyframeWanted)),
            Event::MediaEgressStats(stats) if self.on_sound_report(&stats) => {}
            Event::MediaEgressStats(stats) => {
                if let Some(round_trip) = stats.rtt {
                    self.sending.on_round_trip(round_trip);
                }
                if let Some(remote) = stats.remote {
                    self.stillness.on_report(remote.maximum_sequence_number.as_u16());
                }
            }
            Event::RawPacket(packet) => self.on_raw_packet(*packet),
            Event::EgressBitrateEstimate(BweKind::Remb { estimate, .. }) => {
                self.on_receiver_estimate(estimate.as_u64());
            }
            Event::Closed => self.end(Ending::Closed),
            _ => {}
        }
    }

    fn on_connected(&mut self) {
        self.connected = true;
        self.guess_rate();
        self.emit(PeerEvent::Connected);
    }

    /// Ends the peer and tells the browser so.
    fn close(&mut self, ending: Ending) {
        if self.rtc.close().is_ok() {
            for _ in 0..MAX_STEPS {
                match self.rtc.poll_output() {
                    Ok(RtcOutput::Transmit(transmit)) => self.transmit(transmit),
                    Ok(RtcOutput::Event(_)) => {}
                    Ok(RtcOutput::Timeout(_)) | Err(_) => break,
                }
            }
        }
        self.end(ending);
    }

    fn end(&mut self, ending: Ending) {
        if !self.ended {
            self.ended = true;
            self.rtc.disconnect();
            self.emit(PeerEvent::Ended(ending));
        }
    }

    fn emit(&mut self, event: PeerEvent) {
        self.outputs.push_back(Output::Event(event));
    }
}
