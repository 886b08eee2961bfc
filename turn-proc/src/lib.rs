//! `lumen-turn`: the embedded relay, so that a desktop can be watched from any network without a
//! server of someone else's.
//!
//! Decides: who may use the relay and for how long ([`auth`], [`quota`]), who may be a peer at all
//! ([`address`]), and which packet goes to whom ([`relay`]).
//!
//! Trusts: nobody. Packets come from anywhere, and most senders' addresses are forged. A sender is
//! somebody once it has returned a nonce and signed with a credential that the supervisor minted;
//! and even then it reaches one thing only: the other side of its own session. Both a browser and
//! the session's rtc are clients of this relay, and data passes between their allocations inside
//! this process. No relay socket is ever opened, so there is nothing that could be made to send to
//! the host, its network or a cloud's metadata service.
//!
//! The data's way:
//! ```text
//! UDP ─▶ shell::datagrams ──────────────┐                    ┌─▶ the sender (answers)
//! TCP ─▶ shell::connection ─▶ framing ──┴─▶ wire ─▶ relay ───┤
//! TLS ─▶ shell::connection ─▶ framing ──┘                    └─▶ the other side (data)
//! ```
//! Connections are accepted on granted sockets, or accepted by the gateway on a port of its own and
//! handed over ([`shell::Handover`]); from then on there is no difference.
//!
//! | module | is |
//! |---|---|
//! | [`address`] | addresses in one canonical form, and the allow-list of peers |
//! | [`auth`] | credentials and nonces, both without memory |
//! | [`framing`] | a byte stream cut into messages |
//! | [`moment`] | both clocks; who sent something |
//! | [`policy`] | what this process may still do while it serves |
//! | [`quota`] | rates before authentication, counts after it |
//! | [`relay`] | the machine: one packet in, at most one out |
//! | [`shell`] | sockets, event loop, TLS |
//! | [`wire`] | messages checked, read and written |
//! | [`worker`] | what it takes at start, and what its supervisor hears |

#![forbid(unsafe_code)]

pub mod address;
pub mod auth;
pub mod framing;
pub mod moment;
pub mod policy;
pub mod quota;
pub mod relay;
pub mod shell;
pub mod wire;
pub mod worker;

#[cfg(test)]
extern crate self as lumen_turn;

#[cfg(test)]
#[path = "../tests/client/mod.rs"]
mod client;
