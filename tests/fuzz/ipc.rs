//! Messages between processes.

#![no_main]

mod chosen;
#[path = "../../ipc/fuzz/entry.rs"]
mod entry;

chosen::program!(entry::TARGETS, lumen_ipc_runtime::decoders::DECODERS);
