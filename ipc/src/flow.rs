//! Credit: how much of a transfer may be in flight. Pure.
//!
//! The receiver has an [`Inflow`], the sender an [`Outflow`]. The receiver reserves room for
//! [`WINDOW`] bytes and grants that as credit; as it consumes bytes, it grants new credit. So
//! neither side ever holds more than a window of one transfer, whatever the other does.
//!
//! INVARIANT: outstanding credit plus the bytes that the receiver holds is at most [`WINDOW`].

use serde::{Deserialize, Serialize};

use crate::message::transfer::{Chunk, MAX_TRANSFER_BYTES};

/// Bytes of one transfer that may be in flight or held. With a round trip of 50 ms this allows 10
/// Mbit/s, and a cancelled transfer leaves little behind.
pub const WINDOW: u32 = 64 * 1024;

/// Bytes that may be sent: at least one, at most [`WINDOW`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Credit(u32);

/// A whole window.
impl Default for Credit {
    fn default() -> Self {
        Self(WINDOW)
    }
}

/// How a sender or a receiver broke the rules of credit.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadFlow {
    /// The sender sent more than its credit.
    #[error("more was sent than the credit allows")]
    BeyondCredit,
    /// The sender sent more than the largest transfer.
    #[error("more was sent than a transfer may have")]
    TooLarge,
    /// The receiver granted nothing, or more than a window.
    #[error("the credit is zero or more than a window")]
    BadCredit,
}

impl Credit {
    /// Credit for `bytes`.
    ///
    /// # Errors
    /// [`BadFlow::BadCredit`] when that is zero or more than [`WINDOW`].
    pub const fn new(bytes: u32) -> Result<Self, BadFlow> {
        if bytes == 0 || bytes > WINDOW { Err(BadFlow::BadCredit) } else { Ok(Self(bytes)) }
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Credit {
    type Error = BadFlow;

    fn try_from(bytes: u32) -> Result<Self, BadFlow> {
        Self::new(bytes)
    }
}

impl From<Credit> for u32 {
    fn from(credit: Credit) -> Self {
        credit.0
    }
}

/// The receiver's account of a transfer, which begins by granting [`Credit::default`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Inflow {
    outstanding: u32,
    held: u32,
    received: u64,
}

impl Default for Inflow {
    fn default() -> Self {
        Self { outstanding: WINDOW, held: 0, received: 0 }
    }
}

impl Inflow {
    /// Counts a chunk of `bytes` that arrived.
    ///
    /// # Errors
    /// [`BadFlow`] when the sender was not allowed to send it.
    pub fn receive(&mut self, bytes: usize) -> Result<(), BadFlow> {
        let bytes = u32::try_from(bytes).map_err(|_| BadFlow::BeyondCredit)?;
        let outstanding = self.outstanding.checked_sub(bytes).ok_or(BadFlow::BeyondCredit)?;
        if self.received + u64::from(bytes) > MAX_TRANSFER_BYTES {
            return Err(BadFlow::TooLarge);
        }
        self.outstanding = outstanding;
        // Neither addition can overflow: held and outstanding together are a window, and the total
        // was just bounded.
        self.held += bytes;
        self.received += u64::from(bytes);
        Ok(())
    }

    /// Counts `bytes` as consumed. Returns the credit to grant: it is granted in large pieces, so
    /// that not every chunk is answered.
    pub fn release(&mut self, bytes: usize) -> Option<Credit> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.held);
        self.held -= bytes;
        let room = WINDOW - self.held - self.outstanding;
        if room < WINDOW / 4 {
            return None;
        }
        self.outstanding += room;
        Some(Credit(room))
    }

    /// Bytes that have arrived and are held.
    #[must_use]
    pub const fn held(&self) -> u32 {
        self.held
    }

    /// Bytes that may still arrive before more is granted.
    #[must_use]
    pub const fn outstanding(&self) -> u32 {
        self.outstanding
    }
}

/// The sender's account of a transfer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outflow {
    credit: u32,
    sent: u64,
}

impl Outflow {
    /// A transfer that begins with `credit`.
    #[must_use]
    pub const fn new(credit: Credit) -> Self {
        Self { credit: credit.0, sent: 0 }
    }

    /// Adds credit from the receiver.
    ///
    /// # Errors
    /// [`BadFlow::BadCredit`] when more than a window would be in flight.
    pub fn grant(&mut self, credit: Credit) -> Result<(), BadFlow> {
        // The sum of two numbers of at most a window cannot overflow.
        let granted = self.credit + credit.0;
        if granted > WINDOW {
            return Err(BadFlow::BadCredit);
        }
        self.credit = granted;
        Ok(())
    }

    /// Bytes that may be sent without another grant.
    #[must_use]
    pub const fn credit(&self) -> u32 {
        self.credit
    }

    /// The largest next chunk; zero while there is no credit.
    #[must_use]
    pub fn allowance(&self) -> usize {
        (self.credit as usize).min(Chunk::MAX_BYTES)
    }

