//! What all peers together ask of the sound worker, and the RTP time of what it sends.
//!
//! Sound is encoded once for everybody, like the picture, and takes a small part of what the network
//! carries: what is lost of it is heard sooner than what is lost of the picture is seen.
//!
//! Where packets are lost, each carries the frame of the one before as well ([`is_lossy`]; RFC 2198),
//! because there is no time to ask for it. Opus itself repeats only what it takes for a voice, and as much
//! of it as the receiver that loses most needs.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lumen_ipc::{
    message::sound::{SoundDemand, ToRtc},
    sound::{Percent, SoundKbps},
    units::{Kbps, StreamId},
};
use lumen_ipc_runtime::clock::Anchor;

/// The part of the picture's rate that sound may take.
const PART: u64 = 8;
/// What sound takes even where the picture has little: enough for music.
const LEAST: u64 = 32;
/// Rates and losses are said at most this often, because they are said to be used for a while.
const CHANGE_GAP: Duration = Duration::from_secs(1);
/// Less loss than this is not repaired: it is not heard.
const LEAST_LOSS: f32 = 0.005;
/// More loss than this is not repaired: the path is broken.
const MOST_LOSS: Percent = Percent::TWENTY;

/// Whether a receiver that loses this part of the packets gets each frame twice.
#[must_use]
pub fn is_lossy(loss: f32) -> bool {
    loss >= LEAST_LOSS
}

/// One frame, shared by all peers it goes to.
#[derive(Clone, Debug)]
pub struct SoundFrame {
    /// Its bytes.
    pub data: Arc<[u8]>,
    /// Its RTP time in ticks of 48 kHz.
    pub rtp_ticks: u64,
    /// The instant of that RTP time.
    pub captured: Instant,
    /// Whether it is the first after silence.
    pub begins: bool,
}

/// Converts positions into RTP times.
///
/// INVARIANT: times increase strictly, whatever the sound worker or its successor says.
#[derive(Debug, Default)]
pub struct SoundClock {
    last: Option<u64>,
}

impl SoundClock {
    /// The frame in a message.
    pub fn frame(&mut self, message: ToRtc, anchor: &Anchor) -> SoundFrame {
        let least = self.last.map_or(0, |last| last + 1);
        // A position years ahead holds all later frames there, which disturbs only its own session.
        let rtp_ticks = message.position.0.max(least).min(u64::MAX / 2);
        self.last = Some(rtp_ticks);
        SoundFrame {
            data: Arc::from(Vec::from(message.payload)),
            rtp_ticks,
            captured: anchor.instant_of(message.captured),
            begins: message.begins,
        }
    }
}

/// What is wanted of the sound worker.
#[derive(Debug)]
pub struct SoundWanted {
    demand: SoundDemand,
    most: SoundKbps,
    changed: Option<Instant>,
    is_news: bool,
}

impl SoundWanted {
    /// Nobody listens; sound takes at most `most`.
    #[must_use]
    pub const fn new(most: SoundKbps) -> Self {
        let loss = Percent::NONE;
        let demand = SoundDemand { stream: StreamId::SOUND, listeners: 0, bitrate: most, loss };
        Self { demand, most, changed: None, is_news: false }
    }

    /// The demand.
    #[must_use]
    pub const fn demand(&self) -> SoundDemand {
        self.demand
    }

    /// The demand, if the sound worker has not been told yet.
    pub fn news(&mut self) -> Option<SoundDemand> {
        std::mem::take(&mut self.is_news).then_some(self.demand)
    }

