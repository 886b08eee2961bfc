//! The two processes that speak with browsers: `lumen-rtc` carries media, `lumen-gateway` is the
//! HTTP front door. They share this crate because they share the browser's protocols, but nothing
//! at run time: the gateway sees passwords and never media, rtc sees media and never passwords.
//!
//! # `lumen-rtc`
//!
//! Decides which peers exist ([`peers`]), what each of them may send and receives ([`peer`]), when
//! media must make a keyframe and which bit rate it may use ([`demand`]), what is wanted of the sound
//! worker ([`sound`]), in which order viewers'
//! input reaches the compositor ([`outbox`]) and the gamepad worker ([`pad_outbox`]), who receives
//! whose clipboard ([`clipboard`]), and which datagrams the kernel may segment ([`segmentation`]).
//!
//! Trusts nobody. A datagram may come from anyone; one that matches no peer's ICE credentials or
//! DTLS keys is dropped and counted. A data-channel message that is not exactly one of ours ends
//! its peer and no other. SDP arrives from browsers through the gateway unparsed. Media's ring
//! spans and the compositor's pictures are checked before use.
//!
//! The flow of data: packets link → [`shell`] copies the access unit out of the ring once →
//! [`peers`] passes it to every [`peer`] that has received a keyframe → packetised, paced,
//! encrypted → datagrams → the one UDP socket. Input takes the opposite direction: datagram → peer
//! → [`peer::decode`] → [`outbox`] → compositor. Traffic of viewers behind the relay passes through
//! [`relay`] as well.
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
pub mod sound;
