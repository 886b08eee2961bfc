//! Credentials as the relay sees them. It knows the secret they are minted with, so it computes the
//! password of any username and needs no list. The format of usernames is defined by
//! [`lumen_ipc::relay`].

use std::fmt;

use aws_lc_rs::hmac;
pub use lumen_ipc::relay::{BadUsername, Grantee, MAX_LIFETIME_SECONDS, Party, Username};
use lumen_ipc::{
    relay::{self, SECRET_BYTES},
    text::Secret,
};
use turn_server::codec::{
    crypto::{Password, generate_password},
    message::attributes::PasswordAlgorithm,
};
use zeroize::Zeroizing;

/// What a client authenticates with.
#[derive(Clone, Eq, PartialEq)]
pub struct Credential {
    /// Not secret.
    pub username: String,
    /// Secret.
    pub password: Zeroizing<String>,
}

/// The key from which passwords are derived.
pub struct RelaySecret(hmac::Key);

impl RelaySecret {
    /// Takes the secret that the supervisor drew for this run.
    #[must_use]
    pub fn new(secret: &[u8; SECRET_BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Derives the credential of `username`.
    #[must_use]
    pub fn mint(&self, username: &Username) -> Credential {
        let username = username.to_string();
        let password = Zeroizing::new(self.password(&username).reveal().to_owned());
        Credential { username, password }
    }

    /// The key that authenticates messages of `username`.
    #[must_use]
    pub fn message_key(&self, username: &str, realm: &str) -> MessageKey {
        let password = self.password(username);
        let algorithm = PasswordAlgorithm::Md5;
        MessageKey(generate_password(username, password.reveal(), realm, algorithm))
    }

    fn password(&self, username: &str) -> Secret {
        let tag = hmac::sign(&self.0, username.as_bytes());
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        for (byte, of_tag) in bytes.iter_mut().zip(tag.as_ref()) {
            *byte = *of_tag;
        }
        relay::password(&bytes)
    }
}

/// The key of a message's integrity check (RFC 8489, section 9.2.2).
#[derive(Clone, Copy)]
pub struct MessageKey(Password);

impl MessageKey {
    /// The key in the codec's type.
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
    use lumen_ipc::{
        relay::{EXAMPLE, UnixSeconds},
        units::{PeerId, SessionId},
    };

    use super::*;

    fn viewer() -> Username {
        let grantee = Grantee { session: SessionId(3), party: Party::Viewer, peer: PeerId(17) };
        Username { expires: UnixSeconds(1_800_000_000), grantee, serial: 5 }
    }

    #[test]
    fn mint_of_the_example_is_what_the_contract_says() {
        let (secret, username, password) = EXAMPLE;
        let minted = RelaySecret::new(&secret).mint(&username.parse().unwrap());
        assert_eq!((&*minted.username, minted.password.as_str()), (username, password));
    }

    #[test]
    fn mint_differs_for_each_secret_and_each_field() {
        let secret = RelaySecret::new(&[1; 32]);
        let reference = secret.mint(&viewer());
        assert_ne!(RelaySecret::new(&[2; 32]).mint(&viewer()).password, reference.password);
        let of = |grantee| Username { grantee, ..viewer() };
        let grantee = viewer().grantee;
        let others = [
            Username { serial: 6, ..viewer() },
            Username { expires: UnixSeconds(1_800_000_001), ..viewer() },
            of(Grantee { session: SessionId(4), ..grantee }),
            of(Grantee { party: Party::Rtc, ..grantee }),
            of(Grantee { peer: PeerId(18), ..grantee }),
        ];
        assert!(others.iter().all(|other| secret.mint(other).password != reference.password));
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = RelaySecret::new(&[1; 32]);
        let credential = secret.mint(&viewer());
        let shown = format!("{secret:?} {credential:?} {:?}", secret.message_key("u", "r"));
        assert!(!shown.contains(credential.password.as_str()));
        assert!(shown.contains("RelaySecret(…)") && shown.contains("MessageKey(…)"));
    }
}
