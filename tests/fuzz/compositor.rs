//! What apps and the renderer bring to the compositor.

#![no_main]

mod chosen;
#[path = "../../compositor-proc/fuzz/entry.rs"]
mod entry;

static TARGET: std::sync::OnceLock<chosen::Run> = std::sync::OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: { let _ = TARGET.set(chosen::chosen(&[entry::TARGETS].concat())); },
    |bytes: &[u8]| {
        if let Some(run) = TARGET.get() {
            run(bytes);
        }
    }
);
