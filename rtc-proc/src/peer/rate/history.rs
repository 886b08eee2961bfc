//! What was sent, joined with what the browser reports of it.
//!
//! Browsers report for each packet with a transport-wide sequence number whether and when it
//! arrived (draft-holmer-rmcat-transport-wide-cc-extensions-01). Their clock is not ours, so only
//! differences between arrivals mean anything. A report can be lost itself: a packet of which none
//! says anything has no fate.
//!
//! A packet that a report names as missing may still be on its way: another overtook it in our
//! pacer or in the network. It counts as lost when one that left [`OVERTAKING`] later has arrived.
//!
//! INVARIANT: a report costs time in proportion to the packets that it settles and to the
//! [`MOST_STATUSES`] that are read of it, whatever it says.

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

/// How much earlier a missing packet must have left than one that has arrived.
const OVERTAKING: Duration = Duration::from_millis(30);
/// Most packets remembered: some seconds of the highest rate. Older ones never count.
const MOST_PACKETS: usize = 16_384;
/// A packet is remembered for so long after it has left, unless its fate is known before.
const REMEMBERED: Duration = Duration::from_secs(10);
/// Most packets whose status is read from one report. Browsers report every tenth of a second,
/// which is a thousand packets at the highest rate.
const MOST_STATUSES: usize = 4096;
/// How many different numbers there are on the wire.
const WRAP: u64 = 1 << 16;

/// What became of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fate {
    /// When it left.
    pub sent: Instant,
    /// Its length on the wire, in bytes.
    pub bytes: u64,
    /// What happened to it.
    pub end: End,
    /// Whether it carried sound.
    pub is_sound: bool,
}

/// How a packet ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// It arrived, at this time of the browser's clock.
    Arrived(Duration),
    /// It was lost.
    Lost {
        /// Whether the packet before it was lost too.
        follows_lost: bool,
    },
}

#[derive(Clone, Copy, Debug)]
struct Packet {
    /// When it left, and with how many bytes; `None` while the pacer holds it.
    left: Option<(Instant, u64)>,
    state: State,
    is_sound: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// No report speaks of it.
    Unknown,
    /// A report names it as missing.
    Missing,
    Arrived,
    Lost,
    /// It never leaves.
    Dropped,
}

impl State {
    const fn is_settled(self) -> bool {
        matches!(self, Self::Arrived | Self::Lost | Self::Dropped)
    }
}

/// The packets whose fate is not known yet, and some more.
#[derive(Debug, Default)]
pub struct SentLog {
    packets: VecDeque<Packet>,
    /// The number of the first packet in `packets`, or of the next one. Numbers have 16 bits on the
    /// wire and do not wrap here.
    first: u64,
    has_begun: bool,
    /// Whether the packet before the first one was lost.
    lost_before: bool,
    /// Those that have left and that a report names as missing, by the time when they left.
    missing: BTreeSet<(Instant, u64)>,
}

impl SentLog {
    /// A packet with this sequence number leaves now.
    pub fn on_sent(&mut self, now: Instant, sequence: u16, bytes: u64) {
        let number = self.number(sequence);
        if let Some(packet) = self.packet(number)
            && packet.left.is_none()
        {
            packet.left = Some((now, bytes));
            if packet.state == State::Missing {
                self.missing.insert((now, number));
            }
        }
        self.forget(now.checked_sub(REMEMBERED));
    }

    /// The packet with this sequence number carries sound.
    pub fn on_sound(&mut self, sequence: u16) {
        let number = self.number(sequence);
        if let Some(packet) = self.packet(number) {
            packet.is_sound = true;
        }
    }

    /// A packet with this sequence number will not leave.
    pub fn on_dropped(&mut self, sequence: u16) {
        let number = self.number(sequence);
        if let Some(packet) = self.packet(number)
            && packet.left.is_none()
        {
            packet.state = State::Dropped;
        }
    }

    /// The number to which reported numbers are close.
    #[must_use]
    pub fn last(&self) -> u64 {
        (self.first + self.packets.len() as u64).saturating_sub(1)
    }

    /// Takes a report: numbers, and when each packet arrived. Returns the fates that it settles, in
    /// the order in which the packets left.
    pub fn on_report(
        &mut self,
        report: impl IntoIterator<Item = (u64, Option<Duration>)>,
    ) -> Vec<Fate> {
        let mut fates = Vec::new();
        let mut newest: Option<Instant> = None;
        for (number, arrived) in report.into_iter().take(MOST_STATUSES) {
            let Some(index) = self.index(number) else { continue };
            let Some(packet) = self.packets.get_mut(index) else { continue };
            let Some(arrived) = arrived else {
                if packet.state == State::Unknown {
                    packet.state = State::Missing;
                    self.missing.extend(packet.left.map(|(sent, _)| (sent, number)));
                }
                continue;
            };
            let Some((sent, bytes)) = packet.left else { continue };
            newest = newest.max(Some(sent));
            if !packet.state.is_settled() {
                packet.state = State::Arrived;
                self.missing.remove(&(sent, number));
                let (end, is_sound) = (End::Arrived(arrived), packet.is_sound);
                fates.push(Fate { sent, bytes, end, is_sound });
            }
        }
        if let Some(overtaken) = newest.and_then(|newest| newest.checked_sub(OVERTAKING)) {
            self.settle_lost(overtaken, &mut fates);
        }
        fates.sort_by_key(|fate| fate.sent);
        self.forget(None);
        fates
    }

