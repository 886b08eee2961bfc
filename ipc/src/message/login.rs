//! `login`: a host's supervisor ↔ `lumen-login`, first about one attempt to sign in, then about the account's
//! login session on this machine.
//!
//! The other side of the attempt is a process of root's in which PAM's modules run. It takes two messages
//! until the account is accepted, [`ToLeader::Begin`] once and [`ToLeader::Answers`] after each
//! [`ToSupervisor::Said`] that asks something, and one afterwards, [`ToLeader::Open`]. The rest is for the
//! process that it then starts as the account's user, which has the same socket.
//!
//! # Versions
//! The two sides may be of different builds while an installation is upgraded. They compare [`LOGIN_HASH`],
//! which covers the sources of this link's messages and no others.
//!
//! INVARIANT: [`ToLeader::Begin`] begins with that hash and is the first variant, as is
//! [`ToSupervisor::Refused`]; so each side can read the other's first message as far as it must.

mod program;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    codec::Message,
    link::LinkName,
    text::{Secret, Text},
};

pub use program::{AppEnd, AppNumber, Command, Given, MOST_BESIDE, MOST_WORDS, TooManyGiven};

/// Hash of the format of the `login` link.
pub const LOGIN_HASH: LoginHash = LoginHash(crate::parse_hash(env!("LUMEN_LOGIN_HASH")));

/// Identifies one format of the `login` link.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LoginHash(pub u64);

/// A list of at most `MOST` elements.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Element>", into = "Vec<Element>")]
#[serde(bound(
    serialize = "Element: Clone + Serialize",
    deserialize = "Element: Deserialize<'de>"
))]
pub struct List<Element, const MOST: usize>(Vec<Element>);

/// A list that is too long.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{length} elements where at most {most} are allowed")]
pub struct ListTooLong {
    /// Length found.
    pub length: usize,
    /// Limit.
    pub most: usize,
}

impl<Element, const MOST: usize> Default for List<Element, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<Element, const MOST: usize> List<Element, MOST> {
    /// Wraps `elements` if there are few enough.
    ///
    /// # Errors
    /// [`ListTooLong`] when there are more than `MOST`.
    pub fn new(elements: Vec<Element>) -> Result<Self, ListTooLong> {
        match elements.len() {
            length if length > MOST => Err(ListTooLong { length, most: MOST }),
            _ => Ok(Self(elements)),
        }
    }

    /// The elements.
    #[must_use]
    pub fn as_slice(&self) -> &[Element] {
        &self.0
    }

    /// The elements, owned.
    #[must_use]
    pub fn into_vec(self) -> Vec<Element> {
        self.0
    }
}

impl<Element, const MOST: usize> TryFrom<Vec<Element>> for List<Element, MOST> {
    type Error = ListTooLong;

    fn try_from(elements: Vec<Element>) -> Result<Self, ListTooLong> {
        Self::new(elements)
    }
}

impl<Element, const MOST: usize> From<List<Element, MOST>> for Vec<Element> {
    fn from(list: List<Element, MOST>) -> Self {
        list.0
    }
}

/// The name of an account or of a group, as a person types it: 1 to 64 bytes, none of them a control character,
/// a blank, `/` or `:`, which no file of accounts could hold, and the first no `-`, so that it is never an
/// option of a command.
#[derive(Clone, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "Text<64>", into = "Text<64>")]
pub struct AccountName(Text<64>);

/// A text that cannot be the name of an account.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no account can have such a name")]
pub struct NotAnAccount;

impl AccountName {
    /// Wraps `name` if an account can have it.
    ///
    /// # Errors
    /// [`NotAnAccount`] when none can.
    pub fn new(name: &str) -> Result<Self, NotAnAccount> {
        Text::new(name).map_err(|_| NotAnAccount)?.try_into()
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl TryFrom<Text<64>> for AccountName {
    type Error = NotAnAccount;

    fn try_from(text: Text<64>) -> Result<Self, NotAnAccount> {
        let name = text.as_str();
        let illegal =
            |letter: char| letter.is_control() || letter.is_whitespace() || ":/".contains(letter);
        let is_dots = name == "." || name == "..";
        match name.is_empty() || name.starts_with('-') || is_dots || name.contains(illegal) {
            true => Err(NotAnAccount),
            false => Ok(Self(text)),
        }
    }
}

impl From<AccountName> for Text<64> {
    fn from(name: AccountName) -> Self {
        name.0
    }
}

// People type passwords into the field for the name, so what was typed there is not shown in a log.
impl fmt::Debug for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountName(…)")
    }
}

