//! Input leases: a viewer's proof that it is there, without which its input does not count.
//!
//! Rtc passes input on and is the worker that strangers reach first. So the compositor does not take
//! rtc's word for a viewer: the host's supervisor mints a [`Lease`] for a page, which gets the key
//! through the gateway; the compositor gets it from its session's supervisor, and rtc from nobody. Before
//! it acts, and every [`PROOF_INTERVAL`] while it acts or holds something, the page proves that it has the
//! key, and the compositor accepts a peer's input for [`LEASE_LIFE`] after a proof.
//!
//! A proof is the HMAC-SHA-256 of [`proof_text`] under the lease's key. It answers a challenge, and each
//! challenge is good for one proof: the compositor then derives the next by an HMAC of [`next_text`], which
//! rtc cannot predict, and has rtc pass it on to the page. So rtc can neither repeat a proof, nor collect
//! proofs for a time when no viewer is there. A counter would not prevent the latter.
//!
//! The first challenge is random. The page gets it with the key, so that its first proof need not wait;
//! for a compositor's successor the session's supervisor draws another, so that no proof for the
//! predecessor counts again.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::login::{LoginId, Rights};

/// How long a proof permits a peer's input.
pub const LEASE_LIFE: Duration = Duration::from_secs(5);
/// The time after which a page that acts proves its presence again.
pub const PROOF_INTERVAL: Duration = Duration::from_secs(2);
/// Most leases of a session.
pub const MOST_LEASES: usize = 64;

/// Bytes of a key and of a proof's tag.
pub const KEY_BYTES: usize = 32;
/// Bytes of a challenge.
pub const CHALLENGE_BYTES: usize = 16;

/// Identifies a lease. Drawn at random; it is not secret.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct LeaseId(pub u64);

/// A lease's key. `Debug` never shows it.
#[derive(Clone, Copy, Eq, PartialEq, Serialize, Deserialize)]
pub struct LeaseKey(pub [u8; KEY_BYTES]);

/// What the next proof answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Challenge(pub [u8; CHALLENGE_BYTES]);

/// Permits the input of whoever has its key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// Its number.
    pub id: LeaseId,
    /// The login that it belongs to, and ends with.
    pub login: LoginId,
    /// What its viewer may do.
    pub rights: Rights,
    /// Its key.
    pub key: LeaseKey,
    /// What its first proof answers.
    pub challenge: Challenge,
}

/// What rtc is told of a lease.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LeaseRights {
    /// Its number.
    pub lease: LeaseId,
    /// What its viewer may do.
    pub rights: Rights,
}

/// A viewer's proof that it is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// Its lease.
    pub lease: LeaseId,
    /// The HMAC. Compare it in constant time.
    pub tag: [u8; KEY_BYTES],
}

impl fmt::Debug for LeaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseKey(…)")
    }
}

/// How long from now a viewer is known to be there, or a viewer's microphone to be on: at most as long as a
/// proof lasts, so that nothing need happen for it to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Stay {
    millis: u16,
}

/// A time that is longer than a proof lasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("somebody would be there for {0} ms, longer than a proof lasts")]
pub struct TooLong(u16);

impl Stay {
    /// Nobody is there.
    pub const NOBODY: Self = Self { millis: 0 };

    /// Somebody is there for `left`, as far as is known.
    #[must_use]
    pub fn somebody(left: Duration) -> Self {
        let millis = left.min(LEASE_LIFE).as_millis();
        Self { millis: u16::try_from(millis).unwrap_or(u16::MAX) }
    }

    /// For how long.
    #[must_use]
    pub fn left(self) -> Duration {
        Duration::from_millis(self.millis.into())
    }
}

impl<'de> Deserialize<'de> for Stay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let millis = u16::deserialize(deserializer)?;
        match Duration::from_millis(millis.into()) <= LEASE_LIFE {
            true => Ok(Self { millis }),
            false => Err(de::Error::custom(TooLong(millis))),
        }
    }
}

/// Keeps the texts of the HMACs apart.
const PROOF_LABEL: &[u8; 16] = b"lumen: presence ";
const SPEAKING_LABEL: &[u8; 16] = b"lumen: speaking ";
const NEXT_LABEL: &[u8; 16] = b"lumen: challenge";

/// The text whose HMAC answers a challenge.
#[must_use]
pub fn proof_text(lease: LeaseId, challenge: Challenge) -> Vec<u8> {
    [&PROOF_LABEL[..], &lease.0.to_be_bytes(), &challenge.0].concat()
}

/// As [`proof_text`], of a page whose viewer's microphone is on: proves that, too.
#[must_use]
pub fn speaking_text(lease: LeaseId, challenge: Challenge) -> Vec<u8> {
    [&SPEAKING_LABEL[..], &lease.0.to_be_bytes(), &challenge.0].concat()
}

/// The text whose HMAC begins with the challenge after this one.
#[must_use]
pub fn next_text(challenge: Challenge) -> Vec<u8> {
    [&NEXT_LABEL[..], &challenge.0].concat()
}

/// A lease, and the tag and the next challenge that follow from it: for comparison by all who compute them.
pub const EXAMPLE: (Lease, [u8; KEY_BYTES], Challenge) = (
    Lease {
        id: LeaseId(0x0102_0304_0506_0708),
        login: LoginId(1),
        rights: Rights { control: true },
        key: LeaseKey([0x11; KEY_BYTES]),
        challenge: Challenge([0x22; CHALLENGE_BYTES]),
    },
    [
        0x33, 0xc4, 0x2e, 0xc3, 0xe6, 0x7a, 0x1b, 0x03, 0x76, 0x70, 0x7f, 0xb2, 0x72, 0xf1, 0x1c,
        0x83, 0x1e, 0xa2, 0xd9, 0xf4, 0x0e, 0x39, 0x8d, 0x0b, 0xf8, 0x49, 0x49, 0x87, 0x6f, 0x32,
        0xf0, 0x20,
    ],
    Challenge([
        0x6d, 0x2b, 0xa5, 0x23, 0x78, 0x51, 0x5b, 0x1f, 0xd3, 0x12, 0x8f, 0x26, 0x28, 0xbe, 0x2f,
        0xa6,
    ]),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_never_shown() {
        assert_eq!(format!("{:?}", EXAMPLE.0.key), "LeaseKey(…)");
    }

    #[test]
    fn proof_and_next_challenge_have_texts_that_cannot_be_confused() {
        let (lease, ..) = EXAMPLE;
        let (proof, next) = (proof_text(lease.id, lease.challenge), next_text(lease.challenge));
        assert_ne!(proof.len(), next.len());
        assert_ne!(proof[..16], next[..16]);
        assert_ne!(proof[..16], speaking_text(lease.id, lease.challenge)[..16]);
    }

    #[test]
    fn stay_that_is_longer_than_a_proof_lasts_is_not_said_and_not_believed() {
        let mut buffer = [0; 8];
        let longest = Stay::somebody(Duration::MAX);
        assert_eq!(longest.left(), LEASE_LIFE);
        let bytes = postcard::to_slice(&longest, &mut buffer).expect("room");
        assert_eq!(postcard::from_bytes(bytes), Ok(longest));
        let longer = Stay { millis: longest.millis + 1 };
        let bytes = postcard::to_slice(&longer, &mut buffer).expect("room");
        assert!(postcard::from_bytes::<Stay>(bytes).is_err());
    }
}
