//! Runs the seeds of the fuzz targets, and inputs that once made a target fail, as ordinary tests.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod client;
#[path = "../fuzz/entry.rs"]
mod entry;
#[path = "../../tests/fuzz/seeds.rs"]
mod seeds;

use std::path::Path;

fn seeds_of(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut seeds: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "there are seeds for {target}");
    seeds
}

#[test]
fn seeds_and_corpus_make_no_target_fail() {
    seeds::run_all(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz"), entry::TARGETS);
}

#[test]
fn datagrams_seeds_pass() {
    for (name, seed) in seeds_of("datagrams") {
        eprintln!("{name}");
        entry::datagrams(&seed);
        // Every truncation and every flipped byte is tried, too: decoders break at edges.
        for at in 0..seed.len() {
            entry::datagrams(&seed[..at]);
            let mut flipped = seed.clone();
            flipped[at] ^= 0xff;
            entry::datagrams(&flipped);
        }
    }
}

#[test]
fn stream_seeds_pass() {
    for (name, seed) in seeds_of("stream") {
        eprintln!("{name}");
        for at in 0..=seed.len() {
            entry::stream(&seed[..at]);
        }
    }
}
