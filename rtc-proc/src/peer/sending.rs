//! The way of a datagram to the network, and what comes back of it: each is classed, waits for the
//! pacer, is noted when it leaves, and the browser's reports decide the rate. Also lets a peer
//! become quiet and wake up again.

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use str0m::{
    media::Pt,
    net::Transmit,
    rtp::{RawPacket, rtcp::Rtcp},
};

use super::{
    Output, Peer, PeerEvent, Said,
    media::FrameGate,
    quiet::Activity,
    rate::{
        CEILING_BPS, Control, Duplicates, End, Kind, Measures, Pacer, Push, Repairs, SentLog,
        on_wire, transport_sequence,
    },
    setup::{self, Track},
    stillness::sequence_of,
    traffic::Datagram,
};

/// The least that a receiver's own estimate counts for, in bit/s. Some clients report absurdly
/// little (aiortc: 57 kbit/s).
pub(super) const LEAST_RECEIVER_BPS: u64 = 500_000;
/// Pictures may wait for the pacer this long before those after it are dropped until the next
/// keyframe: a viewer whose network is slower than the common stream then sees a picture now and
/// then, instead of one that is a minute old…
const MOST_BACKLOG_SECONDS: u64 = 2;
/// …but a large keyframe always finds room…
const KEYFRAME_BYTES: u64 = 500_000;
/// …and no backlog is larger than this.
const MOST_BACKLOG_BYTES: u64 = 5_000_000;
/// A peer that fell behind has caught up when what waits leaves in this part of a second.
const CAUGHT_UP_PART: u64 = 10;
/// A picture takes this part of a second to leave at the rate that it was made for. What waits
/// beyond that is a backlog.
const PICTURE_PART: u64 = 10;
/// A backlog is to have left in this time, in seconds; until then the encoder makes less.
const CATCH_UP_SECONDS: u64 = 1;
/// The encoder gets at least one part in this many of the rate.
const LEAST_SHARE: u64 = 3;
/// A keyframe that waits makes up for another one for so long.
const KEYFRAME_COUNTS: Duration = Duration::from_secs(1);
/// Where this part of the packets has to be repaired, the last one of each picture is sent twice: nothing
/// behind it would tell the browser that it is missing before the next picture comes. Of what is sent twice
/// little is repaired, hence so little.
const REPEATED_LOSS: f64 = 0.005;
/// Below this rate the network has no room for that.
const REPEATING_BPS: u64 = 5_000_000;
/// The timer does not ring more often than this.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// What is known of one peer's network, and what waits to be sent.
#[derive(Debug)]
pub(super) struct Sending {
    control: Control,
    log: SentLog,
    pacer: Pacer,
    repairs: Repairs,
    duplicates: Duplicates,
    /// A repair of which the machine has not said yet what it repairs.
    unnamed: Option<Datagram>,
    /// The id of the header extension by which the browser reports what it received.
    feedback_id: Option<u8>,
    /// The zero of arrival times.
    zero: Instant,
    encoder_bps: u64,
    /// When the last keyframe began to wait.
    keyframe: Option<Instant>,
    /// Addresses of the last datagram, ours first.
    path: Option<(SocketAddr, SocketAddr)>,
}

impl Sending {
    /// Nothing was sent yet; the encoder makes at most `encoder_bps`.
    pub(super) fn new(now: Instant, encoder_bps: u64, feedback_id: Option<u8>) -> Self {
        Self {
            control: Control::new(now, encoder_bps),
            log: SentLog::default(),
            pacer: Pacer::new(now),
            repairs: Repairs::default(),
            duplicates: Duplicates::new(now),
            unnamed: None,
            feedback_id,
            zero: now,
            encoder_bps,
            keyframe: None,
            path: None,
        }
    }

    /// The rate, in bit/s.
    pub(super) const fn bps(&self) -> u64 {
        self.control.bps()
    }

    /// What was measured of the network; what is counted begins anew.
    pub(super) fn take_measures(&mut self) -> Measures {
        self.control.take_measures()
    }

    /// Whether the rate is below what the encoder may use.
    pub(super) const fn is_limiting(&self) -> bool {
        self.bps() < self.encoder_bps
    }

    /// The viewer has acted.
    pub(super) const fn acted(&mut self, now: Instant) {
        self.control.acted(now);
    }

