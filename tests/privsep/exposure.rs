//! How much of the kernel is open to each worker: counted from its table and from a running
//! desktop, and stated in `SECURITY.md`.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::Worker;
use lumen_ipc_runtime::policy_table::Table;
use lumen_tests::process::Process;

/// The columns of `SECURITY.md`, in which each number is the last word of its cell: `68 → 75`.
const COLUMNS: [&str; 5] =
    ["permissions", "system calls", "of these by argument", "combinations", "sockets"];

/// Permissions, calls, calls by argument, combinations let through, sockets held.
pub(crate) fn of(table: &Table, process: Process) -> Result<[usize; COLUMNS.len()]> {
    let counts = table.counts();
    let held = process.descriptors()?;
    let sockets: BTreeSet<_> =
        held.values().filter(|target| target.starts_with("socket:")).collect();
    let (calls, combinations) = (counts.calls, counts.combinations);
    Ok([counts.rules, calls, counts.by_argument, combinations, sockets.len()])
}

/// The words of a row: `68 permissions, 61 system calls, …`.
pub(crate) fn words(numbers: [usize; COLUMNS.len()]) -> String {
    let each = COLUMNS.iter().zip(numbers).map(|(column, number)| format!("{number} {column}"));
    each.collect::<Vec<_>>().join(", ")
}

/// Fails unless `document` states how many combinations are tried.
pub(crate) fn compare_tried(document: &str, table: &Table) -> Result<()> {
    let tried = table.counts().tried;
    let stated = document.contains(&format!("there are {tried}."));
    ensure!(stated, "SECURITY.md does not say that there are {tried} combinations");
    Ok(())
}

/// Fails unless `document` states these numbers of the worker.
pub(crate) fn compare(
    document: &str,
    worker: Worker,
    numbers: [usize; COLUMNS.len()],
) -> Result<()> {
    let start = format!("| `{}` | ", worker.binary());
    let mut rows = document.lines().filter_map(|line| line.strip_prefix(&start));
    let row = rows.next().with_context(|| format!("no row that begins with {start:?}"))?;
    let last = |cell: &str| cell.split_whitespace().last().and_then(|last| last.parse().ok());
    let stated: Vec<Option<usize>> = row.trim_end_matches(" |").split('|').map(last).collect();
    let expected = numbers.map(Some);
    ensure!(stated == expected, "SECURITY.md has {row:?}, but there are {}", words(numbers));
    Ok(())
}
