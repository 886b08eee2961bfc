//! Credit: how much of a transfer may be under way. Pure.
//!
//! The receiver has an [`Inflow`], the sender an [`Outflow`]. The receiver makes room for [`WINDOW`]
//! bytes and grants that as credit; what it gets rid of it grants anew. So neither side ever holds more
//! than a window of one transfer, whatever the other does.
//!
//! INVARIANT: the credit that is outstanding plus what the receiver holds is at most [`WINDOW`].

use serde::{Deserialize, Serialize};

use crate::message::transfer::{Chunk, MAX_TRANSFER_BYTES};

/// Bytes of one transfer that may be under way or held. At a round trip of 50 ms a transfer then passes
/// 10 Mbit/s, and one that is cancelled leaves little behind it.
pub const WINDOW: u32 = 64 * 1024;

/// Bytes that may be sent: at least one, at most [`WINDOW`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Credit(u32);

/// A window's worth.
impl Default for Credit {
    fn default() -> Self {
        Self(WINDOW)
    }
}

/// How a sender or a receiver broke the rules of credit.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadFlow {
    /// The sender sent more than it may.
    #[error("more was sent than there was credit for")]
    BeyondCredit,
    /// The sender sent more than any transfer has.
    #[error("more was sent than a transfer may have")]
    TooLarge,
    /// The receiver granted nothing, or more than a window.
    #[error("the credit is none or more than a window")]
    BadCredit,
}

impl Credit {
    /// Credit for `bytes`.
    ///
    /// # Errors
    /// [`BadFlow::BadCredit`] when that is nothing or more than [`WINDOW`].
    pub const fn new(bytes: u32) -> Result<Self, BadFlow> {
        if bytes == 0 || bytes > WINDOW { Err(BadFlow::BadCredit) } else { Ok(Self(bytes)) }
    }

    /// How many bytes.
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

/// The receiver's account of a transfer that it has granted [`Credit::default`] to.
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
    /// A chunk of so many bytes came.
    ///
    /// # Errors
    /// [`BadFlow`] when it must not have.
    pub fn receive(&mut self, bytes: usize) -> Result<(), BadFlow> {
        let bytes = u32::try_from(bytes).map_err(|_| BadFlow::BeyondCredit)?;
        let outstanding = self.outstanding.checked_sub(bytes).ok_or(BadFlow::BeyondCredit)?;
        if self.received + u64::from(bytes) > MAX_TRANSFER_BYTES {
            return Err(BadFlow::TooLarge);
        }
        self.outstanding = outstanding;
        // Neither can overflow: with what is outstanding it is a window, and the other was just bounded.
        self.held += bytes;
        self.received += u64::from(bytes);
        Ok(())
    }

    /// So many of the bytes that came are not held any more. Returns what the sender is to be granted:
    /// credit is granted in large pieces, so that not every chunk has an answer.
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

    /// Bytes that have come and are held.
    #[must_use]
    pub const fn held(&self) -> u32 {
        self.held
    }

    /// Bytes that may still come before more is granted.
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
    /// A transfer that begins with this credit.
    #[must_use]
    pub const fn new(credit: Credit) -> Self {
        Self { credit: credit.0, sent: 0 }
    }

    /// The receiver grants more.
    ///
    /// # Errors
    /// [`BadFlow::BadCredit`] when more than a window would be under way.
    pub fn grant(&mut self, credit: Credit) -> Result<(), BadFlow> {
        // Two numbers of at most a window cannot overflow.
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

    /// How many bytes the next chunk may have; zero while there is no credit.
    #[must_use]
    pub fn allowance(&self) -> usize {
        (self.credit as usize).min(Chunk::MAX_BYTES)
    }

    /// A chunk of so many bytes is sent.
    ///
    /// # Errors
    /// [`BadFlow`] when it must not be.
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
        /// The sender sends a chunk of at most so much.
        Send(usize),
        /// A chunk arrives.
        Deliver,
        /// The receiver gets rid of so much.
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

    /// Both ends and what is under way between them.
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
            // What the receiver believes outstanding is what the sender has, or is on its way to it,
            // or is already on its way back.
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
