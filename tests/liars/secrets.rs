//! Secrets in a worker's memory: whoever takes it over can read all of it.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    sync::Mutex,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use lumen_tests::process::Process;

use crate::{
    goal::{Goal, Row},
    scene::Scene,
};

/// A text that the liar is made to hold, so that the search for secrets has something to find.
pub(crate) const PLANTED: &str = "planted-0f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// Looks for every token and key of the scene in what a process has in its memory, its arguments and its
/// environment. `known` is in its memory: a search that does not find it proves nothing.
pub(crate) fn look_for(
    scene: &Scene,
    process: Process,
    (whose, known): (&str, &str),
    row: &mut Row,
) -> Result<()> {
    let begun = Instant::now();
    let memory = Memory::of(process).with_context(|| format!("the memory of {whose}"))?;
    ensure!(memory.areas_have(known), "the search does not find {known:?} in {whose}");
    let secrets = secrets(scene);
    for (name, secret) in &secrets {
        let found = memory.has(secret);
        row.expect(Goal::Secret, !found, || format!("{whose} has {name} in its memory"));
    }
    row.tried(Goal::Secret, secrets.len(), begun);
    Ok(())
}

/// What every process has on its stack: the path that it was executed by.
pub(crate) fn own_path(process: Process) -> Result<String> {
    let arguments = fs::read(format!("/proc/{}/cmdline", process.0))?;
    let path = arguments.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8(path.to_vec())?)
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

/// What a process has.
struct Memory {
    /// Its arguments and its environment.
    given: Vec<Vec<u8>>,
    /// What is private to it and can be written: heaps, stacks, and data; not pictures and packets, which
    /// are shared.
    areas: Vec<Vec<u8>>,
}

impl Memory {
    fn of(process: Process) -> Result<Self> {
        const PAGE: usize = 4096;
        let folder = format!("/proc/{}", process.0);
        let mut given = vec![fs::read(format!("{folder}/cmdline"))?];
        given.extend(fs::read(format!("{folder}/environ")));
        let (memory, mut areas) = (File::open(format!("{folder}/mem"))?, Vec::new());
        for line in fs::read_to_string(format!("{folder}/maps"))?.lines() {
            let Some((range, rest)) = line.split_once(' ') else { continue };
            let Some((from, to)) = range.split_once('-') else { continue };
            if !rest.starts_with("rw-p") {
                continue;
            }
            let (from, to) = (u64::from_str_radix(from, 16)?, u64::from_str_radix(to, 16)?);
            let mut area = vec![0; usize::try_from(to - from)?];
            if memory.read_exact_at(&mut area, from).is_err() {
                // Pages that were given back meanwhile cannot be read; the others can.
                for (page, at) in area.chunks_mut(PAGE).zip((from..to).step_by(PAGE)) {
                    let _ = memory.read_exact_at(page, at);
                }
            }
            areas.push(area);
        }
        Ok(Self { given, areas })
    }

    fn areas_have(&self, text: &str) -> bool {
        self.areas.iter().any(|area| contains(area, text.as_bytes()))
    }

    fn has(&self, text: &str) -> bool {
        self.areas_have(text) || self.given.iter().any(|area| contains(area, text.as_bytes()))
    }
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

/// The search finds what lies on a heap, on a thread's stack, and in data.
#[test]
fn memory_of_a_process_has_what_lies_on_heap_and_stack_and_in_data() -> Result<()> {
    static DATA: Mutex<[u8; 16]> = Mutex::new(*b"in data: ?-07d3f");
    let heap = ["on a heap: ", "5ec1"].concat();
    let stack = std::hint::black_box(*b"on a stack: 9a8b");
    DATA.lock().map_err(|_| anyhow::anyhow!("poisoned"))?[9] = b'!';
    let memory = Memory::of(Process(std::process::id()))?;
    // Put together only here, so that the search does not find what it looks for in itself.
    for (kind, wanted) in [("heap", "5ec1"), ("stack", "9a8b")] {
        let wanted = format!("on a {kind}: {wanted}");
        ensure!(memory.areas_have(&wanted), "{wanted:?} is not found");
    }
    ensure!(memory.areas_have(&format!("in data: {}-07d3f", '!')), "data is not found");
    ensure!(!memory.has(&format!("nowhere: {}", std::process::id())), "what is nowhere is found");
    drop(heap);
    std::hint::black_box(stack);
    Ok(())
}
