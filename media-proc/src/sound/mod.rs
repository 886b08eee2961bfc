//! Encodes what one session's apps play.
//!
//! Decides which samples belong to a frame, when that frame was played and whether it is worth sending
//! ([`packetiser`]), and how it is encoded ([`coder`]).
//!
//! | module | is |
//! |---|---|
//! | [`coder`] | frames to Opus |
//! | [`packetiser`] | samples to frames |
//! | [`shell`] | the sound server |

pub mod coder;
pub mod packetiser;
pub mod shell;
