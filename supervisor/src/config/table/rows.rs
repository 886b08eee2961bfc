//! The rows of the tables of commands and options, and the names of both.

/// A command of `lumen`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Command {
    /// Prints what files set, or what is wrong with them.
    Config,
    /// Reports what this machine supports.
    Doctor,
    /// Prints the log.
    Logs,
    /// Prints the metrics of every worker.
    Metrics,
    /// Restarts one worker.
    Restart,
    /// Ends sign-ins.
    Revoke,
    /// Starts a desktop.
    Run,
    /// Starts a host, for sessions.
    Serve,
    /// Starts a session of a host.
    Session,
    /// Prints all sessions.
    Sessions,
    /// Prints the state of every process.
    Status,
    /// Ends a desktop.
    Stop,
    /// Prints whose sessions there are, and who signed in.
    Users,
}

/// Commands that start a session.
pub(super) const SESSION: &[Command] = &[Command::Run, Command::Session];
/// Commands that start a host, or look whether one would start.
pub(super) const HOST_AND_DOCTOR: &[Command] = &[Command::Run, Command::Serve, Command::Doctor];
/// Commands that start a host.
pub(super) const HOST: &[Command] = &[Command::Run, Command::Serve];

/// An option, by what it sets.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Key {
    /// The app, as a shell command.
    App,
    /// Memory that the app and what it starts may use.
    AppMemory,
    /// Processes and threads that they may be.
    AppTasks,
    /// How browsers authenticate.
    Auth,
    /// Path of the page.
    BasePath,
    /// Bit rate.
    Bitrate,
    /// In which directions text may be copied.
    Clipboard,
    /// The configuration file.
    Config,
    /// What encodes.
    Encoder,
    /// Whether `logs` continues with new lines.
    Follow,
    /// Frames per second.
    Fps,
    /// Whether a host says whose session it is.
    Granted,
    /// Which graphics processor draws.
    Gpu,
    /// Which host a session belongs to.
    Host,
    /// Whether to print JSON.
    Json,
    /// Keyboard layout.
    Layout,
    /// Keyboard options.
    LayoutOptions,
    /// Keyboard variant.
    LayoutVariant,
    /// Where browsers connect.
    Listen,
    /// What the workers log.
    Log,
    /// The groups whose members may sign in as accounts.
    LoginGroups,
    /// How long an unused login lasts.
    LoginIdle,
    /// How long a login lasts at most.
    LoginLife,
    /// The socket at which accounts sign in.
    LoginSocket,
    /// The file with the token for metrics.
    MetricsTokenFile,
    /// Whether viewers may speak.
    Microphone,
    /// The name of the running desktop.
    Name,
    /// What pages call the identity provider.
    OidcName,
    /// The socket at which browsers sign in by it.
    OidcSocket,
    /// Which device virtual gamepads imitate.
    Pad,
    /// How long a game keeps the gamepad of a viewer who has gone.
    PadGrace,
    /// The header in which a proxy names an account.
    ProxyHeader,
    /// The socket of that proxy.
    ProxySocket,
    /// As whom that proxy runs.
    ProxyUser,
    /// The public address of this host.
    PublicAddress,
    /// Whether there is a relay.
    Relay,
    /// The relay's certificate.
    RelayCert,
    /// The certificate's key.
    RelayKey,
    /// The relay's name on the gateway's port.
    RelayName,
    /// The relay's port for UDP and TCP.
    RelayPort,
    /// The relay's port for TLS.
    RelayTlsPort,
    /// The file for what was found out of a graphics processor.
    Report,
    /// Whether the size of the output follows the viewers' windows.
    Resize,
    /// How long a session lasts whose viewers give no input.
    SessionIdle,
    /// What an account gets that signs in while its session is watched.
    SessionInUse,
    /// A session's name for people.
    SessionName,
    /// The socket at which desktops are started.
    SessionSocket,
    /// How long a session lasts that nobody watches.
    SessionUnwatched,
    /// Most sessions of one user.
    SessionsPerUser,
    /// Most sessions in all.
    SessionsTotal,
    /// Size of the output.
    Size,
    /// Whether apps are heard.
    Sound,
    /// Bit rate of sound.
    SoundBitrate,
    /// Whether browsers connect by TLS.
    Tls,
    /// The page's certificate.
    TlsCert,
    /// The certificate's key.
    TlsKey,
    /// Proxies whose headers are trusted.
    TrustedProxy,
    /// Address of the media socket.
    UdpListen,
    /// Port of the media socket.
    UdpPort,
    /// Whose session it is.
    User,
    /// Where the workers' binaries are.
    WorkersDir,
    /// Whether an X server shows X apps.
    X11,
}

/// One command.
#[derive(Debug)]
pub struct CommandRow {
    /// Which command.
    pub command: Command,
    /// Its name.
    pub name: &'static str,
    /// Its operands.
    pub operands: &'static str,
    /// A summary in one line.
    pub summary: &'static str,
    /// Further details; may be empty.
    pub details: &'static str,
    /// Example command lines, each with its effect.
    pub examples: &'static [(&'static str, &'static str)],
}

/// One option.
#[derive(Debug)]
pub struct OptionRow {
    /// Which option.
    pub key: Key,
    /// Its long name, without the dashes.
    pub name: &'static str,
    /// Its one-letter name.
    pub short: Option<char>,
    /// The environment variable that sets it; the command line wins.
    pub environment: &'static str,
    /// The placeholder of its value; `None` for a switch, which takes no value.
    pub placeholder: Option<&'static str>,
    /// Its default; empty for "none".
    pub default: &'static str,
    /// A sentence about it.
    pub help: &'static str,
    /// The commands that take it.
    pub commands: &'static [Command],
}

/// How a file writes the value of an option.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// An array of strings, or a string with commas.
    List,
    /// A whole number.
    Number,
    /// A whole number, or a string.
    NumberOrText,
    /// A boolean, or "on" or "off".
    OnOff,
    /// A string with an absolute path: a relative one would depend on where a command was started.
    Path,
    /// A boolean.
    Switch,
    /// A string.
    Text,
}

impl Form {
    /// What a file may say, as a noun phrase.
    #[must_use]
    pub const fn allowed(self) -> &'static str {
        match self {
            Self::List => "an array of strings, or a string with commas",
            Self::Number => "a whole number",
            Self::NumberOrText => "a whole number or a string",
            Self::OnOff => "true, false, \"on\" or \"off\"",
            Self::Path => "a string with an absolute path",
            Self::Switch => "true or false",
            Self::Text => "a string",
        }
    }
}

impl OptionRow {
    /// How a file writes its value: its placeholder decides, so that the manual, the help and the file agree.
    #[must_use]
    pub fn form(&self) -> Form {
        match self.placeholder {
            None => Form::Switch,
            Some("N" | "KBPS" | "SECONDS") => Form::Number,
            Some("DIR" | "FILE") => Form::Path,
            Some("on|off") => Form::OnOff,
            Some(many) if many.ends_with(",...") => Form::List,
            Some(some) if some.starts_with("COUNT|") || some.starts_with("SIZE|") => {
                Form::NumberOrText
            }
            Some(_) => Form::Text,
        }
    }

    /// Whether a file may set it; not, if it says what a single command is about or prints.
    #[must_use]
    pub const fn is_for_files(&self) -> bool {
        !matches!(
            self.key,
            Key::Config
                | Key::Follow
                | Key::Granted
                | Key::Host
                | Key::Json
                | Key::Name
                | Key::Report
                | Key::SessionName
        )
    }
}
