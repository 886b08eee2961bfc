//! What a row of the tables of commands and options says, and the names of both.

/// A command of `lumen`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Command {
    /// What this machine offers.
    Doctor,
    /// What the workers wrote.
    Logs,
    /// Figures of every worker.
    Metrics,
    /// Ends one worker and starts it anew.
    Restart,
    /// Starts a desktop.
    Run,
    /// Starts a host, for sessions.
    Serve,
    /// Starts a session of a host.
    Session,
    /// How every process is.
    Status,
    /// Ends a desktop.
    Stop,
}

/// An option, by what it sets.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Key {
    /// The app, as a shell command.
    App,
    /// How browsers prove who they are.
    Auth,
    /// Path of the page.
    BasePath,
    /// Bit rate.
    Bitrate,
    /// Which way the clipboard may go.
    Clipboard,
    /// Whether `logs` goes on.
    Follow,
    /// Frames per second.
    Fps,
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
    /// What is logged.
    Log,
    /// How long a login lasts unused.
    LoginIdle,
    /// How long a login lasts.
    LoginLife,
    /// Which running Lumen is meant.
    Name,
    /// What virtual gamepads say they are.
    Pad,
    /// How long a game keeps the gamepad of a viewer who has gone.
    PadGrace,
    /// This host's address as the world sees it.
    PublicAddress,
    /// Whether there is a relay.
    Relay,
    /// The relay's certificate.
    RelayCert,
    /// The certificate's key.
    RelayKey,
    /// The relay's name on the gateway's port.
    RelayName,
    /// The relay's port of UDP and TCP.
    RelayPort,
    /// The relay's port of TLS.
    RelayTlsPort,
    /// Whether the output follows the viewers' windows.
    Resize,
    /// What people call a session.
    SessionName,
    /// Size of the output.
    Size,
    /// Whose word about browsers is believed.
    TrustedProxy,
    /// Port of the media socket.
    UdpPort,
    /// Whose session.
    User,
    /// Where the workers' binaries are.
    WorkersDir,
    /// Whether an X server shows X apps.
    X11,
}

/// One command.
#[derive(Debug)]
pub struct CommandRow {
    /// Which.
    pub command: Command,
    /// The word for it.
    pub name: &'static str,
    /// What follows its name, options aside.
    pub operands: &'static str,
    /// One line on it.
    pub summary: &'static str,
    /// What else is worth knowing; empty when nothing is.
    pub details: &'static str,
    /// Command lines worth copying, each with what it does.
    pub examples: &'static [(&'static str, &'static str)],
}

/// One option.
#[derive(Debug)]
pub struct OptionRow {
    /// Which.
    pub key: Key,
    /// Its long name, without the dashes.
    pub name: &'static str,
    /// Its one-letter name.
    pub short: Option<char>,
    /// The environment variable that sets it; the command line wins.
    pub environment: &'static str,
    /// What its value is called; `None` for a switch, which takes no value.
    pub placeholder: Option<&'static str>,
    /// Its value when nobody sets it; empty for "none".
    pub default: &'static str,
    /// One sentence on it.
    pub help: &'static str,
    /// The commands that take it.
    pub commands: &'static [Command],
}
