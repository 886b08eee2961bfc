//! The start of each program: it fuzzes one of its targets, the one that `LUMEN_FUZZ_TARGET` names.

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

/// A program with these lists of targets.
macro_rules! program {
    ($($targets:expr),+) => {
        static TARGET: std::sync::OnceLock<crate::chosen::Run> = std::sync::OnceLock::new();

        libfuzzer_sys::fuzz_target!(
            init: { let _ = TARGET.set(crate::chosen::chosen(&[$($targets),+].concat())); },
            |bytes: &[u8]| {
                if let Some(run) = TARGET.get() {
                    run(bytes);
                }
            }
        );
    };
}

pub(crate) use program;
