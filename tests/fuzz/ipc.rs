//! Messages between processes.

#![no_main]

mod chosen;
#[path = "../../ipc/fuzz/entry.rs"]
mod entry;

static TARGET: std::sync::OnceLock<chosen::Run> = std::sync::OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: { let _ = TARGET.set(chosen::chosen(&[entry::TARGETS, lumen_ipc_runtime::decoders::DECODERS].concat())); },
    |bytes: &[u8]| {
        if let Some(run) = TARGET.get() {
            run(bytes);
        }
    }
);
