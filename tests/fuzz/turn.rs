//! What anybody sends to the relay.

#![no_main]

mod chosen;
#[path = "../../turn-proc/tests/client/mod.rs"]
mod client;
#[path = "../../turn-proc/fuzz/entry.rs"]
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
