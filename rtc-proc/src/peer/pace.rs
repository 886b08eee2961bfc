//! Acts on the network's estimate, and lets a peer become quiet and wake up again.

use str0m::bwe::Bitrate;

use super::{Peer, PeerEvent, estimate::Judgement, quiet::Activity};

impl Peer {
    pub(super) fn on_estimate(&mut self, reported_bps: u64) {
        if self.activity == Activity::Quiet || !self.connected {
            return;
        }
        let before = self.estimate.bps();
        if let Judgement::Restart { bps } = self.estimate.on_report(self.now, reported_bps) {
            self.restart_estimate(bps);
        }
        self.announce_estimate(before);
    }

    /// A receiver with an estimate of its own (REMB) sends no feedback that our controller could
    /// use. If it does send feedback, its estimate is ignored: what it received says more.
    pub(super) fn on_receiver_estimate(&mut self, reported_bps: u64) {
        if self.gives_feedback {
            return;
        }
        let before = self.estimate.bps();
        let _ = self.estimate.on_report(self.now, reported_bps);
        self.announce_estimate(before);
    }

    fn announce_estimate(&mut self, before: u64) {
        let bps = self.estimate.bps();
        if bps != before {
            self.set_desired();
            self.emit(PeerEvent::EstimateChanged { bps });
        }
    }

    pub(super) fn restart_estimate(&mut self, bps: u64) {
        self.rtc.bwe().reset(Bitrate::bps(bps));
        self.set_desired();
    }

    /// Probing is worth its bursts only while the network seems to limit the encoder.
    fn set_desired(&mut self) {
        let probe = self.estimate.is_limiting() && self.activity != Activity::Quiet;
        let desired = if probe { self.encoder } else { Bitrate::ZERO };
        self.rtc.bwe().set_bitrate(Bitrate::ZERO, desired);
    }

    /// With an estimate of zero the pacer stops padding; see [`super::quiet`].
    pub(super) fn fall_quiet(&mut self) {
        if self.connected && self.queued_packets() == 0 {
            self.activity = Activity::Quiet;
            self.restart_estimate(0);
        }
    }

    /// The only exit from quiet: any activity gives the pacer its rate back, because the next
    /// picture would otherwise be paced at almost nothing.
    pub(super) fn wake_up(&mut self) {
        let was_quiet = self.activity == Activity::Quiet;
        self.activity = Activity::Busy { last: self.now };
        if was_quiet {
            self.restart_estimate(self.estimate.bps());
        }
    }
}
