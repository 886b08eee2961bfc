//! The contract between Lumen's processes: who exists, which links join them, what may be said on
//! each link, and in which phase.
//!
//! Decides: process names and exit codes ([`process`]), the link table ([`link`]), phases
//! ([`phase`]), the messages of every data link ([`message`]), the tarpc services of the control
//! links ([`service`]), what they tell of a host's state ([`status`]) and lines of the log ([`log`]),
//! where browsers find the gateway ([`front_door`]), how they sign in and what they get for it
//! ([`login`]), what relay credentials say ([`relay`]), the units all of them use ([`units`],
//! [`identity`]) and how they hang together in H.264
//! ([`level`]), the encoding and its caps ([`codec`]), and the bookkeeping of the packet ring
//! ([`ring`]) and of credit ([`flow`]).
//!
//! Trusts: nobody. Every value that another process can send is a type whose decoder refuses what
//! is out of range, so code behind a decoded message never has to check it again. The one check a
//! decoder cannot make alone is against something announced earlier (a rectangle against a frame
//! size, a span against a ring); those have a checking method on the type that needs it.
//!
//! Does not: touch the operating system. Sockets, descriptors and shared memory are
//! `lumen-ipc-runtime`'s.

#![forbid(unsafe_code)]

pub mod codec;
pub mod demand;
pub mod flow;
pub mod front_door;
pub mod identity;
pub mod level;
pub mod link;
pub mod log;
pub mod login;
pub mod message;
pub mod phase;
pub mod process;
pub mod relay;
pub mod ring;
pub mod service;
pub mod status;
pub mod text;
pub mod units;
pub mod utf8;
#[cfg(test)]
mod variants;
pub mod video;

/// Hash of this crate's sources. Two processes may talk only if theirs are equal.
pub const PROTO_HASH: ProtoHash = ProtoHash(parse_hash(env!("LUMEN_PROTO_HASH")));

/// Identifies one build of the contract; exchanged in [`service::Hello`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ProtoHash(pub u64);

const fn parse_hash(digits: &str) -> u64 {
    let bytes = digits.as_bytes();
    let mut value = 0_u64;
    let mut index = 0;
    while index < bytes.len() {
        // build.rs prints a u64 in decimal, so neither step can overflow.
        value = value * 10 + (bytes[index] - b'0') as u64;
        index += 1;
    }
    value
}
