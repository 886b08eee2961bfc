//! No bytes make the decoder of `handover_to_turn` panic.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lumen_ipc_runtime::decoders::run("handover_to_turn", bytes));
