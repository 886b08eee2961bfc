//! No bytes make the decoder of `frames_to_compositor` panic.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lumen_ipc_runtime::decoders::run("frames_to_compositor", bytes));
