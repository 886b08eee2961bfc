//! `lumen doctor --gpu` without a graphics processor: what it finds is written down, and nothing of the user's.

use std::fs;

use anyhow::{Context, Result, ensure};
use lumen_tests::{rig::Rig, stage::Folder};

/// What a report is about where the processor does all.
const SUBJECTS: [&str; 10] = [
    "lumen",
    "kernel",
    "processor",
    "node",
    "pictures",
    "converting by the processor",
    "encoding by the processor",
    "video",
    "confinement",
    "forbidden calls",
];

#[test]
fn doctor_tells_what_the_processor_does_where_no_graphics_processor_is_used() -> Result<()> {
    let rig = Rig::start()?;
    let folder = Folder::new("trial", 0o777)?;
    let report = folder.path().join("found.txt");
    let path = report.to_str().context("a path of letters")?;
    let output = rig.lumen(&["doctor", "--gpu", "off", "--report", path])?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{} {said}", output.status);
    let found = fs::read_to_string(&report)?;
    let of = |subject: &str| {
        let line = found.lines().find_map(|line| line.strip_prefix(subject));
        line.map(str::trim).with_context(|| format!("{subject}: {found}"))
    };
    ensure!(of("node")? == "none: --gpu is off", "{found}");
    ensure!(of("forbidden calls")? == "none", "{found}");
    ensure!(of("confinement")?.starts_with("as in a session: "), "{found}");
    for subject in ["converting by the processor", "encoding by the processor"] {
        ensure!(of(subject)?.contains(" ms in the median, "), "{found}");
        ensure!(said.contains(subject), "{said}");
    }
    // Nothing else is told: nobody's name, no machine's, no path.
    let subjects: Vec<&str> =
        found.lines().filter_map(|line| Some(line.split_once("  ")?.0)).collect();
    ensure!(subjects == SUBJECTS, "{found}");
    let video = fs::read(report.with_extension("h264"))?;
    // A start code and a sequence parameter set: a decoder can begin there.
    ensure!(video.starts_with(&[0, 0, 0, 1, 0x67]), "{:?}", video.get(..8));
    Ok(())
}