    /// What the encoder may use of the rate beside sound, and while what waits catches up, in bit/s.
    pub(super) fn encoder_bps(&self, now: Instant) -> u64 {
        let least = self.bps() / LEAST_SHARE;
        let rate = self.control.picture_bps(now).max(least);
        let backlog = (self.pacer.bytes() * 8).saturating_sub(rate / PICTURE_PART);
        rate.saturating_sub(backlog / CATCH_UP_SECONDS).max(least)
    }

    /// Whether so much waits that the peer cannot follow.
    pub(super) fn is_behind(&self) -> bool {
        let carried = self.bps() / 8 * MOST_BACKLOG_SECONDS;
        self.pacer.bytes() > carried.clamp(KEYFRAME_BYTES, MOST_BACKLOG_BYTES)
    }

    /// Whether next to nothing of a backlog is left.
    pub(super) fn has_caught_up(&self) -> bool {
        self.pacer.bytes() <= self.bps() / 8 / CAUGHT_UP_PART
    }

    /// The time from here to the browser and back was measured.
    pub(super) fn on_round_trip(&mut self, round_trip: Duration) {
        self.repairs.on_round_trip(round_trip);
        self.duplicates.on_round_trip(round_trip);
    }

    /// How many duplicates a packet has at least.
    fn least_duplicates(&self, packet: &[u8]) -> u32 {
        let repeats_last = self.repairs.part() >= REPEATED_LOSS && self.bps() >= REPEATING_BPS;
        u32::from(repeats_last && is_last(packet))
    }

    /// Whether the browser reports on each packet.
    pub(super) const fn has_feedback(&self) -> bool {
        self.feedback_id.is_some()
    }

    /// Whether packets of pictures have duplicates.
    pub(super) const fn has_duplicates(&self) -> bool {
        self.duplicates.are_on()
    }

    /// How many bytes wait.
    #[cfg(test)]
    pub(super) const fn waiting(&self) -> u64 {
        self.pacer.bytes()
    }

    /// A keyframe begins to wait.
    pub(super) const fn on_keyframe(&mut self, now: Instant) {
        self.keyframe = Some(now);
    }

    /// Whether a keyframe is still leaving. A browser that asks for one meanwhile has not got it.
    pub(super) fn is_sending_keyframe(&self, now: Instant) -> bool {
        !self.is_idle() && self.keyframe.is_some_and(|began| now < began + KEYFRAME_COUNTS)
    }

    /// Whether nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.pacer.packets() == 0
    }

    /// When something that waits may leave, and waking up is worth it.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let dues = [self.pacer.due(self.control.pace()), self.duplicates.due()];
        Some(dues.into_iter().flatten().min()?.max(now + LEAST_WAIT))
    }

    /// Takes a datagram; returns it if it leaves at once.
    fn push(&mut self, now: Instant, kind: Kind, datagram: Datagram) -> Option<Datagram> {
        let is_sound = kind == Kind::Sound;
        if is_sound {
            self.control.on_sound(now, on_wire(&datagram));
        }
        match self.pacer.push(now, self.control.pace(), kind, datagram) {
            Push::Leaves(datagram) => {
                self.left(now, &datagram);
                if let Some(sequence) = self.sequence(&datagram).filter(|_| is_sound) {
                    self.log.on_sound(sequence);
                }
                Some(datagram)
            }
            Push::Waits => None,
            Push::Dropped(datagram) => {
                self.dropped(&datagram);
                None
            }
        }
    }

    /// The browser begins anew: what waits, and repairs of what has left, are of no use to it.
    fn begin_anew(&mut self, now: Instant) {
        let waiting = self.pacer.clear(now);
        for datagram in waiting.iter().chain(&self.unnamed.take()) {
            self.dropped(datagram);
        }
        self.repairs.begin_anew(now);
        self.duplicates.clear();
    }

    fn dropped(&mut self, datagram: &Datagram) {
        if let Some(sequence) = self.sequence(datagram) {
            self.log.on_dropped(sequence);
        }
    }

    fn sequence(&self, datagram: &Datagram) -> Option<u16> {
        self.feedback_id.and_then(|id| transport_sequence(&datagram.contents, id))
    }

    /// The path may have changed while a datagram waited.
    const fn route(&self, datagram: &mut Datagram) {
        if let Some(path) = self.path {
            (datagram.source, datagram.destination) = path;
        }
    }

    /// A duplicate that leaves. Pictures pay for it. Reports do not tell it from its original, so that what is
    /// known to arrive is without duplicates: a line that turns out to carry less is sent too little at first.
    fn pop_duplicate(&mut self, now: Instant) -> Option<Datagram> {
        let mut duplicate = self.duplicates.pop(now)?;
        self.route(&mut duplicate);
        self.pacer.pay(now, self.control.pace(), &duplicate);
        self.control.on_sent(now, on_wire(&duplicate));
        Some(duplicate)
    }

    fn left(&mut self, now: Instant, datagram: &Datagram) {
        let bytes = on_wire(datagram);
        self.control.on_sent(now, bytes);
        if let Some(sequence) = self.sequence(datagram) {
            self.log.on_sent(now, sequence, bytes);
        }
    }
}

