//! The two processes that speak with browsers: `lumen-rtc` carries media, `lumen-gateway` is the
//! HTTP front door. They share this crate because they share the browser's protocols, and nothing
//! at run time: the gateway sees passwords and never media, rtc sees media and never passwords.
//!
//! # `lumen-rtc`
//!
//! Decides: which peers exist ([`peers`]), what each of them may send and is sent ([`peer`]),
//! when media must make a keyframe and how many bits it may use ([`demand`]), in which order viewers'
//! input reaches the compositor ([`outbox`]) and the gamepad worker ([`pad_outbox`]), whose text is
//! pasted where ([`clipboard`]), and where the kernel may cut datagrams apart ([`segmentation`]).
//!
//! Trusts: nobody. A datagram may come from anyone; one that no peer's ICE credentials or DTLS keys
//! vouch for costs a look and is counted. A data-channel message that is not exactly one of ours ends
//! its peer and nobody else. SDP comes from browsers through the gateway unread. Media's ring spans
//! and the compositor's pictures are checked before use.
//!
//! The data's way: packets link → [`shell`] copies the access unit out of the ring once →
//! [`peers`] hands it to every [`peer`] that has had a keyframe → packetised, paced, encrypted →
//! datagrams → the one UDP socket. Input goes back: datagram → peer → [`peer::decode`] →
//! [`outbox`] → compositor. What comes from and goes to viewers behind the relay passes [`relay`] in
//! between.
//!
//! # `lumen-gateway`
//!
//! See [`gateway`].

#![forbid(unsafe_code)]

pub mod clipboard;
pub mod demand;
pub mod gateway;
pub mod outbox;
pub mod pad_outbox;
pub mod peer;
pub mod peers;
pub mod policy;
pub mod relay;
pub mod ring;
pub mod segmentation;
pub mod shell;
