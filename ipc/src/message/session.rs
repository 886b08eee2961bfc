//! `session`: a session's supervisor ↔ its host's supervisor.
//!
//! A session registers when it has found its host, at first and again after each restart of the
//! host, and then sends all that the host must know about it. The session outlives the link: its
//! apps and its viewers do not notice that the host is gone.
//!
//! # Versions
//! The two sides may be of different builds, because a host is upgraded while its sessions run.
//! They compare [`SESSION_HASH`], which covers the sources of this link's and the signalling link's
//! messages, and no others.
//!
//! INVARIANT: [`ToHost::Registered`] begins with that hash and is the first variant, as is
//! [`ToSession::Refused`]; [`ToSession::Granted`] begins with it and is the second. So each side can
//! read the other's first message, as far as it must, whatever its build is.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{
    codec::Message,
    identity::SessionId,
    lease::{Lease, LeaseId},
    link::LinkName,
    log::{LogPage, LogSource},
    login::LoginId,
    message::login::{AccountName, DisplayName},
    message::signalling::Reason,
    process::Worker,
    status::{AppState, Metric, Refusal, SessionStatus},
    text::Text,
    tls::Fingerprint,
};

/// Hash of the format of the `session` and `signalling` links.
pub const SESSION_HASH: SessionHash = SessionHash(crate::parse_hash(env!("LUMEN_SESSION_HASH")));

/// Identifies one format of the `session` and `signalling` links.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SessionHash(pub u64);

/// SHA-256 of a session's access token: enough to recognise the token, not to use it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct TokenDigest(pub [u8; 32]);

/// A session's name for people: 1 to 32 letters, digits, `-` and `_`. It cannot be mistaken for
/// another word of a command: it is not a number (a session's number), not the name of a source of
/// the log (as every worker is), and does not begin like an option.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "Text<32>", into = "Text<32>")]
pub struct SessionName(Text<32>);

/// A text that is not a session's name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{0:?} is no name of a session: 1 to 32 letters, digits, - and _, the first of them no -, and neither \
     a number nor a word that `lumen logs` knows"
)]
pub struct NotAName(pub String);

impl TryFrom<Text<32>> for SessionName {
    type Error = NotAName;

    fn try_from(text: Text<32>) -> Result<Self, NotAName> {
        let name = text.as_str();
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
        let is_taken = is_number || name.starts_with('-') || LogSource::from_name(name).is_some();
        match name.bytes().all(legal) && !is_taken {
            true => Ok(Self(text)),
            false => Err(NotAName(name.to_owned())),
        }
    }
}

impl From<SessionName> for Text<32> {
    fn from(name: SessionName) -> Self {
        name.0
    }
}

