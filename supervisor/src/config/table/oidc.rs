//! The options of an identity provider by which browsers sign in.

use super::rows::{HOST, Key, OptionRow};

pub(super) const OIDC_SOCKET: OptionRow = OptionRow {
    key: Key::OidcSocket,
    name: "oidc-socket",
    short: None,
    environment: "LUMEN_OIDC_SOCKET",
    placeholder: Some("PATH"),
    default: "",
    help: "The socket at which `lumen-oidc` is started for each browser that signs in by an identity provider, with \
           OpenID Connect: /run/lumen/oidc where lumen-oidc.socket is enabled. With --auth password, whose rules for \
           accounts count as ever.",
    commands: HOST,
};
pub(super) const OIDC_NAME: OptionRow = OptionRow {
    key: Key::OidcName,
    name: "oidc-name",
    short: None,
    environment: "LUMEN_OIDC_NAME",
    placeholder: Some("TEXT"),
    default: "your organisation",
    help: "What pages call that provider: the button says \"Sign in with\" and this, at most 64 bytes.",
    commands: HOST,
};
