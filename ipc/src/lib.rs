//! The contract between Lumen's processes: which processes exist, which links join them, which
//! messages each link carries, and what is allowed in which phase.
//!
//! Decides process names and exit codes ([`process`]), the link table ([`link`]), phases
//! ([`phase`]), the messages of every data link ([`message`]), the tarpc services of the RPC links
//! ([`service`]), reports on a host's state ([`status`]) and lines of the log ([`log`]), how
//! browsers reach the gateway ([`front_door`]) and sign in ([`login`]), also by a proxy's word
//! ([`vouching`]), who draws the picture
//! ([`graphics`]), how viewers prove that they are there ([`lease`]), the format of relay credentials
//! ([`relay`]), the common units ([`units`], [`identity`]) and their relation in H.264 ([`level`]),
//! what sound is made of ([`sound`]), the encoding and its limits ([`codec`]), the bookkeeping of the
//! packet ring ([`ring`]) and of credit ([`flow`]), and how text of strangers is shown to a person
//! ([`visible`]).
//!
//! Trusts nobody. Every value that another process can send is a type whose decoder refuses values
//! out of range, so code that handles a decoded message need not check it again. The one check that
//! a decoder cannot make is against something announced earlier (a rectangle against a frame size,
//! a span against a ring); the types concerned have a method for it.
//!
//! Makes no system calls. Sockets, descriptors and shared memory belong to `lumen-ipc-runtime`.

#![forbid(unsafe_code)]

pub mod codec;
pub mod demand;
pub mod flow;
pub mod front_door;
pub mod graphics;
pub mod identity;
pub mod lease;
pub mod level;
pub mod line;
pub mod link;
pub mod log;
pub mod login;
pub mod message;
pub mod phase;
pub mod process;
pub mod relay;
pub mod ring;
pub mod service;
pub mod sound;
pub mod status;
pub mod text;
pub mod tls;
pub mod units;
pub mod utf8;
#[cfg(test)]
mod variants;
pub mod video;
pub mod visible;
pub mod vouching;

/// Hash of this crate's sources. Two processes talk only if their hashes are equal.
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
