//! The options of sign-ins by accounts of the machine, and of the desktops that these get.

use super::rows::{Command, HOST, Key, OptionRow};

pub(super) const LOGIN_SOCKET: OptionRow = OptionRow {
    key: Key::LoginSocket,
    name: "login-socket",
    short: None,
    environment: "LUMEN_LOGIN_SOCKET",
    placeholder: Some("PATH"),
    default: "/run/lumen/login",
    help: "The socket at which `lumen-login` is started for each attempt to sign in as an account.",
    commands: HOST,
};
pub(super) const SESSION_SOCKET: OptionRow = OptionRow {
    key: Key::SessionSocket,
    name: "session-socket",
    short: None,
    environment: "LUMEN_SESSION_SOCKET",
    placeholder: Some("PATH"),
    default: "/run/lumen/session",
    help: "The socket at which `lumen session` is started for an account that signs in and has no \
           desktop. Where nobody listens there, only desktops that were started by hand are signed in to.",
    commands: HOST,
};
pub(super) const LOGIN_GROUPS: OptionRow = OptionRow {
    key: Key::LoginGroups,
    name: "login-groups",
    short: None,
    environment: "LUMEN_LOGIN_GROUPS",
    placeholder: Some("NAME,..."),
    default: "",
    help: "The groups whose members may sign in as accounts. Without any every person may, but neither root \
           nor a user of a service.",
    commands: HOST,
};
pub(super) const LOGIN_IDLE: OptionRow = OptionRow {
    key: Key::LoginIdle,
    name: "login-idle",
    short: None,
    environment: "LUMEN_LOGIN_IDLE",
    placeholder: Some("TIME"),
    default: "24h",
    help: "How long a login lasts while no page uses it: a number with s, m, h or d.",
    commands: HOST,
};
pub(super) const LOGIN_LIFE: OptionRow = OptionRow {
    key: Key::LoginLife,
    name: "login-life",
    short: None,
    environment: "LUMEN_LOGIN_LIFE",
    placeholder: Some("TIME"),
    default: "30d",
    help: "How long a login lasts at most, even while a page uses it: a number with s, m, h or d.",
    commands: HOST,
};
pub(super) const SESSION_UNWATCHED: OptionRow = OptionRow {
    key: Key::SessionUnwatched,
    name: "session-unwatched",
    short: None,
    environment: "LUMEN_SESSION_UNWATCHED",
    placeholder: Some("TIME|none"),
    default: "none",
    help: "How long a desktop lasts that nobody watches: a number with s, m, h or d, or none, for ever. A \
           restart of the host begins anew.",
    commands: HOST,
};
pub(super) const SESSION_IDLE: OptionRow = OptionRow {
    key: Key::SessionIdle,
    name: "session-idle",
    short: None,
    environment: "LUMEN_SESSION_IDLE",
    placeholder: Some("TIME|none"),
    default: "none",
    help: "How long a desktop lasts while somebody watches it and nobody uses keyboard, pointer or gamepad: a \
           number with s, m, h or d, or none, for ever. Its pages warn a minute before, and any input keeps \
           it.",
    commands: HOST,
};
pub(super) const SESSION_IN_USE: OptionRow = OptionRow {
    key: Key::SessionInUse,
    name: "session-in-use",
    short: None,
    environment: "LUMEN_SESSION_IN_USE",
    placeholder: Some("attach|new|refuse"),
    default: "attach",
    help: "What an account gets that signs in while somebody watches its desktop: that desktop, beside them; a new \
           one, with a session bus of its own; or a refusal. A desktop that nobody watches is gone back to in any \
           case.",
    commands: HOST,
};
pub(super) const SESSIONS_PER_USER: OptionRow = OptionRow {
    key: Key::SessionsPerUser,
    name: "sessions-per-user",
    short: None,
    environment: "LUMEN_SESSIONS_PER_USER",
    placeholder: Some("N"),
    default: "8",
    help: "The most desktops of one user, 1 to 128; those that there are stay.",
    commands: HOST,
};
pub(super) const SESSIONS_TOTAL: OptionRow = OptionRow {
    key: Key::SessionsTotal,
    name: "sessions-total",
    short: None,
    environment: "LUMEN_SESSIONS_TOTAL",
    placeholder: Some("N"),
    default: "64",
    help: "The most desktops of all users, 1 to 128; those that there are stay.",
    commands: HOST,
};
pub(super) const GRANTED: OptionRow = OptionRow {
    key: Key::Granted,
    name: "granted",
    short: None,
    environment: "LUMEN_GRANTED",
    placeholder: None,
    default: "",
    help: "Whose desktop it is comes on descriptor 0, from the host that had it started for a sign-in; \
           for the service manager, which starts it so. --user, --name and --host do not apply.",
    commands: &[Command::Session],
};
