//! One end of a link as a worker holds it, which reports by itself why it ended.
//!
//! Only the supervisor can replace a link, and it does so whatever the reason, so it must learn of
//! every end that is closed. If each worker had to report that, it would miss some case. So an end
//! reports itself, once: as soon as receiving or sending fails for good, when its owner gives it
//! up, or at the latest when it is dropped.
//!
//! INVARIANT: no end of a granted link is closed unreported. An end that was replaced by a newer
//! one is reported like any other; the supervisor ignores the report, because it concerns an older
//! pair.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
};

use lumen_ipc::{
    codec::Message,
    link::{Generation, LinkName},
    message::grants::{LossReason, ToSupervisor},
    units::SessionId,
};
use tokio::sync::mpsc;

use crate::{
    AsyncChannel,
    channel::{Channel, NotALink, ReceiveError, Received, SendError},
};

/// Where reports are sent. The default value drops them, for a process without a supervisor.
#[derive(Clone, Debug, Default)]
pub struct Reports(Option<mpsc::UnboundedSender<ToSupervisor>>);

impl Reports {
    /// A sender and its receiver. The queue is bounded only by the number of granted ends and
    /// connections, each of which makes one report.
    #[must_use]
    pub fn new() -> (Self, mpsc::UnboundedReceiver<ToSupervisor>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(Some(sender)), receiver)
    }

    pub(crate) fn send(&self, report: ToSupervisor) {
        if let Some(sender) = &self.0 {
            // A worker that is ending has no receiver for reports.
            let _ = sender.send(report);
        }
    }
}

/// Why an end is given up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GiveUp {
    /// Nobody broke the contract.
    Lost(LossReason),
    /// The other side broke the contract.
    Violated,
}

/// Which link an end is of, as its worker knows it.
#[derive(Clone, Copy, Debug)]
enum Subject {
    /// The one of its name.
    Link(LinkName),
    /// Of the gateway's `signalling` links, the one to the rtc of this session.
    Signalling(SessionId),
}

/// Reports one end of a link, once; at the latest when it is dropped.
#[derive(Debug)]
pub struct LinkGuard {
    subject: Subject,
    generation: Generation,
    reports: Reports,
    reported: AtomicBool,
}

impl LinkGuard {
    /// Guards an end from now on.
    #[must_use]
    pub const fn new(link: LinkName, generation: Generation, reports: Reports) -> Self {
        Self::of(Subject::Link(link), generation, reports)
    }

    /// Of the gateway's end of the signalling link to the rtc of `session`: it has as many of them as
    /// there are sessions.
    #[must_use]
    pub const fn of_signalling(
        session: SessionId,
        generation: Generation,
        reports: Reports,
    ) -> Self {
        Self::of(Subject::Signalling(session), generation, reports)
    }

    const fn of(subject: Subject, generation: Generation, reports: Reports) -> Self {
        Self { subject, generation, reports, reported: AtomicBool::new(false) }
    }

    /// Guards an end that is not supervised, for tests of shells.
    #[must_use]
    pub fn unsupervised(link: LinkName) -> Self {
        Self::new(link, Generation::default(), Reports::default())
    }

    /// Reports why the end is closed. Only the first reason counts.
    pub fn give_up(&self, why: GiveUp) {
        if self.reported.swap(true, Ordering::Relaxed) {
            return;
        }
        let generation = self.generation;
        self.reports.send(match (self.subject, why) {
            (Subject::Link(link), GiveUp::Lost(reason)) => {
                ToSupervisor::LinkLost { link, generation, reason }
            }
            (Subject::Link(link), GiveUp::Violated) => {
                ToSupervisor::LinkViolated { link, generation }
            }
            (Subject::Signalling(session), GiveUp::Lost(reason)) => {
                ToSupervisor::SignallingLost { session, generation, reason }
            }
            (Subject::Signalling(session), GiveUp::Violated) => {
                ToSupervisor::SignallingViolated { session, generation }
            }
        });
    }

    /// Gives the end up if this came of receiving and ends the link.
    fn heed_received<In>(&self, outcome: &Result<Received<In>, ReceiveError>) {
        match outcome {
            Ok(_) | Err(ReceiveError::Empty) => {}
            Err(ReceiveError::Io(_)) => self.give_up(GiveUp::Lost(LossReason::Failed)),
            Err(ReceiveError::Closed) => self.give_up(GiveUp::Lost(LossReason::Closed)),
            Err(ReceiveError::Violation(_)) => self.give_up(GiveUp::Violated),
        }
    }

