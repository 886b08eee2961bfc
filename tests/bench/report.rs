//! The table: one line a figure, with its target beside it.

/// Prints the heading.
pub(crate) fn heading() {
    println!("{:<58} {:>22}  target", "figure", "measured");
}

/// Prints one figure.
pub(crate) fn row(figure: &str, measured: &str, target: &str) {
    println!("{figure:<58} {measured:>22}  {target}");
}

/// Two figures of one unit, as "p50 / p95".
pub(crate) fn pair(low: Option<f64>, high: Option<f64>, unit: &str) -> String {
    let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.1}"));
    format!("{} / {} {unit}", shown(low), shown(high))
}
