//! The configuration of every peer, and how an offer becomes one.
//!
//! The answer names each [`VideoFormat`] that the browser accepts, with retransmission, and our
//! addresses as host candidates. Which format is sent is decided for all peers together
//! ([`crate::demand`]).
//!
//! ICE is lite: a worker that is reachable at its own addresses need not probe, sends no checks and
//! so never wakes up for them. The answer does not say so, because browsers nominate a pair with a
//! lite agent only with their second check, 50 ms after the first, and nothing can be sent before.
//! They do not need our checks otherwise. What shows that a browser is still there are its own checks, which it
//! owes for its consent to be sent anything (RFC 7675); a peer that sends none for 15 s is taken for gone.
//!
//! Our address at the relay is one more candidate. To the WebRTC implementation it is a host
//! address, the only kind that ICE lite has; the browser is told its real type, so that it prefers
//! the others.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use lumen_ipc::{level::Level, units::Kbps, video::VideoFormat};
use str0m::{
    Candidate, IceCreds, Rtc, RtcConfig,
    change::SdpOffer,
    config::{CryptoProvider, DtlsCert},
    format::{Codec, PayloadParams},
    media::{Mid, Pt},
    rtp::Extension,
};

/// Constrained baseline of the highest level; the level of each picture follows later from its
/// size. Browsers offer level 3.1 whatever they can decode, and let levels differ per direction, so
/// the offer is not a limit; a browser that cannot show a picture asks for a smaller one.
const PROFILE_LEVEL_ID: u32 = 0x42_e0_00 | Level::HIGHEST.number() as u32;
/// Baseline without constraints, which some clients offer instead: our encoder's streams belong to
/// both.
const PLAIN_BASELINE_PROFILE_LEVEL_ID: u32 = 0x42_00_00 | Level::HIGHEST.number() as u32;
/// Main of the highest level.
const MAIN_PROFILE_LEVEL_ID: u32 = 0x4d_00_00 | Level::HIGHEST.number() as u32;
/// The id of the playout-delay extension; the offer's number takes precedence.
const PLAYOUT_DELAY_ID: u8 = 5;
/// Sender reports relate RTP time to wall time; no clock drifts noticeably in this time.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);
/// How often browsers' reports are evaluated; they arrive about once a second.
const STATISTICS_INTERVAL: Duration = Duration::from_secs(1);
/// Sent packets that are kept for retransmission: at least a large keyframe.
const RESEND_PACKETS: usize = 2000;
/// Older ones are of no use: the browser has asked for a keyframe.
const RESEND_AGE: Duration = Duration::from_secs(3);
/// Larger data-channel messages are refused: ours have at most 1 KiB.
const MAX_CHANNEL_MESSAGE_BYTES: u32 = 16 * 1024;
/// The start estimate for a browser on this machine or its local network, in bit/s. Congestion that
/// shows later is believed.
const LOCAL_START_BPS: u64 = 50_000_000;

/// An offer that cannot be answered.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadOffer {
    /// The system returned no random bytes.
    #[error("no random bytes for credentials: {0}")]
    Random(String),
    /// A part of it contradicts the requirements of WebRTC.
    #[error("the offer cannot be accepted: {0}")]
    Refused(String),
    /// It is not a session description.
    #[error("the offer is not a session description: {0}")]
    Syntax(String),
    /// It has no video section with a codec of ours.
    #[error("the offer has no video section to receive H.264 in packetization mode 1 or VP8")]
    NoVideo,
}

/// The configuration that all peers of the process share.
#[derive(Clone, Debug)]
pub struct Setup {
    provider: Arc<CryptoProvider>,
    certificate: DtlsCert,
    candidates: Vec<SocketAddr>,
    /// Our addresses at the time when peers joined that still exist, the oldest first.
    former: Vec<SocketAddr>,
    encoder: Kbps,
    /// Whether a browser that asks for sound is offered it.
    sound: bool,
    /// Whether what viewers say is taken.
    speech: bool,
}

/// Most former addresses that are kept: far more than a machine has during one connection.
const MOST_FORMER: usize = 64;

/// No DTLS certificate could be made.
#[derive(Debug, thiserror::Error)]
#[error("the cryptography library cannot make a certificate")]
pub struct NoCertificate;

impl Setup {
    /// Makes the process's certificate. Peers are reachable at `candidates`, and the encoder makes
    /// at most `encoder`.
    ///
    /// # Errors
    /// [`NoCertificate`] when the cryptography library fails.
    pub fn new(candidates: Vec<SocketAddr>, encoder: Kbps) -> Result<Self, NoCertificate> {
        Self::with_provider(str0m::crypto::from_feature_flags(), candidates, encoder)
    }

    /// Like [`Setup::new`], with another cryptography library.
    ///
    /// # Errors
    /// [`NoCertificate`] when that library fails.
    pub fn with_provider(
        provider: CryptoProvider,
        candidates: Vec<SocketAddr>,
        encoder: Kbps,
    ) -> Result<Self, NoCertificate> {
        let provider = Arc::new(provider);
        let certificate = provider.dtls_provider.generate_certificate().ok_or(NoCertificate)?;
        Ok(Self {
            provider,
            certificate,
            candidates,
            former: Vec::new(),
            encoder,
            sound: false,
            speech: false,
        })
    }

