//! Any datagram, from a stranger and from an authenticated client.

#![no_main]

#[path = "../../tests/client/mod.rs"]
mod client;
#[path = "../drive.rs"]
mod drive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| drive::datagrams(data));
