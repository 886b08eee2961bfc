//! How fast one peer is sent to, and when each datagram may leave.
//!
//! - [`SentLog`] joins what was sent with what the browser reports of it.
//! - [`Repairs`] says which lost packets are sent again.
//! - [`Pacer`] lets datagrams leave at the rate, repairs before new pictures.

mod history;
#[expect(dead_code, reason = "what judges it is a change of its own")]
mod losses;
#[expect(dead_code, reason = "what judges it is a change of its own")]
mod measure;
mod pacer;
mod repairs;

pub use history::{End, Fate, SentLog};
pub use pacer::{Kind, Pace, Pacer, Push, on_wire, transport_sequence};
pub use repairs::Repairs;
