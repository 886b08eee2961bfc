//! Credentials the supervisor mints: bound to one peer of one session, and short-lived.
//!
//! The username says who and until when, the password is its HMAC under the relay secret, so the
//! relay needs no list of users:
//! ```text
//! username = EXPIRES ":" PARTY ":" SESSION ":" PEER ":" SERIAL      (decimal; PARTY "probe", "rtc" or "viewer")
//! password = lowercase hex of the first 16 bytes of HMAC-SHA256(secret, username)
//! ```
//! INVARIANT: each [`Grantee`] and serial has exactly one username, so comparing usernames compares
//! credentials: numbers have no leading zeros, and nothing follows the serial.

use std::{fmt, str::FromStr};

use aws_lc_rs::hmac;
use lumen_ipc::units::{PeerId, SessionId};
use turn_server::codec::{
    crypto::{Password, generate_password},
    message::attributes::PasswordAlgorithm,
};
use zeroize::Zeroizing;

use crate::moment::UnixSeconds;

/// The longest a credential may live. One that claims more was not minted by this build.
pub const MAX_LIFETIME_SECONDS: u64 = 24 * 60 * 60;

/// Longest username in bytes: five numbers of at most 20 digits, and a party.
const MAX_USERNAME_BYTES: usize = 96;

/// Bytes of the HMAC that make the password: 128 bits.
const PASSWORD_TAG_BYTES: usize = 16;

/// Which side of a session.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Party {
    /// Somebody who tries which paths work, with two allocations that reach each other.
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
    /// Which side of it.
    pub party: Party,
    /// Which of that side.
    pub peer: PeerId,
}

impl Party {
    /// The most allocations one grantee of it has.
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
    /// INVARIANT: data flows between the two sides of one session or the two ends of one probe,
    /// and nowhere else. With the peer addresses of [`crate::address`] this is the whole allow-list.
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

/// A username that has been read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Username {
    /// Last second it is valid in.
    pub expires: UnixSeconds,
    /// Whom it was minted for.
    pub grantee: Grantee,
    /// Tells credentials of the same grantee apart.
    pub serial: u64,
}

/// What a client needs.
#[derive(Clone, Eq, PartialEq)]
pub struct Credential {
    /// Not secret.
    pub username: String,
    /// Secret.
    pub password: Zeroizing<String>,
}

/// The key that makes passwords of usernames.
pub struct RelaySecret(hmac::Key);

/// Why a username is worth nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadUsername {
    /// Not of our form.
    #[error("the username is not one the supervisor mints")]
    Malformed,
    /// Its time is over.
    #[error("the credential has expired")]
    Expired,
    /// It claims to live longer than any we mint.
    #[error("the credential claims to live too long")]
    TooLong,
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

/// A decimal number in its only spelling.
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
    /// Reads a username and checks that its time is not over.
    ///
    /// # Errors
    /// [`BadUsername`] says what is wrong with it.
    pub fn accept(text: &str, now: UnixSeconds) -> Result<Self, BadUsername> {
        let username: Self = text.parse()?;
        match username.expires.0.checked_sub(now.0) {
            None => Err(BadUsername::Expired),
            Some(left) if left > MAX_LIFETIME_SECONDS => Err(BadUsername::TooLong),
            Some(_) => Ok(username),
        }
    }
}

impl RelaySecret {
    /// Takes the secret the supervisor has drawn for this run.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Makes the credential of `username`.
    #[must_use]
    pub fn mint(&self, username: &Username) -> Credential {
        let username = username.to_string();
        let password = self.password(&username);
        Credential { username, password }
    }

    /// The key messages of `username` are authenticated with.
    #[must_use]
    pub fn message_key(&self, username: &str, realm: &str) -> MessageKey {
        let password = self.password(username);
        MessageKey(generate_password(username, &password, realm, PasswordAlgorithm::Md5))
    }

    fn password(&self, username: &str) -> Zeroizing<String> {
        let tag = hmac::sign(&self.0, username.as_bytes());
        let digits = tag.as_ref().iter().take(PASSWORD_TAG_BYTES).map(|byte| format!("{byte:02x}"));
        Zeroizing::new(digits.collect())
    }
}

/// What a message's integrity is computed with (RFC 8489, section 9.2.2).
#[derive(Clone, Copy)]
pub struct MessageKey(Password);

impl MessageKey {
    /// As the codec wants it.
    #[must_use]
    pub const fn as_codec(&self) -> &Password {
        &self.0
    }

    /// Whether `tag` is the HMAC-SHA1 over `parts`, compared in constant time.
    #[must_use]
    pub fn vouches_for(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let mut context = hmac::Context::with_key(&key);
        for part in parts {
            context.update(part);
        }
        aws_lc_rs::constant_time::verify_slices_are_equal(context.sign().as_ref(), tag).is_ok()
    }
}

impl fmt::Debug for RelaySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelaySecret(…)")
    }
}

impl fmt::Debug for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageKey(…)")
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("username", &self.username).finish_non_exhaustive()
    }
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
        assert_eq!(text, "1800000060:viewer:3:17:5");
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
    fn mint_differs_for_each_secret_and_each_field() {
        let secret = RelaySecret::new(&[1; 32]);
        let reference = secret.mint(&viewer(NOW.0));
        assert_ne!(RelaySecret::new(&[2; 32]).mint(&viewer(NOW.0)).password, reference.password);
        let others = [
            Username { serial: 6, ..viewer(NOW.0) },
            viewer(NOW.0 + 1),
            Username {
                grantee: Grantee { session: SessionId(4), ..viewer(NOW.0).grantee },
                ..viewer(NOW.0)
            },
            Username {
                grantee: Grantee { party: Party::Rtc, ..viewer(NOW.0).grantee },
                ..viewer(NOW.0)
            },
        ];
        assert!(others.iter().all(|other| secret.mint(other).password != reference.password));
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = RelaySecret::new(&[1; 32]);
        let credential = secret.mint(&viewer(NOW.0));
        let shown = format!("{secret:?} {credential:?} {:?}", secret.message_key("u", "r"));
        assert!(!shown.contains(credential.password.as_str()));
        assert!(shown.contains("RelaySecret(…)") && shown.contains("MessageKey(…)"));
    }

    #[test]
    fn may_reach_is_the_other_side_of_the_same_session_only() {
        let of = |session, party, peer| Grantee {
            session: SessionId(session),
            party,
            peer: PeerId(peer),
        };
        let rtc = of(1, Party::Rtc, 0);
        assert!(rtc.may_reach(&of(1, Party::Viewer, 7)) && of(1, Party::Viewer, 7).may_reach(&rtc));
        assert!(!rtc.may_reach(&of(2, Party::Viewer, 7)));
        assert!(!rtc.may_reach(&of(1, Party::Rtc, 1)));
        assert!(!of(1, Party::Viewer, 7).may_reach(&of(1, Party::Viewer, 8)));
        let probe = of(1, Party::Probe, 3);
        assert!(probe.may_reach(&probe));
        assert!(!probe.may_reach(&of(1, Party::Probe, 4)) && !probe.may_reach(&rtc));
        assert!(!rtc.may_reach(&of(1, Party::Probe, 0)));
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
