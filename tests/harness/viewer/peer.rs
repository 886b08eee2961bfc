//! The viewer's thread: a str0m peer between a UDP socket and the signalling connection.

use std::{
    collections::BTreeSet,
    io::{PipeReader, Read},
    net::UdpSocket,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::json;
use str0m::{
    Candidate, Event, IceConnectionState, Input, Output, Rtc, RtcConfig,
    change::{SdpAnswer, SdpPendingOffer},
    channel::{ChannelConfig, ChannelId, Reliability},
    media::{Direction, MediaKind},
    net::{Protocol, Receive},
};

use super::{
    Codec, Desk, INPUT, MOTION, Order, PADS, ReceivedFrame,
    presence::Presence,
    signalling::{FromGateway, Signalling},
};

/// `nal_unit_type` of an IDR slice (ITU-T H.264, table 7-1).
const NAL_IDR: u8 = 5;

/// Tag of a sign of life, due while a key is held.
const STILL_HELD: u8 = 0x0c;
/// How often one is sent then, as the page does.
const SIGN_INTERVAL: Duration = Duration::from_millis(100);
/// What asks for a lease.
const LEASE_WANTED: &str = r#"{"type":"lease"}"#;
/// When a lease is asked for again that nobody had, as the page does.
const LEASE_RETRY: Duration = Duration::from_secs(1);

/// A viewer's side of the connection.
pub(super) struct Peer {
    rtc: Rtc,
    socket: UdpSocket,
    /// `None` once the gateway is gone: the peer connection goes on without it, as a browser's does.
    signalling: Option<Signalling>,
    bell: PipeReader,
    desk: Desk,
    pending: Option<SdpPendingOffer>,
    channels: Vec<(ChannelId, String)>,
    presence: Option<Presence>,
    /// When to ask again for a lease, if nobody had one.
    next_asking: Option<Instant>,
    codec: Codec,
    leaving: bool,
    /// Codes of the keys held.
    held: BTreeSet<[u8; 2]>,
    next_sign: Instant,
}

impl Peer {
    /// Makes the offer and sends it.
    pub(super) fn new(
        mut signalling: Signalling,
        bell: PipeReader,
        desk: Desk,
        codec: Codec,
    ) -> Result<Self> {
        str0m::crypto::from_feature_flags().install_process_default();
        let socket = UdpSocket::bind("127.0.0.1:0").context("binding the viewer's socket")?;
        socket.set_nonblocking(true)?;
        let config = RtcConfig::new().clear_codecs();
        let config = match codec {
            Codec::H264 => config.enable_h264(true),
            Codec::Vp8 => config.enable_vp8(true),
        };
        let mut rtc = config.build(Instant::now());
        let candidate = Candidate::host(socket.local_addr()?, "udp").context("a candidate")?;
        rtc.add_local_candidate(candidate);
        let mut change = rtc.sdp_api();
        change.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        change.add_channel(INPUT.to_owned());
        change.add_channel_with_config(ChannelConfig {
            label: MOTION.to_owned(),
            ordered: false,
            reliability: Reliability::MaxRetransmits { retransmits: 0 },
            ..ChannelConfig::default()
        });
        change.add_channel_with_config(ChannelConfig {
            label: PADS.to_owned(),
            ordered: false,
            ..ChannelConfig::default()
        });
        let (offer, pending) = change.apply().context("an empty offer")?;
        signalling.send(LEASE_WANTED.to_owned())?;
        signalling.send(json!({ "type": "offer", "sdp": offer.to_sdp_string() }).to_string())?;
        signalling.set_nonblocking()?;
        let (signalling, pending) = (Some(signalling), Some(pending));
        Ok(Self {
            rtc,
            socket,
            signalling,
            bell,
            desk,
            pending,
            channels: Vec::new(),
            presence: None,
            next_asking: None,
            codec,
            leaving: false,
            held: BTreeSet::new(),
            next_sign: Instant::now(),
        })
    }

    /// Serves the connection until it is over or the viewer leaves.
    pub(super) fn run(mut self) {
        let mut outcome = Ok(());
        while !self.leaving && self.rtc.is_alive() && outcome.is_ok() {
            outcome = self.turn();
        }
        if self.leaving {
            // Tells the other side, which would else find out by silence. It may be gone.
            let _ = self.rtc.close().map(|()| self.drain());
        }
        let reason = match outcome {
            Err(error) => format!("{error:#}"),
            Ok(()) => "the peer connection ended".to_owned(),
        };
        self.desk.seen().closed.get_or_insert(reason);
    }

    fn turn(&mut self) -> Result<()> {
        let deadline = self.drain()?;
        let sign = (!self.held.is_empty()).then_some(self.next_sign);
        let own = sign.into_iter().chain(self.next_asking);
        let deadline = own.fold(deadline, Instant::min);
        self.wait(deadline.saturating_duration_since(Instant::now()))?;
        self.take_orders()?;
        self.give_sign()?;
        self.ask_again()?;
        self.take_signalling()?;
        self.take_packets()?;
        self.rtc.handle_input(Input::Timeout(Instant::now()))?;
        Ok(())
    }

    /// Carries out all that str0m wants, until it waits.
    fn drain(&mut self) -> Result<Instant> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(deadline) => return Ok(deadline),
                Output::Event(event) => self.take_event(event)?,
                Output::Transmit(packet) => {
                    // UDP may lose it, as the network may.
                    let _ = self.socket.send_to(&packet.contents, packet.destination);
                }
            }
        }
    }

    fn wait(&self, time: Duration) -> Result<()> {
        let readable = |descriptor| PollFd::new(descriptor, PollFlags::POLLIN);
        let mut sources = vec![readable(self.socket.as_fd()), readable(self.bell.as_fd())];
        sources.extend(self.signalling.as_ref().map(|signalling| readable(signalling.as_fd())));
        let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
        poll(&mut sources, time).context("waiting")?;
        Ok(())
    }

    fn take_event(&mut self, event: Event) -> Result<()> {
        match event {
            Event::ChannelOpen(channel, label) => {
                self.channels.push((channel, label));
                self.begin()?;
            }
            Event::ChannelData(data) => {
                let answer = self.presence.as_mut().and_then(|presence| presence.hear(&data.data));
                self.desk.seen().messages.push(data.data);
                if let Some(answer) = answer {
                    self.write(INPUT, &answer)?;
                }
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                self.desk.seen().closed.get_or_insert_with(|| "ICE lost the peer".to_owned());
                self.leaving = true;
            }
            Event::MediaData(data) => {
                let keyframe = match self.codec {
                    Codec::H264 => has_idr(&data.data),
                    // RFC 6386, section 9.1.
                    Codec::Vp8 => data.data.first().is_some_and(|first| first & 1 == 0),
                };
                let frame = ReceivedFrame { at: Instant::now(), bytes: data.data.len(), keyframe };
                let mut seen = self.desk.seen();
                seen.frames.push(frame);
                if let Some(kept) = &mut seen.kept {
                    kept.push(data.data.to_vec());
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Names the lease, once there is one and the channels are open: then all input counts.
    fn begin(&mut self) -> Result<()> {
        if self.channels.len() < 3 || self.presence.is_none() {
            return Ok(());
        }
        self.prove()?;
        self.desk.seen().connected = true;
        Ok(())
    }

    fn prove(&mut self) -> Result<()> {
        match self.presence.as_mut().and_then(Presence::acts) {
            Some(proof) => self.write(INPUT, &proof),
            None => Ok(()),
        }
    }

    fn take_orders(&mut self) -> Result<()> {
        while let Ok(order) = self.desk.orders.try_recv() {
            // One byte in the pipe for each order.
            self.bell.read_exact(&mut [0])?;
            match order {
                Order::Leave => {
                    self.leaving = true;
                    self.signalling.iter_mut().for_each(Signalling::leave);
                }
                Order::Send { channel, message } => self.send(channel, &message)?,
                Order::SendRaw { text } => {
                    self.signalling.as_mut().context("the gateway is gone")?.send(text)?;
                }
            }
        }
        Ok(())
    }

    fn give_sign(&mut self) -> Result<()> {
        if self.held.is_empty() || Instant::now() < self.next_sign {
            return Ok(());
        }
        self.next_sign = Instant::now() + SIGN_INTERVAL;
        self.send(MOTION, &[STILL_HELD])
    }

    fn ask_again(&mut self) -> Result<()> {
        if self.next_asking.is_some_and(|at| at <= Instant::now()) {
            self.next_asking = None;
            if let Some(signalling) = &mut self.signalling {
                signalling.send(LEASE_WANTED.to_owned())?;
            }
        }
        Ok(())
    }

    fn send(&mut self, label: &str, message: &[u8]) -> Result<()> {
        match (label, message) {
            (INPUT, [1, high, low, 0]) => drop(self.held.remove(&[*high, *low])),
            (INPUT, [1, high, low, 1]) => drop(self.held.insert([*high, *low])),
            _ => {}
        }
        self.prove()?;
        self.write(label, message)
    }

    fn write(&mut self, label: &str, message: &[u8]) -> Result<()> {
        let channel = self.channels.iter().find(|(_, other)| other == label);
        let (channel, _) = channel.with_context(|| format!("channel {label} is not open"))?;
        let mut channel = self.rtc.channel(*channel).context("a closed channel")?;
        channel.write(true, message)?;
        Ok(())
    }

    fn take_signalling(&mut self) -> Result<()> {
        while let Some(signalling) = &mut self.signalling {
            match signalling.receive() {
                Ok(None) => return Ok(()),
                Err(error) if self.pending.is_some() => return Err(error),
                Err(_) => self.signalling = None,
                Ok(Some(said)) => self.take_said(said)?,
            }
        }
        Ok(())
    }

    fn take_said(&mut self, said: FromGateway) -> Result<()> {
        match said {
            FromGateway::Answer { sdp, ticket } => {
                let answer = SdpAnswer::from_sdp_string(&sdp)?;
                let pending = self.pending.take().context("a second answer")?;
                self.rtc.sdp_api().accept_answer(pending, answer)?;
                let mut seen = self.desk.seen();
                (seen.answer, seen.ticket) = (sdp, ticket);
            }
            FromGateway::Closed { reason, .. } => {
                self.desk.seen().closed = Some(reason);
                self.leaving = true;
            }
            FromGateway::Lease { lease: None } => {
                self.next_asking = Some(Instant::now() + LEASE_RETRY);
            }
            FromGateway::Lease { lease: Some(lease) } => {
                self.presence = Some(Presence::new(&lease)?);
                self.begin()?;
            }
            FromGateway::Other => {}
        }
        Ok(())
    }

    fn take_packets(&mut self) -> Result<()> {
        let mut buffer = [0; 2000];
        let destination = self.socket.local_addr()?;
        while let Ok((length, source)) = self.socket.recv_from(&mut buffer) {
            let contents = buffer.get(..length).context("a packet")?;
            let Ok(contents) = contents.try_into() else { continue };
            let packet = Receive { proto: Protocol::Udp, source, destination, contents };
            self.rtc.handle_input(Input::Receive(Instant::now(), packet))?;
            self.drain()?;
        }
        Ok(())
    }
}

/// Whether an Annex B access unit has an IDR slice.
fn has_idr(unit: &[u8]) -> bool {
    unit.windows(4).any(|bytes| matches!(bytes, [0, 0, 1, header] if header & 0x1f == NAL_IDR))
}
