//! Parses the command line, the environment and configuration files into legal values, before the
//! first socket, thread or child exists.
//!
//! Decides: which command is meant and the value of each option; the command line overrides the
//! environment, which overrides files, which override the default. Trusts none of them: every value becomes a type that admits
//! only legal values, and an error names where the value came from and what was expected.

mod assemble;
mod changes;
#[cfg(test)]
mod doctor_tests;
mod encoder_choice;
pub mod file;
mod gpu_choice;
mod guest_limits;
pub mod help;
pub(crate) mod nearest;
pub(crate) mod operands;
mod outside;
mod page_tls;
mod parse;
mod proxy_door;
mod report;
pub mod table;
mod udp_listen;
mod values;

use std::{ffi::OsString, fmt, net::IpAddr, path::PathBuf};

use lumen_ipc::{
    front_door::{FrontDoor, Listen},
    log::LogSource,
    message::{
        login::{AccountName, List, MOST_GROUPS},
        session::SessionName,
        transfer::ClipboardPolicy,
    },
    process::Worker,
    service::{AuthMode, Keymap, PadIdentity, ResizePolicy},
    sound::SoundKbps,
    text::Text,
    units::{Fps, FrameSize, Kbps, PadGrace, SessionId},
};

pub use changes::Changes;
pub use encoder_choice::{BadEncoderChoice, EncoderChoice};
pub use gpu_choice::{BadGpuChoice, GpuChoice};
pub use guest_limits::{GuestLimits, Limit, MemoryLimit, NoLimit, TaskLimit};
pub use outside::Outside;
pub use page_tls::{IN_CLEAR, PageTls};
pub use parse::parse;
pub use proxy_door::ProxyDoor;
use table::{Command, Key};
pub use udp_listen::{UdpListen, audience};

use crate::broker::{Lifetimes, limits::Limits};

/// A parsed command line.
#[derive(Clone, Debug, PartialEq)]
pub enum Invocation {
    /// Print what is set by files, or what is wrong with them.
    Config(Report),
    /// Report what this machine supports.
    Doctor(Box<DoctorConfig>),
    /// Print help, of one command or the overview.
    Help(Option<Command>),
    /// Print log lines.
    Logs {
        /// Which desktop.
        name: InstanceName,
        /// Of which session, if one is named.
        session: Option<SessionOperand>,
        /// Of which source; `None` for all.
        source: Option<LogSource>,
        /// Whether to continue with new lines.
        follow: bool,
    },
    /// Print metrics.
    Metrics {
        /// Which desktop.
        name: InstanceName,
        /// Of which session; `None` for all.
        session: Option<SessionOperand>,
        /// As JSON.
        json: bool,
    },
    /// Restart one worker.
    Restart {
        /// Which desktop.
        name: InstanceName,
        /// Of which session, if one is named.
        session: Option<SessionOperand>,
        /// Which worker.
        worker: Worker,
    },
    /// End sign-ins.
    Revoke {
        /// Which desktop.
        name: InstanceName,
        /// Which sign-ins.
        which: SignInOperand,
    },
    /// Start a desktop.
    Run(Box<RunConfig>),
    /// Start a host.
    Serve(Box<HostConfig>),
    /// Start a session of a host.
    Session(Box<SessionConfig>),
    /// Print the table of sessions.
    Sessions {
        /// Which desktop.
        name: InstanceName,
        /// As JSON.
        json: bool,
    },
    /// Print the table of processes.
    Status {
        /// Which desktop.
        name: InstanceName,
        /// As JSON.
        json: bool,
    },
    /// End a session.
    Stop {
        /// Which desktop.
        name: InstanceName,
        /// Which session, if one is named.
        session: Option<SessionOperand>,
    },
    /// Print the table of users and their sign-ins.
    Users {
        /// Which desktop.
        name: InstanceName,
        /// As JSON.
        json: bool,
    },
    /// Print the version.
    Version,
}

/// What `lumen config` prints.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// The answer.
    pub text: String,
    /// What is wrong; then there may be no answer.
    pub faults: Vec<UsageError>,
}

/// The configuration of `lumen run`: a host and its one session.
#[derive(Clone, Debug, PartialEq)]
pub struct RunConfig {
    /// The host's part.
    pub host: HostConfig,
    /// The session's part.
    pub session: SessionConfig,
}

