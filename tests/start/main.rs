//! Starts as people do them: what the caller chose reaches Lumen and the app.
//!
//! Needs root for the tests of what root or a user without a name starts.

#![forbid(unsafe_code)]

mod caller;
mod locale;
mod places;
mod signals;
