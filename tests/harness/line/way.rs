//! One direction of a line, as a machine in virtual time: decides which packets pass, and when.
//!
//! A packet meets, in this order: an interruption, chance, the narrowest place, the distance. Knows
//! nothing of devices and clocks, and draws its chance from a seed.
//!
//! INVARIANT: packets leave in the order in which they came, none before its delay is over, and each
//! that was offered is held, has left, or is counted as dropped for one reason.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::chance::Chance;

use super::shape::{Limit, Loss, Shape};

/// A packet's fate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It leaves then.
    Passes(Instant),
    /// It never arrives.
    Dropped(Reason),
}

/// Why a packet does not arrive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// By chance.
    Chance,
    /// The line is interrupted.
    Interrupted,
    /// The policer's bucket is empty.
    Policed,
    /// The queue is full.
    QueueFull,
}

/// What a direction has done so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Packets that passed or will.
    pub passed: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Packets lost by chance.
    pub by_chance: u64,
    /// Packets that met an interruption.
    pub interrupted: u64,
    /// Packets that met an empty bucket.
    pub policed: u64,
    /// Packets that met a full queue.
    pub queue_full: u64,
}

impl Counts {
    /// All that did not arrive.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.by_chance + self.interrupted + self.policed + self.queue_full
    }

    fn count(&mut self, fate: Fate, size: usize) {
        match fate {
            Fate::Passes(_) => {
                self.passed += 1;
                self.bytes += size as u64;
            }
            Fate::Dropped(Reason::Chance) => self.by_chance += 1,
            Fate::Dropped(Reason::Interrupted) => self.interrupted += 1,
            Fate::Dropped(Reason::Policed) => self.policed += 1,
            Fate::Dropped(Reason::QueueFull) => self.queue_full += 1,
        }
    }
}

/// One direction, with the packets that are on their way.
#[derive(Debug)]
pub struct Way {
    shape: Shape,
    chance: Chance,
    /// When the narrowest place has done its work, if all that was let in took its time.
    free: Option<Instant>,
    /// Nothing that comes before then arrives.
    interrupted_until: Option<Instant>,
    /// Each with the time at which it leaves.
    held: VecDeque<(Instant, Vec<u8>)>,
    counts: Counts,
}

impl Way {
    /// A direction of this shape; the same seed makes the same chance.
    #[must_use]
    pub const fn new(shape: Shape, seed: u64) -> Self {
        Self {
            shape,
            chance: Chance::new(seed),
            free: None,
            interrupted_until: None,
            held: VecDeque::new(),
            counts: Counts {
                passed: 0,
                bytes: 0,
                by_chance: 0,
                interrupted: 0,
                policed: 0,
                queue_full: 0,
            },
        }
    }

    /// Changes the shape for packets that come from now on.
    pub fn reshape(&mut self, shape: Shape) {
        self.shape = shape;
        // What waited for the old place does not hold up the new one.
        self.free = None;
    }

    /// Nothing that comes before `until` arrives.
    pub fn interrupt(&mut self, until: Instant) {
        self.interrupted_until = Some(until);
    }

    /// A packet comes.
    pub fn offer(&mut self, now: Instant, packet: Vec<u8>) -> Fate {
        let size = packet.len();
        let fate = match self.admit(now, size) {
            Ok(leaves) => {
                let leaves = self.travel(leaves);
                self.held.push_back((leaves, packet));
                Fate::Passes(leaves)
            }
            Err(reason) => Fate::Dropped(reason),
        };
        self.counts.count(fate, size);
        fate
    }

    /// The next packet that leaves at `now` or before, and when it was to leave.
    pub fn take_due(&mut self, now: Instant) -> Option<(Instant, Vec<u8>)> {
        self.held.pop_front_if(|(leaves, _)| *leaves <= now)
    }

    /// When the next packet leaves.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.held.front().map(|(leaves, _)| *leaves)
    }

    /// What it has done so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// When a packet of `size` has passed the narrowest place.
    fn admit(&mut self, now: Instant, size: usize) -> Result<Instant, Reason> {
        if self.interrupted_until.is_some_and(|until| now < until) {
            return Err(Reason::Interrupted);
        }
        if self.chance.below(Loss::WHOLE) < self.shape.loss.parts() {
            return Err(Reason::Chance);
        }
        let free = self.free.map_or(now, |free| free.max(now));
        match self.shape.limit {
            None => Ok(now),
            Some(Limit::Policed { rate, burst }) => {
                // The bucket lacks what the place would still have to do.
                let after = free + rate.time_of(size);
                if after > now + rate.time_of(burst) {
                    return Err(Reason::Policed);
                }
                self.free = Some(after);
                Ok(now)
            }
            Some(Limit::Queued { rate, depth }) => {
                if free > now + depth {
                    return Err(Reason::QueueFull);
                }
                let after = free + rate.time_of(size);
                self.free = Some(after);
                Ok(after)
            }
        }
    }

    /// When a packet arrives that sets out at `start`.
    fn travel(&mut self, start: Instant) -> Instant {
        let jitter = self.shape.jitter.as_micros() as usize;
        let part = Duration::from_micros(self.chance.below(jitter + 1) as u64);
        let arrives = start + self.shape.delay + part;
        self.held.back().map_or(arrives, |(earlier, _)| arrives.max(*earlier))
    }
}

#[cfg(test)]
mod tests;