    /// Those that left before `overtaken` and are missing are lost.
    fn settle_lost(&mut self, overtaken: Instant, fates: &mut Vec<Fate>) {
        while let Some((sent, number)) = self.missing.first().copied()
            && sent < overtaken
        {
            self.missing.pop_first();
            let Some(index) = self.index(number) else { continue };
            let before = index.checked_sub(1).and_then(|before| self.packets.get(before));
            let follows_lost = before.map_or(self.lost_before, |it| it.state == State::Lost);
            let Some(packet) = self.packets.get_mut(index) else { continue };
            packet.state = State::Lost;
            let bytes = packet.left.map_or(0, |(_, bytes)| bytes);
            let (end, is_sound) = (End::Lost { follows_lost }, packet.is_sound);
            fates.push(Fate { sent, bytes, end, is_sound });
        }
    }

    /// Forgets the oldest: those whose fate is known, those that left before `old`, and those that
    /// are too many.
    fn forget(&mut self, old: Option<Instant>) {
        while let Some(packet) = self.packets.front().copied() {
            let is_old = packet.left.is_some_and(|(sent, _)| Some(sent) < old);
            if !packet.state.is_settled() && !is_old && self.packets.len() <= MOST_PACKETS {
                return;
            }
            if let Some((sent, _)) = packet.left {
                self.missing.remove(&(sent, self.first));
            }
            self.lost_before = packet.state == State::Lost;
            self.packets.pop_front();
            self.first += 1;
        }
    }

