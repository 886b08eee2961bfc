//! Distinguishes a browser that misses packets from one that sees a still screen.
//!
//! Chromium asks for a keyframe when it has seen no frame for three seconds although packets came
//! less than five seconds ago. On a still screen every keyframe in answer would restart those
//! three seconds: a large picture every three seconds, for ever. So such a request is ignored once
//! per still period, if the browser has reported that it has everything. A browser that does miss
//! something asks again, and one that missed the very last packet has not reported it.

use std::time::{Duration, Instant};

/// A request this long after the last frame is not about the loss of that frame.
const STILL_AFTER: Duration = Duration::from_secs(2);

/// What was sent and received, and when the last frame was sent.
#[derive(Debug, Default)]
pub struct Stillness {
    last_frame: Option<Instant>,
    sent: Option<u16>,
    reported: Option<u16>,
    excused: bool,
}

impl Stillness {
    /// A frame is given to the peer.
    pub fn on_frame(&mut self, now: Instant) {
        self.last_frame = Some(now);
        self.excused = false;
    }

    /// A packet of the picture was sent, with this RTP sequence number.
    pub fn on_packet(&mut self, sequence: u16) {
        self.sent = Some(sequence);
    }

    /// The browser has received packets up to this RTP sequence number.
    pub fn on_report(&mut self, sequence: u16) {
        self.reported = Some(sequence);
    }

    /// Whether to ignore a keyframe request; at most one per still period.
    pub fn excuses(&mut self, now: Instant) -> bool {
        let still = self.last_frame.is_some_and(|last| now >= last + STILL_AFTER);
        let complete = self.sent.is_some() && self.sent == self.reported;
        let excuse = still && complete && !self.excused;
        self.excused |= excuse;
        excuse
    }
}

/// The RTP sequence number of a datagram with `payload_type` (RFC 3550, section 5.1; the header is
/// not encrypted).
#[must_use]
pub fn sequence_of(datagram: &[u8], payload_type: u8) -> Option<u16> {
    let [first, second, high, low, ..] = datagram else { return None };
    let is_rtp = first >> 6 == 2 && second & 0x7f == payload_type;
    is_rtp.then(|| u16::from_be_bytes([*high, *low]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(start: Instant) -> Stillness {
        let mut stillness = Stillness::default();
        stillness.on_frame(start);
        stillness.on_packet(7);
        stillness
    }

    #[test]
    fn request_on_a_still_complete_picture_is_excused_once() {
        let start = Instant::now();
        let mut stillness = shown(start);
        stillness.on_report(7);
        let later = start + Duration::from_secs(3);
        assert!(stillness.excuses(later));
        assert!(!stillness.excuses(later));
        stillness.on_frame(later);
        assert!(stillness.excuses(later + Duration::from_secs(3)));
    }

    #[test]
    fn request_soon_after_a_frame_or_with_packets_missing_is_answered() {
        let start = Instant::now();
        let mut stillness = shown(start);
        stillness.on_report(6);
        assert!(!stillness.excuses(start + Duration::from_secs(3)));
        stillness.on_report(7);
        assert!(!stillness.excuses(start + Duration::from_secs(1)));
    }

    #[test]
    fn sequence_is_read_of_rtp_with_the_payload_type_only() {
        assert_eq!(sequence_of(&[0x90, 0x80 | 102, 1, 2, 0], 102), Some(0x0102));
        assert_eq!(sequence_of(&[0x80, 103, 1, 2], 102), None);
        assert_eq!(sequence_of(&[22, 102, 1, 2], 102), None);
        assert_eq!(sequence_of(&[0x80], 102), None);
    }
}
