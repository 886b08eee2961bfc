//! No bytes make the decoder of `session_to_session` panic.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lumen_ipc_runtime::decoders::run("session_to_session", bytes));
