//! No bytes make the decoder of `transfer_to_compositor` panic.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lumen_ipc_runtime::decoders::run("transfer_to_compositor", bytes));
