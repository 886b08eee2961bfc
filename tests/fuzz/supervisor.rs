//! What the supervisor reads that others may have written.

#![no_main]

mod chosen;
#[path = "../../supervisor/fuzz/entry.rs"]
mod entry;

chosen::program!(entry::TARGETS);
