//! Runs what fuzz targets are given first, and what fuzzing found to be worth keeping, as an ordinary
//! test, and then variations of these at random: fuzzing as far as it fits into every run of the tests, without
//! sanitizers, and blind to what the variations reach. The crates that have targets include this file.

use std::{
    fs,
    panic::catch_unwind,
    path::Path,
    time::{Duration, Instant},
};

/// A target: its name and what it does with an input.
type Target = (&'static str, fn(&[u8]));

/// Variations that each target runs, if they take no longer than this.
const VARIATIONS: usize = 2000;
const LONGEST: Duration = Duration::from_secs(1);
/// Longest variation in bytes: what grows at random only gets slower.
const MOST_BYTES: usize = 4096;

/// Every input in `seeds/NAME` and `corpus/NAME.hex` of `folder` through its target, and variations of them. There
/// are no inputs without a target, and no target without inputs.
pub(crate) fn run_all(folder: &str, targets: &[Target]) {
    let mut inputs = vec![Vec::new(); targets.len()];
    for (name, path) in entries(&Path::new(folder).join("seeds")) {
        let seeds = entries(&path).into_iter().map(|(_, file)| fs::read(file).expect("readable"));
        inputs[place_of(targets, &name)].extend(seeds);
    }
    for (name, path) in entries(&Path::new(folder).join("corpus")) {
        let name = name.strip_suffix(".hex").unwrap_or_else(|| panic!("{name} is not hexadecimal"));
        let lines = fs::read_to_string(&path).expect("readable");
        inputs[place_of(targets, name)].extend(lines.lines().map(bytes_of));
    }
    for (target, inputs) in targets.iter().zip(inputs) {
        assert!(!inputs.is_empty(), "{} has no seeds", target.0);
        for bytes in &inputs {
            run(*target, bytes, &format!("{bytes:02x?}"));
        }
        let (begun, mut chance) = (Instant::now(), Chance::of(target.0));
        for _ in (0..VARIATIONS).take_while(|_| begun.elapsed() < LONGEST) {
            let bytes = vary(&inputs, &mut chance);
            run(*target, &bytes, &format!("{bytes:02x?}"));
        }
    }
}

fn place_of(targets: &[Target], name: &str) -> usize {
    let place = targets.iter().position(|(target, _)| *target == name);
    place.unwrap_or_else(|| panic!("there are inputs for {name}, which is no target"))
}

/// The bytes that a line of a corpus has, two digits each.
fn bytes_of(line: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| {
        let digits = std::str::from_utf8(pair).expect("digits");
        u8::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("{digits} is not a byte"))
    };
    line.as_bytes().chunks(2).map(byte).collect()
}

fn run((name, run): Target, bytes: &[u8], what: &str) {
    let outcome = catch_unwind(|| run(bytes));
    assert!(outcome.is_ok(), "{name} fails with {what}");
}

/// One of the inputs with a few changes.
fn vary(inputs: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = chance.pick(inputs).clone();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len() + 1);
        let end = at + chance.below((bytes.len() - at).min(32) + 1);
        match chance.below(6) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let repeated = bytes[at..end].to_vec();
                bytes.splice(at..at, repeated);
            }
            2 => {
                let other = chance.pick(inputs);
                let from = chance.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
            3 => bytes.insert(at, chance.below(256) as u8),
            // A number that is the largest or the least of its kind, or a bit that is another.
            4 => bytes[at..end].fill(*chance.pick(&[0, 1, 0x7f, 0x80, 0xff])),
            _ => bytes[at..end].iter_mut().take(1).for_each(|byte| *byte ^= 1 << chance.below(8)),
        }
    }
    bytes.truncate(MOST_BYTES);
    bytes
}

/// Numbers that look random, and are the same in each run (xorshift64*).
struct Chance(u64);

impl Chance {
    /// Other numbers for each name.
    fn of(name: &str) -> Self {
        Self(name.bytes().fold(0x9e37_79b9_7f4a_7c15, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        }))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn pick<'all, T>(&mut self, all: &'all [T]) -> &'all T {
        &all[self.below(all.len())]
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
