//! The last lines of every source, each source in a bounded ring of its own. Pure.
//!
//! A source fills only its own ring: a flood from the app drops the app's oldest lines and nobody
//! else's. Readers (`lumen logs`, and the thread that writes to standard error) hold up nothing:
//! for a slow reader the oldest lines are gone, and [`Printer`] says how many.

use std::collections::{BTreeMap, VecDeque};

use lumen_ipc::{
    log::{LogLine, LogSource},
    text::Text,
    visible::visible,
};

/// Most lines kept of one source.
pub const MOST_LINES: usize = 4096;
/// Most bytes kept of one source.
const MOST_BYTES: usize = 1024 * 1024;
/// Most bytes of one page: with the overhead of numbers and lengths it fits a message of the session link.
const PAGE_BYTES: usize = 48 * 1024;
/// What a line's numbers, source and length take on the wire, at most.
const LINE_OVERHEAD: usize = 26;

/// All rings.
#[derive(Debug, Default)]
pub struct Journal {
    rings: BTreeMap<LogSource, Ring>,
    last: u64,
}

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<LogLine>,
    bytes: usize,
    /// How many lines there have been, kept or not.
    written: u64,
}

impl Journal {
    /// Keeps a line; the oldest ones of its source make room.
    pub fn push(&mut self, source: LogSource, text: impl Into<String>) {
        self.last += 1;
        let ring = self.rings.entry(source).or_default();
        ring.written += 1;
        let text = Text::truncated(text);
        ring.bytes += text.as_str().len();
        let (number, sequence) = (self.last, ring.written);
        ring.lines.push_back(LogLine { number, source, sequence, text });
        while ring.lines.len() > MOST_LINES || ring.bytes > MOST_BYTES {
            let Some(oldest) = ring.lines.pop_front() else { break };
            ring.bytes -= oldest.text.as_str().len();
        }
    }

    /// Counts lines of a source that were dropped before they came here.
    pub fn skip(&mut self, source: LogSource, lines: u64) {
        self.rings.entry(source).or_default().written += lines;
    }

    /// Lines with numbers above `after`, of one source or of all, oldest first, as many as fit one
    /// page.
    #[must_use]
    pub fn page(&self, source: Option<LogSource>, after: u64) -> Vec<LogLine> {
        let asked = self.rings.iter().filter(|(of, _)| source.is_none_or(|source| source == **of));
        let mut unread: Vec<_> = asked.map(|(_, ring)| ring.after(after).peekable()).collect();
        let (mut page, mut room) = (Vec::new(), PAGE_BYTES);
        // Each ring is in order; the oldest of their next lines is the next of all.
        while let Some(next) = unread
            .iter_mut()
            .filter_map(|lines| Some((lines.peek()?.number, lines)))
            .min_by_key(|(number, _)| *number)
            .and_then(|(_, lines)| lines.next())
        {
            let size = next.text.as_str().len() + LINE_OVERHEAD;
            if room < size {
                break;
            }
            room -= size;
            page.push(next.clone());
        }
        page
    }

    /// The last lines of a source, oldest first.
    pub fn latest(&self, source: LogSource, count: usize) -> impl Iterator<Item = &str> {
        let lines = self.rings.get(&source).map(|ring| &ring.lines);
        let skipped = lines.map_or(0, |lines| lines.len().saturating_sub(count));
        lines.into_iter().flatten().skip(skipped).map(|line| line.text.as_str())
    }

    /// The number of the newest line.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }
}

impl Ring {
    fn after(&self, number: u64) -> impl Iterator<Item = &LogLine> {
        let read = self.lines.partition_point(|line| line.number <= number);
        self.lines.range(read..)
    }
}

/// Turns pages into text, each line after the name of its source with everything in it visible, and says
/// where lines are missing.
#[derive(Debug, Default)]
pub struct Printer {
    /// What comes before the name of a source, where several logs are shown.
    prefix: String,
    seen: BTreeMap<LogSource, u64>,
}

