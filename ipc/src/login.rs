//! Signing in: what a browser may offer, and the login it gets for it.
//!
//! INVARIANT: a [`Login`] is made, changed and ended by the host's broker alone. Everybody else
//! only passes it on and obeys it.

use serde::{Deserialize, Serialize};

use crate::{text::Secret, units::SessionId};

/// Tells logins apart. Drawn at random, so that no host gives it twice; it is no secret.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct LoginId(pub u64);

impl LoginId {
    /// The login that everybody has where nobody signs in.
    pub const OPEN: Self = Self(0);
}

/// What a viewer may do in a session. Judged by the broker, enforced by rtc.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Rights {
    /// Whether its keyboard, pointer and window size count.
    pub control: bool,
}

/// What a browser may do: where, what, and for how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Login {
    /// Which login it is.
    pub id: LoginId,
    /// The desktop it opens.
    pub session: SessionId,
    /// What the browser may do there.
    pub rights: Rights,
    /// Seconds until it ends unless it is resumed before; `None` for one that never ends.
    pub expires_in_seconds: Option<u32>,
}

/// How a browser begins to sign in.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Method {
    /// With nothing, where nobody has to sign in.
    Open,
    /// With the access token of a desktop.
    Token(Secret),
}

/// A login that has just been given.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SignedIn {
    /// The login.
    pub login: Login,
    /// The value of the browser's cookie from now on; `None` where it needs none.
    pub cookie: Option<Secret>,
}

/// Why there is no login.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum LoginRefusal {
    /// Wrong token, or a cookie that nobody was given or that has expired.
    #[error("wrong or expired credentials")]
    Wrong,
    /// A wrong token, and not the first from there.
    #[error("too many attempts; try again in {retry_after_seconds} s")]
    TooMany {
        /// When the next attempt is in order.
        retry_after_seconds: u16,
    },
}
