//! The metrics of all processes in the text format of Prometheus (version 0.0.4).
//!
//! Names follow its conventions: they begin with `lumen_`, end with a base unit (seconds, bytes, bits per
//! second), and `_total` marks what only grows. Each worker is a label, and so is its session.
//!
//! Trusts: no worker. A name of another form is left out, and so is a metric of another kind than the
//! first of its name; the whole has at most [`MAX_BYTES`].

mod help;

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

use lumen_ipc::{
    process::ProcessId,
    service::{Histogram, HostStatus, Metric, MetricValue},
};

/// The type of the response.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The most bytes of samples: several times what all sessions have that a host can have.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Metrics by their names.
#[derive(Debug, Default)]
pub struct Exposition {
    families: BTreeMap<String, Family>,
    bytes: usize,
    /// Whether samples were left out.
    full: bool,
}

#[derive(Debug)]
struct Family {
    kind: Kind,
    help: &'static str,
    samples: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

/// A unit of Lumen's metrics, and what makes it a base unit.
#[derive(Clone, Copy, Debug)]
struct Unit {
    /// The end of Lumen's name.
    from: &'static str,
    /// The end of the name for Prometheus.
    to: &'static str,
    /// The number of decimal places by which values shrink.
    places: u32,
    /// The factor by which they grow.
    factor: u32,
}

const UNITS: [Unit; 4] = [
    Unit { from: "_microseconds", to: "_seconds", places: 6, factor: 1 },
    Unit { from: "_milliseconds", to: "_seconds", places: 3, factor: 1 },
    Unit { from: "_kbps", to: "_bits_per_second", places: 0, factor: 1000 },
    // Prometheus uses this end for a part of a histogram.
    Unit { from: "_count", to: "", places: 0, factor: 1 },
];

/// Values without a unit, or in a base unit already.
const PLAIN: Unit = Unit { from: "", to: "", places: 0, factor: 1 };

impl Unit {
    /// The name for Prometheus of a metric, without what marks a counter, and the unit of its values.
    fn of(name: &str) -> (String, Self) {
        let bare = name.strip_suffix("_total").unwrap_or(name);
        let found = UNITS.iter().find_map(|unit| Some((bare.strip_suffix(unit.from)?, *unit)));
        let (stem, unit) = found.unwrap_or((bare, PLAIN));
        (format!("lumen_{stem}{}", unit.to), unit)
    }

    /// A value in the base unit, exactly.
    fn value(self, value: i128) -> String {
        let value = value * i128::from(self.factor);
        let base = 10_i128.pow(self.places);
        let (sign, value) = (if value < 0 { "-" } else { "" }, value.abs());
        let (whole, part) = (value / base, value % base);
        match part {
            0 => format!("{sign}{whole}"),
            part => {
                let part = format!("{part:0width$}", width = self.places as usize);
                format!("{sign}{whole}.{}", part.trim_end_matches('0'))
            }
        }
    }
}

impl Exposition {
    /// Adds what the supervisor knows of all workers.
    pub fn add_status(&mut self, status: &HostStatus) {
        self.sample("lumen_sessions", Kind::Gauge, "", &status.sessions.len().to_string());
        for process in status.processes() {
            let labels = labels(process.process);
            let ready = u8::from(process.state.as_str() == "ready").to_string();
            self.sample("lumen_worker_ready", Kind::Gauge, &labels, &ready);
            let restarts = process.restarts.to_string();
            self.sample("lumen_worker_restarts_total", Kind::Counter, &labels, &restarts);
            let memory = process.memory_bytes.to_string();
            self.sample("lumen_worker_resident_bytes", Kind::Gauge, &labels, &memory);
        }
    }

