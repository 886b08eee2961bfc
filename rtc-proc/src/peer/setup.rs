//! What every peer is made with, and how an offer becomes one.
//!
//! The answer names each [`VideoFormat`] that the browser takes, with retransmission, and our addresses
//! as host candidates. Which of them is sent is decided for all peers together ([`crate::demand`]).
//!
//! ICE is lite, because a worker that is reached at its own addresses need not probe: it sends no
//! checks and so has none to wake up for. The answer does not say so: to a lite agent browsers
//! nominate a pair only with their second check, 50 ms after the first, and nothing can be sent
//! before. They need no checks of ours for anything else.
//!
//! Our address at the relay is one more of them. To the WebRTC implementation it is a host address,
//! the only kind that ICE lite has; the browser is told the truth, so that it prefers the others.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use lumen_ipc::{level::Level, units::Kbps, video::VideoFormat};
use str0m::{
    Candidate, IceCreds, Rtc, RtcConfig,
    bwe::Bitrate,
    change::SdpOffer,
    config::{CryptoProvider, DtlsCert},
    media::{Mid, Pt},
    rtp::Extension,
};

/// Constrained baseline of the highest level that a picture may take, which each picture's size
/// decides later. Browsers offer level 3.1 whatever they can decode, and let levels differ per
/// direction: that is no limit, and one that cannot show a picture asks for a smaller one.
const PROFILE_LEVEL_ID: u32 = 0x42_e0_00 | Level::HIGHEST.number() as u32;
/// Baseline without constraints, which some clients offer instead: what the encoder makes is a
/// subset of both.
const PLAIN_BASELINE_PROFILE_LEVEL_ID: u32 = 0x42_00_00 | Level::HIGHEST.number() as u32;
/// Where the playout delay goes; the offer's number wins.
const PLAYOUT_DELAY_ID: u8 = 5;
/// Sender reports tie RTP time to wall time; nothing drifts faster than this.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);
/// How often what browsers report is looked at; they report about once a second.
const STATISTICS_INTERVAL: Duration = Duration::from_secs(1);
/// Sent packets that can be sent again, at least a large keyframe's worth.
const RESEND_PACKETS: usize = 2000;
/// Larger data-channel messages are not accepted: ours have at most 1 KiB.
const MAX_CHANNEL_MESSAGE_BYTES: u32 = 16 * 1024;
/// A host on this machine or its local network is reached with at least this, in bit/s. Only where
/// pictures start from: congestion that shows is believed.
const LOCAL_START_BPS: u64 = 50_000_000;

/// An offer that cannot be answered.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadOffer {
    /// The system has no randomness.
    #[error("no random bytes for credentials: {0}")]
    Random(String),
    /// Something in it contradicts what WebRTC needs.
    #[error("the offer cannot be accepted: {0}")]
    Refused(String),
    /// It is no session description.
    #[error("the offer is no session description: {0}")]
    Syntax(String),
    /// No video section with a codec of ours.
    #[error("the offer has no video section to receive H.264 in packetization mode 1")]
    NoVideo,
}

/// What all peers of the process share.
#[derive(Clone, Debug)]
pub struct Setup {
    provider: Arc<CryptoProvider>,
    certificate: DtlsCert,
    candidates: Vec<SocketAddr>,
    /// Addresses that were ours when peers came who are still here, the oldest first.
    former: Vec<SocketAddr>,
    encoder: Kbps,
}

/// Most former addresses kept: far more than networks a machine changes to during one connection.
const MOST_FORMER: usize = 64;

/// No DTLS certificate could be made.
#[derive(Debug, thiserror::Error)]
#[error("the cryptography library cannot make a certificate")]
pub struct NoCertificate;

impl Setup {
    /// Makes the process's certificate; peers are reachable at `candidates` and the encoder
    /// makes at most `encoder`.
    ///
    /// # Errors
    /// [`NoCertificate`] when the cryptography library fails.
    pub fn new(candidates: Vec<SocketAddr>, encoder: Kbps) -> Result<Self, NoCertificate> {
        let provider = Arc::new(str0m::crypto::from_feature_flags());
        let certificate = provider.dtls_provider.generate_certificate().ok_or(NoCertificate)?;
        Ok(Self { provider, certificate, candidates, former: Vec::new(), encoder })
    }

