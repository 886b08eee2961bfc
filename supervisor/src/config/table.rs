//! Every command and every option, once: parsing, `--help`, the manual page and the tests all
//! read these two tables.
//!
//! INVARIANT: an option that is not a row here does not exist; a row that is not in the manual
//! page fails `tests/manual.rs`.

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
    /// Bit rate.
    Bitrate,
    /// Whether `logs` goes on.
    Follow,
    /// Frames per second.
    Fps,
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
    /// Which running Lumen is meant.
    Name,
    /// What virtual gamepads say they are.
    Pad,
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
    /// Size of the output.
    Size,
    /// Port of the media socket.
    UdpPort,
    /// Whose session.
    User,
    /// Where the workers' binaries are.
    WorkersDir,
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

/// Every command, in the order `--help` lists them.
pub const COMMANDS: [CommandRow; 7] = [
    CommandRow {
        command: Command::Run,
        name: "run",
        operands: "[OPTIONS] [--app CMD | -- CMD...]",
        summary: "Start a desktop and show it to a browser.",
        details: "Starts CMD inside a new desktop and prints the address to open. Without a CMD \
                  the first of labwc, sway, weston and foot that is installed is started. The \
                  desktop ends when the app exits, on ctrl-c, and on `lumen stop`. Needs neither \
                  root, nor a GPU, nor a configuration file.",
        examples: &[
            ("lumen run", "a demo desktop on http://127.0.0.1:8080"),
            ("lumen run -- foot", "one app, full-screen"),
            ("lumen run --app \"sway\" --size 1280x720 --fps 30", "a smaller, calmer desktop"),
            ("sudo lumen run --user alice", "alice's desktop, workers under uids of their own"),
        ],
    },
    CommandRow {
        command: Command::Status,
        name: "status",
        operands: "[--json]",
        summary: "Show every process: pid, uid, state, uptime, restarts, CPU, memory, confinement.",
        details: "",
        examples: &[("lumen status --json", "the same for scripts")],
    },
    CommandRow {
        command: Command::Restart,
        name: "restart",
        operands: "WORKER",
        summary: "End one worker and start it anew; the app and the other workers go on.",
        details: "WORKER is compositor, media, rtc, gamepad, gateway or turn. Also revives a worker \
                  that failed too often.",
        examples: &[("lumen restart media", "a new encoder")],
    },
    CommandRow {
        command: Command::Logs,
        name: "logs",
        operands: "[WORKER] [-f]",
        summary: "Show what the workers logged, of one or of all.",
        details: "The last few thousand lines are kept in memory.",
        examples: &[("lumen logs rtc -f", "rtc's lines, and each new one as it comes")],
    },
    CommandRow {
        command: Command::Doctor,
        name: "doctor",
        operands: "[--json]",
        summary: "Show what this machine offers, what is missing, and what to do about it.",
        details: "Exits with 1 when something that Lumen cannot do without is missing.",
        examples: &[],
    },
    CommandRow {
        command: Command::Metrics,
        name: "metrics",
        operands: "[--json]",
        summary: "Show the figures every worker keeps.",
        details: "Histograms are shown as count, mean, median and 99th percentile, rounded up to \
                  a power of two.",
        examples: &[],
    },
    CommandRow {
        command: Command::Stop,
        name: "stop",
        operands: "",
        summary: "End the desktop: workers finish and the app is asked to end, then all is gone.",
        details: "",
        examples: &[],
    },
];

const RUN: &[Command] = &[Command::Run];
const RUN_AND_DOCTOR: &[Command] = &[Command::Run, Command::Doctor];
const TALKING: &[Command] = &[
    Command::Run,
    Command::Status,
    Command::Restart,
    Command::Logs,
    Command::Metrics,
    Command::Stop,
];

