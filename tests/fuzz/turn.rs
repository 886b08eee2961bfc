//! What anybody sends to the relay.

#![no_main]

mod chosen;
#[path = "../../turn-proc/tests/client/mod.rs"]
mod client;
#[path = "../../turn-proc/fuzz/entry.rs"]
mod entry;

chosen::program!(entry::TARGETS);