    /// Adds the metrics of one worker.
    pub fn add(&mut self, process: ProcessId, metrics: &[Metric]) {
        let labels = labels(process);
        for Metric { name, value } in metrics {
            if !is_name(name.as_str()) {
                continue;
            }
            let (name, unit) = Unit::of(name.as_str());
            match value {
                MetricValue::Counter(value) => {
                    let value = unit.value((*value).into());
                    self.sample(&format!("{name}_total"), Kind::Counter, &labels, &value);
                }
                MetricValue::Gauge(value) => {
                    self.sample(&name, Kind::Gauge, &labels, &unit.value((*value).into()));
                }
                MetricValue::Histogram(values) => {
                    self.write(&name, Kind::Histogram, |text| {
                        histogram(text, (&name, &labels), unit, values);
                    });
                }
            }
        }
    }

    fn sample(&mut self, name: &str, kind: Kind, labels: &str, value: &str) {
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        self.write(name, kind, |text| text.push_str(&format!("{name}{labels} {value}\n")));
    }

    fn write(&mut self, name: &str, kind: Kind, write: impl FnOnce(&mut String)) {
        if self.bytes >= MAX_BYTES {
            self.full = true;
            return;
        }
        let family = self.families.entry(name.to_owned()).or_insert_with(|| Family {
            kind,
            help: help::of(name),
            samples: String::new(),
        });
        if family.kind == kind {
            let before = family.samples.len();
            write(&mut family.samples);
            self.bytes += family.samples.len() - before;
        }
    }

    /// The text.
    #[must_use]
    pub fn text(mut self) -> String {
        let full = u8::from(self.full).to_string();
        self.bytes = 0;
        self.sample("lumen_metrics_left_out", Kind::Gauge, "", &full);
        let mut text = String::new();
        for (name, Family { kind, help, samples }) in &self.families {
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{samples}"));
        }
        text
    }
}

/// Writes a histogram: at each bound the number of values that are at most that.
fn histogram(text: &mut String, (name, labels): (&str, &str), unit: Unit, values: &Histogram) {
    /// Bounds are the powers of four up to this one; Lumen counts by powers of two, of which the last
    /// takes everything larger.
    const MOST: usize = 38;
    let mut below = 0_u64;
    let mut counts = values.counts.iter();
    for power in 0..=MOST {
        below = below.saturating_add(counts.next().copied().unwrap_or_default());
        if power % 2 == 0 {
            let bound = unit.value(1 << power);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}");
        }
    }
    let count = counts.fold(below, |count, more| count.saturating_add(*more));
    let sum = unit.value(values.sum.into());
    let _ = write!(
        text,
        "{name}_bucket{{{labels},le=\"+Inf\"}} {count}\n{name}_sum{{{labels}}} {sum}\n\
         {name}_count{{{labels}}} {count}\n"
    );
}

/// Neither part needs escaping: a number and a word of ours.
fn labels(process: ProcessId) -> String {
    let worker = process.kind();
    match process.session() {
        Some(session) => format!("session=\"{session}\",worker=\"{worker}\""),
        None => format!("worker=\"{worker}\""),
    }
}

