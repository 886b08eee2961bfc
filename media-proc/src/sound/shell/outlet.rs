//! The `sound` link: frames to rtc, and what rtc wants.

use std::os::fd::{AsFd, BorrowedFd};

use lumen_ipc::{
    codec::{ProtocolViolation, Violation},
    link::LinkName,
    message::{
        grants::LossReason,
        sound::{SoundDemand, Speech, ToRtc, ToSound},
    },
    units::StreamId,
};
use lumen_ipc_runtime::{
    channel::{ReceiveError, SendError},
    link_end::{GiveUp, LinkEnd},
};
use tracing::{info, warn};

/// Sound's end.
pub(super) type End = LinkEnd<ToSound, ToRtc>;

/// The link, while there is an rtc.
#[derive(Debug)]
pub(super) struct Outlet {
    stream: StreamId,
    end: Option<End>,
    demand: Option<SoundDemand>,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Delivery {
    Sent,
    /// Rtc is gone or does not keep up.
    Dropped,
}

impl Outlet {
    pub(super) const fn new(stream: StreamId) -> Self {
        Self { stream, end: None, demand: None }
    }

    /// Takes the link end of a new rtc, which has not said yet what it wants.
    pub(super) fn attach(&mut self, end: End) {
        (self.end, self.demand) = (Some(end), None);
    }

    /// What rtc wants, if anybody listens.
    pub(super) fn demand(&self) -> Option<SoundDemand> {
        self.demand.filter(|demand| demand.listeners > 0)
    }

    pub(super) fn interest(&self) -> Option<BorrowedFd<'_>> {
        self.end.as_ref().map(AsFd::as_fd)
    }

    /// Reads what rtc wants, of which the newest counts, and what viewers say. Returns whether rtc broke the
    /// contract.
    pub(super) fn receive(&mut self, mut said: impl FnMut(Speech)) -> bool {
        while let Some(end) = &self.end {
            match end.receive() {
                Ok(received) => match received.message {
                    ToSound::Said(speech) => said(speech),
                    ToSound::Wanted(demand) if demand.stream == self.stream => {
                        self.demand = Some(demand);
                    }
                    ToSound::Wanted(_) => {
                        let what = Violation::Illegal("a demand on an unknown stream");
                        let violation = ProtocolViolation { link: LinkName::Sound, what };
                        warn!(%violation, "closed the link end");
                        self.close(GiveUp::Violated);
                        return true;
                    }
                },
                Err(ReceiveError::Empty) => break,
                Err(error) => {
                    let violated = matches!(error, ReceiveError::Violation(_));
                    match error {
                        ReceiveError::Closed => info!("rtc closed the link; waiting for another"),
                        error => warn!(%error, "closed the link end"),
                    }
                    // The end has reported the reason itself.
                    (self.end, self.demand) = (None, None);
                    return violated;
                }
            }
        }
        false
    }

    pub(super) fn send(&mut self, message: &ToRtc) -> Delivery {
        let Some(end) = &self.end else { return Delivery::Dropped };
        match end.send(message, &[]) {
            Ok(()) => Delivery::Sent,
            // A closed end is noticed by reading.
            Err(SendError::Full | SendError::Closed) => Delivery::Dropped,
            Err(error) => {
                warn!(%error, "closed the link end");
                self.close(GiveUp::Lost(LossReason::Failed));
                Delivery::Dropped
            }
        }
    }

    fn close(&mut self, why: GiveUp) {
        self.demand = None;
        if let Some(end) = self.end.take() {
            end.give_up(why);
        }
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::{
        sound::{Percent, SamplePosition, SoundFormat, SoundKbps, SoundPayload},
        units::MonotonicMicros,
    };
    use lumen_ipc_runtime::{channel::Channel, link_end::LinkGuard};

    use super::*;

    fn pair() -> (Outlet, Channel<ToRtc, ToSound>) {
        let (near, far) = Channel::<ToRtc, ToSound>::pair().expect("a socketpair");
        let far = far.into_descriptor();
        let mut outlet = Outlet::new(StreamId::SOUND);
        let guard = LinkGuard::unsupervised(LinkName::Sound);
        outlet.attach(End::new(far, guard).expect("an end"));
        (outlet, near)
    }

    fn wanted(stream: StreamId, listeners: u16) -> ToSound {
        let (bitrate, loss) = (SoundKbps::MAX, Percent::default());
        ToSound::Wanted(SoundDemand { stream, listeners, bitrate, loss })
    }

    fn frame() -> ToRtc {
        ToRtc {
            stream: StreamId::SOUND,
            format: SoundFormat::OpusStereo,
            position: SamplePosition(0),
            captured: MonotonicMicros(0),
            begins: true,
            payload: SoundPayload::new(vec![1; 300]).expect("legal"),
        }
    }

    #[test]
    fn newest_demand_counts_and_without_listeners_there_is_none() {
        let (mut outlet, rtc) = pair();
        assert_eq!(outlet.demand(), None);
        for listeners in [1, 2] {
            rtc.send(&wanted(StreamId::SOUND, listeners), &[]).expect("room");
        }
        assert!(!outlet.receive(|_| ()));
        assert_eq!(outlet.demand().map(|demand| demand.listeners), Some(2));
        rtc.send(&wanted(StreamId::SOUND, 0), &[]).expect("room");
        assert!(!outlet.receive(|_| ()));
        assert_eq!(outlet.demand(), None);
    }

    #[test]
    fn demand_on_another_stream_is_a_violation_and_ends_the_link() {
        let (mut outlet, rtc) = pair();
        rtc.send(&wanted(StreamId::VIDEO, 1), &[]).expect("room");
        assert!(outlet.receive(|_| ()));
        assert_eq!((outlet.demand(), outlet.send(&frame())), (None, Delivery::Dropped));
    }

    #[test]
    fn frame_for_which_rtc_has_no_room_is_dropped_and_the_link_stays() {
        let (mut outlet, rtc) = pair();
        while outlet.send(&frame()) == Delivery::Sent {}
        while rtc.receive().is_ok() {}
        assert_eq!(outlet.send(&frame()), Delivery::Sent);
    }

    #[test]
    fn link_that_rtc_closed_is_given_up_with_its_demand() {
        let (mut outlet, rtc) = pair();
        rtc.send(&wanted(StreamId::SOUND, 1), &[]).expect("room");
        drop(rtc);
        assert!(!outlet.receive(|_| ()));
        assert!(outlet.demand().is_none() && outlet.interest().is_none());
    }
}