    /// Counts a chunk of `bytes` that is sent.
    ///
    /// # Errors
    /// [`BadFlow`] when that is not allowed.
    pub fn send(&mut self, bytes: usize) -> Result<(), BadFlow> {
        let bytes = u32::try_from(bytes).map_err(|_| BadFlow::BeyondCredit)?;
        let credit = self.credit.checked_sub(bytes).ok_or(BadFlow::BeyondCredit)?;
        if self.sent + u64::from(bytes) > MAX_TRANSFER_BYTES {
            return Err(BadFlow::TooLarge);
        }
        self.credit = credit;
        self.sent += u64::from(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        /// The sender sends a chunk of at most this many bytes.
        Send(usize),
        /// A chunk arrives.
        Deliver,
        /// The receiver consumes this many bytes.
        Release(usize),
        /// A grant arrives.
        Grant,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (1..=Chunk::MAX_BYTES).prop_map(Op::Send),
            Just(Op::Deliver),
            (1..=WINDOW as usize).prop_map(Op::Release),
            Just(Op::Grant),
        ]
    }

    /// Both ends, and what is in flight between them.
    struct Pair {
        outflow: Outflow,
        inflow: Inflow,
        chunks: Vec<usize>,
        grants: Vec<Credit>,
    }

    impl Pair {
        fn new() -> Self {
            let outflow = Outflow::new(Credit::default());
            Self { outflow, inflow: Inflow::default(), chunks: Vec::new(), grants: Vec::new() }
        }

        fn apply(&mut self, op: &Op) {
            match op {
                Op::Send(most) => {
                    let bytes = self.outflow.allowance().min(*most);
                    if bytes > 0 {
                        self.outflow.send(bytes).expect("within the allowance");
                        self.chunks.push(bytes);
                    }
                }
                Op::Deliver if self.chunks.is_empty() => {}
                Op::Deliver => {
                    let bytes = self.chunks.remove(0);
                    self.inflow.receive(bytes).expect("an honest sender has credit");
                }
                Op::Release(bytes) => self.grants.extend(self.inflow.release(*bytes)),
                Op::Grant if self.grants.is_empty() => {}
                Op::Grant => {
                    let credit = self.grants.remove(0);
                    self.outflow.grant(credit).expect("an honest receiver grants what it has");
                }
            }
            self.verify_invariants();
        }

        fn verify_invariants(&self) {
            let under_way: usize = self.chunks.iter().sum();
            let granted: u32 = self.grants.iter().map(|credit| credit.bytes()).sum();
            let window = WINDOW as usize;
            assert!(under_way + self.inflow.held() as usize <= window);
            assert!(self.inflow.held() + self.inflow.outstanding() <= WINDOW);
            // The credit that the receiver counts as outstanding is at the sender, on its way to
            // it, or returning as bytes in flight.
            let outstanding = self.inflow.outstanding() as usize;
            assert_eq!(outstanding, self.outflow.credit as usize + granted as usize + under_way);
        }
    }

    proptest! {
        #[test]
        fn credit_is_never_exceeded_in_any_order(ops in prop::collection::vec(op(), 0..300)) {
            let mut pair = Pair::new();
            ops.iter().for_each(|op| pair.apply(op));
        }

        #[test]
        fn everything_arrives_if_both_go_on(ops in prop::collection::vec(op(), 0..100)) {
            let mut pair = Pair::new();
            ops.iter().for_each(|op| pair.apply(op));
            // Whatever came before, a round of each kind of step makes room for the next chunk.
            let before = pair.outflow.sent;
            for _ in 0..64 {
                let round = [Op::Deliver, Op::Release(WINDOW as usize), Op::Grant, Op::Send(1)];
                round.iter().for_each(|op| pair.apply(op));
            }
            prop_assert!(pair.outflow.sent >= before + 32);
        }
    }

    #[test]
    fn receive_beyond_credit_is_refused() {
        let mut inflow = Inflow::default();
        assert_eq!(inflow.receive(WINDOW as usize), Ok(()));
        assert_eq!(inflow.receive(1), Err(BadFlow::BeyondCredit));
    }

    #[test]
    fn receive_and_send_beyond_the_largest_transfer_are_refused() {
        let mut inflow = Inflow::default();
        let mut outflow = Outflow::new(Credit::default());
        let rounds = MAX_TRANSFER_BYTES / u64::from(WINDOW);
        for _ in 0..rounds {
            inflow.receive(WINDOW as usize).expect("within");
            outflow.send(WINDOW as usize).expect("within");
            let credit = inflow.release(WINDOW as usize).expect("a whole window is free");
            outflow.grant(credit).expect("none was left");
        }
        assert_eq!(inflow.receive(1), Err(BadFlow::TooLarge));
        assert_eq!(outflow.send(1), Err(BadFlow::TooLarge));
    }

    #[test]
    fn grant_of_more_than_a_window_in_all_is_refused() {
        let mut outflow = Outflow::new(Credit::default());
        assert_eq!(outflow.grant(Credit(1)), Err(BadFlow::BadCredit));
        outflow.send(1).expect("credit");
        assert_eq!(outflow.grant(Credit(1)), Ok(()));
        assert_eq!(Credit::new(0), Err(BadFlow::BadCredit));
        assert_eq!(Credit::new(WINDOW + 1), Err(BadFlow::BadCredit));
    }
}