/// Whether a metric's name is one that our code could have given.
fn is_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.starts_with(|letter: char| letter.is_ascii_lowercase()) && name.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use lumen_ipc::{
        process::Worker,
        text::Text,
        units::{MOST_SESSIONS, SessionId},
    };
    use proptest::prelude::*;

    use super::*;

    fn rtc(session: u32) -> ProcessId {
        ProcessId::new(Some(SessionId(session)), Worker::Rtc).expect("of that scope")
    }

    fn text(metrics: &[(&str, MetricValue)]) -> String {
        let metric = |(name, value): &(&str, MetricValue)| Metric {
            name: Text::truncated(*name),
            value: value.clone(),
        };
        let metrics: Vec<Metric> = metrics.iter().map(metric).collect();
        let mut exposition = Exposition::default();
        exposition.add(rtc(1), &metrics);
        exposition.add(rtc(2), &metrics);
        exposition.text()
    }

    #[test]
    fn names_and_values_are_in_base_units() {
        let text = text(&[
            ("process_cpu_microseconds_total", MetricValue::Counter(1_500_000)),
            ("network_queue_milliseconds", MetricValue::Gauge(-20)),
            ("target_kbps", MetricValue::Gauge(8000)),
            ("peers_count", MetricValue::Gauge(3)),
            ("sent_bytes", MetricValue::Counter(7)),
            ("queue_bytes", MetricValue::Gauge(i64::MIN)),
        ]);
        for line in [
            "# TYPE lumen_process_cpu_seconds_total counter\n",
            "lumen_process_cpu_seconds_total{session=\"1\",worker=\"rtc\"} 1.5\n",
            "lumen_process_cpu_seconds_total{session=\"2\",worker=\"rtc\"} 1.5\n",
            "lumen_network_queue_seconds{session=\"1\",worker=\"rtc\"} -0.02\n",
            "lumen_target_bits_per_second{session=\"1\",worker=\"rtc\"} 8000000\n",
            "# TYPE lumen_peers gauge\n",
            "lumen_sent_bytes_total{session=\"1\",worker=\"rtc\"} 7\n",
            "lumen_queue_bytes{session=\"1\",worker=\"rtc\"} -9223372036854775808\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        assert_eq!(text.matches("# TYPE lumen_peers gauge").count(), 1);
    }

    #[test]
    fn histogram_counts_what_is_at_most_each_bound() {
        let values = Histogram { counts: vec![1, 2, 0, 3], sum: 20 };
        let text = text(&[("render_microseconds", MetricValue::Histogram(values))]);
        let of = |line: &str| format!("lumen_render_seconds{line}\n");
        let labels = "session=\"1\",worker=\"rtc\"";
        for line in [
            format!("_bucket{{{labels},le=\"0.000001\"}} 1"),
            format!("_bucket{{{labels},le=\"0.000004\"}} 3"),
            format!("_bucket{{{labels},le=\"0.000016\"}} 6"),
            format!("_bucket{{{labels},le=\"+Inf\"}} 6"),
            format!("_sum{{{labels}}} 0.00002"),
            format!("_count{{{labels}}} 6"),
        ] {
            assert!(text.contains(&of(&line)), "{line} is not in {text}");
        }
    }

    #[test]
    fn names_that_no_code_of_ours_gives_and_other_kinds_of_a_name_are_left_out() {
        let gauge = || MetricValue::Gauge(1);
        let text = text(&[
            ("a\n# HELP b", gauge()),
            ("Upper", gauge()),
            ("", gauge()),
            ("_a", gauge()),
            ("peers_count", gauge()),
            ("peers", MetricValue::Histogram(Histogram::default())),
        ]);
        assert_eq!(text.lines().filter(|line| !line.contains("lumen_")).count(), 0, "{text}");
        assert!(!text.contains("lumen_peers_bucket"), "{text}");
    }

    #[test]
    fn text_is_bounded_and_says_when_it_lacks_something() {
        let values = Histogram { counts: vec![u64::MAX; 40], sum: u64::MAX };
        let metric = |number: usize| Metric {
            name: Text::truncated(format!("made_up_{number}_bytes")),
            value: MetricValue::Histogram(values.clone()),
        };
        let metrics: Vec<Metric> = (0..100).map(metric).collect();
        let mut exposition = Exposition::default();
        for session in 0..u32::from(MOST_SESSIONS) {
            exposition.add(rtc(session), &metrics);
        }
        let text = exposition.text();
        assert!(text.len() < MAX_BYTES + 64 * 1024, "{}", text.len());
        assert!(text.contains("\nlumen_metrics_left_out 1\n"));
    }

    proptest! {
        #[test]
        fn text_of_any_metrics_is_lines_of_ours(
            metrics in prop::collection::vec((".{0,20}", any::<i64>()), 0..10)
        ) {
            let metrics: Vec<_> = metrics
                .iter()
                .map(|(name, value)| (name.as_str(), MetricValue::Gauge(*value)))
                .collect();
            for line in text(&metrics).lines() {
                let known = ["# HELP lumen_", "# TYPE lumen_", "lumen_"];
                prop_assert!(known.iter().any(|start| line.starts_with(start)), "{}", line);
            }
        }
    }
}
