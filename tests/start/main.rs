//! Starts as people do them: the caller's choices reach Lumen and the app.
//!
//! Needs root for the tests of what root or a user without a name starts.

#![forbid(unsafe_code)]

mod caller;
mod locale;
mod places;
mod run_dir;
mod signals;
mod trial;
