//! Runs the seeds of the fuzz targets, and inputs that once made a target fail, as ordinary tests.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod client;
#[path = "../fuzz/drive.rs"]
mod drive;

use std::path::Path;

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
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
fn datagrams_seeds_pass() {
    for (name, seed) in seeds("datagrams") {
        eprintln!("{name}");
        drive::datagrams(&seed);
        // Every truncation and every flipped byte is tried, too: decoders break at edges.
        for at in 0..seed.len() {
            drive::datagrams(&seed[..at]);
            let mut flipped = seed.clone();
            flipped[at] ^= 0xff;
            drive::datagrams(&flipped);
        }
    }
}

#[test]
fn stream_seeds_pass() {
    for (name, seed) in seeds("stream") {
        eprintln!("{name}");
        for at in 0..=seed.len() {
            drive::stream(&seed[..at]);
        }
    }
}
