//! What all processes of Lumen together use over a span of time.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use lumen_ipc::process::Worker;
use lumen_tests::{process::Process, rig::Rig};

/// Resource use over a span of time.
pub(crate) struct Usage {
    /// CPU time per second, in cores: 1.0 is one whole core.
    pub(crate) cores: f64,
    /// The share of each process, the supervisor's first, then in the order of [`Worker::ALL`].
    pub(crate) parts: Vec<(&'static str, f64)>,
    /// Wake-ups per second.
    pub(crate) wake_ups: f64,
}

fn processes(rig: &Rig) -> Result<Vec<(&'static str, Process)>> {
    let workers = rig.ready_workers()?;
    let named = Worker::ALL.map(Worker::name).into_iter().zip(workers);
    Ok([("supervisor", rig.supervisor())].into_iter().chain(named).collect())
}

/// Watches Lumen's processes for `span`.
pub(crate) fn over(rig: &Rig, span: Duration) -> Result<Usage> {
    let processes = processes(rig)?;
    let look = || -> Result<Vec<(Duration, u64)>> {
        let of = |process: Process| Ok((process.processor_time()?, process.wake_ups()?));
        processes.iter().map(|(_, process)| of(*process)).collect()
    };
    let start = Instant::now();
    let before = look()?;
    // The span to measure, not a guess at when something is done.
    thread::sleep(span);
    let after = look()?;
    let seconds = start.elapsed().as_secs_f64();
    let spent = |(before, after): (&(Duration, u64), &(Duration, u64))| {
        after.0.saturating_sub(before.0).as_secs_f64() / seconds
    };
    let parts: Vec<_> = processes
        .iter()
        .zip(before.iter().zip(&after).map(spent))
        .map(|((name, _), spent)| (*name, spent))
        .collect();
    let woken = |looks: &[(Duration, u64)]| looks.iter().map(|(_, count)| *count).sum::<u64>();
    Ok(Usage {
        cores: parts.iter().map(|(_, spent)| spent).sum(),
        parts,
        wake_ups: woken(&after).saturating_sub(woken(&before)) as f64 / seconds,
    })
}

/// Memory of all processes in megabytes: shared pages counted once, and counted in each.
pub(crate) fn memory(rig: &Rig) -> Result<(f64, f64)> {
    let (mut proportional, mut resident) = (0, 0);
    for (_, process) in processes(rig)? {
        proportional += process.proportional_memory()?;
        resident += process.resident_memory()?;
    }
    Ok((proportional as f64 / 1e6, resident as f64 / 1e6))
}

/// "compositor 12.1, media 20.3, …" in per cent of a core.
pub(crate) fn shown(parts: &[(&str, f64)]) -> String {
    let part = |(name, spent): &(&str, f64)| format!("{name} {:.1}", spent * 100.0);
    parts.iter().map(part).collect::<Vec<_>>().join(", ")
}
