//! `lumen-turn`: the embedded relay, which makes a desktop reachable from any network without a
//! third party's server.
//!
//! Decides who may use the relay and for how long ([`auth`], [`quota`]), which peer addresses are
//! allowed ([`address`]), and where each packet goes ([`relay`]).
//!
//! Trusts nobody. Packets come from anywhere, and most senders' addresses are forged. A sender is
//! authenticated once it has returned a nonce and signed with a credential that the supervisor
//! minted; even then it reaches only the other side of its own session. Both a browser and the
//! session's rtc are clients of this relay, and data passes between their allocations inside this
//! process. No relayed socket is ever opened, so the relay cannot be made to send to the host, its
//! network or a cloud's metadata service.
//!
//! The flow of data:
//! ```text
//! UDP ─▶ shell::datagrams ──────────────┐                    ┌─▶ the sender (answers)
//! TCP ─▶ shell::connection ─▶ framing ──┴─▶ wire ─▶ relay ───┤
//! TLS ─▶ shell::connection ─▶ framing ──┘                    └─▶ the other side (data)
//! ```
//! Connections are accepted on granted sockets, or accepted by the gateway on its own port and
//! handed over ([`shell::Handover`]); both are then treated alike.
//!
//! | module | is |
//! |---|---|
//! | [`address`] | addresses in one canonical form, and the allow-list of peers |
//! | [`auth`] | stateless credentials and nonces |
//! | [`framing`] | a byte stream cut into messages |
//! | [`moment`] | both clocks, and the flow a packet came from |
//! | [`policy`] | what this process may still do while it serves |
//! | [`quota`] | rates before authentication, counts after it |
//! | [`relay`] | the state machine: one packet in, at most one out |
//! | [`shell`] | sockets, event loop, TLS |
//! | [`wire`] | messages checked, read and written |
//! | [`worker`] | grants at start, and reports to the supervisor |

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
