//! The options of a proxy that says whose each browser is.

use super::rows::{HOST, Key, OptionRow};

pub(super) const PROXY_SOCKET: OptionRow = OptionRow {
    key: Key::ProxySocket,
    name: "proxy-socket",
    short: None,
    environment: "LUMEN_PROXY_SOCKET",
    placeholder: Some("PATH"),
    default: "",
    help: "A Unix socket for a proxy that has signed browsers in itself and names each one's account in the \
           header of --proxy-header: beside --listen, and with --auth password, whose rules for accounts \
           count as ever. Only the user of --proxy-user is served there.",
    commands: HOST,
};
pub(super) const PROXY_USER: OptionRow = OptionRow {
    key: Key::ProxyUser,
    name: "proxy-user",
    short: None,
    environment: "LUMEN_PROXY_USER",
    placeholder: Some("USER"),
    default: "",
    help: "The user as whom that proxy runs, such as www-data. The socket gets the group of this user.",
    commands: HOST,
};
pub(super) const PROXY_HEADER: OptionRow = OptionRow {
    key: Key::ProxyHeader,
    name: "proxy-header",
    short: None,
    environment: "LUMEN_PROXY_HEADER",
    placeholder: Some("NAME"),
    default: "X-Remote-User",
    help: "The header in which that proxy names the account. It has to remove what browsers send of it.",
    commands: HOST,
};
