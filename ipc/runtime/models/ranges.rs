//! The table of guarded addresses under every interleaving that a model checker finds: a handler
//! looks for the range that a thread reads in while other threads claim and release theirs.

use loom::{
    model,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize},
    },
    thread,
};

use ranges::Range;

/// The atomics of the model checker, in place of the real ones.
mod atomic {
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
}

#[path = "../src/shm/ranges.rs"]
mod ranges;

/// The memory that is read; it is guarded by the second range of each table.
const READ: std::ops::Range<usize> = 0x5000..0x6000;
const ADDRESS: usize = 0x5123;

fn free() -> Range {
    Range::of(AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false))
}

/// What the handler finds for [`ADDRESS`]: the index of the range, and its end.
fn found(table: &[Range]) -> Option<(usize, usize)> {
    let (range, end) = ranges::holding(table, ADDRESS)?;
    let at = table.iter().position(|other| std::ptr::eq(other, range))?;
    range.tear();
    Some((at, end))
}

/// Runs `others`, which may change the first range in any way, beside a handler.
fn check(others: fn(&Range)) {
    model(move || {
        let table = Arc::new([free(), free()]);
        assert!(table[1].claim(&READ));
        let other = thread::spawn({
            let table = Arc::clone(&table);
            move || others(&table[0])
        });
        assert_eq!(found(&*table), Some((1, READ.end)), "another range is mended");
        other.join().expect("no panic");
        assert!(table[1].is_torn() && !table[0].is_torn());
        table[1].release();
        assert_eq!(found(&*table), None);
    });
}

#[test]
fn handler_takes_no_half_made_claim_for_the_range_it_looks_for() {
    check(|range| assert!(range.claim(&(0x8000..0x9000))));
}

#[test]
fn handler_takes_no_range_that_is_released_and_claimed_anew_for_its_own() {
    check(|range| {
        // First below the memory that is read, then above it: the end of one claim and the start of
        // the other would include the address.
        assert!(range.claim(&(0x2000..0x3000)));
        range.release();
        assert!(range.claim(&(0x8000..0x9000)));
    });
}

#[test]
fn handler_finds_nothing_where_nothing_is_guarded() {
    model(|| {
        let table = Arc::new([free()]);
        let other = thread::spawn({
            let table = Arc::clone(&table);
            move || {
                assert!(table[0].claim(&(0x8000..0x9000)));
                table[0].release();
            }
        });
        assert_eq!(found(&*table), None);
        other.join().expect("no panic");
    });
}

#[test]
fn range_is_claimed_by_one_of_two_alone() {
    model(|| {
        let table = Arc::new([free()]);
        let other = thread::spawn({
            let table = Arc::clone(&table);
            move || table[0].claim(&(0x8000..0x9000))
        });
        let ours = table[0].claim(&READ);
        let theirs = other.join().expect("no panic");
        assert!(ours ^ theirs);
        assert_eq!(found(&*table), ours.then_some((0, READ.end)));
    });
}
