//! `lumen metrics`: the metrics of every worker.

use lumen_ipc::{
    process::ExitCode,
    service::{Histogram, MetricValue},
};
use tarpc::context;

use super::{
    client::{self, AdminError},
    output,
    sessions::Sessions,
};
use crate::config::{InstanceName, SessionOperand};

pub(super) fn run(
    name: &InstanceName,
    session: Option<&SessionOperand>,
    json: bool,
) -> Result<ExitCode, AdminError> {
    let (sessions, metrics) = client::with(name, async |admin| {
        let sessions = Sessions::of(&admin).await?;
        let meant = match session {
            Some(_) => Some(sessions.meant(session, "lumen metrics SESSION")?.id),
            None => None,
        };
        let metrics = admin.metrics(context::current(), meant).await?;
        Ok((sessions, metrics))
    })?;
    if json {
        return Ok(output::json(&metrics));
    }
    let rows: Vec<Vec<String>> = metrics
        .iter()
        .flat_map(|(process, metrics)| {
            let whose = sessions.name_of(process.session());
            metrics.iter().map(move |metric| {
                let (process, name) = (process.kind().to_string(), metric.name.to_string());
                vec![whose.clone(), process, name, value(&metric.value)]
            })
        })
        .collect();
    Ok(output::print(&output::table(&rows)))
}

fn value(value: &MetricValue) -> String {
    match value {
        MetricValue::Counter(value) => value.to_string(),
        MetricValue::Gauge(value) => value.to_string(),
        MetricValue::Histogram(histogram) => summary(histogram),
    }
}

fn summary(histogram: &Histogram) -> String {
    // Wide, because a worker may state any numbers.
    let count: u128 = histogram.counts.iter().copied().map(u128::from).sum();
    if count == 0 {
        return "count 0".to_owned();
    }
    let (p50, p99) = (quantile(histogram, count, 50), quantile(histogram, count, 99));
    let mean = u128::from(histogram.sum) / count;
    format!("count {count}  mean {mean}  p50 ≤ {p50}  p99 ≤ {p99}")
}

/// The bound below which `percent` of all values are.
fn quantile(histogram: &Histogram, count: u128, percent: u128) -> u64 {
    let wanted = (count * percent).div_ceil(100);
    let mut seen = 0;
    for (power, values) in histogram.counts.iter().enumerate() {
        seen += u128::from(*values);
        if seen >= wanted {
            let power = u32::try_from(power).unwrap_or(u32::MAX);
            return 1_u64.checked_shl(power).unwrap_or(u64::MAX);
        }
    }
    u64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_shows_the_bounds_of_the_quantiles() {
        let histogram = Histogram { counts: vec![0, 98, 0, 1, 1], sum: 300 };
        assert_eq!(summary(&histogram), "count 100  mean 3  p50 ≤ 2  p99 ≤ 8");
        assert_eq!(summary(&Histogram::default()), "count 0");
    }

    #[test]
    fn summary_of_numbers_that_no_worker_counts_is_shown_all_the_same() {
        for buckets in [1, 2, 64, 200] {
            let histogram = Histogram { counts: vec![u64::MAX; buckets], sum: u64::MAX };
            let count = u128::from(u64::MAX) * buckets as u128;
            assert!(summary(&histogram).starts_with(&format!("count {count}  mean ")), "{buckets}");
        }
    }
}
