//! The options of the relay for browsers that cannot reach the port of pictures.

use super::rows::{HOST_AND_DOCTOR, Key, OptionRow};

pub(super) const RELAY: OptionRow = OptionRow {
    key: Key::Relay,
    name: "relay",
    short: None,
    environment: "LUMEN_RELAY",
    placeholder: Some("on|off"),
    default: "on",
    help: "Whether browsers that cannot reach the UDP port may use the built-in TURN relay.",
    commands: HOST_AND_DOCTOR,
};

pub(super) const RELAY_PORT: OptionRow = OptionRow {
    key: Key::RelayPort,
    name: "relay-port",
    short: None,
    environment: "LUMEN_RELAY_PORT",
    placeholder: Some("N"),
    default: "3478",
    help: "UDP and TCP port of the relay; a free one is taken when it is in use.",
    commands: HOST_AND_DOCTOR,
};

pub(super) const RELAY_TLS_PORT: OptionRow = OptionRow {
    key: Key::RelayTlsPort,
    name: "relay-tls-port",
    short: None,
    environment: "LUMEN_RELAY_TLS_PORT",
    placeholder: Some("N"),
    default: "5349",
    help: "TLS port of the relay, used when there is a certificate; a free one is taken when \
           it is in use.",
    commands: HOST_AND_DOCTOR,
};

pub(super) const RELAY_CERT: OptionRow = OptionRow {
    key: Key::RelayCert,
    name: "relay-cert",
    short: None,
    environment: "LUMEN_RELAY_CERT",
    placeholder: Some("FILE"),
    default: "",
    help: "The relay's TLS certificate with its chain, in PEM.",
    commands: HOST_AND_DOCTOR,
};

pub(super) const RELAY_KEY: OptionRow = OptionRow {
    key: Key::RelayKey,
    name: "relay-key",
    short: None,
    environment: "LUMEN_RELAY_KEY",
    placeholder: Some("FILE"),
    default: "",
    help: "The private key of that certificate, in PEM.",
    commands: HOST_AND_DOCTOR,
};

pub(super) const RELAY_NAME: OptionRow = OptionRow {
    key: Key::RelayName,
    name: "relay-name",
    short: None,
    environment: "LUMEN_RELAY_NAME",
    placeholder: Some("NAME"),
    default: "",
    help: "TLS connections to the port of --listen that ask for this name go to the relay, so \
           that one open port is enough.",
    commands: HOST_AND_DOCTOR,
};