/// Every option, in the order `--help` lists them.
pub const OPTIONS: [OptionRow; 25] = [
    OptionRow {
        key: Key::App,
        name: "app",
        short: None,
        environment: "LUMEN_APP",
        placeholder: Some("CMD"),
        default: "",
        help: "Shell command to start inside the desktop; or write the program and its arguments \
               after `--`.",
        commands: RUN,
    },
    OptionRow {
        key: Key::Listen,
        name: "listen",
        short: None,
        environment: "LUMEN_LISTEN",
        placeholder: Some("ADDR:PORT"),
        default: "127.0.0.1:8080",
        help: "Where browsers connect; port 0 takes a free one.",
        commands: RUN_AND_DOCTOR,
    },
    OptionRow {
        key: Key::Size,
        name: "size",
        short: None,
        environment: "LUMEN_SIZE",
        placeholder: Some("WxH"),
        default: "1920x1080",
        help: "Size of the desktop in pixels, 16x16 to 4096x4096, both sides even.",
        commands: RUN,
    },
    OptionRow {
        key: Key::Resize,
        name: "resize",
        short: None,
        environment: "LUMEN_RESIZE",
        placeholder: Some("follow|fixed"),
        default: "follow",
        help: "Whether the desktop follows the size of the browser's window or keeps its own.",
        commands: RUN,
    },
    OptionRow {
        key: Key::Fps,
        name: "fps",
        short: None,
        environment: "LUMEN_FPS",
        placeholder: Some("N"),
        default: "60",
        help: "The most frames per second, 1 to 240; a still screen sends none.",
        commands: RUN,
    },
    OptionRow {
        key: Key::Bitrate,
        name: "bitrate",
        short: None,
        environment: "LUMEN_BITRATE",
        placeholder: Some("KBPS"),
        default: "8000",
        help: "The most kilobits per second of video, 100 to 200000.",
        commands: RUN,
    },
    OptionRow {
        key: Key::Auth,
        name: "auth",
        short: None,
        environment: "LUMEN_AUTH",
        placeholder: Some("token|none"),
        default: "token",
        help: "How browsers prove who they are: by the token in the printed address, or not at \
               all, which is allowed on a loopback address only.",
        commands: RUN,
    },
    OptionRow {
        key: Key::User,
        name: "user",
        short: None,
        environment: "LUMEN_USER",
        placeholder: Some("NAME"),
        default: "",
        help: "Whose desktop it is; for root only. Without it root starts the desktop for the \
               user who called sudo, else for an unprivileged user that exists only meanwhile.",
        commands: RUN,
    },
    OptionRow {
        key: Key::UdpPort,
        name: "udp-port",
        short: None,
        environment: "LUMEN_UDP_PORT",
        placeholder: Some("N"),
        default: "0",
        help: "UDP port of picture and input; 0 takes a free one.",
        commands: RUN_AND_DOCTOR,
    },
    OptionRow {
        key: Key::PublicAddress,
        name: "public-address",
        short: None,
        environment: "LUMEN_PUBLIC_ADDRESS",
        placeholder: Some("IP"),
        default: "",
        help: "Address under which browsers reach this host when it is not one of its own: behind \
               a NAT that forwards the ports.",
        commands: RUN_AND_DOCTOR,
    },
    OptionRow {
        key: Key::Relay,
        name: "relay",
        short: None,
        environment: "LUMEN_RELAY",
        placeholder: Some("on|off"),
        default: "on",
        help: "Whether browsers that cannot reach the UDP port may use the built-in TURN relay.",
        commands: RUN_AND_DOCTOR,
    },
    OptionRow {
        key: Key::RelayPort,
        name: "relay-port",
        short: None,
        environment: "LUMEN_RELAY_PORT",
        placeholder: Some("N"),
        default: "3478",
        help: "UDP and TCP port of the relay; a free one is taken when it is in use.",
        commands: RUN_AND_DOCTOR,
    },
    OptionRow {
        key: Key::RelayTlsPort,
        name: "relay-tls-port",
        short: None,
        environment: "LUMEN_RELAY_TLS_PORT",
        placeholder: Some("N"),
        default: "5349",
        help: "TLS port of the relay, used when there is a certificate; a free one is taken when \
               it is in use.",
        commands: RUN_AND_DOCTOR,
    },
    OptionRow {
        key: Key::RelayCert,
        name: "relay-cert",
        short: None,
        environment: "LUMEN_RELAY_CERT",
        placeholder: Some("FILE"),
        default: "",
        help: "The relay's TLS certificate with its chain, in PEM.",
        commands: RUN_AND_DOCTOR,
    },
    OptionRow {
        key: Key::RelayKey,
        name: "relay-key",
        short: None,
        environment: "LUMEN_RELAY_KEY",
        placeholder: Some("FILE"),
        default: "",
        help: "The private key of that certificate, in PEM.",
        commands: RUN_AND_DOCTOR,
    },
    OptionRow {
        key: Key::RelayName,
        name: "relay-name",
        short: None,
        environment: "LUMEN_RELAY_NAME",
        placeholder: Some("NAME"),
        default: "",
        help: "TLS connections to the port of --listen that ask for this name are the relay's: so \
               one open port is enough.",
        commands: RUN_AND_DOCTOR,
    },
    OptionRow {
        key: Key::Layout,
        name: "layout",
        short: None,
        environment: "LUMEN_LAYOUT",
        placeholder: Some("NAMES"),
        default: "",
        help: "Keyboard layout by its XKB name, such as us or de,fr.",
        commands: RUN,
    },
    OptionRow {
        key: Key::LayoutVariant,
        name: "layout-variant",
        short: None,
        environment: "LUMEN_LAYOUT_VARIANT",
        placeholder: Some("NAMES"),
        default: "",
        help: "Variant of the keyboard layout, such as nodeadkeys.",
        commands: RUN,
    },
    OptionRow {
        key: Key::LayoutOptions,
        name: "layout-options",
        short: None,
        environment: "LUMEN_LAYOUT_OPTIONS",
        placeholder: Some("NAMES"),
        default: "",
        help: "XKB options, such as compose:ralt.",
        commands: RUN,
    },
    OptionRow {
        key: Key::Pad,
        name: "pad",
        short: None,
        environment: "LUMEN_PAD",
        placeholder: Some("xbox360|xboxone|dualshock4|switchpro|off"),
        default: "xbox360",
        help: "What viewers' gamepads look like to games, or off for no gamepads.",
        commands: RUN,
    },
    OptionRow {
        key: Key::Log,
        name: "log",
        short: None,
        environment: "LUMEN_LOG",
        placeholder: Some("FILTER"),
        default: "info",
        help: "What the workers log: error, warn, info, debug or trace, or a filter such as \
               info,lumen_rtc=debug.",
        commands: RUN,
    },
    OptionRow {
        key: Key::Name,
        name: "name",
        short: None,
        environment: "LUMEN_NAME",
        placeholder: Some("NAME"),
        default: "default",
        help: "Tells several desktops of one user apart; the other commands then need it too.",
        commands: TALKING,
    },
    OptionRow {
        key: Key::WorkersDir,
        name: "workers-dir",
        short: None,
        environment: "LUMEN_WORKERS_DIR",
        placeholder: Some("DIR"),
        default: "",
        help: "Where the workers' programs are; normally beside lumen or in ../libexec/lumen.",
        commands: RUN_AND_DOCTOR,
    },
    OptionRow {
        key: Key::Follow,
        name: "follow",
        short: Some('f'),
        environment: "LUMEN_FOLLOW",
        placeholder: None,
        default: "",
        help: "Go on, showing each new line as it comes.",
        commands: &[Command::Logs],
    },
    OptionRow {
        key: Key::Json,
        name: "json",
        short: None,
        environment: "LUMEN_JSON",
        placeholder: None,
        default: "",
        help: "Print JSON.",
        commands: &[Command::Status, Command::Doctor, Command::Metrics],
    },
];

