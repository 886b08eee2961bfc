//! The gateway's end of the link to the rtc of a session, and what waits to be sent over it.
//!
//! Nobody waits for rtc: what its link does not take is kept, in order, until it does. An rtc that takes
//! nothing for [`PATIENCE`], or leaves more than [`MOST_WAITING`] messages lying, does not read its link;
//! that is then given up, and the supervisor makes another.

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
/// More than every browser's call and every ended login together, which a new link begins with.
const MOST_WAITING: usize = 1024;

/// The end, while it is in use.
#[derive(Debug)]
pub(super) struct RtcLink {
    end: AsyncLinkEnd<ToGateway, ToRtc>,
    waiting: VecDeque<ToRtc>,
    /// When the first of those that wait is to be on its way.
    deadline: Option<Instant>,
}

/// What happens on it.
#[derive(Debug)]
pub(super) enum Happened {
    Heard(Result<ToGateway, ReceiveError>),
    /// The first message that waited is on its way, or is not.
    Sent(Result<(), SendError>),
}

/// Rtc does not read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Full;

impl RtcLink {
    pub(super) fn new(end: AsyncLinkEnd<ToGateway, ToRtc>) -> Self {
        Self { end, waiting: VecDeque::new(), deadline: None }
    }

    /// Waits for what happens next. Dropping the future loses nothing, and [`RtcLink::sent`] has to be
    /// told of what was sent.
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

    /// Tells rtc, at once or as soon as the link takes it.
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

    /// The first message that waited is on its way, or cannot be sent; so may others be.
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

    /// When rtc has to have read, or the link is full for good.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Gives the link up because rtc does not read.
    pub(super) fn give_up_full(self) {
        self.end.give_up(GiveUp::Lost(LossReason::Full));
    }
}

/// That the other end is gone is noticed by reading too, where everything rtc still said comes first.
fn note(outcome: Result<(), SendError>) {
    match outcome {
        Ok(()) | Err(SendError::Closed) => {}
        Err(error) => tracing::warn!(%error, "a message to rtc is lost"),
    }
}
