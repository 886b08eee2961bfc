//! How much anybody may ask for: rates before authentication, counts after it.
//!
//! All memory is fixed at start. Rates live in a table with a fixed number of buckets
//! ([`SourceRates`]): sources are hashed onto them with a secret key, so a flood of forged senders
//! shares buckets and allocates nothing. Counts ([`Census`]) have one entry for each counted thing,
//! and the relay bounds those.
//!
//! Trusts nothing; a forged sender can use up a source's rate, but never take an allocation.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher, Hash},
    time::{Duration, Instant},
};

use crate::moment::{Flow, Source};

/// So many a second, after a burst of so many.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// Tokens per second in the long run.
    pub per_second: u32,
    /// Tokens available at once.
    pub burst: u32,
}

/// The remaining tokens of one [`Rate`].
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Thousandths of a token, so that slow rates refill between packets in quick succession.
    millis: u64,
    filled: Instant,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn full(rate: Rate, now: Instant) -> Self {
        Self { millis: u64::from(rate.burst) * 1000, filled: now }
    }

    /// Takes one token, if there is one.
    pub fn spend(&mut self, rate: Rate, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled).as_millis();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let gained = elapsed.saturating_mul(rate.per_second.into());
        self.millis = self.millis.saturating_add(gained).min(u64::from(rate.burst) * 1000);
        // Advances by whole milliseconds only, so that the remainder is not lost for fast senders.
        self.filled += Duration::from_millis(elapsed);
        let affordable = self.millis >= 1000;
        if affordable {
            self.millis -= 1000;
        }
        affordable
    }
}

/// A rate for each source and one for all of them together.
#[derive(Debug)]
pub struct SourceRates {
    each: Rate,
    all: Rate,
    buckets: Box<[Bucket]>,
    overall: Bucket,
    hasher: RandomState,
}

/// Buckets of each table, 24 bytes apiece. A flood of forged senders reaches the common limit long
/// before honest sources have to share a bucket.
const BUCKETS: usize = 4096;

impl SourceRates {
    /// A table of full buckets.
    #[must_use]
    pub fn new(each: Rate, all: Rate, now: Instant) -> Self {
        Self {
            each,
            all,
            buckets: vec![Bucket::full(each, now); BUCKETS].into_boxed_slice(),
            overall: Bucket::full(all, now),
            hasher: RandomState::new(),
        }
    }

    /// Takes a token of `source` and of the common rate; false if either has none.
    pub fn spend(&mut self, source: Source, now: Instant) -> bool {
        let index = self.hasher.hash_one(source) as usize % BUCKETS;
        // The source's own rate comes first: a source over its rate must not use up the common one.
        self.buckets.get_mut(index).is_some_and(|bucket| bucket.spend(self.each, now))
            && self.overall.spend(self.all, now)
    }
}

/// The rates for strangers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StrangerRates {
    /// Answers to one source: STUN Binding responses and, separately, challenges.
    pub source: Rate,
    /// Answers over UDP to all sources: an upper bound on what a flood of forged senders makes the
    /// relay send.
    pub datagrams: Rate,
    /// Answers over TCP and TLS to all sources, unaffected by a flood over UDP.
    pub streams: Rate,
    /// Messages of one source whose credentials are checked, outside allocations.
    pub attempts: Rate,
}

impl Default for StrangerRates {
    fn default() -> Self {
        Self {
            source: Rate { per_second: 20, burst: 60 },
            datagrams: Rate { per_second: 1000, burst: 2000 },
            streams: Rate { per_second: 1000, burst: 2000 },
            attempts: Rate { per_second: 20, burst: 60 },
        }
    }
}

/// Guards all work for strangers.
#[derive(Debug)]
pub struct Gate {
    bindings: ByCarrier,
    challenges: ByCarrier,
    attempts: ByCarrier,
}

#[derive(Debug)]
struct ByCarrier {
    datagrams: SourceRates,
    streams: SourceRates,
}

impl ByCarrier {
    fn new(each: Rate, rates: &StrangerRates, now: Instant) -> Self {
        Self {
            datagrams: SourceRates::new(each, rates.datagrams, now),
            streams: SourceRates::new(each, rates.streams, now),
        }
    }

    fn spend(&mut self, flow: &Flow, now: Instant) -> bool {
        let rates = if flow.is_stream() { &mut self.streams } else { &mut self.datagrams };
        rates.spend(flow.source(), now)
    }
}

impl Gate {
    /// A gate with all its rates unused.
    #[must_use]
    pub fn new(rates: &StrangerRates, now: Instant) -> Self {
        Self {
            bindings: ByCarrier::new(rates.source, rates, now),
            challenges: ByCarrier::new(rates.source, rates, now),
            attempts: ByCarrier::new(rates.attempts, rates, now),
        }
    }

