//! A picture on its way to one peer: whether the peer gets it, and what the browser is told of it.

use std::sync::Arc;

use str0m::media::{Frequency, MediaTime};

use super::{Ending, FrameGate, Peer, VideoFrame};

impl Peer {
    pub(super) fn write_frame(&mut self, frame: &VideoFrame) {
        if !self.is_connected() {
            return;
        }
        let track = self.video.as_ref();
        let place = track.and_then(|track| Some((track.mid, track.payload(frame.format)?)));
        let Some((mid, payload_type)) = place else { return };
        if self.sending.is_behind() {
            self.gate = FrameGate::Behind;
        }
        if !self.gate.admit(frame.keyframe) {
            return;
        }
        self.wake_up();
        if frame.keyframe {
            self.sending.on_keyframe(self.now);
        }
        self.stillness.on_frame(self.now);
        let Some(writer) = self.rtc.writer(mid) else { return };
        let time = MediaTime::new(frame.rtp_ticks, Frequency::NINETY_KHZ);
        // Show at once: the receiver's jitter buffer must add no delay.
        let writer = writer.playout_delay(MediaTime::ZERO, MediaTime::ZERO);
        match writer.write(payload_type, frame.captured, time, Arc::clone(&frame.data)) {
            Ok(()) => self.in_flight = Some((frame.stamps, frame.rtp_ticks)),
            Err(error) => self.end(Ending::Failed(error.to_string())),
        }
    }
}