/// Most groups whose members may sign in.
pub const MOST_GROUPS: usize = 16;

/// Whether the account's password and other factors are asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Trust {
    /// They are.
    Authenticate,
    /// Somebody else has done that: a provider of identities, or a proxy. Whether the account may sign in is
    /// checked all the same.
    Vouched,
}

/// How a prompt is shown, and whether it asks something.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Style {
    /// Something went wrong.
    Error,
    /// Something worth knowing.
    Info,
    /// A question whose answer is not shown.
    Secret,
    /// A question whose answer is shown while it is typed.
    Visible,
}

impl Style {
    /// Whether it has an answer.
    #[must_use]
    pub const fn asks(self) -> bool {
        matches!(self, Self::Secret | Self::Visible)
    }
}

/// One message of a PAM module for the person who signs in.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// How to show it.
    pub style: Style,
    /// What it says.
    pub text: Text<512>,
}

/// Most prompts at once.
pub const MOST_PROMPTS: usize = 16;
/// Messages and questions in their order.
pub type Prompts = List<Prompt, MOST_PROMPTS>;
/// One answer for each prompt that asks, in their order.
pub type Answers = List<Secret, MOST_PROMPTS>;

/// Why an attempt is over. It is the same for every account and every fault: the reasons are in the log of
/// `lumen-login`, for the administrator.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Denial {
    /// The account does not exist, the answers are wrong, or it may not sign in here.
    Denied,
    /// The other side is of another build.
    OtherBuild,
    /// It took too long.
    TooSlow,
}

/// The name of the Wayland socket in the user's runtime directory: 1 to 32 letters, digits, `-` and `_`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Text<32>", into = "Text<32>")]
pub struct DisplayName(Text<32>);

/// A text that is no name of a Wayland socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no Wayland socket can have this name")]
pub struct NotADisplay;

impl DisplayName {
    /// Wraps `name` if it is legal.
    ///
    /// # Errors
    /// [`NotADisplay`] when it is not.
    pub fn new(name: &str) -> Result<Self, NotADisplay> {
        Text::new(name).map_err(|_| NotADisplay)?.try_into()
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl TryFrom<Text<32>> for DisplayName {
    type Error = NotADisplay;

    fn try_from(text: Text<32>) -> Result<Self, NotADisplay> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        match !text.as_str().is_empty() && text.as_str().bytes().all(legal) {
            true => Ok(Self(text)),
            false => Err(NotADisplay),
        }
    }
}

impl From<DisplayName> for Text<32> {
    fn from(name: DisplayName) -> Self {
        name.0
    }
}

/// Supervisor → `lumen-login`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum ToLeader {
    /// Somebody wants to sign in. The first message, sent once.
    Begin {
        /// The format of the link that the sender speaks.
        form: LoginHash,
        /// As whom.
        account: AccountName,
        /// The address of the browser, for PAM's modules and the log.
        rhost: Text<64>,
        /// Whether they have proved already that they are.
        trust: Trust,
        /// The groups whose members may sign in; if none is named, every person may.
        groups: List<AccountName, MOST_GROUPS>,
    },
    /// The answers to what was asked last.
    Answers(Answers),
    /// Opens the account's login session and starts its user's side, once it has been accepted.
    Open {
        /// The name of the Wayland socket to make.
        display: DisplayName,
    },
    /// Starts a program in the session. Attached are the descriptor to which it writes, and those of `given`.
    Start {
        /// Its number from now on.
        app: AppNumber,
        /// What to start.
        command: Command,
        /// The other descriptors.
        given: Given,
    },
    /// Ends a program: a request at first, and what does not end by itself later.
    End {
        /// Which.
        app: AppNumber,
        /// Whether it is ended at once.
        now: bool,
    },
}

