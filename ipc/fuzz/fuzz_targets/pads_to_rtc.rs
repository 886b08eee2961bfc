//! No bytes make the decoder of `pads_to_rtc` panic.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lumen_ipc_runtime::decoders::run("pads_to_rtc", bytes));
