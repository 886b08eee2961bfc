//! Who may use the relay: time-limited credentials and the nonces that keep them from being
//! replayed.
//!
//! Decides: whether a username is one the supervisor has minted and has not expired
//! ([`credential`]), and whether a nonce is ours, young, and was sent to this very flow ([`nonce`]).
//! Both are stateless: a stranger's packets leave nothing behind.
//!
//! Trusts: whoever knows the relay secret, which are the supervisor and this process.
//!
//! The long-term mechanism of STUN (RFC 8489, section 9.2) fixes MD5 and HMAC-SHA1 for the
//! message itself; browsers know no other. The password is an HMAC-SHA256, so the weak hashes only
//! ever see a key that is used up within hours.

pub mod credential;
pub mod nonce;
