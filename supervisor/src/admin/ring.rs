//! The last lines of every worker, bounded in lines and in bytes. Pure.

use std::collections::VecDeque;

use lumen_ipc::{
    process::{ProcessId, Worker},
    service::LogLine,
    text::Text,
};

/// Most lines kept.
const MOST_LINES: usize = 4096;
/// Most bytes of one page: with the overhead of numbers and lengths it fits an RPC frame.
const PAGE_BYTES: usize = 128 * 1024;
/// What a line's number, worker and length take on the wire, at most.
const LINE_OVERHEAD: usize = 16;

/// The ring.
#[derive(Debug, Default)]
pub struct LogRing {
    lines: VecDeque<LogLine>,
    last: u64,
}

impl LogRing {
    /// Keeps a line; the oldest makes room.
    pub fn push(&mut self, process: ProcessId, text: impl Into<String>) {
        self.last += 1;
        if self.lines.len() >= MOST_LINES {
            self.lines.pop_front();
        }
        let text = Text::truncated(text);
        self.lines.push_back(LogLine { number: self.last, process, text });
    }

    /// Lines with numbers above `after`, of one worker or of all, oldest first, as many as fit one
    /// page.
    #[must_use]
    pub fn page(&self, worker: Option<Worker>, after: u64) -> Vec<LogLine> {
        let mut room = PAGE_BYTES;
        self.lines
            .iter()
            .filter(|line| line.number > after && worker.is_none_or(|of| of == line.process.kind()))
            .take_while(|line| {
                let size = line.text.as_str().len() + LINE_OVERHEAD;
                let fits = room >= size;
                room = room.saturating_sub(size);
                fits
            })
            .cloned()
            .collect()
    }
}

/// Cuts a worker's output into lines of bounded length.
#[derive(Debug, Default)]
pub struct LineSplitter {
    pending: Vec<u8>,
    /// The present line was too long; its rest is dropped.
    skipping: bool,
}

/// Longest line kept, in bytes.
const MOST_LINE_BYTES: usize = 2048;

impl LineSplitter {
    /// Takes in what was read and hands every finished line to `line`. Bytes that are no UTF-8 and
    /// control characters are replaced, so that no line can pass for two or steer a terminal.
    pub fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(String)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (head, rest) = bytes.split_at(end);
            self.extend(head);
            self.finish(&mut line);
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.extend(bytes);
    }

    /// The output is over: hands over what is left.
    pub fn finish(&mut self, line: &mut impl FnMut(String)) {
        let skipped = std::mem::take(&mut self.skipping);
        if self.pending.is_empty() {
            return;
        }
        let mut text: String = String::from_utf8_lossy(&self.pending)
            .chars()
            .map(|letter| if letter.is_control() && letter != '\t' { '\u{fffd}' } else { letter })
            .collect();
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
    use lumen_ipc::units::SessionId;
    use proptest::prelude::*;

    use super::*;

    fn process(kind: Worker) -> ProcessId {
        ProcessId::serving(SessionId::SOLE, kind)
    }

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let (mut splitter, mut lines) = (LineSplitter::default(), Vec::new());
        for chunk in chunks {
            splitter.push(chunk, |line| lines.push(line));
        }
        splitter.finish(&mut |line| lines.push(line));
        lines
    }

    #[test]
    fn splitter_joins_chunks_and_cuts_at_newlines() {
        assert_eq!(lines(&[b"on", b"e\ntw", b"o\n\nrest"]), ["one", "two", "rest"]);
    }

    #[test]
    fn splitter_replaces_what_could_steer_a_terminal() {
        assert_eq!(lines(&[b"a\x1b[2Jb\xff\n"]), ["a\u{fffd}[2Jb\u{fffd}"]);
    }

    #[test]
    fn splitter_cuts_a_long_line_and_says_so() {
        let long = vec![b'x'; 3 * MOST_LINE_BYTES];
        let cut = lines(&[&long, b"\nnext\n"]);
        assert_eq!(cut[0].trim_end_matches('…').len(), MOST_LINE_BYTES);
        assert!(cut[0].ends_with('…'));
        assert_eq!(cut[1], "next");
    }

    #[test]
    fn page_holds_lines_after_a_number_of_one_worker() {
        let mut ring = LogRing::default();
        ring.push(process(Worker::Media), "one");
        ring.push(process(Worker::Rtc), "two");
        ring.push(process(Worker::Media), "three");
        let page = |worker, after| {
            let lines = ring.page(worker, after);
            lines.into_iter().map(|line| line.text.into_string()).collect::<Vec<_>>()
        };
        assert_eq!(page(None, 0), ["one", "two", "three"]);
        assert_eq!(page(Some(Worker::Media), 1), ["three"]);
    }

    proptest! {
        #[test]
        fn pages_are_bounded_and_lose_nothing_that_is_kept(
            lengths in proptest::collection::vec(0_usize..4000, 0..300),
        ) {
            let mut ring = LogRing::default();
            for length in &lengths {
                ring.push(process(Worker::Rtc), "x".repeat(*length));
            }
            let (mut after, mut seen) = (0, 0);
            loop {
                let page = ring.page(None, after);
                let Some(last) = page.last() else { break };
                let bytes: usize = page.iter().map(|line| line.text.as_str().len()).sum();
                prop_assert!(bytes <= PAGE_BYTES);
                seen += page.len();
                after = last.number;
            }
            prop_assert_eq!(seen, lengths.len());
        }
    }
}