    /// These peers listen, each losing this part of the packets, while the picture has `picture`.
    pub fn heard(&mut self, now: Instant, picture: Kbps, losses: impl Iterator<Item = f32>) {
        let (mut listeners, mut worst) = (0_u16, 0.0_f32);
        for loss in losses {
            listeners = listeners.saturating_add(1);
            worst = worst.max(loss);
        }
        let mut demand = SoundDemand { listeners, ..self.demand };
        let is_due = self.changed.is_none_or(|at| now >= at + CHANGE_GAP);
        if is_due || listeners != self.demand.listeners {
            let lost = if is_lossy(worst) { (worst * 100.0).ceil() } else { 0.0 };
            demand.loss = Percent::clamped(lost as u64).min(MOST_LOSS);
            let times = if is_lossy(worst) { 2 } else { 1 };
            let part = u64::from(picture.value()) / PART / times;
            demand.bitrate = SoundKbps::clamped(part.max(LEAST)).min(self.most);
        }
        if demand != self.demand {
            self.demand = demand;
            self.changed = Some(now);
            self.is_news = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::{
        sound::{SamplePosition, SoundFormat, SoundPayload},
        units::MonotonicMicros,
    };
    use proptest::prelude::*;

    use super::*;

    const MOST: SoundKbps = SoundKbps::MAX;

    fn wanted() -> (SoundWanted, Instant) {
        (SoundWanted::new(MOST), Instant::now())
    }

    fn picture(kbps: u64) -> Kbps {
        Kbps::clamped(kbps)
    }

    #[test]
    fn listener_who_comes_or_goes_is_told_at_once_and_only_once() {
        let (mut wanted, now) = wanted();
        wanted.heard(now, picture(8000), [0.0].into_iter());
        assert_eq!(wanted.news().map(|demand| demand.listeners), Some(1));
        assert_eq!(wanted.news(), None);
        wanted.heard(now, picture(8000), std::iter::empty());
        assert_eq!(wanted.news().map(|demand| demand.listeners), Some(0));
    }

    #[test]
    fn sound_takes_a_part_of_the_picture_s_rate_but_always_enough_and_never_more_than_configured() {
        for (kbps, sound) in [(8000, 510), (1600, 200), (100, 32)] {
            let (mut wanted, now) = wanted();
            wanted.heard(now, picture(kbps), [0.0].into_iter());
            assert_eq!(wanted.demand().bitrate.value(), sound, "{kbps}");
        }
        let mut frugal = SoundWanted::new(SoundKbps::MIN);
        frugal.heard(Instant::now(), picture(8000), [0.0].into_iter());
        assert_eq!(frugal.demand().bitrate, SoundKbps::MIN);
    }

    #[test]
    fn listener_who_loses_most_decides_how_much_is_repaired() {
        let (mut wanted, now) = wanted();
        wanted.heard(now, picture(8000), [0.0, 0.041, 0.01].into_iter());
        assert_eq!(wanted.demand().loss.value(), 5);
        wanted.heard(now + CHANGE_GAP, picture(8000), [0.9, 0.0, 0.0].into_iter());
        assert_eq!(wanted.demand().loss, MOST_LOSS);
    }

    #[test]
    fn sound_that_is_sent_twice_takes_no_larger_part_and_loss_that_nobody_hears_counts_for_none() {
        for (loss, bitrate, percent) in [(0.05, 100, 5), (0.006, 100, 1), (0.004, 200, 0)] {
            let (mut wanted, now) = wanted();
            wanted.heard(now, picture(1600), [loss].into_iter());
            let SoundDemand { bitrate: rate, loss: part, .. } = wanted.demand();
            assert_eq!((rate.value(), part.value()), (bitrate, percent), "{loss}");
        }
    }

    #[test]
    fn rate_and_loss_that_change_all_the_time_are_told_once_a_second() {
        let (mut wanted, now) = wanted();
        let mut told = 0;
        for tenth in 0..100_u32 {
            let at = now + Duration::from_millis(100) * tenth;
            let loss = tenth as f32 / 1000.0;
            wanted.heard(at, picture(1000 + u64::from(tenth)), [loss].into_iter());
            told += u32::from(wanted.news().is_some());
        }
        assert_eq!(told, 10);
    }

    proptest! {
        #[test]
        fn rtp_times_grow_strictly(positions in prop::collection::vec(any::<u64>(), 1..50)) {
            let (mut clock, anchor) = (SoundClock::default(), Anchor::new());
            let mut last = None;
            for position in positions {
                let frame = clock.frame(ToRtc {
                    stream: StreamId::SOUND,
                    format: SoundFormat::OpusStereo,
                    position: SamplePosition(position / 4),
                    captured: MonotonicMicros(position),
                    begins: false,
                    payload: SoundPayload::new(vec![1]).expect("legal"),
                }, &anchor);
                prop_assert!(last.is_none_or(|last| frame.rtp_ticks > last));
                last = Some(frame.rtp_ticks);
            }
        }
    }
}