    /// Offers sound to browsers from now on.
    pub const fn offer_sound(&mut self) {
        self.sound = true;
    }

    /// Takes what viewers say from now on.
    pub const fn take_speech(&mut self) {
        self.speech = true;
    }

    /// Whether what viewers say is taken.
    #[must_use]
    pub const fn takes_speech(&self) -> bool {
        self.speech
    }

    /// The encoder's highest bit rate, in bit/s.
    #[must_use]
    pub fn encoder_bps(&self) -> u64 {
        u64::from(self.encoder.value()) * 1000
    }

    /// Our addresses.
    #[must_use]
    pub fn candidates(&self) -> &[SocketAddr] {
        &self.candidates
    }

    /// Sets the addresses for new peers; existing peers keep theirs.
    pub fn set_candidates(&mut self, candidates: Vec<SocketAddr>) {
        let old = std::mem::replace(&mut self.candidates, candidates);
        self.former.retain(|former| !old.contains(former));
        self.former.extend(old);
        let surplus = self.former.len().saturating_sub(MOST_FORMER);
        self.former.drain(..surplus);
    }

    /// Whether `address` is ours, or was when a peer joined.
    #[must_use]
    pub fn is_candidate(&self, address: SocketAddr) -> bool {
        self.candidates.contains(&address) || self.former.contains(&address)
    }

    pub(super) fn accept(&self, now: Instant, offer: &str) -> Result<(Rtc, String), BadOffer> {
        let offer = parse(offer)?;
        let mut rtc = self.config()?.build(now);
        for address in &self.candidates {
            match Candidate::host(*address, "udp") {
                Ok(candidate) => drop(rtc.add_local_candidate(candidate)),
                Err(error) => {
                    tracing::warn!(%error, "cannot use an address of ours as a candidate")
                }
            }
        }
        let answer = answer(&mut rtc, offer)?;
        let named = answer.to_ascii_lowercase();
        if !VideoFormat::ALL.iter().any(|format| named.contains(encoding(*format))) {
            return Err(BadOffer::NoVideo);
        }
        Ok((rtc, answer))
    }

    fn config(&self) -> Result<RtcConfig, BadOffer> {
        let mut config = RtcConfig::new()
            .set_crypto_provider(Arc::clone(&self.provider))
            .set_dtls_cert(self.certificate.clone())
            .set_local_ice_credentials(credentials()?)
            .clear_codecs()
            .set_extension(PLAYOUT_DELAY_ID, Extension::PlayoutDelay)
            // For the browser's reports on what it received, by which `rate` decides.
            .enable_raw_packets(true)
            .set_rtcp_report_interval_video(REPORT_INTERVAL)
            .set_rtcp_report_interval_audio(REPORT_INTERVAL)
            // For how far it received.
            .set_stats_interval(Some(STATISTICS_INTERVAL))
            .set_send_buffer_video(RESEND_PACKETS)
            // Whoever plays what viewers say waits for what comes late.
            .set_reordering_size_audio(0)
            .set_sctp_max_message_size(MAX_CHANNEL_MESSAGE_BYTES);
        let codecs = config.codec_config();
        // Without it the section for sound is refused. With redundancy (RFC 2198), if the browser offers it.
        codecs.enable_opus(self.sound, true);
        for format in VideoFormat::ALL {
            match format {
                VideoFormat::H264ConstrainedBaseline => {
                    let plain = PLAIN_BASELINE_PROFILE_LEVEL_ID;
                    codecs.add_h264(108.into(), Some(109.into()), true, PROFILE_LEVEL_ID);
                    codecs.add_h264(127.into(), Some(121.into()), true, plain);
                }
                VideoFormat::H264Main => {
                    codecs.add_h264(125.into(), Some(107.into()), true, MAIN_PROFILE_LEVEL_ID);
                }
                VideoFormat::Vp8 => codecs.enable_vp8(true),
            }
        }
        Ok(config)
    }
}

/// The name of `format` in a session description (RFC 6184, section 8.2.1; RFC 7741, section 6.2.1), in
/// lower case.
const fn encoding(format: VideoFormat) -> &'static str {
    match format {
        VideoFormat::H264ConstrainedBaseline | VideoFormat::H264Main => "h264/90000",
        VideoFormat::Vp8 => "vp8/90000",
    }
}

/// The video section of a browser: its id, and the payload type of each format.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) mid: Mid,
    payloads: Vec<(VideoFormat, Pt)>,
    /// The payload types of retransmissions.
    repairs: Vec<Pt>,
}

impl Track {
    /// The payload type of `format`, if the browser accepts it.
    pub(super) fn payload(&self, format: VideoFormat) -> Option<Pt> {
        self.payloads.iter().find(|(known, _)| *known == format).map(|(_, payload)| *payload)
    }

    /// Every payload type of pictures.
    pub(super) fn payloads(&self) -> impl Iterator<Item = Pt> {
        self.payloads.iter().map(|(_, payload)| *payload)
    }