impl Peer {
    /// Takes a datagram from the WebRTC machine.
    pub(super) fn transmit(&mut self, transmit: Transmit) {
        let Transmit { source, destination, contents, .. } = transmit;
        let contents: Vec<u8> = contents.into();
        // Connectivity checks are answered on every path, and say nothing about the one in use.
        if contents.first().is_some_and(|first| *first >= FIRST_AFTER_STUN) {
            self.moved(source, destination);
        }
        let kind = class(&contents, self.video.as_ref());
        if kind == Kind::Picture {
            self.sending.repairs.on_packet(&contents);
        }
        let datagram = Datagram { source, destination, header: None, contents };
        self.take_unnamed();
        if kind == Kind::Repair {
            self.sending.unnamed = Some(datagram);
        } else {
            self.push(kind, datagram);
        }
    }

    /// The machine says what it has just sent or received.
    pub(super) fn on_copy(&mut self, packet: &RawPacket) {
        let RawPacket::RtpTx(header, packet) = packet else { return };
        // The number of the repaired packet precedes its contents (RFC 4588, section 4).
        let repaired = packet.get(header.header_len..).and_then(|body| body.first_chunk());
        let (Some(repaired), Some(unnamed)) = (repaired, &self.sending.unnamed) else { return };
        if sequence_of(&unnamed.contents, *header.payload_type) != Some(header.sequence_number) {
            return;
        }
        let pace = self.sending.control.pace();
        let leaves = self.now + self.sending.pacer.repairs_take(pace);
        if self.sending.repairs.admits(self.now, leaves, u16::from_be_bytes(*repaired)) {
            self.take_unnamed();
        } else if let Some(repair) = self.sending.unnamed.take() {
            self.sending.dropped(&repair);
        }
    }

    fn take_unnamed(&mut self) {
        if let Some(repair) = self.sending.unnamed.take() {
            self.push(Kind::Repair, repair);
        }
    }

    fn push(&mut self, kind: Kind, datagram: Datagram) {
        let leaving = self.sending.push(self.now, kind, datagram);
        self.outputs.extend(leaving.map(Output::Transmit));
    }

    /// Lets leave what is due.
    pub(super) fn release(&mut self) {
        self.take_unnamed();
        while let Some(mut datagram) = self.sending.pacer.pop(self.now, self.sending.control.pace())
        {
            self.sending.route(&mut datagram);
            let mut kinds = self.video.iter().flat_map(Track::payloads);
            let sequence = kinds.find_map(|kind| sequence_of(&datagram.contents, *kind));
            if let Some(sequence) = sequence {
                self.stillness.on_packet(sequence);
                // Without reports of arrivals nobody knows what is unanswered.
                if self.sending.feedback_id.is_some() {
                    self.outage.on_picture(self.now);
                }
            }
            self.sending.left(self.now, &datagram);
            let least = self.sending.least_duplicates(&datagram.contents);
            self.sending.duplicates.on_left(self.now, &datagram, least);
            self.outputs.push_back(Output::Transmit(datagram));
        }
        while let Some(duplicate) = self.sending.pop_duplicate(self.now) {
            self.outputs.push_back(Output::Transmit(duplicate));
        }
    }

    /// Notes the path. Another network begins with another guess.
    fn moved(&mut self, ours: SocketAddr, theirs: SocketAddr) {
        let before = self.sending.path.replace((ours, theirs));
        let is_another =
            before.is_some_and(|before| (before.0, before.1.ip()) != (ours, theirs.ip()));
        if self.connected && is_another {
            self.guess_rate();
        }
    }