    fn index(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    /// The packet with this number, which is ours; `None` if it is forgotten.
    fn packet(&mut self, number: u64) -> Option<&mut Packet> {
        let index = self.index(number)?;
        // Far away from what is remembered: not one of ours.
        if index >= self.packets.len() + MOST_PACKETS {
            return None;
        }
        while self.packets.len() <= index {
            self.packets.push_back(Packet { left: None, state: State::Unknown, is_sound: false });
        }
        self.packets.get_mut(index)
    }

    /// The number closest to the last one that has these lower bits.
    fn number(&mut self, sequence: u16) -> u64 {
        if !self.has_begun {
            (self.first, self.has_begun) = (WRAP + u64::from(sequence), true);
        }
        let near = self.first + self.packets.len() as u64;
        let same = (near & !(WRAP - 1)) | u64::from(sequence);
        let candidates = [same.checked_sub(WRAP), Some(same), same.checked_add(WRAP)];
        let closest = candidates.into_iter().flatten().min_by_key(|number| number.abs_diff(near));
        closest.unwrap_or(same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    /// Numbers of packets after `last`, and how each ended.
    fn told(start: Instant, fates: &[Fate]) -> Vec<(u128, End)> {
        fates.iter().map(|fate| ((fate.sent - start).as_millis(), fate.end)).collect()
    }

    #[test]
    fn fates_are_told_once_in_the_order_of_sending() {
        let start = Instant::now();
        let mut log = SentLog::default();
        for number in 0..6_u16 {
            log.on_sent(start + MS * 20 * u32::from(number), 65_534_u16.wrapping_add(number), 100);
        }
        let last = log.last();
        let seen = Some(MS * 7);
        let report = [seen, None, None, None, seen, seen].into_iter();
        let fates = log.on_report((last - 5..).zip(report));
        let here = End::Arrived(MS * 7);
        let lost = |follows_lost| End::Lost { follows_lost };
        // The one before the last but one left too shortly before the last to be lost.
        let expected = [(0, here), (20, lost(false)), (40, lost(true)), (60, lost(true))];
        assert_eq!(told(start, &fates), [&expected[..], &[(80, here), (100, here)]].concat());
        assert!(log.on_report([(last - 5, seen), (last - 1, seen)]).is_empty());
    }

    #[test]
    fn packet_of_which_no_report_speaks_is_not_lost() {
        let start = Instant::now();
        let mut log = SentLog::default();
        for number in 0..200_u16 {
            log.on_sent(start + MS * 10 * u32::from(number), number, 100);
        }
        let last = log.last();
        // The report on the first hundred was lost.
        let fates = log.on_report((last - 99..=last).map(|number| (number, Some(MS))));
        assert_eq!(fates.len(), 100);
        assert!(fates.iter().all(|fate| fate.end == End::Arrived(MS)));
    }

    #[test]
    fn packet_that_was_overtaken_is_not_lost() {
        let start = Instant::now();
        let mut log = SentLog::default();
        log.on_sent(start, 0, 100);
        log.on_sent(start + MS * 20, 2, 100);
        log.on_sent(start + MS * 25, 1, 100);
        let last = log.last();
        assert_eq!(log.on_report([(last - 1, None), (last, Some(MS))]).len(), 1);
        assert_eq!(log.on_report([(last, Some(MS)), (last - 1, Some(MS * 2))]).len(), 1);
    }

    #[test]
    fn packet_that_left_late_and_is_lost_is_told_when_later_ones_arrive() {
        let start = Instant::now();
        let mut log = SentLog::default();
        log.on_sent(start, 0, 100);
        // A repair overtakes the second in the pacer, and the browser misses it before it leaves.
        log.on_sent(start + MS * 5, 2, 100);
        let last = log.last();
        assert_eq!(
            log.on_report([(last - 2, Some(MS)), (last - 1, None), (last, Some(MS))]).len(),
            2
        );
        log.on_sent(start + MS * 10, 1, 100);
        log.on_sent(start + MS * 60, 3, 100);
        let fates = log.on_report([(last + 1, Some(MS * 2))]);
        let lost = End::Lost { follows_lost: false };
        assert_eq!(told(start, &fates), [(10, lost), (60, End::Arrived(MS * 2))]);
    }

    #[test]
    fn packet_that_is_overtaken_when_everything_else_is_settled_has_a_fate() {
        let start = Instant::now();
        let mut log = SentLog::default();
        log.on_sent(start, 0, 100);
        assert_eq!(log.on_report([(log.last(), Some(MS))]).len(), 1);
        log.on_sent(start + MS, 2, 100);
        log.on_sent(start + MS * 2, 1, 100);
        let last = log.last();
        assert_eq!(log.on_report([(last - 1, Some(MS)), (last, Some(MS))]).len(), 2);
    }

    #[test]
    fn memory_stays_small_whatever_never_leaves_or_is_never_reported() {
        let start = Instant::now();
        let mut log = SentLog::default();
        for number in 0..10_000_u32 {
            let now = start + MS * number;
            if number % 3 == 0 {
                log.on_dropped(number as u16);
            } else {
                log.on_sent(now, number as u16, 100);
            }
            if number % 100 == 0 {
                let last = log.last();
                log.on_report((last.saturating_sub(99)..=last).map(|number| (number, Some(MS))));
            }
        }
        assert!(log.packets.len() < 200, "{} packets with reports", log.packets.len());
        for number in 10_000..60_000_u32 {
            log.on_sent(start + MS * number, number as u16, 100);
        }
        assert!(log.packets.len() < 11_000, "{} packets without reports", log.packets.len());
    }

    #[test]
    fn long_report_is_read_in_part() {
        let mut log = SentLog::default();
        log.on_sent(Instant::now(), 0, 100);
        let mut read = 0;
        log.on_report((0..60_000).map(|number| (number, None)).inspect(|_| read += 1));
        assert_eq!(read, MOST_STATUSES);
    }

    proptest! {
        #[test]
        fn every_packet_has_at_most_one_fate_and_only_what_is_waited_for_is_remembered(
            sent in prop::collection::vec((0_u16..400, 0_u64..50, any::<bool>()), 1..300),
            reports in prop::collection::vec((0_u64..400, any::<bool>()), 0..300),
        ) {
            let mut now = Instant::now();
            let mut log = SentLog::default();
            log.on_sent(now, 0, 1000);
            let base = log.last();
            let mut reports = reports.chunks(10);
            let mut fates = Vec::new();
            for (sequence, millis, leaves) in sent.iter().copied() {
                now += MS * millis as u32;
                match leaves {
                    true => log.on_sent(now, sequence, u64::from(sequence)),
                    false => log.on_dropped(sequence),
                }
                let report = reports.next().into_iter().flatten();
                let report = report.map(|(number, here)| (base + number, here.then_some(MS)));
                fates.extend(log.on_report(report));
                let waits = |number: &(Instant, u64)| {
                    let packet = log.index(number.1).and_then(|index| log.packets.get(index));
                    packet.is_some_and(|packet| packet.state == State::Missing)
                };
                prop_assert!(log.missing.iter().all(waits));
            }
            let count = fates.len();
            fates.sort_by_key(|fate| fate.bytes);
            fates.dedup_by_key(|fate| fate.bytes);
            prop_assert_eq!(fates.len(), count);
        }
    }
}
