//! No bytes make the decoder of `signalling_to_rtc` panic.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lumen_ipc_runtime::decoders::run("signalling_to_rtc", bytes));
