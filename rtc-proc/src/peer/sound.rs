//! Sound for one peer: its section of the connection, and what is lost of it.

use std::sync::Arc;

use str0m::{
    format::Codec,
    media::{Frequency, MediaTime, Mid, Pt},
    stats::MediaEgressStats,
};

use super::{
    Ending, Peer,
    rate::{End, Fate},
};
use crate::sound::{SoundFrame, is_lossy};

/// The weight of the newest report among those before, one in this many…
const REPORTS: f32 = 4.0;
/// …and of the newest packet, of a browser that reports on each.
const PACKETS: f32 = 200.0;

/// The browser's section for sound.
#[derive(Clone, Copy, Debug)]
pub(super) struct SoundTrack {
    pub(super) mid: Mid,
    payload: Pt,
    /// The part of the packets that is lost, averaged.
    loss: f32,
}

impl SoundTrack {
    fn average(&mut self, loss: f32, weight: f32) {
        self.loss += (loss - self.loss) / weight;
    }
}

impl Peer {
    /// The part of its packets of sound that is lost; `None` if it does not listen.
    #[must_use]
    pub fn sound_loss(&self) -> Option<f32> {
        self.sound.filter(|_| self.is_connected()).map(|track| track.loss)
    }

    pub(super) fn add_sound(&mut self, mid: Mid) {
        let sends = self.rtc.media(mid).is_some_and(|media| media.direction().is_sending());
        let is_first = self.sound.is_none();
        let Some(writer) = self.rtc.writer(mid).filter(|_| sends && is_first) else { return };
        let opus = writer.payload_params().find(|params| params.spec().codec == Codec::Opus);
        self.sound = opus.map(|params| SoundTrack { mid, payload: params.pt(), loss: 0.0 });
        self.repeat_sound();
    }

    /// Sends each frame twice, in two packets, where packets are lost.
    fn repeat_sound(&mut self) {
        if let Some(track) = self.sound {
            self.rtc.direct_api().set_red_send(track.mid, is_lossy(track.loss));
        }
    }

    pub(super) fn write_sound(&mut self, frame: &SoundFrame) {
        let Some(track) = self.sound.filter(|_| self.is_connected()) else { return };
        self.wake_up();
        let Some(writer) = self.rtc.writer(track.mid) else { return };
        let time = MediaTime::new(frame.rtp_ticks, Frequency::FORTY_EIGHT_KHZ);
        let writer = writer.start_of_talkspurt(frame.begins);
        if let Err(error) =
            writer.write(track.payload, frame.captured, time, Arc::clone(&frame.data))
        {
            self.end(Ending::Failed(error.to_string()));
        }
    }

    /// Notes the browser's report, if it is about sound.
    pub(super) fn on_sound_report(&mut self, stats: &MediaEgressStats) -> bool {
        let Some(track) = self.sound.as_mut().filter(|track| track.mid == stats.mid) else {
            return false;
        };
        if let Some(loss) = stats.loss.filter(|loss| loss.is_finite())
            && !self.sending.has_feedback()
        {
            track.average(loss.clamp(0.0, 1.0), REPORTS);
            self.repeat_sound();
        }
        true
    }

    /// Notes what became of packets, whatever they carried: networks do not know the difference. The
    /// browser's report about sound comes every five seconds, these at once. Where packets of pictures have
    /// duplicates, only those of sound show what the network loses.
    pub(super) fn on_fates_of_all(&mut self, fates: &[Fate]) {
        let are_hidden = self.sending.has_duplicates();
        let Some(track) = &mut self.sound else { return };
        for fate in fates.iter().filter(|fate| fate.is_sound || !are_hidden) {
            let loss = if matches!(fate.end, End::Lost { .. }) { 1.0 } else { 0.0 };
            track.average(loss, PACKETS);
        }
        self.repeat_sound();
    }
}