    /// Gives the end up if this came of sending and ends the link.
    fn heed_sent(&self, outcome: &Result<(), SendError>) {
        if let Err(SendError::Encode(_) | SendError::Io(_)) = outcome {
            self.give_up(GiveUp::Lost(LossReason::Failed));
        }
    }
}

impl Drop for LinkGuard {
    fn drop(&mut self) {
        self.give_up(GiveUp::Lost(LossReason::Unusable));
    }
}

/// One end of a link: a [`Channel`] that reports its own closing.
#[derive(Debug)]
pub struct LinkEnd<In, Out> {
    channel: Channel<In, Out>,
    guard: LinkGuard,
}

impl<In: Message, Out: Message> LinkEnd<In, Out> {
    /// Takes a descriptor as the end that `guard` reports.
    ///
    /// # Errors
    /// As [`Channel::from_descriptor`]; the failure is reported.
    pub fn new(descriptor: OwnedFd, guard: LinkGuard) -> Result<Self, NotALink> {
        Ok(Self { channel: Channel::from_descriptor(descriptor)?, guard })
    }

    /// As [`Channel::receive`]. Every error except [`ReceiveError::Empty`] ends the link and has
    /// been reported.
    ///
    /// # Errors
    /// As [`Channel::receive`].
    pub fn receive(&self) -> Result<Received<In>, ReceiveError> {
        let outcome = self.channel.receive();
        self.guard.heed_received(&outcome);
        outcome
    }

    /// As [`Channel::send`]. Every error except [`SendError::Full`] ends the link and has been
    /// reported, with one exception: a closed other end is reported by [`LinkEnd::receive`], after
    /// everything that it sent before.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub fn send(&self, message: &Out, descriptors: &[BorrowedFd<'_>]) -> Result<(), SendError> {
        let outcome = self.channel.send(message, descriptors);
        self.guard.heed_sent(&outcome);
        outcome
    }

    /// Says why the link is over for its owner, who drops it next.
    pub fn give_up(&self, why: GiveUp) {
        self.guard.give_up(why);
    }

    /// The same for code that runs on tokio; call it inside its runtime.
    ///
    /// # Errors
    /// What epoll says; the end is reported then.
    pub fn into_async(self) -> io::Result<AsyncLinkEnd<In, Out>> {
        let Self { channel, guard } = self;
        Ok(AsyncLinkEnd { channel: AsyncChannel::new(channel)?, guard })
    }
}

/// A [`LinkEnd`] whose messages are awaited.
#[derive(Debug)]
pub struct AsyncLinkEnd<In, Out> {
    channel: AsyncChannel<In, Out>,
    guard: LinkGuard,
}

impl<In: Message, Out: Message> AsyncLinkEnd<In, Out> {
    /// As [`AsyncChannel::receive`]. Every error ends the link, and has been reported.
    ///
    /// # Errors
    /// As [`AsyncChannel::receive`].
    pub async fn receive(&self) -> Result<Received<In>, ReceiveError> {
        let outcome = self.channel.receive().await;
        self.guard.heed_received(&outcome);
        outcome
    }

    /// As [`AsyncChannel::send`]; what the outcome means for the link is said at [`LinkEnd::send`].
    ///
    /// # Errors
    /// As [`AsyncChannel::send`].
    pub async fn send(
        &self,
        message: &Out,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), SendError> {
        let outcome = self.channel.send(message, descriptors).await;
        self.guard.heed_sent(&outcome);
        outcome
    }

    /// As [`LinkEnd::send`], which does not wait.
    ///
    /// # Errors
    /// As [`LinkEnd::send`].
    pub fn try_send(&self, message: &Out, descriptors: &[BorrowedFd<'_>]) -> Result<(), SendError> {
        let outcome = self.channel.channel().send(message, descriptors);
        self.guard.heed_sent(&outcome);
        outcome
    }

    /// Reports why the owner gives up the link; the owner drops it next.
    pub fn give_up(&self, why: GiveUp) {
        self.guard.give_up(why);
    }
}

/// An end that is not supervised, for tests of shells.
impl<In: Message, Out: Message> From<Channel<In, Out>> for LinkEnd<In, Out> {
    fn from(channel: Channel<In, Out>) -> Self {
        Self { channel, guard: LinkGuard::unsupervised(In::LINK) }
    }
}

impl<In, Out> AsFd for LinkEnd<In, Out> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::message::pads::{ToGamepad, ToRtc};
    use rustix::net::{SendFlags, send};

    use super::*;

    type Ours = LinkEnd<ToRtc, ToGamepad>;
    type Theirs = Channel<ToGamepad, ToRtc>;

    const LINK: LinkName = LinkName::Pads;
    const GENERATION: Generation = Generation(7);

