//! Figures worth printing: `make test` shows them at its end, `make bench` in its table.

use std::{fs, io::Write, time::Duration};

use crate::stage;

/// Notes a figure. It is printed at once (`cargo test -- --nocapture` shows it) and kept in
/// `tests/.artifacts/measured.txt`, which `make test` prints at its end.
pub fn note(what: &str, figure: impl std::fmt::Display) {
    let line = format!("{what}: {figure}");
    println!("measured: {line}");
    let path = stage::artifacts().join("measured.txt");
    // A figure that cannot be stored is no reason to fail the test that measured it.
    let _ = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| writeln!(file, "{line}"));
}

/// Notes a time in milliseconds.
pub fn note_time(what: &str, time: Duration) {
    note(what, format_args!("{:.0} ms", time.as_secs_f64() * 1000.0));
}

/// The value that `percent` per cent of `values` do not exceed (nearest rank); `None` without
/// values.
#[must_use]
pub fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentile_of_few_values_is_one_of_them() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(percentile(&values, 50.0), Some(2.0));
        assert_eq!(percentile(&values, 95.0), Some(4.0));
        assert_eq!(percentile(&values, 0.0), Some(1.0));
        assert_eq!(percentile(&[], 50.0), None);
    }
}
