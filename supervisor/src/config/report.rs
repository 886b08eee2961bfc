//! `lumen config`: what is wrong with configuration files, and what is set and by what.

use std::fmt::Write as _;

use super::{
    Report, UsageError, assemble,
    file::{FileText, Settings},
    outside::Outside,
    table::{Form, OPTIONS, OptionRow},
    values::{Source, Values},
};

/// The report on files.
pub(super) fn check(files: &[FileText]) -> Report {
    let faults = match Settings::of(files) {
        Ok(settings) => faults(&settings),
        Err(faults) => faults,
    };
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let text = match (faults.is_empty(), paths.as_slice()) {
        (false, _) => String::new(),
        (true, []) => "there is no configuration file; every option has its default\n".to_owned(),
        (true, paths) => format!("nothing is wrong with {}\n", paths.join(" and ")),
    };
    Report { text, faults }
}

/// Everything that is wrong with the values that files set, taken together.
pub(super) fn faults(settings: &Settings) -> Vec<UsageError> {
    let mut values = Values::default();
    settings.iter().for_each(|setting| values.set_default(setting));
    let mut faults = Vec::new();
    // Each turn finds the first fault of those that are left, and takes its option out.
    for _ in settings.iter() {
        let Err(fault) = assemble::check(&mut values) else { break };
        let key = match &fault {
            UsageError::BadValue { key, .. } => *key,
            _ => None,
        };
        faults.push(fault);
        match key {
            Some(key) => values.unset(key),
            None => break,
        }
    }
    faults
}

/// Every option that a file can set, with its value and where that comes from, as a configuration file.
pub(super) fn show(files: &[FileText], outside: &dyn Outside) -> Report {
    let settings = match Settings::of(files) {
        Ok(settings) => settings,
        Err(faults) => return Report { text: String::new(), faults },
    };
    let rows = || OPTIONS.iter().filter(|row| row.is_for_files());
    let mut values = Values::from_environment(rows(), outside);
    settings.iter().for_each(|setting| values.set_default(setting));
    let mut text = String::new();
    for row in rows() {
        let (value, source) = values.text(row.key);
        let source = match source {
            Source::CommandLine => "the command line",
            Source::Default => "default",
            Source::Environment => row.environment,
            Source::File(place) => place,
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} = {}  # {source}", row.name, written(row, value));
    }
    let mut faults = faults(&settings);
    if faults.is_empty() {
        faults.extend(assemble::check(&mut values).err());
    }
    Report { text, faults }
}

/// A value as a file writes it.
fn written(row: &OptionRow, value: &str) -> String {
    let number = || value.parse::<i64>().is_ok_and(|number| number.to_string() == value);
    match (row.form(), value) {
        (Form::Switch, "1" | "true") | (Form::OnOff, "on") => "true".to_owned(),
        (Form::Switch, "" | "0" | "false") | (Form::OnOff, "off") => "false".to_owned(),
        (Form::Number | Form::NumberOrText, _) if number() => value.to_owned(),
        (Form::List, "") => "[]".to_owned(),
        (Form::List, _) => {
            format!("[{}]", value.split(',').map(quoted).collect::<Vec<_>>().join(", "))
        }
        _ => quoted(value),
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(quoted, "\\u{:04X}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::{
        super::{file::Scope, table::Key},
        *,
    };

    fn file(text: &str) -> FileText {
        FileText { path: "/etc/l.toml".to_owned(), text: text.to_owned(), scope: Scope::All }
    }

    fn nothing(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn check_tells_every_illegal_value_with_its_line_and_what_is_allowed() {
        let text =
            "fps = 0\nsize = \"big\"\nlayout = \"de\"\nrelay-key = \"/k\"\nauth = \"maybe\"\n";
        let report = check(&[file(text)]);
        let mut said: Vec<_> = report.faults.iter().map(ToString::to_string).collect();
        said.sort();
        let expected = [
            "/etc/l.toml:1: fps = 0: 0 frames per second are outside 1 to 240",
            "/etc/l.toml:2: size = big: expected WIDTHxHEIGHT, such as 1280x720",
            "/etc/l.toml:4: relay-key = /k: needs --relay-cert too",
            "/etc/l.toml:5: auth = maybe: expected token, password or none",
        ];
        assert_eq!(said.len(), expected.len(), "{said:#?}");
        for (said, expected) in said.iter().zip(expected) {
            let (place, reason) = expected.split_at(expected.rfind(": ").expect("a reason"));
            assert!(said.starts_with(place), "{said} {expected}");
            assert!(place.contains("fps") || said.ends_with(reason), "{said} {expected}");
        }
        assert_eq!(report.text, "");
    }

    #[test]
    fn check_of_right_files_names_them_and_of_none_says_so() {
        assert!(check(&[file("fps = 30")]).text.contains("/etc/l.toml"));
        assert!(check(&[]).text.contains("no configuration file"));
    }

    #[test]
    fn show_names_the_source_of_every_option() {
        let outside = |name: &str| (name == "LUMEN_FPS").then(|| "24".to_owned());
        let report = show(&[file("# x\nfps = 30\nx11 = true\napp-tasks = \"none\"")], &outside);
        assert_eq!(report.faults, []);
        for line in [
            "fps = 24  # LUMEN_FPS",
            "x11 = true  # /etc/l.toml:3",
            "app-tasks = \"none\"  # /etc/l.toml:4",
            "listen = \"127.0.0.1:8080\"  # default",
            "trusted-proxy = []  # default",
            "relay = true  # default",
        ] {
            assert!(report.text.lines().any(|shown| shown == line), "{line}: {}", report.text);
        }
    }

    #[test]
    fn show_is_a_file_that_sets_the_same() {
        let text = "app = \"sh -c \\\"a\\\\tb\\u001b\\\"\"\nrelay = false\ntrusted-proxy = ['10.0.0.1', '::1']\n";
        let shown = show(&[file(text)], &nothing).text;
        let again = show(&[file(&shown)], &nothing).text;
        let values = |text: &str| -> Vec<String> {
            text.lines().filter_map(|line| Some(line.rsplit_once("  # ")?.0.to_owned())).collect()
        };
        assert_eq!(values(&shown), values(&again));
        let settings = Settings::of(&[file(&shown)]).expect("legal");
        let app = settings.iter().find(|set| set.key == Key::App).expect("set");
        assert_eq!(app.value, "sh -c \"a\\tb\u{1b}\"");
    }
}
