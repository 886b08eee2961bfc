//! Who may use the relay: time-limited credentials, and nonces that prevent replay.
//!
//! Decides whether a username was minted by the supervisor and has not expired ([`credential`]),
//! and whether a nonce is ours, recent, and was sent to this very flow ([`nonce`]). Both are
//! stateless: packets of strangers create no state.
//!
//! Trusts the holders of the relay secret: the supervisor and this process.
//!
//! STUN's long-term credential mechanism (RFC 8489, section 9.2) prescribes MD5 and HMAC-SHA1 for
//! the message itself, and browsers support no other. The password is an HMAC-SHA256, so the weak
//! hashes only see a key that expires within hours.

pub mod credential;
pub mod nonce;
