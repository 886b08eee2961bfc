//! The messages of the data links, one file per link, named for what happened or is requested.
//!
//! Enums are named for their receiver. A message that carries descriptors states their number in
//! [`crate::codec::Message::descriptors`]; all others carry none.

pub mod desktop;
pub mod frames;
pub mod grants;
pub mod handover;
pub mod input;
pub mod login;
pub mod oidc;
pub mod packets;
pub mod pads;
pub mod presence;
pub mod session;
pub mod signalling;
pub mod sound;
pub mod transfer;
pub mod voice;