    /// Whether `flow` may be told its address.
    pub fn admits_binding(&mut self, flow: &Flow, now: Instant) -> bool {
        self.bindings.spend(flow, now)
    }

    /// Whether `flow` may be answered with a refusal before it is authenticated.
    pub fn admits_challenge(&mut self, flow: &Flow, now: Instant) -> bool {
        self.challenges.spend(flow, now)
    }

    /// Whether the credentials of `flow` may be checked.
    pub fn admits_attempt(&mut self, flow: &Flow, now: Instant) -> bool {
        self.attempts.spend(flow, now)
    }
}

/// Counts how many of something each key has.
#[derive(Debug)]
pub struct Census<K> {
    counts: HashMap<K, u32>,
    most: u32,
}

impl<K: Eq + Hash> Census<K> {
    /// A count of at most `most` for each key.
    #[must_use]
    pub fn new(most: u32) -> Self {
        Self { counts: HashMap::new(), most }
    }

    /// Whether `key` may have one more.
    #[must_use]
    pub fn has_room(&self, key: &K) -> bool {
        self.counts.get(key).copied().unwrap_or(0) < self.most
    }

    /// Counts one more of `key`.
    pub fn add(&mut self, key: K) {
        *self.counts.entry(key).or_default() += 1;
    }

    /// Counts one less of `key`.
    pub fn remove(&mut self, key: &K) {
        if let Some(count) = self.counts.get_mut(key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(key);
            }
        }
    }

    /// How many keys have a count above zero.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.counts.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::moment::Carrier;

    const SLOW: Rate = Rate { per_second: 2, burst: 3 };

    fn source(number: u32) -> Source {
        Source::of(std::net::Ipv4Addr::from_bits(number).into())
    }

    #[test]
    fn spend_burst_then_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::full(SLOW, start);
        assert!((0..3).all(|_| bucket.spend(SLOW, start)));
        assert!(!bucket.spend(SLOW, start + Duration::from_millis(499)));
        assert!(bucket.spend(SLOW, start + Duration::from_millis(500)));
        assert!(!bucket.spend(SLOW, start + Duration::from_millis(501)));
    }

    #[test]
    fn spend_one_source_over_its_rate_leaves_the_others_theirs() {
        let start = Instant::now();
        let all = Rate { per_second: 1, burst: 10 };
        let mut rates = SourceRates::new(SLOW, all, start);
        let admitted = (0..1000).filter(|_| rates.spend(source(1), start)).count();
        assert_eq!(admitted, 3);
        assert!(rates.spend(source(2), start));
    }

    #[test]
    fn spend_flood_of_forged_sources_meets_the_common_rate() {
        let start = Instant::now();
        let all = Rate { per_second: 100, burst: 50 };
        let mut rates = SourceRates::new(SLOW, all, start);
        let admitted = (0..100_000).filter(|number| rates.spend(source(*number), start)).count();
        assert_eq!(admitted, 50);
    }

    #[test]
    fn gate_flood_over_udp_leaves_tcp_its_rate() {
        let start = Instant::now();
        let mut gate = Gate::new(&StrangerRates::default(), start);
        let flow = |number: u32, carrier| Flow {
            carrier,
            remote: (std::net::Ipv4Addr::from_bits(number), 5000).into(),
        };
        for number in 0..100_000 {
            gate.admits_challenge(&flow(number, Carrier::Datagrams(0)), start);
        }
        assert!(!gate.admits_challenge(&flow(200_000, Carrier::Datagrams(0)), start));
        assert!(gate.admits_challenge(&flow(200_000, Carrier::Stream(1)), start));
    }

    #[test]
    fn census_counts_up_to_its_bound_and_forgets_who_has_none() {
        let mut census = Census::new(2);
        census.add('a');
        census.add('a');
        assert!(!census.has_room(&'a') && census.has_room(&'b'));
        census.remove(&'a');
        assert!(census.has_room(&'a'));
        census.remove(&'a');
        census.remove(&'a');
        assert_eq!(census.keys(), 0);
    }

    proptest! {
        #[test]
        fn spend_never_admits_more_than_burst_plus_rate(gaps in prop::collection::vec(0_u64..700, 1..200)) {
            let start = Instant::now();
            let mut bucket = Bucket::full(SLOW, start);
            let mut now = start;
            let mut admitted = 0;
            for gap in gaps {
                now += Duration::from_millis(gap);
                admitted += u128::from(bucket.spend(SLOW, now));
                let allowed = 3 + (now - start).as_millis() * 2 / 1000;
                prop_assert!(admitted <= allowed, "{} of {}", admitted, allowed);
            }
        }
    }
}
