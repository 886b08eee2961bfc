//! Tokens and login keys: made from the kernel's randomness, recognised by their digests, wiped.

use lumen_ipc::{message::session::TokenDigest, text::Secret};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Random bytes in a token: twice as many as are needed to make guessing hopeless.
const BYTES: usize = 32;

/// A token or login key that this process made. Has no `Debug` output; wiped when dropped.
pub(crate) struct Key(Zeroizing<String>);

/// The kernel returned no randomness.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the kernel gives no randomness: {0}")]
pub struct NoRandomness(pub(super) getrandom::Error);

impl Key {
    /// A new token, in lower-case hexadecimal digits, which need no escaping in a URL or cookie.
    pub(crate) fn random() -> Result<Self, NoRandomness> {
        Self::of_bytes::<BYTES>()
    }

    /// A new login key. A browser keeps it in two halves; who has one half cannot guess the other.
    pub(crate) fn of_login() -> Result<Self, NoRandomness> {
        Self::of_bytes::<{ 2 * BYTES }>()
    }

    fn of_bytes<const COUNT: usize>() -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0_u8; COUNT]);
        getrandom::fill(bytes.as_mut_slice()).map_err(NoRandomness)?;
        // Reserved in full, so that no reallocation leaves a copy behind.
        let mut digits = Zeroizing::new(String::with_capacity(2 * COUNT));
        for byte in bytes.iter() {
            for nibble in [byte >> 4, byte & 0xf] {
                digits.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
            }
        }
        Ok(Self(digits))
    }

    /// This key with the second half of another, which is a page's; `None` if the other is no login key.
    pub(crate) fn with_stored_half_of(&self, other: &Secret) -> Option<Secret> {
        let half = self.0.len() / 2;
        let stored = other.reveal().get(half..).filter(|stored| stored.len() == half)?;
        let cookie = self.0.get(..half)?;
        let mut joined = Zeroizing::new(String::with_capacity(2 * half));
        joined.push_str(cookie);
        joined.push_str(stored);
        Secret::new(joined.as_str()).ok()
    }

    /// The secret, for its owner.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// The secret as it is sent over links.
    pub(crate) fn to_secret(&self) -> Secret {
        Secret::new(self.reveal()).expect("128 digits fit 256 bytes")
    }
}

/// What is kept of a key: enough to recognise it, and useless for signing in.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Digest([u8; BYTES]);

impl Digest {
    /// The digest of what a browser sent. A lookup need not take constant time: nobody can compute
    /// a key whose digest is nearly right.
    pub(crate) fn of(secret: &Secret) -> Self {
        Self(Sha256::digest(secret.reveal().as_bytes()).into())
    }
}

impl From<TokenDigest> for Digest {
    fn from(digest: TokenDigest) -> Self {
        Self(digest.0)
    }
}

impl From<Digest> for TokenDigest {
    fn from(digest: Digest) -> Self {
        Self(digest.0)
    }
}

/// The access token of a session, known to the session only: its host has the digest.
pub struct Token(Key);

impl Token {
    /// A new token.
    ///
    /// # Errors
    /// [`NoRandomness`] when the kernel returns none.
    pub fn random() -> Result<Self, NoRandomness> {
        Key::random().map(Self)
    }

    /// The token, for the line that is printed once and for nothing else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }

    /// The digest, for its host.
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        Digest::of(&self.0.to_secret()).into()
    }
}

/// A random number for identifiers that must be unique and need not be secret.
pub(crate) fn random_number() -> Result<u64, NoRandomness> {
    getrandom::u64().map_err(NoRandomness)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_the_same_for_the_same_secret_only() {
        let secret = |text: &str| Secret::new(text).expect("short");
        assert_eq!(Digest::of(&secret("one")), Digest::of(&secret("one")));
        assert_ne!(Digest::of(&secret("one")), Digest::of(&secret("one ")));
    }

    #[test]
    fn random_keys_are_long_and_differ() {
        let (one, other) = (Key::random().expect("random"), Key::random().expect("random"));
        assert_eq!(one.reveal().len(), 2 * BYTES);
        assert_eq!(Key::of_login().expect("random").reveal().len(), 2 * one.reveal().len());
        assert_ne!(one.reveal(), other.reveal());
    }
}
