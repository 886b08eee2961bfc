//! A host's supervisor ↔ `lumen-oidc`, about one browser that signs in by an identity provider, with OpenID Connect.
//!
//! The other side speaks HTTP to the provider, so nobody else has to. It takes two messages, [`ToOidc::Begin`] and,
//! after its [`FromOidc::Visit`], [`ToOidc::Returned`], and ends with [`FromOidc::Is`] or [`FromOidc::Failed`]. Its
//! link is like the one to `lumen-login` in every limit, and shares its name.
//!
//! # Versions
//! The two sides may be of different builds while an installation is upgraded; they compare [`OIDC_HASH`].
//!
//! INVARIANT: [`ToOidc::Begin`] begins with that hash and is the first variant, as is [`FromOidc::Failed`], whose first
//! reason is [`OidcFailure::OtherBuild`]: so each side can read the other's first message as far as it must.

use serde::{Deserialize, Serialize};

use super::login::AccountName;
use crate::{
    codec::Message,
    link::LinkName,
    login::{MAX_CALLBACK_BYTES, MAX_RETURN_BYTES, MAX_VISIT_BYTES},
    text::Text,
};

/// Hash of the format of these messages.
pub const OIDC_HASH: OidcHash = OidcHash(crate::parse_hash(env!("LUMEN_OIDC_HASH")));

/// Identifies one format of these messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct OidcHash(pub u64);

/// Supervisor → `lumen-oidc`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum ToOidc {
    /// A browser wants to sign in. The first message, sent once.
    Begin {
        /// The format that the sender speaks.
        form: OidcHash,
        /// The address of its page, to which the provider is to send it back (`redirect_uri`).
        callback: Text<MAX_CALLBACK_BYTES>,
    },
    /// The browser is back.
    Returned {
        /// The query with which it came (RFC 6749, section 4.1.2).
        query: Text<MAX_RETURN_BYTES>,
    },
}

/// `lumen-oidc` → supervisor.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum FromOidc {
    /// Nobody is signed in; the link is over.
    Failed {
        /// Why.
        reason: OidcFailure,
    },
    /// Where the browser has to go.
    Visit {
        /// The provider's address, with what it has to know.
        url: Text<MAX_VISIT_BYTES>,
    },
    /// The provider says that the browser is this account's; the link is over.
    Is {
        /// The account.
        account: AccountName,
    },
}

/// Why an identity provider signed nobody in, as the person is told; the details are in the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum OidcFailure {
    /// The two sides are of different builds.
    #[error("the server is being upgraded; try again in a moment")]
    OtherBuild,
    /// The provider does not answer, or `lumen-oidc` does not.
    #[error(
        "the identity provider cannot be reached; try again later, and the administrator finds the \
         reason in the machine's log"
    )]
    Unreachable,
    /// The settings are wrong.
    #[error(
        "signing in by an identity provider is not set up completely; the administrator finds the \
         reason in the machine's log"
    )]
    Settings,
    /// The provider says so.
    #[error("the identity provider has refused it")]
    Refused,
    /// What the browser brought back is not of this attempt.
    #[error("the answer belongs to another attempt; begin again")]
    NotOurs,
    /// What the provider says cannot be believed.
    #[error(
        "the identity provider's statement is not valid; the administrator finds the reason in the \
         machine's log"
    )]
    Invalid,
    /// The statement names no account, or one that may not sign in.
    #[error("this identity has no account here, or is in no group that may sign in")]
    NoAccount,
    /// It took too long.
    #[error("it took too long; begin again")]
    TooSlow,
}

impl Message for ToOidc {
    const LINK: LinkName = LinkName::Login;
    const SECRET: bool = true;
}

impl Message for FromOidc {
    const LINK: LinkName = LinkName::Login;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn first_words_are_read_whatever_build_the_other_side_is_of() {
        let form = OidcHash(u64::MAX);
        let callback = Text::truncated("https://desk.example.org/");
        let mut buffer = [0; 128];
        let bytes = codec::encode(&ToOidc::Begin { form, callback }, &mut buffer).expect("room");
        let (variant, rest) = postcard::take_from_bytes::<u32>(bytes).expect("a number");
        let (found, _) = postcard::take_from_bytes::<OidcHash>(rest).expect("a hash");
        assert_eq!((variant, found), (0, form));
        let failed = FromOidc::Failed { reason: OidcFailure::OtherBuild };
        assert_eq!(codec::encode(&failed, &mut buffer).expect("room"), [0, 0]);
    }
}
