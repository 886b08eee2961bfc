//! What the compositor brings to media.

#![no_main]

mod chosen;
#[path = "../../media-proc/fuzz/entry.rs"]
mod entry;

chosen::program!(entry::TARGETS);
