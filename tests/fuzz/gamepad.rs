//! What rtc and games bring to the gamepad worker.

#![no_main]

mod chosen;
#[path = "../../gamepad-proc/fuzz/entry.rs"]
mod entry;

chosen::program!(entry::TARGETS);
