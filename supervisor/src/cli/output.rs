//! Standard output and error, and tables.

use std::io::{self, Write};

use lumen_ipc::process::ExitCode;
use serde::Serialize;

/// Prints what a command is for. A reader that has gone (`lumen logs | head`) is no error.
pub(super) fn print(text: &str) -> ExitCode {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => ExitCode::Ok,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::Ok,
        Err(_) => ExitCode::Failed,
    }
}

/// Prints a line about what went on.
pub(super) fn tell(line: &str) {
    // With standard error gone there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Prints a value as JSON.
pub(super) fn json(value: &impl Serialize) -> ExitCode {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&format!("{text}\n")),
        Err(error) => {
            tell(&format!("lumen: cannot write JSON: {error}"));
            ExitCode::Failed
        }
    }
}

/// Rows of cells in columns as wide as their widest cell; the last column is not padded.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_aligns_columns() {
        let rows = [["worker", "pid"], ["rtc", "7"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "worker  pid\nrtc     7\n");
    }
}
