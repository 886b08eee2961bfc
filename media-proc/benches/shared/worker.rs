//! What the worker does around its encoder, and how benchmarks measure it.

use std::time::Duration;

use lumen_media::{motion::Relation, video::PictureKind};
use rustix::time::{ClockId, clock_gettime};

/// The picture kind that the worker derives from `relation`.
pub(crate) fn kind(key: bool, relation: Relation) -> PictureKind {
    match relation {
        _ if key => PictureKind::Key,
        Relation::Altered => PictureKind::Predicted,
        Relation::Fresh => PictureKind::Fresh,
        Relation::Moved(rows) => PictureKind::Moved(rows),
    }
}

/// Processor time that `work` took on this thread.
pub(crate) fn time(work: impl FnOnce()) -> Duration {
    let begun = processor_time();
    work();
    processor_time().saturating_sub(begun)
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
