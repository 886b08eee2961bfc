//! No bytes make the decoder of `grants_to_supervisor` panic.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lumen_ipc_runtime::decoders::run("grants_to_supervisor", bytes));