    /// Every payload type of retransmitted pictures.
    pub(super) fn repairs(&self) -> impl Iterator<Item = Pt> {
        self.repairs.iter().copied()
    }
}

/// Answers as a full agent, then continues as a lite one.
fn answer(rtc: &mut Rtc, offer: SdpOffer) -> Result<String, BadOffer> {
    rtc.direct_api().set_ice_lite(false);
    let answer = rtc.sdp_api().accept_offer(offer);
    rtc.direct_api().set_ice_lite(true);
    Ok(answer.map_err(|error| BadOffer::Refused(error.to_string()))?.to_sdp_string())
}

fn parse(offer: &str) -> Result<SdpOffer, BadOffer> {
    SdpOffer::from_sdp_string(offer).map_err(|error| BadOffer::Syntax(error.to_string()))
}

/// Answers an offer that restarts ICE.
///
/// The implementation draws the new credentials from a predictable generator; they are replaced,
/// both there and in the answer.
pub(super) fn restart(rtc: &mut Rtc, offer: &str) -> Result<String, BadOffer> {
    let offer = parse(offer)?;
    let before = rtc.direct_api().local_ice_credentials();
    let answer = answer(rtc, offer)?;
    let drawn = rtc.direct_api().local_ice_credentials();
    if drawn.ufrag == before.ufrag {
        return Ok(answer);
    }
    let own = credentials()?;
    let answer = answer.replace(&drawn.ufrag, &own.ufrag).replace(&drawn.pass, &own.pass);
    rtc.direct_api().set_local_ice_credentials(own);
    Ok(answer)
}

/// The id of the header extension by which a browser reports which packets it received, if
/// transport-wide congestion control was negotiated: it needs that and a kind of feedback.
pub(super) fn feedback_id(answer: &str) -> Option<u8> {
    let lines = || answer.lines();
    lines().find(|line| line.starts_with("a=rtcp-fb:") && line.ends_with("transport-cc"))?;
    let extension = |line: &str| Some(line.strip_prefix("a=extmap:")?.to_owned());
    let named = lines().filter_map(extension).find(|line| line.contains("transport-wide-cc"))?;
    // The number may be followed by a direction (RFC 8285, section 8).
    named.split([' ', '/']).next()?.parse().ok()
}

/// What can be sent in section `mid`.
pub(super) fn track(rtc: &mut Rtc, mid: Mid) -> Option<Track> {
    if !rtc.media(mid)?.direction().is_sending() {
        return None;
    }
    let mut payload = |format| Some((format, payload_of(rtc, mid, format)?));
    let payloads: Vec<_> = VideoFormat::ALL.into_iter().filter_map(&mut payload).collect();
    let repairs = rtc.writer(mid)?.payload_params().filter_map(PayloadParams::resend).collect();
    (!payloads.is_empty()).then_some(Track { mid, payloads, repairs })
}

/// Answers every request to send a packet again. By itself the implementation forgets all requests
/// once repairs are 15 percent of what is sent, which is when they are needed most; `rate` bounds
/// them by time.
pub(super) fn repair_without_limit(rtc: &mut Rtc, mid: Mid) {
    if let Some(stream) = rtc.direct_api().stream_tx_by_mid(mid, None) {
        stream.set_rtx_cache(RESEND_PACKETS, RESEND_AGE, None);
    }
}

/// The payload type of `format`; constrained baseline is preferred if the browser also offers plain
/// baseline.
fn payload_of(rtc: &mut Rtc, mid: Mid, format: VideoFormat) -> Option<Pt> {
    let writer = rtc.writer(mid)?;
    let usable = |level_id| {
        writer.payload_params().find(move |params| {
            let format = params.spec().format;
            format.packetization_mode == Some(1)
                && format.profile_level_id.is_some_and(|id| id >> 8 == level_id >> 8)
        })
    };
    let is_vp8 = |params: &&PayloadParams| params.spec().codec == Codec::Vp8;
    let params = match format {
        VideoFormat::H264ConstrainedBaseline => {
            usable(PROFILE_LEVEL_ID).or_else(|| usable(PLAIN_BASELINE_PROFILE_LEVEL_ID))
        }
        VideoFormat::H264Main => usable(MAIN_PROFILE_LEVEL_ID),
        VideoFormat::Vp8 => writer.payload_params().find(is_vp8),
    };
    Some(params?.pt())
}

/// The initial estimate for the network to `remote`, in bit/s.
pub(super) fn start_bps(encoder_bps: u64, remote: SocketAddr) -> u64 {
    let local = match remote.ip().to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    if local { encoder_bps.max(LOCAL_START_BPS) } else { encoder_bps }
}

/// Credentials from the system's randomness. They identify datagrams, so they must not be
/// guessable. RFC 8445, section 5.3: at least 24 and 128 bits.
fn credentials() -> Result<IceCreds, BadOffer> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(|error| BadOffer::Random(error.to_string()))?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let (ufrag, pass) = digits.split_at(16);
    Ok(IceCreds { ufrag: ufrag.to_owned(), pass: pass.to_owned() })
}