    fn end() -> (Ours, Theirs, mpsc::UnboundedReceiver<ToSupervisor>) {
        let (near, far) = Channel::<ToRtc, ToGamepad>::pair().expect("socketpair");
        let (reports, told) = Reports::new();
        let guard = LinkGuard::new(LINK, GENERATION, reports);
        (LinkEnd::new(near.into_descriptor(), guard).expect("an end"), far, told)
    }

    fn lost(reason: LossReason) -> ToSupervisor {
        ToSupervisor::LinkLost { link: LINK, generation: GENERATION, reason }
    }

    /// The reports of an end after it was dropped.
    fn all(mut told: mpsc::UnboundedReceiver<ToSupervisor>) -> Vec<ToSupervisor> {
        std::iter::from_fn(|| told.try_recv().ok()).collect()
    }

    #[test]
    fn end_whose_other_side_closed_says_so_once() {
        let (end, far, told) = end();
        drop(far);
        assert!(matches!(end.receive(), Err(ReceiveError::Closed)));
        assert!(matches!(end.receive(), Err(ReceiveError::Closed)));
        drop(end);
        assert_eq!(all(told), [lost(LossReason::Closed)]);
    }

    #[test]
    fn end_whose_peer_broke_the_contract_accuses_it() {
        let (end, far, told) = end();
        send(&far, &[0xff; 9], SendFlags::empty()).expect("room");
        assert!(matches!(end.receive(), Err(ReceiveError::Violation(_))));
        drop(end);
        let (link, generation) = (LINK, GENERATION);
        assert_eq!(all(told), [ToSupervisor::LinkViolated { link, generation }]);
    }

    #[test]
    fn end_that_is_given_up_says_why() {
        let violated = ToSupervisor::LinkViolated { link: LINK, generation: GENERATION };
        for (why, said) in [
            (GiveUp::Violated, violated),
            (GiveUp::Lost(LossReason::Full), lost(LossReason::Full)),
            (GiveUp::Lost(LossReason::TimedOut), lost(LossReason::TimedOut)),
        ] {
            let (end, _far, told) = end();
            end.give_up(why);
            drop(end);
            assert_eq!(all(told), [said]);
        }
    }

    #[test]
    fn end_to_the_rtc_of_a_session_is_reported_by_its_session() {
        let (session, generation) = (SessionId(3), GENERATION);
        for (why, said) in [
            (GiveUp::Violated, ToSupervisor::SignallingViolated { session, generation }),
            (
                GiveUp::Lost(LossReason::Full),
                ToSupervisor::SignallingLost { session, generation, reason: LossReason::Full },
            ),
        ] {
            let (reports, told) = Reports::new();
            let guard = LinkGuard::of_signalling(session, generation, reports);
            guard.give_up(why);
            drop(guard);
            assert_eq!(all(told), [said]);
        }
    }

    #[tokio::test]
    async fn awaited_end_whose_other_side_closed_or_broke_the_contract_says_so() {
        let (link, generation) = (LINK, GENERATION);
        let (first, far, told) = end();
        drop(far);
        let first = first.into_async().expect("epoll");
        assert!(matches!(first.receive().await, Err(ReceiveError::Closed)));
        drop(first);
        assert_eq!(all(told), [lost(LossReason::Closed)]);
        let (second, far, told) = end();
        send(&far, &[0xff; 9], SendFlags::empty()).expect("room");
        let second = second.into_async().expect("epoll");
        assert!(matches!(second.receive().await, Err(ReceiveError::Violation(_))));
        drop(second);
        assert_eq!(all(told), [ToSupervisor::LinkViolated { link, generation }]);
    }

    #[test]
    fn end_that_is_merely_dropped_is_reported_all_the_same() {
        let (end, _far, told) = end();
        drop(end);
        assert_eq!(all(told), [lost(LossReason::Unusable)]);
    }

    #[test]
    fn descriptor_that_is_no_link_is_reported() {
        let (reports, told) = Reports::new();
        let file = std::fs::File::open("/dev/null").expect("open");
        let guard = LinkGuard::new(LINK, GENERATION, reports);
        assert!(Ours::new(file.into(), guard).is_err());
        assert_eq!(all(told), [lost(LossReason::Unusable)]);
    }

    #[test]
    fn idle_or_full_end_goes_on() {
        let (end, far, mut told) = end();
        assert!(matches!(end.receive(), Err(ReceiveError::Empty)));
        far.send(&ToRtc::Available(true), &[]).expect("room");
        assert!(end.receive().is_ok());
        assert!(told.try_recv().is_err());
    }
}
