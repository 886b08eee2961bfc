//! TLS of the page: whose certificate it has, and the form in which a certificate and its key are granted
//! to the gateway.
//!
//! The supervisor reads the files and the gateway parses what is in them: here they are only bytes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::Text;

/// Largest file of a certificate chain or of a key, in bytes.
pub const MAX_FILE_BYTES: usize = 64 * 1024;

/// Largest granted pair in bytes.
pub const MAX_PAIR_BYTES: usize = HEAD_BYTES + 2 * MAX_FILE_BYTES;

/// Form, serial number and length of the chain.
const HEAD_BYTES: usize = 1 + 4 + 4;

/// Whether browsers connect by TLS, and whose certificate they see.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// They connect by plain HTTP.
    #[default]
    Off,
    /// That of the administrator's files.
    Given,
    /// One that Lumen has made and signed itself.
    Own,
}

/// The encoding of a granted certificate and its key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PairForm {
    /// One certificate and its PKCS #8 key, both DER.
    Der,
    /// A chain and a key, both PEM.
    Pem,
}

/// A certificate chain and its private key.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Pair<'bytes> {
    /// How both are encoded.
    pub form: PairForm,
    /// Counts the pairs that one supervisor grants.
    pub serial: u32,
    /// The chain.
    pub chain: &'bytes [u8],
    /// The private key.
    pub key: &'bytes [u8],
}

/// Bytes that are not a pair.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the bytes are not a certificate and its key")]
pub struct NotAPair;

impl<'bytes> Pair<'bytes> {
    /// The pair as it is granted. The caller wipes the bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let form = match self.form {
            PairForm::Der => 0,
            PairForm::Pem => 1,
        };
        // Reserved in full, so that no reallocation leaves a copy of the key behind.
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.chain.len() + self.key.len());
        bytes.push(form);
        bytes.extend(self.serial.to_be_bytes());
        // Longer chains are refused before, and would be cut here rather than lose the key.
        bytes.extend(u32::try_from(self.chain.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(self.chain);
        bytes.extend(self.key);
        bytes
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`NotAPair`] when the bytes are anything else, or one of the two is missing.
    pub fn decode(bytes: &'bytes [u8]) -> Result<Self, NotAPair> {
        let (form, rest) = bytes.split_first().ok_or(NotAPair)?;
        let (serial, rest) = rest.split_first_chunk().ok_or(NotAPair)?;
        let (length, rest) = rest.split_first_chunk().ok_or(NotAPair)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| NotAPair)?;
        let (chain, key) = rest.split_at_checked(length).ok_or(NotAPair)?;
        let form = match form {
            0 => PairForm::Der,
            1 => PairForm::Pem,
            _ => return Err(NotAPair),
        };
        let long = [chain, key].into_iter().any(|part| part.len() > MAX_FILE_BYTES);
        match chain.is_empty() || key.is_empty() || long {
            true => Err(NotAPair),
            false => Ok(Self { form, serial: u32::from_be_bytes(*serial), chain, key }),
        }
    }
}

impl fmt::Debug for Pair<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is secret.
        let Self { form, serial, .. } = self;
        f.debug_struct("Pair").field("form", form).field("serial", serial).finish_non_exhaustive()
    }
}

/// Bytes of a fingerprint as text: 32 pairs of digits, and colons between them.
const FINGERPRINT_BYTES: usize = 32 * 3 - 1;

/// The SHA-256 fingerprint of a certificate, as browsers and openssl show it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(Text<FINGERPRINT_BYTES>);

impl Fingerprint {
    /// The fingerprint with this digest of a certificate.
    #[must_use]
    pub fn new(digest: &[u8; 32]) -> Self {
        let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        Self(Text::truncated(pairs.join(":")))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pair_cut_lengthened_beyond_its_bounds_or_of_another_form_is_none() {
        let pair = Pair { form: PairForm::Pem, serial: 7, chain: b"chain", key: b"k" };
        let bytes = pair.encode();
        for cut in 0..bytes.len() {
            assert_eq!(Pair::decode(&bytes[..cut]), Err(NotAPair), "{cut}");
        }
        let mut other = bytes;
        other[0] = 2;
        assert_eq!(Pair::decode(&other), Err(NotAPair));
        let long = vec![b'x'; MAX_FILE_BYTES + 1];
        for (chain, key) in [(&long[..], &b"k"[..]), (b"c", &long)] {
            assert_eq!(Pair::decode(&Pair { chain, key, ..pair }.encode()), Err(NotAPair));
        }
        assert!(!format!("{pair:?}").contains("chain"));
    }

    #[test]
    fn fingerprint_is_written_in_pairs_of_capital_digits() {
        let digest = std::array::from_fn(|index| index as u8 * 8);
        let fingerprint = Fingerprint::new(&digest);
        assert!(fingerprint.as_str().starts_with("00:08:10:18:"), "{fingerprint}");
        assert!(fingerprint.as_str().ends_with(":E8:F0:F8"), "{fingerprint}");
    }

    proptest! {
        #[test]
        fn pair_is_read_as_it_was_written(
            chain in prop::collection::vec(any::<u8>(), 1..100),
            key in prop::collection::vec(any::<u8>(), 1..100),
            serial: u32, pem: bool,
        ) {
            let form = if pem { PairForm::Pem } else { PairForm::Der };
            let pair = Pair { form, serial, chain: &chain, key: &key };
            let bytes = pair.encode();
            prop_assert_eq!(Pair::decode(&bytes), Ok(pair));
        }

        #[test]
        fn pair_of_any_bytes_is_written_as_it_was_read(
            bytes in prop::collection::vec(any::<u8>(), 0..60)
        ) {
            if let Ok(pair) = Pair::decode(&bytes) {
                prop_assert_eq!(pair.encode(), bytes);
            }
        }
    }
}
