//! Metrics that a worker keeps while it works: updated without locks, copied on request.
//!
//! A name ends with its unit: `_total`, `_bytes`, `_microseconds`, `_kbps`… Handles are made once,
//! before the work begins, and kept; asking for a name twice returns the same metric.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use lumen_ipc::{
    service::{Histogram as Distribution, Metric, MetricValue},
    text::Text,
};

/// Buckets of a histogram: the last begins at 2³⁸, three days of microseconds.
const BUCKETS: usize = 40;

/// All metrics of a process.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    figures: Arc<Mutex<Vec<(&'static str, Figure)>>>,
}

#[derive(Clone, Debug)]
enum Figure {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

/// A metric that only grows.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

/// A metric that goes up and down.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicI64>);

/// A distribution over powers of two.
#[derive(Clone, Debug, Default)]
pub struct Histogram(Arc<Cells>);

#[derive(Debug)]
struct Cells {
    counts: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Default for Cells {
    fn default() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; BUCKETS], sum: AtomicU64::new(0) }
    }
}

impl Registry {
    /// The counter called `name`.
    #[must_use]
    pub fn counter(&self, name: &'static str) -> Counter {
        let figure = self.figure(name, || Figure::Counter(Counter::default()));
        // If one name is used for two kinds of metric, the second can be updated but is never
        // shown. The debug assertion in `figure` finds this in every test that runs the worker.
        if let Figure::Counter(counter) = figure { counter } else { Counter::default() }
    }

    /// The gauge called `name`.
    #[must_use]
    pub fn gauge(&self, name: &'static str) -> Gauge {
        let figure = self.figure(name, || Figure::Gauge(Gauge::default()));
        if let Figure::Gauge(gauge) = figure { gauge } else { Gauge::default() }
    }

    /// The histogram called `name`.
    #[must_use]
    pub fn histogram(&self, name: &'static str) -> Histogram {
        let figure = self.figure(name, || Figure::Histogram(Histogram::default()));
        if let Figure::Histogram(histogram) = figure { histogram } else { Histogram::default() }
    }

    /// The current value of every metric, sorted by name.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Metric> {
        let figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        let mut metrics: Vec<_> = figures
            .iter()
            .map(|(name, figure)| Metric { name: Text::truncated(*name), value: figure.value() })
            .collect();
        metrics.sort_by(|one, other| one.name.cmp(&other.name));
        metrics
    }

    fn figure(&self, name: &'static str, new: impl FnOnce() -> Figure) -> Figure {
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, figure)) = figures.iter().find(|(known, _)| *known == name) {
            let known = figure.clone();
            debug_assert_eq!(
                std::mem::discriminant(&known),
                std::mem::discriminant(&new()),
                "{name} is used for two kinds of figure"
            );
            return known;
        }
        let figure = new();
        figures.push((name, figure.clone()));
        figure
    }
}

impl Figure {
    fn value(&self) -> MetricValue {
        match self {
            Self::Counter(counter) => MetricValue::Counter(counter.value()),
            Self::Gauge(gauge) => MetricValue::Gauge(gauge.value()),
            Self::Histogram(histogram) => MetricValue::Histogram(histogram.value()),
        }
    }
}

impl Counter {
    /// Adds `amount`.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// The current value.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets a counter that the kernel keeps.
    pub(crate) fn mirror(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The current value.
    #[must_use]
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Histogram {
    /// Counts `value`.
    pub fn record(&self, value: u64) {
        if let Some(count) = self.0.counts.get(bucket(value)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.0.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// The distribution, without the empty buckets at the end.
    #[must_use]
    pub fn value(&self) -> Distribution {
        let mut counts: Vec<_> =
            self.0.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let used = counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        counts.truncate(used);
        Distribution { counts, sum: self.0.sum.load(Ordering::Relaxed) }
    }
}

/// The bucket with the smallest power of two that is at least `value`.
fn bucket(value: u64) -> usize {
    // At most 64, so the conversion is exact on every target.
    let bound = (u64::BITS - value.saturating_sub(1).leading_zeros()) as usize;
    bound.min(BUCKETS - 1)
}

/// The value below which the share `quantile` (0.0 to 1.0) of all values lies, interpolated within
/// its power of two; `None` without values.
#[must_use]
pub fn quantile(distribution: &Distribution, quantile: f64) -> Option<f64> {
    let total: u64 = distribution.counts.iter().sum();
    if total == 0 {
        return None;
    }
    let wanted = quantile.clamp(0.0, 1.0) * total as f64;
    let mut below = 0.0;
    let mut low = 0.0;
    let mut high = 1.0;
    for count in &distribution.counts {
        let count = *count as f64;
        if count > 0.0 && below + count >= wanted {
            return Some(low + (high - low) * ((wanted - below) / count));
        }
        below += count;
        low = high;
        high *= 2.0;
    }
    Some(low)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counter_asked_for_twice_is_one_figure() {
        let registry = Registry::default();
        registry.counter("frames_total").increment();
        registry.counter("frames_total").add(2);
        registry.gauge("queue_bytes").set(-7);
        let metric = |name: &str, value| Metric { name: Text::truncated(name), value };
        let expected = [
            metric("frames_total", MetricValue::Counter(3)),
            metric("queue_bytes", MetricValue::Gauge(-7)),
        ];
        assert_eq!(registry.snapshot(), expected);
    }

    #[test]
    fn bucket_bounds_are_inclusive() {
        assert_eq!([0, 1, 2, 3, 4, 5, 8, 9].map(bucket), [0, 0, 1, 2, 2, 3, 3, 4]);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantile_of_nothing_is_none() {
        assert_eq!(quantile(&Distribution::default(), 0.5), None);
    }

    proptest! {
        #[test]
        fn quantile_lies_in_the_bucket_of_its_value(
            mut values in prop::collection::vec(0_u64..1 << 30, 1..200),
            share in 0.01_f64..=1.0,
        ) {
            let histogram = Histogram::default();
            values.iter().for_each(|value| histogram.record(*value));
            let found = quantile(&histogram.value(), share).expect("there are values");
            values.sort_unstable();
            let rank = (share * values.len() as f64).ceil() as usize - 1;
            let exact = values[rank.min(values.len() - 1)];
            let bound = (1_u64 << bucket(exact)) as f64;
            prop_assert!(found <= bound, "{found} above {bound}");
            prop_assert!(found >= if bound > 1.0 { bound / 2.0 } else { 0.0 }, "{found} far below {bound}");
        }
    }
}
