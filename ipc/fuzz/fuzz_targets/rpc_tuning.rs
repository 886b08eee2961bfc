//! No bytes make the decoder of `rpc_tuning` panic.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lumen_ipc_runtime::decoders::run("rpc_tuning", bytes));
