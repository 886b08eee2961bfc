//! How fast one peer is sent to.
//!
//! - [`SentLog`] joins what was sent with what the browser reports of it.

mod history;

pub use history::{End, Fate, SentLog};
