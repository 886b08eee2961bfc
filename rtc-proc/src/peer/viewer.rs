//! A simulated browser for tests of [`super::Peer`]. Without I/O, so that a harness with real
//! sockets can drive it as well.

use std::{net::SocketAddr, time::Instant};

use str0m::{
    Candidate, Event, Input, Output, Rtc, RtcConfig,
    change::{SdpAnswer, SdpPendingOffer},
    channel::{ChannelConfig, ChannelId, Reliability},
    format::Codec,
    media::{Direction, Frequency, MediaKind, MediaTime, Mid},
    net::{Protocol, Receive},
};

/// A datagram from the viewer.
pub(crate) struct Sent {
    pub(crate) destination: SocketAddr,
    pub(crate) contents: Vec<u8>,
}

/// A viewer that receives H.264 and has all data channels.
pub(crate) struct Viewer {
    pub(crate) rtc: Rtc,
    pending: Option<SdpPendingOffer>,
    pub(crate) input: ChannelId,
    pub(crate) motion: ChannelId,
    pub(crate) pads: ChannelId,
    pub(crate) transfer: ChannelId,
    pub(crate) connected: bool,
    pub(crate) frames: Vec<Vec<u8>>,
    /// The frames of sound.
    pub(crate) sounds: Vec<Vec<u8>>,
    pub(crate) messages: Vec<Vec<u8>>,
    /// The messages of the `transfer` channel.
    pub(crate) transfers: Vec<Vec<u8>>,
    pub(crate) open_channels: usize,
    pub(crate) closed: bool,
    pub(crate) sent: Vec<Sent>,
    pub(crate) deadline: Instant,
    pub(crate) mid: Option<Mid>,
    /// Where it speaks, and how many packets it has said.
    speech: Option<Mid>,
    said: u64,
}

/// What a viewer receives and sends.
#[derive(Clone, Copy, Debug, Default)]
struct Offered {
    h264: bool,
    vp8: bool,
    sound: bool,
    speech: bool,
}

impl Viewer {
    /// A viewer at `address` and its offer.
    pub(crate) fn new(now: Instant, address: SocketAddr) -> (Self, String) {
        Self::offering(now, address, Offered { h264: true, ..Offered::default() })
    }

    /// A viewer that receives H.264 and VP8, as most browsers do.
    pub(crate) fn of_both(now: Instant, address: SocketAddr) -> (Self, String) {
        Self::offering(now, address, Offered { h264: true, vp8: true, ..Offered::default() })
    }

    /// A viewer without H.264.
    pub(crate) fn of_vp8(now: Instant, address: SocketAddr) -> (Self, String) {
        Self::offering(now, address, Offered { vp8: true, ..Offered::default() })
    }

    /// A viewer that asks for sound, too.
    pub(crate) fn listening(now: Instant, address: SocketAddr) -> (Self, String) {
        Self::offering(now, address, Offered { h264: true, sound: true, ..Offered::default() })
    }

    /// A viewer with a microphone, as every page offers it.
    pub(crate) fn speaking(now: Instant, address: SocketAddr) -> (Self, String) {
        let offered = Offered { h264: true, sound: true, speech: true, ..Offered::default() };
        Self::offering(now, address, offered)
    }

