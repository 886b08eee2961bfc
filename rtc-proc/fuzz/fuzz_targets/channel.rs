//! Arbitrary messages of a browser on a data channel.

#![no_main]
#[path = "../entry.rs"]
mod entry;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::channel(bytes));