/// The configuration of a host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostConfig {
    /// Distinguishes the hosts of one user.
    pub name: InstanceName,
    /// Where browsers connect.
    pub front_door: FrontDoor,
    /// Whether browsers connect by TLS.
    pub tls: PageTls,
    /// Whether that follows from the address, because nobody said it.
    pub tls_by_address: bool,
    /// How browsers authenticate.
    pub auth: AuthMode,
    /// How accounts sign in, if they do.
    pub sign_in: SignIn,
    /// A proxy that says whose each browser is, if there is one.
    pub proxy: Option<ProxyDoor>,
    /// How long logins last.
    pub lifetimes: Lifetimes,
    /// How long sessions last, and how many there may be.
    pub session_limits: Limits,
    /// The file with the token of those who may see metrics from elsewhere.
    pub metrics_token: Option<PathBuf>,
    /// The public address of this host, if it differs from its own.
    pub public_address: Option<IpAddr>,
    /// The relay; `None` for none.
    pub relay: Option<RelayConfig>,
    /// The workers' log filter.
    pub log: Text<128>,
    /// The directory of the workers' binaries, if given.
    pub workers_dir: Option<PathBuf>,
}

impl HostConfig {
    /// The same at the address of a socket that the service manager passed.
    #[must_use]
    pub fn reached_at(&self, listen: Listen) -> Self {
        let tls = match self.tls_by_address {
            true => PageTls::by_address(&listen),
            false => self.tls.clone(),
        };
        let front_door = FrontDoor { listen, ..self.front_door.clone() };
        Self { front_door, tls, ..self.clone() }
    }

    /// Whether whoever can read the network would read passwords.
    #[must_use]
    pub fn shows_passwords(&self) -> bool {
        let is_near = self.front_door.listen.tcp().is_none_or(|address| address.ip().is_loopback());
        self.auth == AuthMode::Password && self.tls == PageTls::Off && !is_near
    }
}

/// How accounts of this machine sign in.
#[derive(Clone, Debug, PartialEq)]
pub struct SignIn {
    /// The socket at which `lumen-login` is started.
    pub socket: PathBuf,
    /// The socket at which desktops of accounts that have none are started.
    pub session_socket: PathBuf,
    /// The groups whose members may; any person may if there are none.
    pub groups: List<AccountName, MOST_GROUPS>,
    /// An identity provider that says whose a browser is, if there is one.
    pub provider: Option<Provider>,
}

/// How browsers sign in by an identity provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Provider {
    /// The socket at which `lumen-oidc` is started.
    pub socket: PathBuf,
    /// What pages call it.
    pub name: Text<64>,
}

/// The configuration of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionConfig {
    /// The name of its host.
    pub host: InstanceName,
    /// Its name for people, if that is not its number.
    pub name: Option<SessionName>,
    /// What to start inside.
    pub app: AppChoice,
    /// Size of the output.
    pub size: FrameSize,
    /// Whether the size follows the viewers' windows.
    pub resize: ResizePolicy,
    /// In which directions text may be copied.
    pub clipboard: ClipboardPolicy,
    /// The most frames per second.
    pub fps: Fps,
    /// The most bits per second.
    pub bitrate: Kbps,
    /// Which graphics processor draws.
    pub gpu: GpuChoice,
    /// What encodes what it draws.
    pub encoder: EncoderChoice,
    /// How much the app and what it starts may use.
    pub limits: GuestLimits,
    /// Whether a host that had it started says whose it is, on descriptor 0.
    pub granted: bool,
    /// Whose session it is, if root names a user.
    pub user: Option<String>,
    /// Where the media socket is bound.
    pub udp_listen: UdpListen,
    /// Port of the media socket; zero for any.
    pub udp_port: u16,
    /// Which device virtual gamepads imitate; `None` for no gamepads.
    pub pad: Option<PadIdentity>,
    /// How long a game keeps the gamepad of a viewer who has gone.
    pub pad_grace: PadGrace,
    /// The most bits per second for sound; `None` for no sound.
    pub sound: Option<SoundKbps>,
    /// Whether viewers may speak, where there is sound.
    pub microphone: bool,
    /// The public address of this host, if it differs from its own.
    pub public_address: Option<IpAddr>,
    /// Whether an X server shows X apps.
    pub x11: bool,
    /// Keyboard.
    pub keymap: Keymap,
    /// The workers' log filter.
    pub log: Text<128>,
    /// The directory of the workers' binaries, if given.
    pub workers_dir: Option<PathBuf>,
}

