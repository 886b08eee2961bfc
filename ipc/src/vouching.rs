//! A proxy's word for whose a browser is: the header that says it, and what is wrong with one that is not
//! believed.
//!
//! INVARIANT: such a header is believed only on a connection of the proxy's own, of which the supervisor has
//! asked the kernel whose it is; on any other connection it is not ignored but refused, because whoever sends it
//! there forges it, or is a proxy that reaches Lumen by the wrong way.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::text::Text;

/// Longest name of such a header in bytes.
pub const MAX_HEADER_BYTES: usize = 64;
/// Headers that a browser or another part of a proxy writes, and beginnings of such names.
const TAKEN: [&str; 8] =
    ["host", "origin", "cookie", "connection", "upgrade", "authorization", "referer", "te"];
const TAKEN_BEGINNINGS: [&str; 6] =
    ["accept", "content-", "lumen-", "proxy-", "sec-", "x-forwarded-"];

/// The name of the header in which a proxy names an account: letters, digits and `-`, in lower case here.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Text<MAX_HEADER_BYTES>", into = "Text<MAX_HEADER_BYTES>")]
pub struct VoucherHeader(Text<MAX_HEADER_BYTES>);

/// A text that cannot be the name of that header.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "expected the name of a header that nobody but the proxy writes, such as X-Remote-User: 1 to \
     {MAX_HEADER_BYTES} letters, digits and -"
)]
pub struct BadVoucherHeader;

impl VoucherHeader {
    /// The name, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether a header of this name, in lower case, may be meant: some programs between do not tell `_` from
    /// `-`.
    #[must_use]
    pub fn resembles(&self, name: &str) -> bool {
        let plain = |byte: u8| if byte == b'_' { b'-' } else { byte };
        name.len() == self.as_str().len() && name.bytes().map(plain).eq(self.as_str().bytes())
    }
}

impl FromStr for VoucherHeader {
    type Err = BadVoucherHeader;

    fn from_str(text: &str) -> Result<Self, BadVoucherHeader> {
        Text::new(text).map_err(|_| BadVoucherHeader)?.try_into()
    }
}

impl TryFrom<Text<MAX_HEADER_BYTES>> for VoucherHeader {
    type Error = BadVoucherHeader;

    fn try_from(text: Text<MAX_HEADER_BYTES>) -> Result<Self, BadVoucherHeader> {
        let name = text.as_str().to_ascii_lowercase();
        let legal = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let taken = TAKEN.contains(&name.as_str())
            || TAKEN_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning));
        match legal && !taken && !name.is_empty() {
            true => Ok(Self(Text::truncated(name))),
            false => Err(BadVoucherHeader),
        }
    }
}

impl From<VoucherHeader> for Text<MAX_HEADER_BYTES> {
    fn from(header: VoucherHeader) -> Self {
        header.0
    }
}

impl fmt::Display for VoucherHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a request is refused that names an account, or comes from where only a proxy may.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum VoucherFault {
    /// It did not come by the proxy's socket.
    #[error("the header that names an account is believed only on the proxy's own socket")]
    Elsewhere,
    /// Its value cannot be an account's name.
    #[error("the proxy's header does not name one account")]
    NoAccount,
    /// There are several, or one that is spelled with `_`.
    #[error("the header that names an account is there more than once, or spelled with _")]
    Repeated,
    /// The connection is not the proxy's.
    #[error("the connection to the proxy's socket is another user's")]
    Stranger,
}

impl VoucherFault {
    /// In a word, for the log's fields.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Elsewhere => "elsewhere",
            Self::NoAccount => "no-account",
            Self::Repeated => "repeated",
            Self::Stranger => "stranger",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_is_one_that_only_a_proxy_writes() {
        let name = |text: &str| text.parse::<VoucherHeader>().map(|header| header.to_string());
        for (text, expected) in
            [("X-Remote-User", "x-remote-user"), ("remote", "remote"), ("X9", "x9")]
        {
            assert_eq!(name(text).as_deref(), Ok(expected));
        }
        let long = "x".repeat(MAX_HEADER_BYTES + 1);
        for illegal in [
            "",
            "X_Remote_User",
            "X-Remote-User:",
            "a b",
            "é",
            "Cookie",
            "HOST",
            "X-Forwarded-User",
            "Lumen-Key",
            "Sec-WebSocket-Protocol",
            "Content-Type",
            &long,
        ] {
            assert_eq!(name(illegal), Err(BadVoucherHeader), "{illegal:?}");
        }
    }

    #[test]
    fn header_resembles_itself_and_what_is_spelled_otherwise_only() {
        let header: VoucherHeader = "X-Remote-User".parse().expect("legal");
        for same in ["x-remote-user", "x_remote_user", "x-remote_user"] {
            assert!(header.resembles(same), "{same}");
        }
        for other in ["x-remote-users", "remote-user", "xxremote-user", ""] {
            assert!(!header.resembles(other), "{other}");
        }
    }
}
