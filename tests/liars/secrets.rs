//! Secrets in a worker's memory: whoever takes it over can read all of it.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    time::Instant,
};

use anyhow::{Context, Result};
use lumen_tests::process::Process;

use crate::{
    goal::{Goal, Row},
    scene::Scene,
};

/// Looks for every token and key of the scene in what a process has in its memory, its arguments and its
/// environment.
pub(crate) fn look_for(scene: &Scene, process: Process, whose: &str, row: &mut Row) -> Result<()> {
    let begun = Instant::now();
    let memory = memory_of(process).with_context(|| format!("the memory of {whose}"))?;
    let secrets = secrets(scene);
    for (name, secret) in &secrets {
        let found = memory.iter().any(|area| contains(area, secret.as_bytes()));
        row.expect(Goal::Secret, !found, || format!("{whose} has {name} in its memory"));
    }
    row.tried(Goal::Secret, secrets.len(), begun);
    Ok(())
}

fn secrets(scene: &Scene) -> Vec<(&'static str, String)> {
    let cookie = |cookie: &str| cookie.split_once('=').map_or("", |(_, value)| value).to_owned();
    let (own, other) = (&scene.own, &scene.other);
    vec![
        ("its session's token", own.session.token().to_owned()),
        ("the other session's token", other.session.token().to_owned()),
        ("a cookie", cookie(&own.login.cookie)),
        ("a cookie of the other session", cookie(&other.login.cookie)),
        ("a key", own.login.key.clone()),
        ("a key of the other session", other.login.key.clone()),
    ]
}

/// What is private to the process and can be written: heaps, stacks, and data; not pictures and
/// packets, which are shared.
fn memory_of(process: Process) -> Result<Vec<Vec<u8>>> {
    let folder = format!("/proc/{}", process.0);
    let mut all = vec![fs::read(format!("{folder}/cmdline"))?];
    all.extend(fs::read(format!("{folder}/environ")));
    let memory = File::open(format!("{folder}/mem"))?;
    for line in fs::read_to_string(format!("{folder}/maps"))?.lines() {
        let Some((range, rest)) = line.split_once(' ') else { continue };
        let Some((from, to)) = range.split_once('-') else { continue };
        if !rest.starts_with("rw-p") {
            continue;
        }
        let (from, to) = (u64::from_str_radix(from, 16)?, u64::from_str_radix(to, 16)?);
        let mut area = vec![0; usize::try_from(to - from)?];
        // Pages that were given back meanwhile cannot be read.
        if memory.read_exact_at(&mut area, from).is_ok() {
            all.push(area);
        }
    }
    Ok(all)
}

fn contains(area: &[u8], secret: &[u8]) -> bool {
    let Some((first, rest)) = secret.split_first() else { return false };
    let mut area = area;
    while let Some(place) = area.iter().position(|byte| byte == first) {
        area = area.get(place + 1..).unwrap_or_default();
        if area.starts_with(rest) {
            return true;
        }
    }
    false
}
