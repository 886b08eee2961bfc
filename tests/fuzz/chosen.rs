//! Which target of a program is fuzzed: the one that `LUMEN_FUZZ_TARGET` names.

/// What a target does with an input.
pub(crate) type Run = fn(&[u8]);

/// The target that the environment names. Without one, or with a name that does not exist, the program
/// lists what there is and ends.
pub(crate) fn chosen(targets: &[(&'static str, Run)]) -> Run {
    let wanted = std::env::var("LUMEN_FUZZ_TARGET").unwrap_or_default();
    match targets.iter().find(|(name, _)| *name == wanted) {
        Some((_, run)) => *run,
        None => {
            for (name, _) in targets {
                println!("{name}");
            }
            std::process::exit(2);
        }
    }
}