/// The configuration of the relay.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RelayConfig {
    /// The port for UDP and TCP.
    pub port: u16,
    /// TLS, if there is a certificate.
    pub tls: Option<RelayTls>,
}

/// The TLS configuration of the relay.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RelayTls {
    /// Its port.
    pub port: u16,
    /// File with the certificate chain, in PEM.
    pub certificate: PathBuf,
    /// File with the private key, in PEM.
    pub key: PathBuf,
    /// The server name that identifies the relay on the gateway's port.
    pub name: Option<Text<253>>,
}

/// The configuration of `lumen doctor`.
#[derive(Clone, Debug, PartialEq)]
pub struct DoctorConfig {
    /// As JSON.
    pub json: bool,
    /// Where browsers would connect.
    pub front_door: FrontDoor,
    /// Whether they would by TLS.
    pub tls: PageTls,
    /// Where the media socket would be bound.
    pub udp_listen: UdpListen,
    /// The port that the media socket would use.
    pub udp_port: u16,
    /// The public address of this host, if it differs from its own.
    pub public_address: Option<IpAddr>,
    /// The relay; `None` for none.
    pub relay: Option<RelayConfig>,
    /// The directory of the workers' binaries, if given.
    pub workers_dir: Option<PathBuf>,
    /// How much the app of a session and what it starts might use.
    pub limits: GuestLimits,
    /// Which graphics processor would draw.
    pub gpu: GpuChoice,
    /// Whether that is tried, and nothing else examined.
    pub trial: bool,
    /// The file for what was found out.
    pub report: Option<PathBuf>,
}

/// A session as the command line names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SessionOperand {
    /// By its name.
    Name(SessionName),
    /// By its number.
    Number(SessionId),
}

impl fmt::Display for SessionOperand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name.as_str()),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// Sign-ins as the command line names them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SignInOperand {
    /// The one whose number begins with these digits.
    Number(SignInDigits),
    /// All to a session.
    Session(SessionOperand),
    /// All to the sessions of a user.
    User(String),
}

/// The first of the 16 hexadecimal digits of a sign-in's number: at least four, so that nobody ends a
/// sign-in by a slip.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignInDigits(String);

impl SignInDigits {
    /// Wraps digits.
    #[must_use]
    pub fn new(digits: &str) -> Option<Self> {
        let legal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        (legal && (4..=16).contains(&digits.len())).then(|| Self(digits.to_ascii_lowercase()))
    }

    /// The digits, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What to start inside the desktop.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AppChoice {
    /// A program and its arguments.
    Command(Vec<OsString>),
    /// The first demo desktop that is installed.
    Demo,
    /// A command for the shell.
    Shell(String),
}

/// The name of a desktop among several of one user: 1 to 32 letters, digits, `-` and `_`, so that
/// it can be part of a file name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InstanceName(String);

impl InstanceName {
    /// Wraps `name` if it is legal.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        ((1..=32).contains(&name.len()) && name.bytes().all(legal)).then(|| Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the default name.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0 == Key::Name.row().default
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An error in the command line or the environment, as a sentence for the user.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UsageError {
    /// A value is not legal.
    #[error("{origin}: {reason}")]
    BadValue {
        /// The option, if there is one.
        key: Option<Key>,
        /// Where the value came from, and the value.
        origin: String,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// A value is missing.
    #[error("--{option} needs a value: --{option} {placeholder}")]
    MissingValue {
        /// The option.
        option: &'static str,
        /// What its value is called.
        placeholder: &'static str,
    },
    /// A switch was given a value.
    #[error("--{0} takes no value")]
    NeedlessValue(&'static str),
    /// No command was named.
    #[error("no command; try `lumen run`, or `lumen --help`")]
    NoCommand,
    /// Two options say what to start.
    #[error("both --app and a command after `--` say what to start; give one of them")]
    TwoApps,
    /// An operand too many or too few, or an illegal one.
    #[error("{0}")]
    Operand(String),
    /// No such command.
    #[error("there is no command `{word}`{hint}; `lumen --help` lists all")]
    UnknownCommand {
        /// The word.
        word: String,
        /// The nearest known one, as a phrase.
        hint: String,
    },
    /// No such option.
    #[error("`lumen {command}` has no option {option}{hint}; `lumen {command} --help` lists all")]
    UnknownOption {
        /// The command.
        command: &'static str,
        /// The option as written.
        option: String,
        /// The nearest known one, as a phrase.
        hint: String,
    },
}

/// A message for the user that is not an error.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note(pub String);
