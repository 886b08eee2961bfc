//! The gateway's end of the link to a session's rtc, with a queue of messages to send.
//!
//! The gateway never blocks on rtc: messages that the link does not take are queued in order. If
//! rtc takes no message for [`PATIENCE`], or more than [`MOST_WAITING`] are queued, the link is
//! given up, and the supervisor makes another.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use lumen_ipc::message::{
    grants::LossReason,
    signalling::{ToGateway, ToRtc},
};
use lumen_ipc_runtime::{
    channel::{ReceiveError, SendError},
    link_end::{AsyncLinkEnd, GiveUp},
};

/// Rtc reads its link at once unless it is stuck.
const PATIENCE: Duration = Duration::from_secs(1);
/// More than every browser's call and every ended login together, with which a new link begins.
const MOST_WAITING: usize = 1024;

/// The end, while it is in use.
#[derive(Debug)]
pub(super) struct RtcLink {
    end: AsyncLinkEnd<ToGateway, ToRtc>,
    waiting: VecDeque<ToRtc>,
    /// When the first queued message must have been sent.
    deadline: Option<Instant>,
}

/// What happened on the link.
#[derive(Debug)]
pub(super) enum Happened {
    Heard(Result<ToGateway, ReceiveError>),
    /// The first queued message was sent, or failed.
    Sent(Result<(), SendError>),
}

/// Rtc does not read its link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Full;

impl RtcLink {
    pub(super) fn new(end: AsyncLinkEnd<ToGateway, ToRtc>) -> Self {
        Self { end, waiting: VecDeque::new(), deadline: None }
    }

    /// Waits for the next event. The future is cancel-safe; pass the outcome of a send to
    /// [`RtcLink::sent`].
    pub(super) async fn next(&self) -> Happened {
        let Some(first) = self.waiting.front() else { return self.hear().await };
        tokio::select! {
            heard = self.hear() => heard,
            sent = self.end.send(first, &[]) => Happened::Sent(sent),
        }
    }

    async fn hear(&self) -> Happened {
        Happened::Heard(self.end.receive().await.map(|received| received.message))
    }

    /// Sends a message to rtc, or queues it until the link takes it.
    pub(super) fn tell(&mut self, now: Instant, message: ToRtc) -> Result<(), Full> {
        if self.waiting.is_empty() {
            match self.end.try_send(&message, &[]) {
                Err(SendError::Full) => self.deadline = Some(now + PATIENCE),
                outcome => {
                    note(outcome);
                    return Ok(());
                }
            }
        }
        if self.waiting.len() >= MOST_WAITING {
            return Err(Full);
        }
        self.waiting.push_back(message);
        Ok(())
    }

    /// Handles the outcome of sending the first queued message, and sends more if it can.
    pub(super) fn sent(&mut self, now: Instant, mut outcome: Result<(), SendError>) {
        loop {
            self.waiting.pop_front();
            note(outcome);
            let Some(first) = self.waiting.front() else {
                self.deadline = None;
                return;
            };
            outcome = match self.end.try_send(first, &[]) {
                Err(SendError::Full) => {
                    self.deadline = Some(now + PATIENCE);
                    return;
                }
                outcome => outcome,
            };
        }
    }

    /// When the link is given up unless rtc reads.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Gives the link up because rtc does not read.
    pub(super) fn give_up_full(self) {
        self.end.give_up(GiveUp::Lost(LossReason::Full));
    }
}

/// A closed link is reported by the receiving side, after rtc's last messages.
fn note(outcome: Result<(), SendError>) {
    match outcome {
        Ok(()) | Err(SendError::Closed) => {}
        Err(error) => tracing::warn!(%error, "lost a message to rtc"),
    }
}