impl Command {
    /// Its row.
    #[must_use]
    pub fn row(self) -> &'static CommandRow {
        COMMANDS
            .iter()
            .find(|row| row.command == self)
            .expect("the test `commands_have_one_row_each` proves that every command has a row")
    }

    /// The options it takes, in the table's order.
    pub fn options(self) -> impl Iterator<Item = &'static OptionRow> {
        OPTIONS.iter().filter(move |row| row.commands.contains(&self))
    }
}

impl Key {
    /// Its row.
    #[must_use]
    pub fn row(self) -> &'static OptionRow {
        OPTIONS
            .iter()
            .find(|row| row.key == self)
            .expect("the test `options_have_one_row_each` proves that every key has a row")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_one_row_each() {
        use Command::{Doctor, Logs, Metrics, Restart, Run, Status, Stop};
        for command in [Doctor, Logs, Metrics, Restart, Run, Status, Stop] {
            assert_eq!(COMMANDS.iter().filter(|row| row.command == command).count(), 1);
        }
    }

    #[test]
    fn options_have_one_row_each() {
        use Key::*;
        let keys = [
            App,
            Auth,
            Bitrate,
            Follow,
            Fps,
            Json,
            Layout,
            LayoutOptions,
            LayoutVariant,
            Listen,
            Log,
            Name,
            Pad,
            PublicAddress,
            Relay,
            RelayCert,
            RelayKey,
            RelayName,
            RelayPort,
            RelayTlsPort,
            Resize,
            Size,
            UdpPort,
            User,
            WorkersDir,
        ];
        for key in keys {
            assert_eq!(OPTIONS.iter().filter(|row| row.key == key).count(), 1, "{key:?}");
        }
        assert_eq!(keys.len(), OPTIONS.len());
    }

    #[test]
    fn environment_twin_is_the_name_in_capitals() {
        for row in &OPTIONS {
            let expected = format!("LUMEN_{}", row.name.to_uppercase().replace('-', "_"));
            assert_eq!(row.environment, expected);
        }
    }

    #[test]
    fn help_is_a_sentence() {
        for row in &OPTIONS {
            assert!(row.help.ends_with('.') && !row.help.contains("  "), "{}", row.name);
        }
    }
}
