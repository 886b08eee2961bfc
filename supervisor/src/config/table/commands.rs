//! The table of commands.

use super::rows::{Command, CommandRow};

/// Every command, in the order `--help` lists them.
pub const COMMANDS: [CommandRow; 13] = [
    CommandRow {
        command: Command::Run,
        name: "run",
        operands: "[OPTIONS] [--app CMD | -- CMD...]",
        summary: "Start a desktop and show it in a browser.",
        details: "Starts CMD inside a new desktop and prints the address to open. Without a CMD \
                  the first of labwc, sway, weston and foot that is installed is started. The \
                  desktop ends when CMD exits, on ctrl-c, and on `lumen stop`. Needs neither \
                  root, nor a GPU, nor a configuration file.",
        examples: &[
            ("lumen run", "a demo desktop on http://127.0.0.1:8080"),
            ("lumen run -- foot", "one app, full-screen"),
            ("lumen run --x11 -- startxfce4", "an X desktop"),
            ("lumen run --app \"sway\" --size 1280x720 --fps 30", "a smaller, calmer desktop"),
            ("sudo lumen run --user alice", "alice's desktop, workers under uids of their own"),
        ],
    },
    CommandRow {
        command: Command::Serve,
        name: "serve",
        operands: "[OPTIONS]",
        summary: "Start a host: one address at which browsers reach your sessions.",
        details: "A host serves the page, the login and the relay, and has no desktop of its own: each \
                  `lumen session` of the same user adds one. Ends on ctrl-c. Sessions outlive their \
                  host: their apps go on while it is restarted. `lumen stop` ends a session.",
        examples: &[("lumen serve", "a host on http://127.0.0.1:8080")],
    },
    CommandRow {
        command: Command::Session,
        name: "session",
        operands: "[OPTIONS] [--app CMD | -- CMD...]",
        summary: "Start a desktop that a host shows to browsers beside others.",
        details: "Starts CMD inside a new desktop as `lumen run` does, once the host of `lumen serve` \
                  has accepted it, and prints the address of this desktop. While there is no host, \
                  its apps go on, and so do pictures that do not use the relay.",
        examples: &[
            ("lumen session -- foot", "one more desktop at the host of this user"),
            ("lumen session --name work --app sway", "a session called work"),
        ],
    },
    CommandRow {
        command: Command::Status,
        name: "status",
        operands: "[--json]",
        summary: "Show every process: pid, uid, state, uptime, restarts, CPU, memory, confinement.",
        details: "First the host's workers, then those of each session, with its number, its name and \
                  its app.",
        examples: &[("lumen status --json", "the same for scripts")],
    },
    CommandRow {
        command: Command::Sessions,
        name: "sessions",
        operands: "[--json]",
        summary: "List the sessions: whose each is, since when, how its workers are, who watches.",
        details: "Root and members of the group lumen-admin see all sessions of root's host, every other user \
                  those of their own. The time is that since the present host knows the session.",
        examples: &[("lumen sessions --json", "the same for scripts")],
    },
    CommandRow {
        command: Command::Users,
        name: "users",
        operands: "[--json]",
        summary: "List the users with a session, and the sign-ins of browsers to it.",
        details: "Each sign-in has a number, which `lumen revoke` takes; how and from where its browser \
                  signed in; when that was and when it was used last; and how many of its pages are connected.",
        examples: &[],
    },
    CommandRow {
        command: Command::Revoke,
        name: "revoke",
        operands: "SIGN-IN | session SESSION | user USER",
        summary: "End sign-ins: their browsers lose the desktop at once and must sign in again.",
        details: "SIGN-IN is a number of `lumen users`, or its first digits. session ends all sign-ins to a \
                  session, user all to the sessions of a user. The desktop and its app go on.",
        examples: &[
            ("lumen revoke 3f1c", "the sign-in whose number begins with 3f1c"),
            ("lumen revoke user alice", "every sign-in of alice's"),
        ],
    },
    CommandRow {
        command: Command::Restart,
        name: "restart",
        operands: "[SESSION] WORKER",
        summary: "Restart one worker; the app and the other workers go on.",
        details: "WORKER is compositor, media, sound, rtc, gamepad, gateway or turn. SESSION is the number or \
                  the name of a session, and needed only where there are several; gateway and turn \
                  are the host's. Also restarts a worker that failed too often.",
        examples: &[
            ("lumen restart media", "a new encoder"),
            ("lumen restart work rtc", "the WebRTC of the session called work"),
        ],
    },
    CommandRow {
        command: Command::Logs,
        name: "logs",
        operands: "[SESSION] [SOURCE] [-f]",
        summary: "Show what was logged, by one source or by all.",
        details: "SOURCE is a worker, lumen, app, bus, xserver, clipboard, pipewire, wireplumber or \
                  pulse; SESSION is the number or the name of a session. Without either the host's lines are shown, then each session's. The last \
                  4096 lines of each source are kept in memory; where older ones or too many at once \
                  were dropped, a line says how many.",
        examples: &[
            ("lumen logs rtc -f", "rtc's lines, and new ones as they come"),
            ("lumen logs work", "all lines of the session called work"),
            ("lumen logs app", "what the app printed"),
        ],
    },
    CommandRow {
        command: Command::Config,
        name: "config",
        operands: "check [FILE] | show",
        summary: "Check configuration files, or show what is set and where it comes from.",
        details: "check reads FILE, or the files that Lumen would read, and names every fault with its \
                  line; it exits with 2 when there is one. show prints the value of each option that a \
                  file can set, as `lumen run` would take it, and what set it: a variable, a line of a \
                  file, or the default.",
        examples: &[
            ("lumen config check", "what is wrong with the configuration files"),
            ("lumen config show", "what is set, in the form of a configuration file"),
        ],
    },
    CommandRow {
        command: Command::Doctor,
        name: "doctor",
        operands: "[--json] | --gpu [NODE] [--report FILE]",
        summary: "Report what this machine supports, what is missing, and what to do about it.",
        details: "Exits with 1 when something is missing that Lumen needs. With --gpu it tries the graphics \
                  processor, by a media that is confined as ever, on pictures of its own: what its drivers are \
                  and offer, whether they draw right, how long they take beside the processor, and which calls \
                  they make that media may not make.",
        examples: &[
            (
                "lumen doctor --gpu",
                "what the graphics processor is worth, in about fifteen seconds",
            ),
            (
                "lumen doctor --gpu --report gpu.txt",
                "the same in a file, and two seconds of video in gpu.h264, to be sent to us",
            ),
        ],
    },
    CommandRow {
        command: Command::Metrics,
        name: "metrics",
        operands: "[SESSION] [--json]",
        summary: "Show the metrics of every worker, of one session or of all.",
        details: "Histograms are shown as count, mean, median and 99th percentile, rounded up to \
                  a power of two.",
        examples: &[],
    },
    CommandRow {
        command: Command::Stop,
        name: "stop",
        operands: "[SESSION]",
        summary: "Ask a desktop to end: first its app, then the app's remaining processes, then \
                  the workers.",
        details: "SESSION is the number or the name of a session, and needed only where there are \
                  several. Returns at once. A process that does not end in time is killed.",
        examples: &[],
    },
];
