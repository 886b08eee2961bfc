//! Splits a child's output into lines and limits how fast it is read. Pure.
//!
//! A program that prints without end is throttled: its pipe is emptied at a bounded rate, so its
//! writes never block for good, yet neither we nor the program use up a processor. Reading at full
//! speed and discarding would keep both busy. Of the output read, lines beyond the rate are counted
//! instead of stored; the newest ones are kept.

use std::time::{Duration, Instant};

use crate::pace::Pace;

/// Longest line kept, in bytes.
const MOST_LINE_BYTES: usize = 2048;
/// Lines kept of one source per second, in the long run.
const LINES_PER_SECOND: u32 = 1024;
/// Lines kept of one source in a burst.
const LINES_AT_ONCE: u32 = 4096;
/// Bytes read of one source per second, in the long run.
const BYTES_PER_SECOND: u32 = 4 * 1024 * 1024;
/// Bytes read of one source in a burst.
const BYTES_AT_ONCE: u32 = 4 * 1024 * 1024;
/// How long a source is not read after it wrote more lines than are kept.
const REST: Duration = Duration::from_millis(250);

/// The lines of a block that was read.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Taken {
    /// Lines that were dropped before the kept ones.
    pub dropped: u64,
    /// Lines that were kept.
    pub lines: Vec<String>,
}

/// One child's output.
#[derive(Debug)]
pub struct Intake {
    splitter: LineSplitter,
    lines: Pace,
    bytes: Pace,
    rest_until: Instant,
}

impl Intake {
    /// For a child that has not written anything.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            splitter: LineSplitter::default(),
            lines: Pace::new(now, LINES_PER_SECOND, LINES_AT_ONCE),
            bytes: Pace::new(now, BYTES_PER_SECOND, BYTES_AT_ONCE),
            rest_until: now,
        }
    }

    /// Processes a block that was read.
    pub fn take(&mut self, now: Instant, block: &[u8]) -> Taken {
        let ends = block.iter().filter(|byte| **byte == b'\n').count();
        // The newest line is always kept, because it shows that others were dropped.
        let kept = usize::try_from(self.lines.left(now)).unwrap_or(usize::MAX).max(1);
        let surplus = ends.saturating_sub(kept);
        let mut taken = Taken { dropped: surplus as u64, lines: Vec::new() };
        let kept = if surplus == 0 { block } else { self.drop_lines(block, surplus) };
        self.splitter.push(kept, |line| taken.lines.push(line));
        self.lines.spend(now, taken.lines.len());
        self.bytes.spend(now, block.len());
        self.rest_until = now + self.bytes.wait(now);
        if surplus > 0 {
            self.rest_until = self.rest_until.max(now + REST);
        }
        taken
    }

    /// Returns the last line, if it has no newline, at the end of the output.
    pub fn finish(&mut self) -> Option<String> {
        let mut last = None;
        self.splitter.finish(&mut |line| last = Some(line));
        last
    }

    /// When to continue reading.
    #[must_use]
    pub fn rest_until(&self) -> Instant {
        self.rest_until
    }

    /// The rest of a block without its first `lines` lines, the first of which may have begun in an
    /// earlier block.
    fn drop_lines<'block>(&mut self, block: &'block [u8], lines: usize) -> &'block [u8] {
        self.splitter = LineSplitter::default();
        let ends = block.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let last = ends.map(|(at, _)| at).nth(lines - 1);
        last.and_then(|last| block.get(last + 1..)).unwrap_or_default()
    }
}

/// Cuts output into lines of bounded length.
#[derive(Debug, Default)]
struct LineSplitter {
    pending: Vec<u8>,
    /// The current line was too long; the rest of it is dropped.
    skipping: bool,
}

