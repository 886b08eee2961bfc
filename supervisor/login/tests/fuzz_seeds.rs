//! The seeds of the fuzz targets, and what fuzzing found worth keeping.

#[path = "../fuzz/entry.rs"]
mod entry;
#[path = "../../../tests/fuzz/seeds.rs"]
mod seeds;

#[test]
fn seeds_and_corpus_make_no_target_fail() {
    seeds::run_all(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz"), entry::TARGETS);
}
