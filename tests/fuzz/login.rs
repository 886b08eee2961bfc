//! What PAM's modules say, and what the machine's files say of accounts.

#![no_main]

mod chosen;
#[path = "../../supervisor/login/fuzz/entry.rs"]
mod entry;

chosen::program!(entry::TARGETS);
