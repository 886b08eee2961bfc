//! Runs what fuzz targets are given first, and what fuzzing found to be worth keeping, as an ordinary
//! test: the crates that have targets include this file.

use std::{fs, panic::catch_unwind, path::Path};

/// A target: its name and what it does with an input.
type Target = (&'static str, fn(&[u8]));

/// Every file of `seeds` and `corpus` in `folder` through its target. There are no seeds without a target,
/// and no target without seeds.
pub(crate) fn run_all(folder: &str, targets: &[Target]) {
    let mut counts = vec![0; targets.len()];
    for kind in ["seeds", "corpus"] {
        for (name, path) in entries(&Path::new(folder).join(kind)) {
            let place = targets.iter().position(|(target, _)| *target == name);
            let place = place.unwrap_or_else(|| panic!("{} has no target", path.display()));
            for (name, file) in entries(&path) {
                let (target, run) = targets[place];
                let bytes = fs::read(file).expect("readable");
                let outcome = catch_unwind(|| run(&bytes));
                assert!(outcome.is_ok(), "{target} fails with {kind}/{target}/{name}");
                counts[place] += 1;
            }
        }
    }
    for ((name, _), count) in targets.iter().zip(counts) {
        assert!(count > 0, "{name} has no seeds");
    }
}

/// What is in a folder, by name; nothing if there is no such folder.
fn entries(folder: &Path) -> Vec<(String, std::path::PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let entries = entries.map(|entry| entry.expect("an entry"));
    let mut entries: Vec<_> = entries
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect();
    entries.sort();
    entries
}
