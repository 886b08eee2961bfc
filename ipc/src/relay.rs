//! Relay credentials: the one definition by which the supervisor mints and the relay checks them.
//!
//! The username states grantee and expiry, and the password is its HMAC under the relay secret, so
//! the relay needs no list of users:
//! ```text
//! username = EXPIRES ":" PARTY ":" SESSION ":" PEER ":" SERIAL      (decimal; PARTY "probe", "rtc" or "viewer")
//! password = lowercase hex of the first 16 bytes of HMAC-SHA256(secret, username)
//! ```
//! INVARIANT: each [`Grantee`], expiry and serial has exactly one username, so comparing usernames
//! compares credentials: numbers have no leading zeros, and nothing follows the serial.
//!
//! Each side computes the HMAC with its own cryptography library; the tests check both against
//! [`EXAMPLE`].

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    identity::{PeerId, SessionId},
    text::{Secret, Text},
};

/// The longest lifetime of a credential. One that claims more was not minted by this build.
pub const MAX_LIFETIME_SECONDS: u64 = 24 * 60 * 60;

/// Longest username in bytes: four numbers of at most 20 digits, and a party.
pub const MAX_USERNAME_BYTES: usize = 96;

/// Bytes of the relay secret.
pub const SECRET_BYTES: usize = 32;

/// Bytes of the HMAC that make the password: 128 bits.
const PASSWORD_TAG_BYTES: usize = 16;

/// Seconds since 1970 (UTC).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixSeconds(pub u64);

/// The sides of a session.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Party {
    /// A client that tests which paths work, with allocations that reach each other.
    Probe,
    /// The session's rtc worker.
    Rtc,
    /// A browser.
    Viewer,
}

/// Whom a credential was minted for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Grantee {
    /// The desktop.
    pub session: SessionId,
    /// Its side of the session.
    pub party: Party,
    /// The peer for which it was minted.
    pub peer: PeerId,
}

/// A parsed username.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Username {
    /// The last second in which it is valid.
    pub expires: UnixSeconds,
    /// Whom it was minted for.
    pub grantee: Grantee,
    /// Distinguishes credentials of the same grantee.
    pub serial: u64,
}

/// Why a username is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadUsername {
    /// It has another form.
    #[error("the username is not one the supervisor mints")]
    Malformed,
    /// It has expired.
    #[error("the credential has expired")]
    Expired,
    /// It claims a longer lifetime than any that is minted.
    #[error("the credential claims to live too long")]
    TooLong,
}

impl Party {
    /// The most allocations of one grantee of this party.
    #[must_use]
    pub const fn allocations(self) -> u8 {
        match self {
            Self::Probe => 4,
            Self::Rtc | Self::Viewer => 1,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Rtc => "rtc",
            Self::Viewer => "viewer",
        }
    }
}

impl Grantee {
    /// INVARIANT: data flows only between a session's rtc and its viewers, or between the
    /// allocations of one probe.
    ///
    /// Rtc has one allocation for all its viewers, made with the first credential that it got: the
    /// relay identifies a client by the address of its socket, and rtc has one socket. It
    /// distinguishes viewers by their ICE credentials and DTLS keys, as it does without a relay.
    #[must_use]
    pub fn may_reach(&self, other: &Self) -> bool {
        match (self.party, other.party) {
            (Party::Rtc, Party::Viewer) | (Party::Viewer, Party::Rtc) => {
                self.session == other.session
            }
            (Party::Probe, Party::Probe) => self == other,
            _ => false,
        }
    }
}

impl FromStr for Username {
    type Err = BadUsername;

    fn from_str(text: &str) -> Result<Self, BadUsername> {
        if text.len() > MAX_USERNAME_BYTES {
            return Err(BadUsername::Malformed);
        }
        let mut parts = text.split(':');
        let mut next = || parts.next().ok_or(BadUsername::Malformed);
        let username = Self {
            expires: UnixSeconds(number(next()?)?),
            grantee: Grantee {
                party: match next()? {
                    "probe" => Party::Probe,
                    "rtc" => Party::Rtc,
                    "viewer" => Party::Viewer,
                    _ => return Err(BadUsername::Malformed),
                },
                session: SessionId(number(next()?)?),
                peer: PeerId(number(next()?)?),
            },
            serial: number(next()?)?,
        };
        if parts.next().is_some() {
            return Err(BadUsername::Malformed);
        }
        Ok(username)
    }
}

/// A decimal number in its canonical form.
fn number<N: FromStr + fmt::Display>(digits: &str) -> Result<N, BadUsername> {
    let value: N = digits.parse().map_err(|_| BadUsername::Malformed)?;
    if value.to_string() == digits { Ok(value) } else { Err(BadUsername::Malformed) }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Grantee { session, party, peer } = self.grantee;
        write!(f, "{}:{}:{}:{}:{}", self.expires.0, party.word(), session.0, peer.0, self.serial)
    }
}

impl Username {
    /// Parses a username and checks that it has not expired.
    ///
    /// # Errors
    /// [`BadUsername`] gives the reason.
    pub fn accept(text: &str, now: UnixSeconds) -> Result<Self, BadUsername> {
        let username: Self = text.parse()?;
        match username.expires.0.checked_sub(now.0) {
            None => Err(BadUsername::Expired),
            Some(left) if left > MAX_LIFETIME_SECONDS => Err(BadUsername::TooLong),
            Some(_) => Ok(username),
        }
    }
}

