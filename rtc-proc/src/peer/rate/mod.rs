//! How fast one peer is sent to: what its network carries, and when each datagram may leave.
//!
//! - [`SentLog`] joins what was sent with what the browser reports of it.
//! - [`Control`] judges the reports: it lowers the rate when packets queue up (`measure`) or are lost
//!   (`losses`), whatever was being sent, and raises it only while there is more to send (`growth`).
//! - [`Repairs`] says which lost packets are sent again, and [`Duplicates`] which leave more than once so that
//!   fewer are lost.
//! - [`Pacer`] lets datagrams leave at that rate, repairs before new pictures.
//!
//! The WebRTC implementation has a congestion controller and a pacer of its own. They are not used:
//! they assume a sender that always fills its link, fill it with padding to learn what it carries,
//! and take a desktop that sends little for a network that carries little.

mod control;
mod duplicates;
mod growth;
mod history;
#[cfg(test)]
pub(super) mod line;
mod losses;
mod measure;
mod pacer;
mod repairs;
#[cfg(test)]
mod world;

pub use control::{CEILING_BPS, Cause, Control, FLOOR_BPS, Measures};
pub use duplicates::Duplicates;
pub use history::{End, Fate, SentLog};
pub use pacer::{Kind, Pace, Pacer, Push, on_wire, transport_sequence};
pub use repairs::Repairs;