    fn offering(now: Instant, address: SocketAddr, offered: Offered) -> (Self, String) {
        let mut config = RtcConfig::new().clear_codecs().set_reordering_size_video(2000);
        if offered.h264 {
            config.codec_config().add_h264(102.into(), Some(103.into()), true, 0x42_e0_1f);
            config.codec_config().add_h264(104.into(), Some(105.into()), false, 0x42_e0_1f);
        }
        config.codec_config().enable_vp8(offered.vp8);
        config.codec_config().enable_opus(true, true);
        let mut rtc = config.build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("an address"));
        let mut api = rtc.sdp_api();
        let mid = api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        if offered.sound {
            api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        }
        let speech = offered
            .speech
            .then(|| api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None));
        let input = api.add_channel("input".to_owned());
        let motion = api.add_channel_with_config(ChannelConfig {
            label: "motion".to_owned(),
            ordered: false,
            reliability: Reliability::MaxRetransmits { retransmits: 0 },
            ..ChannelConfig::default()
        });
        let pads = api.add_channel_with_config(ChannelConfig {
            label: "pads".to_owned(),
            ordered: false,
            ..ChannelConfig::default()
        });
        let transfer = api.add_channel("transfer".to_owned());
        let (offer, pending) = api.apply().expect("there are changes");
        let viewer = Self {
            rtc,
            pending: Some(pending),
            input,
            motion,
            pads,
            transfer,
            connected: false,
            frames: Vec::new(),
            sounds: Vec::new(),
            messages: Vec::new(),
            transfers: Vec::new(),
            open_channels: 0,
            closed: false,
            sent: Vec::new(),
            deadline: now,
            mid: Some(mid),
            speech,
            said: 0,
        };
        (viewer, offer.to_sdp_string())
    }

    /// Moves the viewer to this address; for use after the answer to [`Viewer::restart`].
    pub(crate) fn move_to(&mut self, address: SocketAddr) {
        self.rtc.add_local_candidate(Candidate::host(address, "udp").expect("an address"));
    }

    /// Restarts ICE, without any address yet; returns the offer.
    pub(crate) fn restart(&mut self) -> String {
        let mut api = self.rtc.sdp_api();
        api.ice_restart(false);
        let (offer, pending) = api.apply().expect("there are changes");
        self.pending = Some(pending);
        offer.to_sdp_string()
    }

    /// Accepts the answer.
    pub(crate) fn answered(&mut self, answer: &str) {
        let answer = SdpAnswer::from_sdp_string(answer).expect("an answer");
        let pending = self.pending.take().expect("one answer");
        self.rtc.sdp_api().accept_answer(pending, answer).expect("the answer is accepted");
    }

    /// Receives a datagram.
    pub(crate) fn receive(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let datagram = Receive::new(Protocol::Udp, from, to, bytes).expect("a legal datagram");
        // A closed viewer refuses; tests check its state instead.
        let _ = self.rtc.handle_input(Input::Receive(now, datagram));
        self.settle(now);
    }

    /// Advances the time.
    pub(crate) fn advance(&mut self, now: Instant) {
        let _ = self.rtc.handle_input(Input::Timeout(now));
        self.settle(now);
    }

    /// Sends a message on a channel.
    pub(crate) fn send(&mut self, now: Instant, channel: ChannelId, binary: bool, bytes: &[u8]) {
        let mut channel = self.rtc.channel(channel).expect("an open channel");
        assert!(channel.write(binary, bytes).expect("a working channel"));
        self.advance(now);
    }

    /// Says a packet, which lasts 20 ms; returns whether there is a section to say it in.
    pub(crate) fn say(&mut self, now: Instant, data: &[u8]) -> bool {
        let Some(writer) = self.speech.and_then(|mid| self.rtc.writer(mid)) else { return false };
        let opus = writer.payload_params().find(|params| params.spec().codec == Codec::Opus);
        let Some(payload) = opus.map(|params| params.pt()) else { return false };
        let time = MediaTime::new(960 * self.said, Frequency::FORTY_EIGHT_KHZ);
        self.said += 1;
        let written = writer.write(payload, now, time, data).is_ok();
        self.advance(now);
        written
    }

    /// No packet repeats the one before (RFC 2198) from now on, as they do where that was negotiated.
    pub(crate) fn say_once(&mut self) {
        let mid = self.speech.expect("a microphone");
        assert!(self.rtc.direct_api().set_red_send(mid, false), "it was so before");
    }

    fn settle(&mut self, now: Instant) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Transmit(transmit)) => self.sent.push(Sent {
                    destination: transmit.destination,
                    contents: transmit.contents.into(),
                }),
                Ok(Output::Event(event)) => self.on_event(event),
                Ok(Output::Timeout(at)) if at <= now => {
                    let _ = self.rtc.handle_input(Input::Timeout(now));
                    self.deadline = at;
                    break;
                }
                Ok(Output::Timeout(at)) => {
                    self.deadline = at;
                    break;
                }
                Err(_) => {
                    self.closed = true;
                    break;
                }
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Connected => self.connected = true,
            Event::MediaData(data) if Some(data.mid) == self.mid => {
                self.frames.push(data.data.to_vec());
            }
            Event::MediaData(data) => self.sounds.push(data.data.to_vec()),
            Event::ChannelOpen(..) => self.open_channels += 1,
            Event::ChannelData(data) if data.id == self.transfer => {
                self.transfers.push(data.data);
            }
            Event::ChannelData(data) => self.messages.push(data.data),
            Event::Closed => self.closed = true,
            _ => {}
        }
    }
}