/// The password derived from `tag`, the HMAC of a username.
#[must_use]
pub fn password(tag: &[u8; SECRET_BYTES]) -> Secret {
    let mut digits = String::with_capacity(2 * PASSWORD_TAG_BYTES);
    for byte in tag.iter().take(PASSWORD_TAG_BYTES) {
        for nibble in [byte >> 4, byte & 0xf] {
            digits.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
        }
    }
    Secret::new(digits).expect("32 digits are within a secret's 256 bytes")
}

/// A secret, a username and the resulting password, for tests of every implementation.
pub const EXAMPLE: ([u8; SECRET_BYTES], &str, &str) =
    ([0x0b; SECRET_BYTES], "1800000060:viewer:3:17:5", "a214a897f260464dc70b5110a8dda5b3");

/// How to use the relay: minted for one party of one peer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct RelayCredentials {
    /// `turn:` and `turns:` addresses (RFC 7065), the best first. A host of `*` stands for the name
    /// under which the browser found the page.
    pub urls: Vec<Text<256>>,
    /// The username, which states grantee and expiry.
    pub username: Text<96>,
    /// The password.
    pub password: Secret,
    /// Seconds until they expire.
    pub lifetime_seconds: u32,
}

/// The credentials for one peer: its own, and those of the session's rtc on its behalf.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct RelayPair {
    /// For the browser.
    pub viewer: RelayCredentials,
    /// For rtc.
    pub rtc: RelayCredentials,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    fn viewer(expires: u64) -> Username {
        let grantee = Grantee { session: SessionId(3), party: Party::Viewer, peer: PeerId(17) };
        Username { expires: UnixSeconds(expires), grantee, serial: 5 }
    }

    #[test]
    fn accept_until_the_last_second_and_not_after() {
        let text = viewer(NOW.0 + 60).to_string();
        assert_eq!(text, EXAMPLE.1);
        assert!(Username::accept(&text, UnixSeconds(NOW.0 + 60)).is_ok());
        assert_eq!(Username::accept(&text, UnixSeconds(NOW.0 + 61)), Err(BadUsername::Expired));
    }

    #[test]
    fn accept_claim_beyond_the_longest_lifetime_is_refused() {
        let text = viewer(NOW.0 + MAX_LIFETIME_SECONDS + 1).to_string();
        assert_eq!(Username::accept(&text, NOW), Err(BadUsername::TooLong));
    }

    #[test]
    fn parse_second_spelling_of_a_username_is_malformed() {
        for text in [
            "01800000060:viewer:3:17:5",
            "+1800000060:viewer:3:17:5",
            "1800000060:Viewer:3:17:5",
            "1800000060:viewer:3:17:5:",
            "1800000060:viewer:3:17",
            "1800000060:viewer:4294967296:17:5",
            "%s%n:viewer:3:17:5",
            "' OR 1=1 --",
            "",
        ] {
            assert_eq!(text.parse::<Username>(), Err(BadUsername::Malformed), "{text:?}");
        }
    }

    #[test]
    fn password_is_the_first_half_of_the_tag_in_hexadecimal_digits() {
        let tag: [u8; SECRET_BYTES] = std::array::from_fn(|index| index as u8);
        assert_eq!(password(&tag).reveal(), "000102030405060708090a0b0c0d0e0f");
    }

    #[test]
    fn longest_username_fits() {
        let grantee =
            Grantee { session: SessionId(u32::MAX), party: Party::Viewer, peer: PeerId(u64::MAX) };
        let longest = Username { expires: UnixSeconds(u64::MAX), grantee, serial: u64::MAX };
        assert_eq!(longest.to_string().parse(), Ok(longest));
    }

    #[test]
    fn may_reach_is_the_other_side_of_the_same_session_only() {
        let of = |session, party, peer| Grantee {
            session: SessionId(session),
            party,
            peer: PeerId(peer),
        };
        let rtc = of(1, Party::Rtc, 7);
        assert!(rtc.may_reach(&of(1, Party::Viewer, 7)) && of(1, Party::Viewer, 7).may_reach(&rtc));
        assert!(!rtc.may_reach(&of(2, Party::Viewer, 7)), "another session");
        assert!(rtc.may_reach(&of(1, Party::Viewer, 8)), "another viewer of the same desktop");
        assert!(!of(1, Party::Viewer, 7).may_reach(&of(1, Party::Viewer, 8)), "two viewers");
        assert!(!rtc.may_reach(&of(1, Party::Rtc, 7)) && !rtc.may_reach(&of(1, Party::Rtc, 8)));
        assert!(!of(1, Party::Viewer, 7).may_reach(&of(1, Party::Viewer, 7)));
        let probe = of(1, Party::Probe, 3);
        assert!(probe.may_reach(&probe));
        assert!(!probe.may_reach(&of(1, Party::Probe, 4)) && !probe.may_reach(&rtc));
        assert!(!rtc.may_reach(&of(1, Party::Probe, 7)));
    }

    proptest! {
        #[test]
        fn parse_inverts_display(expires: u64, session: u32, peer: u64, serial: u64, rtc: bool) {
            let party = if rtc { Party::Rtc } else { Party::Viewer };
            let grantee = Grantee { session: SessionId(session), party, peer: PeerId(peer) };
            let username = Username { expires: UnixSeconds(expires), grantee, serial };
            prop_assert_eq!(username.to_string().parse(), Ok(username));
        }
    }
}
