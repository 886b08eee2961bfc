//! What apps and the renderer bring to the compositor.

#![no_main]

mod chosen;
#[path = "../../compositor-proc/fuzz/entry.rs"]
mod entry;

chosen::program!(entry::TARGETS);