    /// Begins with what the path suggests.
    pub(super) fn guess_rate(&mut self) {
        let Some((ours, theirs)) = self.sending.path else { return };
        let encoder = self.sending.encoder_bps;
        // The network behind the relay is not the one between us and the relay.
        let is_relayed = self.relayed == Some(ours);
        let start = if is_relayed { encoder } else { setup::start_bps(encoder, theirs) };
        self.sending.control.assume(self.now, start);
    }

    /// A report of what the browser received.
    pub(super) fn on_raw_packet(&mut self, packet: RawPacket) {
        let RawPacket::RtcpRx(Rtcp::Twcc(report)) = packet else { return };
        let Sending { control, log, duplicates, zero, .. } = &mut self.sending;
        let report = report.into_iter(*zero, log.last().into());
        let report = report.map(|(number, _, arrived)| {
            (*number, arrived.map(|arrived| arrived.saturating_duration_since(*zero)))
        });
        let fates = log.on_report(report);
        let before_bps = control.bps();
        control.on_fates(self.now, &fates);
        duplicates.on_fates(self.now, &fates, before_bps, control.bps());
        let is_hopeless = control.take_hopeless();
        self.on_fates_of_all(&fates);
        let has_arrived = fates.iter().any(|fate| matches!(fate.end, End::Arrived(_)));
        if has_arrived && self.outage.on_arrival(self.now) {
            self.resume();
        } else if is_hopeless && self.gate == FrameGate::Open {
            self.give_up_pictures();
        }
    }

    /// The browser's line had failed and carries again. It can only go on with a keyframe, and does
    /// not ask for one soon, because its request was lost.
    pub(super) fn resume(&mut self) {
        tracing::debug!("the browser is back after a silence");
        self.begin_anew();
    }

    /// The network turns out to carry so little that what it lost of the last pictures would take longer
    /// than a keyframe of its rate.
    fn give_up_pictures(&mut self) {
        tracing::debug!(bps = self.sending.bps(), "the network carries far less than it was sent");
        self.begin_anew();
    }

    fn begin_anew(&mut self) {
        self.sending.begin_anew(self.now);
        self.in_flight = None;
        self.gate.begin_anew();
        self.wake_up();
        self.emit(PeerEvent::Said(Said::KeyframeWanted));
    }

    /// A receiver with an estimate of its own (REMB) sends no reports of what it received. If it
    /// does send reports, its estimate is ignored: what it received says more.
    pub(super) fn on_receiver_estimate(&mut self, bps: u64) {
        if self.sending.feedback_id.is_none() {
            let bps = bps.clamp(LEAST_RECEIVER_BPS, CEILING_BPS);
            self.sending.control.assume(self.now, bps);
        }
    }

    pub(super) fn fall_quiet(&mut self) {
        if self.connected && self.sending.is_idle() {
            self.activity = Activity::Quiet;
        }
    }

    pub(super) const fn wake_up(&mut self) {
        self.activity = Activity::Busy { last: self.now };
    }
}

/// What RTCP packets have in the place of a payload type.
const RTCP_TYPES: RangeInclusive<u8> = 64..=95;

/// The first byte of a datagram that is neither STUN nor ZRTP is at least this (RFC 7983).
const FIRST_AFTER_STUN: u8 = 20;

/// Whether an RTP packet is the last one of its picture (RFC 6184, section 5.1: the marker bit).
fn is_last(packet: &[u8]) -> bool {
    packet.get(1).is_some_and(|second| second & 0x80 != 0)
}

/// The class of a datagram, by its first bytes (RFC 7983; RFC 5761, section 4).
fn class(datagram: &[u8], video: Option<&Track>) -> Kind {
    let [128..=191, second, ..] = datagram else { return Kind::Urgent };
    let kind = Pt::from(second & 0x7f);
    match video {
        Some(track) if track.payloads().any(|payload| payload == kind) => Kind::Picture,
        Some(track) if track.repairs().any(|payload| payload == kind) => Kind::Repair,
        // RTCP shares these bytes with payload types that RTP leaves to it (RFC 5761, section 4).
        _ if !RTCP_TYPES.contains(&(second & 0x7f)) => Kind::Sound,
        _ => Kind::Urgent,
    }
}