    /// The most the encoder makes, in bit/s.
    #[must_use]
    pub fn encoder_bps(&self) -> u64 {
        u64::from(self.encoder.value()) * 1000
    }

    /// Our addresses.
    #[must_use]
    pub fn candidates(&self) -> &[SocketAddr] {
        &self.candidates
    }

    /// New peers are reachable at these addresses; nothing changes for those that are there.
    pub fn set_candidates(&mut self, candidates: Vec<SocketAddr>) {
        let old = std::mem::replace(&mut self.candidates, candidates);
        self.former.retain(|former| !old.contains(former));
        self.former.extend(old);
        let surplus = self.former.len().saturating_sub(MOST_FORMER);
        self.former.drain(..surplus);
    }

    /// Whether `address` is one of ours, or was when a peer came.
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
                Err(error) => tracing::warn!(%error, "an address of ours is no candidate"),
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
            .enable_bwe(Some(Bitrate::bps(self.encoder_bps())))
            .set_rtcp_report_interval_video(REPORT_INTERVAL)
            // For what the browser reports to have received.
            .set_stats_interval(Some(STATISTICS_INTERVAL))
            .set_send_buffer_video(RESEND_PACKETS)
            .set_sctp_max_message_size(MAX_CHANNEL_MESSAGE_BYTES);
        let codecs = config.codec_config();
        for format in VideoFormat::ALL {
            match format {
                VideoFormat::H264ConstrainedBaseline => {
                    let plain = PLAIN_BASELINE_PROFILE_LEVEL_ID;
                    codecs.add_h264(108.into(), Some(109.into()), true, PROFILE_LEVEL_ID);
                    codecs.add_h264(127.into(), Some(121.into()), true, plain);
                }
            }
        }
        Ok(config)
    }
}

/// What a session description calls `format` (RFC 6184, section 8.2.1), in lower case.
const fn encoding(format: VideoFormat) -> &'static str {
    match format {
        VideoFormat::H264ConstrainedBaseline => "h264/90000",
    }
}

/// What can be sent to a browser: where, and each format as which payload type.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) mid: Mid,
    payloads: Vec<(VideoFormat, Pt)>,
}

impl Track {
    /// The payload type of `format`, if the browser takes it.
    pub(super) fn payload(&self, format: VideoFormat) -> Option<Pt> {
        self.payloads.iter().find(|(known, _)| *known == format).map(|(_, payload)| *payload)
    }

    /// Every payload type that pictures are sent as.
    pub(super) fn payloads(&self) -> impl Iterator<Item = Pt> {
        self.payloads.iter().map(|(_, payload)| *payload)
    }
}

/// Answers as a full agent, and goes on as a lite one.
fn answer(rtc: &mut Rtc, offer: SdpOffer) -> Result<String, BadOffer> {
    rtc.direct_api().set_ice_lite(false);
    let answer = rtc.sdp_api().accept_offer(offer);
    rtc.direct_api().set_ice_lite(true);
    Ok(answer.map_err(|error| BadOffer::Refused(error.to_string()))?.to_sdp_string())
}

fn parse(offer: &str) -> Result<SdpOffer, BadOffer> {
    SdpOffer::from_sdp_string(offer).map_err(|error| BadOffer::Syntax(error.to_string()))
}

/// Answers an offer that begins ICE anew.
///
/// The implementation draws its new credentials from a generator that can be predicted; they are
/// replaced, in it and in the answer.
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

/// Whether transport-wide congestion control was agreed on, by which a browser tells which packets it
/// received: as a header extension and as a kind of feedback.
pub(super) fn gives_feedback(answer: &str) -> bool {
    answer.lines().any(|line| line.starts_with("a=extmap:") && line.contains("transport-wide-cc"))
        && answer
            .lines()
            .any(|line| line.starts_with("a=rtcp-fb:") && line.ends_with("transport-cc"))
}

