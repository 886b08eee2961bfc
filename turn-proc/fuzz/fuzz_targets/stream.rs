//! Any byte stream, cut anywhere.

#![no_main]

#[path = "../../tests/client/mod.rs"]
mod client;
#[path = "../drive.rs"]
mod drive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| drive::stream(data));
