//! Tokens and the keys of logins: made from the kernel's randomness, known by their digests, wiped.

use lumen_ipc::{message::session::TokenDigest, text::Secret};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Randomness of a token, in bytes: twice what cannot be guessed.
const BYTES: usize = 32;

/// A token or a login's key that this process made. Not printable by accident; wiped when dropped.
pub(crate) struct Key(Zeroizing<String>);

/// The kernel gave no randomness.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the kernel gives no randomness: {0}")]
pub struct NoRandomness(pub(super) getrandom::Error);

impl Key {
    /// A new token, as lower-case hexadecimal digits: they need no escaping in an address or cookie.
    pub(crate) fn random() -> Result<Self, NoRandomness> {
        Self::of_bytes::<BYTES>()
    }

    /// A new key of a login. A browser keeps it in two halves, neither of which can be guessed by who has
    /// the other.
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

    /// The secret, to be handed to its owner.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// The secret as it travels.
    pub(crate) fn to_secret(&self) -> Secret {
        Secret::new(self.reveal()).expect("128 digits fit 256 bytes")
    }
}

/// What is kept of a key: enough to recognise it, and nothing to sign in with.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Digest([u8; BYTES]);

impl Digest {
    /// The digest of what a browser brings. To look it up may take as long as it likes: a digest
    /// that is nearly right belongs to no key that anybody could compute.
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

/// The access token of a session, which the session keeps to itself: its host knows the digest.
pub struct Token(Key);

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// [`NoRandomness`] when the kernel gives none.
    pub fn random() -> Result<Self, NoRandomness> {
        Key::random().map(Self)
    }

    /// The token: for the line that is printed once, nothing else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }

    /// What its host is told.
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        Digest::of(&self.0.to_secret()).into()
    }
}

/// A number that nobody was given before, for what must never be confused and need not be secret.
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
