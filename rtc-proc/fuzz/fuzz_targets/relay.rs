//! Arbitrary datagrams from the relay's address.

#![no_main]
#[path = "../entry.rs"]
mod entry;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::relay(bytes));
