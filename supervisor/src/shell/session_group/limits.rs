//! Limits of what a session's guests use together.
//!
//! Memory (`memory.max`) and as much of swap again (`memory.swap.max`): beyond that the kernel ends the
//! largest of the guests. It does not end them all (`memory.oom.group`), because most of a desktop has
//! nothing to do with the program that took too much. Processes and threads (`pids.max`): beyond that none
//! can be started. And processor time, if somebody else wants it, is shared evenly among workers, guests
//! and whatever is beside the session, however many guests there are.
//!
//! Workers are in another group and have limits of their own, so no guest's greed ends one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    place::refused,
    tree::{NoLimits, Tree},
};
use crate::{
    config::GuestLimits,
    control_group::{each, least, total_memory},
};

/// The controllers by which the kernel counts memory, tasks and processor time.
const MEMORY: &str = "memory";
const TASKS: &str = "pids";
const PROCESSOR: &str = "cpu";

/// Limits what is in a part of the group `session`. What can be limited is, where something cannot be, too.
pub(super) fn limit(
    limits: &GuestLimits,
    tree: &mut Tree,
    session: &Path,
    part: &Path,
) -> Result<(), NoLimits> {
    let wanted: Vec<&str> = [
        limits.memory.most.is_some().then_some(MEMORY),
        limits.tasks.most.is_some().then_some(TASKS),
    ]
    .into_iter()
    .flatten()
    .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let all = [wanted.as_slice(), &[PROCESSOR]].concat();
    let offered = tree.offered(&all).map_err(refused(tree.own()))?;
    tree.hand_down(&offered)?;
    put(&session.join("cgroup.subtree_control"), &each('+', &offered))?;
    if let Some(most) = limits.memory.most.filter(|_| offered.contains(&MEMORY)) {
        let most = most.bytes(whole(tree.own())?).to_string();
        put(&part.join("memory.max"), &most)?;
        let swap = part.join("memory.swap.max");
        // Where the kernel does not count it, there is no such file.
        if swap.exists() {
            put(&swap, &most)?;
        }
    }
    if let Some(most) = limits.tasks.most.filter(|_| offered.contains(&TASKS)) {
        put(&part.join("pids.max"), &most.count().to_string())?;
    }
    match wanted.into_iter().find(|name| !offered.contains(name)) {
        Some(what) => Err(NoLimits::NotCounted { what, group: tree.own().to_owned() }),
        None => Ok(()),
    }
}

/// How much memory there is for what is in a group: the machine's, or less where a group above has a limit.
fn whole(group: &Path) -> Result<u64, NoLimits> {
    const MACHINE: &str = "/proc/meminfo";
    let unreadable = || io::Error::other("it does not tell the machine's memory");
    let machine = fs::read_to_string(MACHINE)
        .and_then(|text| total_memory(&text).ok_or_else(unreadable))
        .map_err(refused(Path::new(MACHINE)))?;
    let limits = group.ancestors().map(|group| fs::read_to_string(group.join("memory.max")));
    // The root has none, nor has what lies above it.
    Ok(least(machine, limits.filter_map(Result::ok)))
}

fn put(file: &PathBuf, value: &str) -> Result<(), NoLimits> {
    Ok(fs::write(file, value).map_err(refused(file))?)
}
