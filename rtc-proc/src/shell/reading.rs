//! Reads the socket and the links, each for a bounded time, and closes links that have ended.

use std::time::Instant;

use lumen_ipc::{link::LinkName, message::signalling::ToRtc};
use nix::errno::Errno;
use tracing::{info, warn};

use super::{
    MAX_MESSAGES, MAX_PICTURES, MAX_SOUND, Ready, Rtc, Source,
    links::{FromMedia, Over, Picture, receive},
};
use crate::peer::{
    encode::DesktopState,
    media::{VideoFrame, instant_of},
};

impl Rtc {
    /// Reads the links that are readable.
    pub(super) fn read_links(&mut self, now: Instant, ready: &Ready) {
        if ready.is(Source::Signalling) {
            let result = self.read_signalling(now);
            self.keep(LinkName::Signalling, now, result);
        }
        if ready.is(Source::Desktop) {
            let result = self.read_desktop(now);
            self.keep(LinkName::Desktop, now, result);
        }
        if ready.is(Source::Input) {
            let result = self.read_input(now);
            self.keep(LinkName::Input, now, result);
        }
        if ready.is(Source::Pads) {
            let result = self.read_pads(now);
            self.keep(LinkName::Pads, now, result);
        }
        if ready.is(Source::Transfer) {
            let result = self.read_transfer(now);
            self.keep(LinkName::Transfer, now, result);
        }
        // Before pictures: what comes late of it is heard.
        if ready.is(Source::Sound) {
            let result = self.read_sound(now);
            self.keep(LinkName::Sound, now, result);
        }
        if ready.is(Source::Packets) {
            let result = self.read_packets(now);
            self.keep(LinkName::Packets, now, result);
        }
    }

    fn read_signalling(&mut self, now: Instant) -> Result<(), Over> {
        let Some(signalling) = &mut self.signalling else { return Ok(()) };
        signalling.flush()?;
        for _ in 0..MAX_MESSAGES {
            let Some(message) = signalling.next()? else { break };
            // An offer takes as long as several pictures: those and datagrams come between two.
            let is_dear = matches!(message, ToRtc::OfferMade { .. });
            self.peers.signalling(now, message)?;
            if is_dear {
                break;
            }
        }
        Ok(())
    }

    fn read_desktop(&mut self, now: Instant) -> Result<(), Over> {
        let Some(desktop) = &self.desktop else { return Ok(()) };
        for _ in 0..MAX_MESSAGES {
            let Some(received) = receive(desktop)? else { break };
            self.peers.desktop(now, &received.message)?;
        }
        Ok(())
    }

    fn read_input(&mut self, now: Instant) -> Result<(), Over> {
        let Some(input) = &self.input else { return Ok(()) };
        for _ in 0..MAX_MESSAGES {
            let Some(received) = receive(input)? else { break };
            self.peers.challenged(now, received.message);
        }
        Ok(())
    }

    fn read_pads(&mut self, now: Instant) -> Result<(), Over> {
        for _ in 0..MAX_MESSAGES {
            let Some(message) = self.pads.next()? else { break };
            self.peers.pads_said(now, message);
        }
        Ok(())
    }

    fn read_transfer(&mut self, now: Instant) -> Result<(), Over> {
        for _ in 0..MAX_MESSAGES {
            let Some(message) = self.transfer.next()? else { break };
            self.peers.transfer(now, message)?;
        }
        Ok(())
    }

    fn read_sound(&mut self, now: Instant) -> Result<(), Over> {
        for _ in 0..MAX_SOUND {
            let Some(message) = self.sound.next()? else { break };
            let frame = self.sound_clock.frame(message, &self.anchor);
            self.figures.sound_frames.increment();
            self.peers.sound(now, &frame);
        }
        Ok(())
    }

    fn read_packets(&mut self, now: Instant) -> Result<(), Over> {
        for _ in 0..MAX_PICTURES {
            let Some(packets) = &mut self.packets else { return Ok(()) };
            if packets.wants_to_send() {
                packets.report()?;
            }
            let Some(news) = packets.next()? else { return Ok(()) };
            let picture = match news {
                FromMedia::Formats(formats) => {
                    self.peers.formats_offered(now, formats);
                    continue;
                }
                FromMedia::Picture(picture) => picture,
            };
            let frame = self.frame(picture);
            self.peers.video_resumed(now);
            self.peers.video(now, &frame);
        }
        Ok(())
    }

    fn frame(&mut self, Picture { packet, data }: Picture) -> VideoFrame {
        let stamps = packet.stamps;
        let rtp_ticks = self.clock.ticks(&stamps);
        VideoFrame {
            data,
            format: packet.format,
            keyframe: packet.keyframe,
            rtp_ticks,
            // Not that of the commit, which for a refinement may be long ago.
            captured: self.anchor.instant_of(instant_of(rtp_ticks)),
            stamps,
        }
    }

    /// Closes the link if `result` says that it has ended.
    pub(super) fn keep(&mut self, link: LinkName, now: Instant, result: Result<(), Over>) {
        let Err(over) = result else { return };
        match &over {
            Over::Gone => info!(%link, "the other end is restarting"),
            Over::Violation(_) => {
                self.figures.link_violations.increment();
                warn!(%link, %over, "gave up a link end");
            }
            Over::Deaf | Over::Failed(_) => warn!(%link, %over, "gave up a link end"),
        }
        let why = over.verdict();
        match link {
            LinkName::Packets => {
                self.packets.take().inspect(|packets| packets.give_up(why));
                self.peers.video_interrupted(now);
            }
            LinkName::Input => {
                self.input.take().inspect(|input| input.give_up(why));
                self.outbox.clear();
            }
            LinkName::Desktop => {
                self.desktop.take().inspect(|desktop| desktop.give_up(why));
                self.peers.desktop_state(now, DesktopState::CompositorRestarting);
            }
            LinkName::Pads => self.pads.detach(why),
            LinkName::Sound => self.sound.detach(why),
            LinkName::Transfer => {
                self.transfer.detach(why);
                self.peers.transfer_lost(now);
            }
            LinkName::Signalling => {
                self.signalling.take().inspect(|signalling| signalling.give_up(why));
            }
            _ => {}
        }
    }

    /// Reads the media socket.
    pub(super) fn read_socket(&mut self, now: Instant) -> Result<(), Errno> {
        let Self { socket, peers, figures, .. } = self;
        socket.receive(|arrival, bytes| {
            figures.packets_received.increment();
            if !peers.datagram(now, arrival.source, arrival.destination, bytes) {
                figures.packets_foreign.increment();
            }
        })
    }
}