impl SessionName {
    /// Wraps `name` if it is legal.
    ///
    /// # Errors
    /// [`NotAName`] when it is not.
    pub fn new(name: &str) -> Result<Self, NotAName> {
        Text::new(name).map_err(|_| NotAName(name.to_owned()))?.try_into()
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Which machines' browsers can reach a host's page.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Audience {
    /// Those of other machines, too.
    Everyone,
    /// Those of the host's own machine: the page is on loopback, and no proxy passes others on.
    ThisMachine,
}

/// Session → host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToHost {
    /// A session exists. The first message, sent once for each link.
    Registered {
        /// The format of the link that it speaks.
        form: SessionHash,
        /// The number that an earlier host gave it.
        was: Option<SessionId>,
        /// Its name for people, if that is not its number.
        name: Option<SessionName>,
        /// The token with which browsers sign in to it. Also proves that its earlier number was its
        /// own.
        token: TokenDigest,
        /// Process id of its supervisor.
        supervisor_pid: u32,
        /// The user whose desktop it is.
        owner: u32,
        /// For how many seconds it has run.
        age_seconds: u64,
    },
    /// A viewer acts. Sent now and then while that is so.
    Acts,
    /// The state of its app; sent once after it has registered, and whenever it changes.
    AppChanged {
        /// Counts up.
        serial: u32,
        /// How it is.
        state: AppState,
    },
    /// Its rtc is a new process, or has no link to the gateway: it needs a link end.
    SignallingWanted,
    /// The answer to [`ToSession::Asked`].
    Answered {
        /// The question's number.
        number: u32,
        /// The answer.
        answer: Answer,
    },
    /// Its compositor and its rtc have been told of a lease. Only then may the page have it, whose proof
    /// would overtake the word otherwise.
    LeaseTaken {
        /// Which.
        lease: LeaseId,
    },
}

/// Host → session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToSession {
    /// The host does not accept the session; the link ends.
    Refused {
        /// Why.
        reason: Reason,
    },
    /// For whom the session is, which this host has had started: the first message, sent once, on the link
    /// on which the session then registers. The Wayland socket, which listens, and the link to the leader
    /// of the account's login session are attached. Closing that link ends the login session.
    Granted {
        /// The format of the link that the host speaks.
        form: SessionHash,
        /// Whose desktop it is.
        account: AccountName,
        /// The account's user, as the leader found it.
        uid: u32,
        /// The name of the Wayland socket.
        display: DisplayName,
        /// The directory in which it is.
        runtime_dir: Text<1024>,
        /// The name of the host, by which the session finds the next process of it.
        host: Text<32>,
        /// Whether the account has another desktop, so that this one needs a session bus of its own.
        beside: bool,
    },
    /// The host has registered the session.
    Welcomed {
        /// Its number from now on, which no other session ever gets.
        session: SessionId,
        /// Where the relay takes datagrams from this machine; `None` when there is no relay.
        relay: Option<SocketAddr>,
        /// Who reaches the page, which decides where the session takes datagrams of browsers.
        audience: Audience,
    },
    /// Browsers can connect.
    Opened {
        /// The URL of the page.
        page: Text<1024>,
        /// Whether they must present the session's token.
        with_token: bool,
        /// The fingerprint of the page's certificate, if Lumen made that itself.
        fingerprint: Option<Fingerprint>,
    },
    /// Rtc's end of the signalling link; its descriptor is attached.
    SignallingEnd,
    /// The gateway reports that rtc broke the contract on the signalling link.
    RtcViolated,
    /// Every page of the session has been told the news with this serial number.
    PagesTold {
        /// Which.
        serial: u32,
    },
    /// The administrator or a viewer requests something.
    Asked {
        /// Returned with the answer.
        number: u32,
        /// The request.
        question: Question,
    },
    /// The host ends the session, because the administrator asks for that, or for this reason.
    StopAsked {
        /// A sentence for the pages.
        why: Option<Reason>,
    },
    /// The logins to the session that there are. The leases of others are over. Sent after the welcome, and
    /// when a login has ended.
    Logins {
        /// All of them.
        live: Vec<LoginId>,
    },
    /// A viewer has a lease.
    Leased {
        /// Which.
        lease: Lease,
    },
}