impl LineSplitter {
    /// Takes in what was read and hands every finished line to `line`. Bytes that are no UTF-8 are
    /// replaced; what steers a terminal is made visible where lines are printed.
    fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(String)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (head, rest) = bytes.split_at(end);
            self.extend(head);
            self.finish(&mut line);
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.extend(bytes);
    }

    /// Passes on the last, unfinished line at the end of the output.
    fn finish(&mut self, line: &mut impl FnMut(String)) {
        let skipped = std::mem::take(&mut self.skipping);
        if self.pending.is_empty() {
            return;
        }
        let mut text = String::from_utf8_lossy(&self.pending).into_owned();
        if skipped {
            text.push('…');
        }
        self.pending.clear();
        line(text);
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = MOST_LINE_BYTES.saturating_sub(self.pending.len());
        self.skipping |= bytes.len() > room;
        self.pending.extend(bytes.iter().take(room));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let (mut intake, now) = (Intake::new(Instant::now()), Instant::now());
        let mut lines: Vec<String> =
            chunks.iter().flat_map(|chunk| intake.take(now, chunk).lines).collect();
        lines.extend(intake.finish());
        lines
    }

    #[test]
    fn intake_joins_chunks_and_cuts_at_newlines() {
        assert_eq!(lines(&[b"on", b"e\ntw", b"o\n\nrest"]), ["one", "two", "rest"]);
    }

    #[test]
    fn intake_replaces_what_is_no_text() {
        assert_eq!(lines(&[b"a\xffb\xc3\n"]), ["a\u{fffd}b\u{fffd}"]);
    }

    #[test]
    fn intake_cuts_a_long_line_and_says_so() {
        let long = vec![b'x'; 3 * MOST_LINE_BYTES];
        let cut = lines(&[&long, b"\nnext\n"]);
        assert_eq!(cut[0].trim_end_matches('…').len(), MOST_LINE_BYTES);
        assert!(cut[0].ends_with('…'));
        assert_eq!(cut[1], "next");
    }

    #[test]
    fn intake_keeps_all_of_a_burst_and_then_the_newest_lines_only() {
        let now = Instant::now();
        let mut intake = Intake::new(now);
        let burst = b"y\n".repeat(LINES_AT_ONCE as usize);
        let all = intake.take(now, &burst);
        assert_eq!((all.dropped, all.lines.len()), (0, LINES_AT_ONCE as usize));
        assert_eq!(intake.rest_until(), now, "read on at once");
        let taken = intake.take(now, b"cut\nold\nnew\nbe");
        assert_eq!(taken, Taken { dropped: 2, lines: vec!["new".to_owned()] });
        assert_eq!(intake.rest_until(), now + REST);
        assert_eq!(intake.take(now + REST, b"gun\n").lines, ["begun"]);
    }

    #[test]
    fn intake_without_line_ends_is_held_back_by_its_bytes() {
        let start = Instant::now();
        let (mut intake, mut now, mut read) = (Intake::new(start), start, 0_u64);
        let block = vec![0; 64 * 1024];
        while now < start + Duration::from_secs(10) {
            assert_eq!(intake.take(now, &block), Taken::default());
            read += block.len() as u64;
            now = now.max(intake.rest_until()) + Duration::from_micros(1);
        }
        assert!(read <= 12 * u64::from(BYTES_PER_SECOND), "{read}");
    }

    #[test]
    fn source_that_prints_without_end_makes_few_lines_and_loses_no_count() {
        let start = Instant::now();
        let (mut intake, mut now) = (Intake::new(start), start);
        let (mut written, mut kept, mut dropped) = (0, 0, 0);
        let block = b"y\n".repeat(32 * 1024);
        while now < start + Duration::from_secs(10) {
            let taken = intake.take(now, &block);
            written += 32 * 1024;
            (kept, dropped) = (kept + taken.lines.len() as u64, dropped + taken.dropped);
            now = now.max(intake.rest_until()) + Duration::from_micros(1);
        }
        assert_eq!(kept + dropped, written);
        assert!(kept <= u64::from(LINES_AT_ONCE + 11 * LINES_PER_SECOND), "{kept}");
    }

    proptest! {
        #[test]
        fn no_line_is_lost_uncounted_however_output_is_cut(
            lengths in proptest::collection::vec(1_usize..40, 0..9000),
            cuts in proptest::collection::vec(1_usize..40_000, 1..20),
        ) {
            let text: String =
                lengths.iter().map(|length| format!("{}\n", "x".repeat(*length))).collect();
            let now = Instant::now();
            let (mut intake, mut rest) = (Intake::new(now), text.as_bytes());
            let (mut seen, mut cuts) = (0, cuts.iter().cycle());
            while let Some(length) = cuts.next().filter(|_| !rest.is_empty()) {
                let (block, later) = rest.split_at((*length).min(rest.len()));
                let taken = intake.take(now, block);
                seen += taken.dropped + taken.lines.len() as u64;
                rest = later;
            }
            prop_assert_eq!(seen, lengths.len() as u64);
        }
    }
}
