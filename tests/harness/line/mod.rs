//! A line between two test hosts, as good or bad as a test wants it: rate, queue, delay, jitter, loss,
//! interruptions.
//!
//! - [`shape`]: what a direction is like;
//! - [`way`]: what becomes of each packet, in virtual time.

pub mod shape;
pub mod way;