impl Printer {
    /// A printer of one log among several, that of what is called `name`.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self { prefix: format!("{} ", visible(name)), ..Self::default() }
    }

    /// The text of the next page.
    pub fn print(&mut self, page: &[LogLine]) -> String {
        let mut text = String::new();
        for line in page {
            let seen = self.seen.insert(line.source, line.sequence).unwrap_or_default();
            let source = format!("{}{}", self.prefix, line.source);
            match line.sequence.saturating_sub(seen + 1) {
                0 => {}
                1 => text.push_str(&format!("{source}: (1 line was dropped)\n")),
                missing => text.push_str(&format!("{source}: ({missing} lines were dropped)\n")),
            }
            text.push_str(&format!("{source}: {}\n", visible(line.text.as_str())));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::process::Worker;
    use proptest::prelude::*;

    use super::*;

    const MEDIA: LogSource = LogSource::Worker(Worker::Media);
    const RTC: LogSource = LogSource::Worker(Worker::Rtc);

    fn texts(page: Vec<LogLine>) -> Vec<String> {
        page.into_iter().map(|line| line.text.into_string()).collect()
    }

    /// Every page after `after`, one after the other.
    fn all_pages(journal: &Journal, mut after: u64) -> Vec<LogLine> {
        let mut lines = Vec::new();
        loop {
            let page = journal.page(None, after);
            let Some(last) = page.last() else { return lines };
            let bytes: usize = page.iter().map(|line| line.text.as_str().len()).sum();
            assert!(bytes <= PAGE_BYTES);
            after = last.number;
            lines.extend(page);
        }
    }

    #[test]
    fn page_holds_lines_after_a_number_of_one_source() {
        let mut journal = Journal::default();
        journal.push(MEDIA, "one");
        journal.push(RTC, "two");
        journal.push(MEDIA, "three");
        assert_eq!(texts(journal.page(None, 0)), ["one", "two", "three"]);
        assert_eq!(texts(journal.page(Some(MEDIA), 1)), ["three"]);
        assert_eq!(journal.latest(MEDIA, 1).collect::<Vec<_>>(), ["three"]);
    }

    #[test]
    fn flood_of_one_source_drops_no_line_of_another() {
        let mut journal = Journal::default();
        journal.push(RTC, "quiet");
        (0..3 * MOST_LINES).for_each(|number| journal.push(LogSource::App, number.to_string()));
        assert_eq!(texts(journal.page(Some(RTC), 0)), ["quiet"]);
        assert_eq!(journal.page(Some(LogSource::App), 0)[0].text.as_str(), "8192", "the newest");
    }

    #[test]
    fn printer_counts_the_lines_that_were_dropped_since_the_last_page() {
        let (mut journal, mut printer) = (Journal::default(), Printer::default());
        journal.push(RTC, "first");
        let page = journal.page(None, 0);
        assert_eq!(printer.print(&page), "rtc: first\n");
        (0..MOST_LINES + 7).for_each(|_| journal.push(RTC, "x"));
        let page = journal.page(None, page[0].number);
        assert!(printer.print(&page).starts_with("rtc: (7 lines were dropped)\nrtc: x\n"));
    }

    #[test]
    fn printer_shows_what_would_steer_a_terminal_or_pass_for_another_line() {
        let (mut journal, mut printer) = (Journal::default(), Printer::default());
        journal.push(LogSource::App, "\u{1b}]0;owned\u{7} \u{202e}txt.exe");
        journal.push(RTC, "one\nlumen: two");
        let printed = printer.print(&journal.page(None, 0));
        let expected = "app: \\u{1b}]0;owned\\u{7} \\u{202e}txt.exe\nrtc: one\\nlumen: two\n";
        assert_eq!(printed, expected);
    }

    #[test]
    fn printer_of_one_log_among_several_says_whose_it_is() {
        let (mut journal, mut printer) = (Journal::default(), Printer::of("work"));
        journal.skip(RTC, 1);
        journal.push(RTC, "x");
        let printed = printer.print(&journal.page(None, 0));
        assert_eq!(printed, "work rtc: (1 line was dropped)\nwork rtc: x\n");
    }

    #[test]
    fn printer_counts_the_lines_that_never_reached_a_ring() {
        let (mut journal, mut printer) = (Journal::default(), Printer::default());
        journal.skip(LogSource::App, 1);
        journal.push(LogSource::App, "y");
        assert_eq!(printer.print(&journal.page(None, 0)), "app: (1 line was dropped)\napp: y\n");
    }

    proptest! {
        #[test]
        fn pages_are_in_order_and_miss_exactly_what_the_printer_counts(
            written in proptest::collection::vec((0_usize..3, 0_usize..3000), 0..2000),
        ) {
            let sources = [MEDIA, RTC, LogSource::App];
            let mut journal = Journal::default();
            for (source, length) in &written {
                journal.push(sources[*source], "x".repeat(*length));
            }
            let lines = all_pages(&journal, 0);
            prop_assert!(lines.is_sorted_by(|one, other| one.number < other.number));
            for (index, source) in sources.into_iter().enumerate() {
                let own: Vec<_> = lines.iter().filter(|line| line.source == source).collect();
                let total = written.iter().filter(|(of, _)| *of == index).count();
                let bytes: usize = own.iter().map(|line| line.text.as_str().len()).sum();
                prop_assert!(own.len() <= MOST_LINES && bytes <= MOST_BYTES);
                // What is kept is the newest without a gap.
                let kept = own.iter().map(|line| line.sequence);
                let newest = (total - own.len() + 1) as u64..=total as u64;
                prop_assert!(kept.eq(newest));
            }
        }
    }
}
