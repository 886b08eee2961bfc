//! Tokens and cookies: made from the kernel's randomness, compared in constant time or by their
//! digests, wiped.

use lumen_ipc::text::Secret;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Randomness of a token or cookie, in bytes: twice what cannot be guessed.
const BYTES: usize = 32;

/// A token or cookie this process made. Not printable by accident; wiped when dropped.
pub(crate) struct Key(Zeroizing<String>);

/// The kernel gave no randomness.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the kernel gives no randomness: {0}")]
pub struct NoRandomness(pub(super) getrandom::Error);

impl Key {
    /// A new one, as lower-case hexadecimal digits: they need no escaping in an address or cookie.
    pub(crate) fn random() -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0_u8; BYTES]);
        getrandom::fill(bytes.as_mut_slice()).map_err(NoRandomness)?;
        // Reserved in full, so that no reallocation leaves a copy behind.
        let mut digits = Zeroizing::new(String::with_capacity(2 * BYTES));
        for byte in bytes.iter() {
            for nibble in [byte >> 4, byte & 0xf] {
                digits.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
            }
        }
        Ok(Self(digits))
    }

    /// Whether `offered` is this secret. Takes as long for a nearly right one as for a wrong one.
    pub(crate) fn matches(&self, offered: &Secret) -> bool {
        self.0.as_bytes().ct_eq(offered.reveal().as_bytes()).into()
    }

    /// The secret, to be handed to its owner.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// The secret as it travels.
    pub(crate) fn to_secret(&self) -> Secret {
        Secret::new(self.reveal()).expect("64 digits fit 256 bytes")
    }
}

/// What is kept of a cookie: enough to recognise it, and nothing to sign in with.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Digest([u8; BYTES]);

impl Digest {
    /// The digest of what a browser brings. To look it up may take as long as it likes: a digest
    /// that is nearly right belongs to no cookie that anybody could compute.
    pub(crate) fn of(secret: &Secret) -> Self {
        Self(Sha256::digest(secret.reveal().as_bytes()).into())
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
        assert_ne!(one.reveal(), other.reveal());
    }

    #[test]
    fn key_matches_itself_only() {
        let key = Key::random().expect("random");
        assert!(key.matches(&key.to_secret()));
        let prefix = Secret::new(&key.reveal()[..BYTES]).expect("short");
        assert!(!key.matches(&prefix));
        assert!(!key.matches(&Secret::new("").expect("short")));
    }
}