/// Makes `relayed` one of our addresses and names it in the answer, before the others.
pub(super) fn answer_with_relayed(rtc: &mut Rtc, answer: &str, relayed: SocketAddr) -> String {
    add_relayed(rtc, relayed);
    let line = format!("a={}\r\n", relayed_line(relayed));
    match answer.find("a=candidate:") {
        Some(place) => {
            let (before, after) = answer.split_at(place);
            format!("{before}{line}{after}")
        }
        None => answer.to_owned(),
    }
}

/// Makes `relayed` one of our addresses.
pub(super) fn add_relayed(rtc: &mut Rtc, relayed: SocketAddr) {
    match Candidate::host(relayed, "udp") {
        Ok(candidate) => drop(rtc.add_local_candidate(candidate)),
        Err(error) => tracing::warn!(%error, "our address at the relay is no candidate"),
    }
}

/// Makes `relayed` none of our addresses.
pub(super) fn remove_relayed(rtc: &mut Rtc, relayed: SocketAddr) {
    if let Ok(candidate) = Candidate::host(relayed, "udp") {
        rtc.direct_api().invalidate_candidate(&candidate);
    }
}

/// `relayed` as the candidate it is (RFC 8839, section 5.1). Whence we speak with the relay is
/// nobody's business: the related address is left out, as browsers do.
pub(super) fn relayed_line(relayed: SocketAddr) -> String {
    // RFC 8445, section 5.1.2.1: type preference 0, the highest local one, component 1.
    const PRIORITY: u32 = 65_535 << 8 | (256 - 1);
    let (ip, port) = (relayed.ip(), relayed.port());
    let nowhere = if relayed.is_ipv4() { "0.0.0.0" } else { "::" };
    format!("candidate:relay 1 udp {PRIORITY} {ip} {port} typ relay raddr {nowhere} rport 0")
}

/// What can be sent on `mid`.
pub(super) fn track(rtc: &mut Rtc, mid: Mid) -> Option<Track> {
    if !rtc.media(mid)?.direction().is_sending() {
        return None;
    }
    let mut payload = |format| Some((format, payload_of(rtc, mid, format)?));
    let payloads: Vec<_> = VideoFormat::ALL.into_iter().filter_map(&mut payload).collect();
    (!payloads.is_empty()).then_some(Track { mid, payloads })
}

/// The payload type of `format`; that of constrained baseline if the browser takes plain baseline, too.
fn payload_of(rtc: &mut Rtc, mid: Mid, format: VideoFormat) -> Option<Pt> {
    let writer = rtc.writer(mid)?;
    match format {
        VideoFormat::H264ConstrainedBaseline => {
            let usable = |level_id| {
                writer.payload_params().find(move |params| {
                    let format = params.spec().format;
                    format.packetization_mode == Some(1)
                        && format.profile_level_id.is_some_and(|id| id >> 8 == level_id >> 8)
                })
            };
            let constrained = usable(PROFILE_LEVEL_ID);
            Some(constrained.or_else(|| usable(PLAIN_BASELINE_PROFILE_LEVEL_ID))?.pt())
        }
    }
}

/// What to believe of the network to `remote` before anything was sent, in bit/s.
pub(super) fn start_bps(encoder_bps: u64, remote: SocketAddr) -> u64 {
    let local = match remote.ip().to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    if local { encoder_bps.max(LOCAL_START_BPS) } else { encoder_bps }
}

/// Credentials from the system's randomness: they are what a datagram is recognised by, so they
/// must not be guessable. RFC 8445, section 5.3: at least 24 and 128 bits.
fn credentials() -> Result<IceCreds, BadOffer> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(|error| BadOffer::Random(error.to_string()))?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let (ufrag, pass) = digits.split_at(16);
    Ok(IceCreds { ufrag: ufrag.to_owned(), pass: pass.to_owned() })
}
