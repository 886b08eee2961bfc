//! Events of a peer's data channels, and when text may be sent on the channel for it.
//!
//! All channels share one association with a common buffer of 128 KiB. So text is written only
//! while little of it is unacknowledged ([`IN_FLIGHT`]): a cursor never waits behind more than
//! that, and there is always room for one. Pictures do not share the buffer, but they share the
//! network, and text is paced for their sake: it gets a [`SHARE`] of a network that carries less than
//! the encoder wants, and a [`FREE_SHARE`] of another.

use std::time::{Duration, Instant};

use lumen_ipc::message::transfer::Chunk;
use str0m::channel::{ChannelData, ChannelId};

use super::{Ending, Peer, PeerEvent, channel::ChannelKind, transfer::MAX_TRANSFER_MESSAGE_BYTES};

/// Bytes of text that may be in flight.
const IN_FLIGHT: usize = 64 * 1024;
/// Where the network is the limit, text gets one part in this many…
const SHARE: u64 = 4;
/// …and elsewhere one in this many.
const FREE_SHARE: u64 = 2;

/// The channel for text.
#[derive(Debug, Default)]
pub(super) struct Bulk {
    channel: Option<ChannelId>,
    in_flight: usize,
    not_before: Option<Instant>,
}

impl Peer {
    /// Whether another message of a text may be sent.
    #[must_use]
    pub fn takes_bulk(&self, now: Instant) -> bool {
        self.has_bulk_room() && self.bulk.not_before.is_none_or(|at| at <= now)
    }

    /// When it may be sent, if time is the only obstacle.
    #[must_use]
    pub fn bulk_due(&self) -> Option<Instant> {
        self.bulk.not_before.filter(|_| self.has_bulk_room())
    }

    fn has_bulk_room(&self) -> bool {
        let room = self.bulk.in_flight + MAX_TRANSFER_MESSAGE_BYTES <= IN_FLIGHT;
        self.is_connected() && self.bulk.channel.is_some() && room
    }

    /// Sends a message of the `transfer` channel.
    pub(super) fn send_transfer(&mut self, message: &[u8]) {
        let Some(id) = self.bulk.channel else { return };
        self.bulk.in_flight += message.len();
        if message.len() > Chunk::MAX_BYTES / 2 {
            self.pace_bulk(message.len());
        }
        self.write(id, message);
    }

    fn pace_bulk(&mut self, bytes: usize) {
        let part = if self.sending.is_limiting() { SHARE } else { FREE_SHARE };
        let share = (self.sending.bps() / part).max(1);
        let nanos = (bytes as u64).saturating_mul(8_000_000_000) / share;
        let begin = self.bulk.not_before.map_or(self.now, |at| at.max(self.now));
        self.bulk.not_before = Some(begin + Duration::from_nanos(nanos));
    }

    /// Updates how much text has been acknowledged; only for a drained machine.
    pub(super) fn count_bulk(&mut self) {
        if self.bulk.in_flight > 0
            && let Some(mut channel) = self.bulk.channel.and_then(|id| self.rtc.channel(id))
        {
            self.bulk.in_flight = channel.buffered_amount();
        }
    }

    pub(super) fn send_message(&mut self, message: &[u8]) {
        if let Some(id) = self.input {
            self.write(id, message);
        }
    }

    fn write(&mut self, id: ChannelId, message: &[u8]) {
        let Some(mut channel) = self.rtc.channel(id) else { return };
        match channel.write(true, message) {
            Ok(true) => self.wake_up(),
            // With 128 KiB unacknowledged, the browser has stopped reading. What it misses is
            // replayed when it reconnects.
            Ok(false) => self.end(Ending::Lost),
            Err(error) => self.end(Ending::Failed(error.to_string())),
        }
    }

    pub(super) fn on_channel_open(&mut self, id: ChannelId, label: &str) {
        match ChannelKind::from_label(label) {
            Some(ChannelKind::Input) => {
                self.input = Some(id);
                self.emit(PeerEvent::MessagesWanted);
            }
            Some(ChannelKind::Motion) => self.motion = Some(id),
            Some(ChannelKind::Pads) => self.pads = Some(id),
            Some(ChannelKind::Transfer) => {
                // A second channel with this label would restart the transfers of the first.
                if self.bulk.channel.is_none() {
                    self.bulk.channel = Some(id);
                    self.emit(PeerEvent::ClipboardWanted);
                }
            }
            None => tracing::debug!("ignored a data channel with an unknown label"),
        }
    }

    pub(super) fn on_channel_data(&mut self, data: &ChannelData) {
        if self.bulk.channel == Some(data.id) {
            return match self.channels.transfer(self.now, data.binary, &data.data) {
                Ok(Some(said)) => self.emit(PeerEvent::ClipboardSaid(said)),
                Ok(None) => {}
                Err(violation) => self.close(violation.into()),
            };
        }
        let kinds = [
            (self.input, ChannelKind::Input),
            (self.motion, ChannelKind::Motion),
            (self.pads, ChannelKind::Pads),
        ];
        let found = kinds.into_iter().find(|(channel, _)| *channel == Some(data.id));
        let Some((_, kind)) = found else { return };
        match self.channels.receive(self.now, kind, data.binary, &data.data) {
            Ok(Some(said)) => self.emit(PeerEvent::Said(said)),
            Ok(None) => {}
            Err(violation) => self.close(violation.into()),
        }
    }
}
