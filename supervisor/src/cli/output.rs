//! Standard output and error, and tables.
//!
//! INVARIANT: control characters are printed escaped, whoever wrote them: workers, apps and other
//! hosts choose their own names, and the terminal is the administrator's.

use std::io::{self, Write};

use lumen_ipc::{
    process::ExitCode,
    visible::{is_visible, visible, visible_lines},
};
use serde::Serialize;

/// Prints a result. A reader that has gone (`lumen logs | head`) is not an error.
pub(super) fn print(text: &str) -> ExitCode {
    write(&visible_lines(text))
}

fn write(text: &str) -> ExitCode {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => ExitCode::Ok,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::Ok,
        Err(_) => ExitCode::Failed,
    }
}

/// Prints a line to standard error.
pub(super) fn tell(line: &str) {
    // If standard error is closed, nobody can be told.
    let _ = writeln!(io::stderr().lock(), "{}", visible(line));
}

/// Prints a value as JSON.
pub(super) fn json(value: &impl Serialize) -> ExitCode {
    match serde_json::to_string_pretty(value) {
        Ok(text) => write(&format!("{}\n", escaped(&text))),
        Err(error) => {
            tell(&format!("lumen: cannot write JSON: {error}"));
            ExitCode::Failed
        }
    }
}

/// JSON with control characters in its strings escaped. Outside of strings JSON has none, except
/// the ends of lines.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character == '\n' || is_visible(character) {
            text.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            text.push_str(&format!("\\u{unit:04x}"));
        }
    }
    text
}

/// Formats rows of cells as a table with aligned columns; the last column is not padded.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let cell = |cell: &String| visible(cell).replace('\t', " ");
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
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
    #[test]
    fn table_shows_what_would_steer_a_terminal_and_keeps_each_row_on_its_line() {
        let rows = [["rtc", "\u{1b}]0;x\u{7}\nrow"], ["turn", "a\tb"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "rtc   \\u{1b}]0;x\\u{7}\\nrow\nturn  a b\n");
    }

    #[test]
    fn json_is_visible_and_says_the_same() {
        let value = "\u{1b}[2J \u{202e} \u{9b} \u{e0041} \n plain";
        let text = escaped(&serde_json::to_string_pretty(&[value]).expect("JSON"));
        assert!(text.chars().all(|character| character == '\n' || is_visible(character)), "{text}");
        let said: Vec<String> = serde_json::from_str(&text).expect("JSON");
        assert_eq!(said, [value]);
    }
}
