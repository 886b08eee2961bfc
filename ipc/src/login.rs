//! Signing in: what a browser presents, and the login it receives.
//!
//! INVARIANT: only the host's broker creates, changes and ends a [`Login`]. Other processes only
//! pass it on and obey it.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::{
    identity::SessionId,
    message::{
        login::{AccountName, Prompts},
        oidc::OidcFailure,
    },
    text::{Secret, Text},
};

/// Longest address of a page in bytes, to which an identity provider sends a browser back.
pub const MAX_CALLBACK_BYTES: usize = 1024;
/// Longest address of an identity provider in bytes, with what it has to know.
pub const MAX_VISIT_BYTES: usize = 4096;
/// Longest query in bytes with which it sends a browser back.
pub const MAX_RETURN_BYTES: usize = 4096;

/// Identifies a login. Drawn at random, so that no host uses it twice; it is not secret.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct LoginId(pub u64);

impl LoginId {
    /// The login of every browser where no sign-in is required.
    pub const OPEN: Self = Self(0);
}

/// A viewer's rights in a session: decided by the broker, enforced by rtc and by the compositor, which
/// learn them from their supervisor ([`crate::lease`]).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Rights {
    /// Whether its keyboard, pointer and window size count.
    pub control: bool,
}

/// What a browser may do: in which session, with which rights, and for how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Login {
    /// The number of this login.
    pub id: LoginId,
    /// The desktop it opens.
    pub session: SessionId,
    /// The browser's rights there.
    pub rights: Rights,
    /// Seconds until it ends if it is not resumed before; `None` if it never ends.
    pub expires_in_seconds: Option<u32>,
}

/// How a browser signs in.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Method {
    /// With nothing, where no sign-in is required. The supervisor finds out whose browser it is, by the
    /// browser's end of its connection, which is this.
    Open(SocketAddr),
    /// With the password of an account of this machine, and whatever else it asks for.
    Password(AccountName),
    /// By an identity provider, from which it comes back to the page at this address.
    Provider(Text<MAX_CALLBACK_BYTES>),
    /// By the word of a trusted proxy, which has found out that it is this account's.
    Proxy(AccountName),
    /// With the access token of a desktop.
    Token(Secret),
}

/// How a browser has proved whose it is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignInMethod {
    /// By an identity provider, with OpenID Connect.
    Oidc,
    /// With a password, and whatever else PAM asked for.
    Password,
    /// By the word of a trusted proxy.
    Proxy,
    /// With the access token of a desktop.
    Token,
}

impl SignInMethod {
    /// Its name in lists and in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Oidc => "oidc",
            Self::Password => "password",
            Self::Proxy => "proxy",
            Self::Token => "token",
        }
    }
}

/// A login as it is shown to those whose it is, and to administrators. It has nothing by which anybody
/// could sign in.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SignIn {
    /// The login.
    pub id: LoginId,
    /// The desktop it opens.
    pub session: SessionId,
    /// How its browser signed in.
    pub method: SignInMethod,
    /// From where, as far as the gateway knows.
    pub from: IpAddr,
    /// Seconds since then.
    pub given_seconds: u64,
    /// Seconds since it was last used; an open page uses it at least once a minute.
    pub used_seconds: u64,
    /// How many of its pages are connected.
    pub pages: u32,
}

/// Which logins to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Revocation {
    /// This one.
    Login(LoginId),
    /// All to a session.
    Session(SessionId),
    /// All to the sessions of a user.
    User(u32),
}

/// Something of which pages are told at once, with its number.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LoginNews {
    /// Counts from 1.
    pub number: u32,
    /// What happened.
    pub event: LoginEvent,
}

/// What became of a login, or of the session that it opens.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum LoginEvent {
    /// A session will end unless somebody acts, or will not any more.
    EndsSoon {
        /// Which.
        session: SessionId,
        /// After so many seconds; `None` if it stays.
        seconds: Option<u16>,
    },
    /// It has ended: everything that its browser has must end.
    Ended {
        /// To this session.
        session: SessionId,
        /// Which.
        login: LoginId,
    },
    /// A browser signed in; the pages of others are told.
    Given {
        /// To this session.
        session: SessionId,
        /// Which.
        login: LoginId,
        /// How.
        method: SignInMethod,
        /// From where.
        from: IpAddr,
    },
}

/// A browser with a page that is connected, for the lists of who watches.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Visitor {
    /// Whose desktop it shows.
    pub session: SessionId,
    /// Its login.
    pub login: LoginId,
    /// From where it is connected.
    pub from: IpAddr,
}

/// A new login.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SignedIn {
    /// The login.
    pub login: Login,
    /// The secret by which the browser is recognised from now on, of an even length: it keeps one
    /// half as a cookie and the other in the page's storage. `None` if no sign-in is required.
    pub key: Option<Secret>,
}

/// How far a sign-in has come.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Progress {
    /// The browser is to go to an identity provider, and comes back with what that says.
    Away {
        /// Names the attempt; only its browser knows it.
        attempt: Secret,
        /// Where the provider is, with what it has to know.
        url: Text<MAX_VISIT_BYTES>,
    },
    /// Something is asked of the browser.
    Asked {
        /// Names the attempt; only its browser knows it.
        attempt: Secret,
        /// What is asked and said.
        prompts: Prompts,
    },
    /// It has succeeded.
    Done {
        /// The login.
        signed_in: SignedIn,
        /// What was said at the end, for example that a password will expire.
        said: Prompts,
    },
}

/// Why a login was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum LoginRefusal {
    /// The account does not exist, an answer was wrong, or the account may not sign in.
    #[error("the account or the answers are wrong, or the account may not sign in")]
    Denied,
    /// The identity provider has not said whose the browser is.
    #[error("{0}")]
    Provider(OidcFailure),
    /// The account may sign in, but none of its desktops is here, and none is started.
    #[error("the account has no desktop on this machine")]
    NoDesktop,
    /// The account may sign in, but somebody watches its desktop, and no second one may.
    #[error("the account's desktop is watched elsewhere (--session-in-use refuse)")]
    InUse,
    /// The account may sign in, but its desktop could not be started.
    #[error("the account's desktop could not be started")]
    NotStarted,
    /// The account has as many desktops as one may have.
    #[error("the account may have no more desktops than {most} (--sessions-per-user)")]
    TooManyOwn {
        /// How many that is.
        most: u16,
    },
    /// There are as many desktops as there may be.
    #[error("there may be no more desktops than {most} (--sessions-total)")]
    TooManyInAll {
        /// How many that is.
        most: u16,
    },
    /// No sign-in is required of the desktop's own user, and the browser is another's, or nobody knows whose.
    #[error("the browser is not of a user who is let in without a login")]
    OtherUser,
    /// A wrong token, or an unknown or expired key.
    #[error("wrong or expired credentials")]
    Wrong,
    /// A wrong token, after others from the same source.
    #[error("too many attempts; try again in {retry_after_seconds} s")]
    TooMany {
        /// When the next attempt is allowed.
        retry_after_seconds: u16,
    },
}
