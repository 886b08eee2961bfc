//! What browsers send to rtc and to the gateway.

#![no_main]

mod chosen;
#[path = "../../rtc-proc/fuzz/entry.rs"]
mod entry;

chosen::program!(entry::TARGETS);