/// `lumen-login` → supervisor.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum ToSupervisor {
    /// The attempt is over; so is the link.
    Refused {
        /// Why.
        why: Denial,
    },
    /// PAM's modules say or ask something.
    Said(Prompts),
    /// The account may sign in. Nothing of its session exists yet: the person may have one already.
    Accepted {
        /// Its name as the machine knows it.
        account: AccountName,
        /// Its user.
        uid: u32,
    },
    /// The session could not be opened; the link is over.
    NotOpened,
    /// The session is open. The Wayland socket, which listens, is attached.
    Opened {
        /// The directory in which it is.
        runtime_dir: Text<1024>,
    },
    /// A program has been started.
    Started {
        /// Which.
        app: AppNumber,
        /// Its process.
        pid: u32,
    },
    /// A program has ended, or could not be started.
    Ended {
        /// Which.
        app: AppNumber,
        /// How.
        end: AppEnd,
    },
}

impl Message for ToLeader {
    const LINK: LinkName = LinkName::Login;
    const SECRET: bool = true;

    fn descriptors(&self) -> usize {
        match self {
            Self::Start { given, .. } => given.count(),
            _ => 0,
        }
    }
}

impl Message for ToSupervisor {
    const LINK: LinkName = LinkName::Login;

    fn descriptors(&self) -> usize {
        match self {
            Self::Opened { .. } => 1,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn account_name_that_no_file_of_accounts_can_hold_is_none() {
        for legal in ["alice", "a", "Alice.B-2", "müller", "web$", "user@example.org", "DOM\\bob"]
        {
            assert_eq!(
                AccountName::new(legal).map(|name| name.as_str().to_owned()),
                Ok(legal.into())
            );
        }
        let long = "x".repeat(65);
        for illegal in
            ["", "-x", "a:b", "a/b", "..", ".", "a b", "a\n", "a\0b", "\u{85}", "a\t", &long]
        {
            assert_eq!(AccountName::new(illegal), Err(NotAnAccount), "{illegal:?}");
        }
    }

    #[test]
    fn display_name_leads_nowhere_but_into_the_runtime_directory() {
        assert!(DisplayName::new("wayland-lumen_3").is_ok());
        for illegal in ["", "../x", "a/b", ".", "a b", "é", &"x".repeat(33)] {
            assert_eq!(DisplayName::new(illegal), Err(NotADisplay), "{illegal:?}");
        }
    }

    #[test]
    fn list_beyond_its_limit_is_refused_by_its_decoder_too() {
        let words = |count| vec![Text::<4>::truncated("word"); count];
        assert!(List::<_, 3>::new(words(3)).is_ok());
        assert_eq!(List::<_, 3>::new(words(4)), Err(ListTooLong { length: 4, most: 3 }));
        let secrets = |count| vec![Secret::new("s").expect("short"); count];
        let longest = ToLeader::Answers(List::new(secrets(MOST_PROMPTS)).expect("few enough"));
        let mut buffer = [0; 128];
        let mut bytes = codec::encode(&longest, &mut buffer).expect("room").to_vec();
        assert!(codec::decode::<ToLeader>(&bytes, 0).is_ok());
        bytes[1] += 1;
        bytes.extend([1, b's']);
        assert!(codec::decode::<ToLeader>(&bytes, 0).is_err());
    }

    #[test]
    fn first_words_are_read_whatever_build_the_other_side_is_of() {
        let form = LoginHash(u64::MAX);
        let account = AccountName::new("alice").expect("legal");
        let (rhost, trust) = (Text::truncated("::1"), Trust::Authenticate);
        let mut buffer = [0; 128];
        let groups = List::default();
        let begin = ToLeader::Begin { form, account, rhost, trust, groups };
        let bytes = codec::encode(&begin, &mut buffer).expect("room");
        let (variant, rest) = postcard::take_from_bytes::<u32>(bytes).expect("a number");
        let (found, _) = postcard::take_from_bytes::<LoginHash>(rest).expect("a hash");
        assert_eq!((variant, found), (0, form));
        let refused = ToSupervisor::Refused { why: Denial::Denied };
        assert_eq!(codec::encode(&refused, &mut buffer).expect("room").first(), Some(&0));
    }

    #[test]
    fn names_and_answers_are_not_shown() {
        let account = AccountName::new("hunter2").expect("legal");
        let answers = List::new(vec![Secret::new("hunter2").expect("short")]).expect("one");
        let (rhost, trust) = (Text::default(), Trust::Authenticate);
        let groups = List::default();
        let begin = ToLeader::Begin { form: LOGIN_HASH, account, rhost, trust, groups };
        for message in [begin, ToLeader::Answers(answers)] {
            assert!(!format!("{message:?}").contains("hunter2"));
        }
    }
}