/// A request to a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Question {
    /// Log lines after a number, of one source or of all.
    Logs {
        /// Which source.
        source: Option<LogSource>,
        /// The number.
        after: u64,
    },
    /// The metrics of a worker.
    Metrics {
        /// Which worker.
        worker: Worker,
    },
    /// Restart a worker.
    Restart {
        /// Which worker.
        worker: Worker,
    },
    /// Start its app again.
    StartApp,
    /// Its status.
    Status,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Question::Restart`] and [`Question::StartApp`].
    Done(Result<(), Refusal>),
    /// To [`Question::Logs`].
    Logs(LogPage),
    /// To [`Question::Metrics`].
    Metrics(Vec<Metric>),
    /// To [`Question::Status`].
    Status(SessionStatus),
}

impl Message for ToHost {
    const LINK: LinkName = LinkName::Session;
}

impl Message for ToSession {
    const LINK: LinkName = LinkName::Session;

    fn descriptors(&self) -> usize {
        match self {
            Self::Granted { .. } => 2,
            Self::SignallingEnd => 1,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn name_of_a_session_is_no_other_word_of_a_command_line() {
        for legal in ["work", "a", "7up", "my_desk-2", "_", "Rtc"] {
            assert_eq!(SessionName::new(legal).expect("legal").as_str(), legal);
        }
        let long = "x".repeat(33);
        let sources = LogSource::ALL.map(LogSource::name);
        let others = ["", "7", "123", "-f", "--json", "a b", "a/b", "é", &long];
        for illegal in sources.into_iter().chain(others) {
            assert!(SessionName::new(illegal).is_err(), "{illegal:?}");
        }
    }

    #[test]
    fn first_words_are_read_whatever_build_the_other_side_is_of() {
        let form = SessionHash(u64::MAX);
        let token = TokenDigest([0; 32]);
        let (was, name) = (None, None);
        let first = ToHost::Registered {
            form,
            was,
            name,
            token,
            supervisor_pid: 1,
            owner: 1,
            age_seconds: 1,
        };
        let mut buffer = [0; 128];
        let bytes = crate::codec::encode(&first, &mut buffer).expect("room");
        let (variant, rest) = postcard::take_from_bytes::<u32>(bytes).expect("a number");
        let (found, _) = postcard::take_from_bytes::<SessionHash>(rest).expect("a hash");
        assert_eq!((variant, found), (0, form));
        let refused = ToSession::Refused { reason: Reason::truncated("no") };
        let bytes = crate::codec::encode(&refused, &mut buffer).expect("room");
        assert_eq!(bytes.first(), Some(&0));
        let granted = ToSession::Granted {
            form,
            account: AccountName::new("alice").expect("legal"),
            uid: 1,
            display: DisplayName::new("wayland-lumen").expect("legal"),
            runtime_dir: Text::truncated("/run/user/1"),
            host: Text::truncated("default"),
            beside: false,
        };
        let bytes = crate::codec::encode(&granted, &mut buffer).expect("room");
        let (variant, rest) = postcard::take_from_bytes::<u32>(bytes).expect("a number");
        let (found, _) = postcard::take_from_bytes::<SessionHash>(rest).expect("a hash");
        assert_eq!((variant, found), (1, form));
    }

    /// Everything that decides the format of the link's messages must be part of the hash, or two
    /// builds that do not understand each other would try to talk.
    #[test]
    fn hash_covers_whatever_its_sources_import() {
        let listed: Vec<&str> = env!("LUMEN_SESSION_SOURCES").split(' ').collect();
        let module = |path: &str| path.trim_end_matches(".rs").replace('/', "::");
        let modules: Vec<String> = listed.iter().map(|path| module(path)).collect();
        for path in &listed {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(path);
            let text = fs::read_to_string(source).expect("a source");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let imports = code.split("use crate::").nth(1).unwrap_or_default();
            let imports = imports.split(';').next().unwrap_or_default();
            for import in paths(imports).iter().filter(|import| import.contains("::")) {
                // A link's name is for the log; it is not part of a message.
                let known = import.starts_with("link::")
                    || modules.iter().any(|module| import.starts_with(&format!("{module}::")));
                assert!(known, "{path} imports {import}, which the hash does not cover");
            }
        }
    }

    /// The paths of a tree of imports, such as `{a::{B, c::D}, e}`.
    fn paths(tree: &str) -> Vec<String> {
        let Some((head, rest)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
        let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
        let mut depth = 0_usize;
        let parts = inner.split(|letter| {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            letter == ',' && depth == 0
        });
        let parts = parts.filter(|part| !part.trim().is_empty()).flat_map(paths);
        parts.map(|part| format!("{}{part}", head.trim())).collect()
    }

    #[test]
    fn paths_of_a_tree_of_imports_are_whole() {
        assert_eq!(paths("{a::{B, c::{D, E}}, f::G,\n}"), ["a::B", "a::c::D", "a::c::E", "f::G"]);
        assert_eq!(paths("text::Text"), ["text::Text"]);
    }
}
