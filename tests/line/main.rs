//! The desktop over bad lines: a real Chromium at one end, Lumen at the other, and between them a line
//! that is slow, far, lossy or interrupted. First the line itself, which the rest stands on.
//!
//! Needs root, `ip`, `/dev/net/tun` and Chromium.

#![forbid(unsafe_code)]

mod carried;
mod rows;
mod sound;
