//! Configuration files: TOML into the settings of options, as the text that a command line would have.
//!
//! Decides: which keys a file may have and how each writes its value ([`Form`]). Whether the values are
//! legal is decided where those of the command line are. A file has no sections, and no secret: those are
//! in files of their own, which it names.
//!
//! Trusts nothing in the text. Every fault is told with its line, not only the first.

use std::slice;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    UsageError,
    nearest::hint,
    table::{Command, Form, Key, OPTIONS, OptionRow},
};

/// The most bytes of a file: many times all options with long values.
pub const MOST_BYTES: usize = 64 * 1024;

/// The text of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileText {
    /// Its path, for messages.
    pub path: String,
    /// What it says.
    pub text: String,
    /// Which of its settings count.
    pub scope: Scope,
}

/// Which settings of a file count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// All.
    All,
    /// Those of desktops: what the file of the whole machine says to its ordinary users. Its address
    /// for browsers, its relay and its certificates are for the machine's own host.
    Desktops,
}

impl Scope {
    fn has(self, row: &OptionRow) -> bool {
        match self {
            Self::All => true,
            Self::Desktops => row.key != Key::User && !row.commands.contains(&Command::Serve),
        }
    }
}

/// What a file sets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    /// The option.
    pub key: Key,
    /// Its value, as the command line would have it.
    pub value: String,
    /// `PATH:LINE`.
    pub place: String,
}

/// What several files set together: each option at most once.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Settings(Vec<Setting>);

impl Settings {
    /// Reads files. What an earlier one sets wins.
    ///
    /// # Errors
    /// Everything that is wrong with their form.
    pub fn of(files: &[FileText]) -> Result<Self, Vec<UsageError>> {
        let (mut settings, mut faults) = (Vec::<Setting>::new(), Vec::new());
        for file in files {
            let read = read(file);
            faults.extend(read.faults);
            for setting in read.settings {
                if !settings.iter().any(|known| known.key == setting.key) {
                    settings.push(setting);
                }
            }
        }
        if faults.is_empty() { Ok(Self(settings)) } else { Err(faults) }
    }

    /// What is set.
    pub fn iter(&self) -> slice::Iter<'_, Setting> {
        self.0.iter()
    }
}

#[derive(Default)]
struct Read {
    settings: Vec<Setting>,
    faults: Vec<UsageError>,
}

fn read(file: &FileText) -> Read {
    let mut read = Read::default();
    let mut fault = |key, at: Option<usize>, reason: String| {
        let origin = match at {
            Some(at) => place(file, at),
            None => file.path.clone(),
        };
        read.faults.push(UsageError::BadValue { key, origin, reason });
    };
    if file.text.len() > MOST_BYTES {
        fault(None, None, format!("is longer than {MOST_BYTES} bytes"));
        return read;
    }
    let table = match DeTable::parse(&file.text) {
        Ok(table) => table.into_inner(),
        Err(error) => {
            let reason = format!("is not TOML: {}", error.message());
            fault(None, error.span().map(|span| span.start), reason);
            return read;
        }
    };
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        let at = key.span().start;
        let row = match row(key.get_ref(), value) {
            Ok(row) => row,
            Err(reason) => {
                fault(None, Some(at), reason);
                continue;
            }
        };
        match text(row.form(), value.get_ref()) {
            Ok(value) if file.scope.has(row) => {
                read.settings.push(Setting { key: row.key, value, place: place(file, at) });
            }
            Ok(_) => {}
            Err(what) => {
                let (name, allowed) = (row.name, row.form().allowed());
                let reason = format!("{name} is {what}; expected {allowed}, {}", meaning(row));
                fault(Some(row.key), Some(at), reason);
            }
        }
    }
    read
}

/// `PATH:LINE`, of the byte `at`.
fn place(file: &FileText, at: usize) -> String {
    let before = file.text.as_bytes().iter().take(at);
    let line = 1 + before.filter(|byte| **byte == b'\n').count();
    format!("{}:{line}", file.path)
}

/// What the value of an option means, as a clause.
fn meaning(row: &OptionRow) -> String {
    match row.placeholder {
        Some(placeholder) => format!("as --{} {placeholder} has it", row.name),
        None => format!("whether --{} is given", row.name),
    }
}

/// The option with this name.
fn row(name: &str, value: &Spanned<DeValue<'_>>) -> Result<&'static OptionRow, String> {
    let mut named = OPTIONS.iter().filter(|row| row.name == name);
    let known = named.next();
    match known {
        Some(row) if row.is_for_files() => Ok(row),
        Some(row) => Err(format!(
            "{name} is not for files, because it is about one command: give --{name}, or set {}",
            row.environment
        )),
        None if value.get_ref().is_table() => Err(format!(
            "[{name}] begins a section, and there are none: every key is the name of an option"
        )),
        None => {
            let names = OPTIONS.iter().filter(|row| row.is_for_files()).map(|row| row.name);
            Err(format!("there is no option {name}{}", hint(name, names, "")))
        }
    }
}

/// A value as the command line would have it, or what it is instead.
fn text(form: Form, value: &DeValue<'_>) -> Result<String, String> {
    let as_it_is = |text: &str| match text.contains('\0') {
        true => Err("a string with a zero byte".to_owned()),
        false => Ok(text.to_owned()),
    };
    match (form, value) {
        (Form::Path, DeValue::String(path)) if !path.is_empty() && !path.starts_with('/') => {
            Err(format!("the relative path {path}"))
        }
        (Form::List | Form::NumberOrText | Form::Path | Form::Text, DeValue::String(text)) => {
            as_it_is(text)
        }
        (Form::OnOff, DeValue::String(text)) if matches!(&**text, "on" | "off") => as_it_is(text),
        (Form::OnOff, DeValue::Boolean(on)) => Ok(if *on { "on" } else { "off" }.to_owned()),
        (Form::Switch, DeValue::Boolean(on)) => Ok(if *on { "1" } else { "0" }.to_owned()),
        (Form::Number | Form::NumberOrText, DeValue::Integer(number)) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            parsed
                .map(|number| number.to_string())
                .map_err(|_| format!("{number}, which is too large"))
        }
        (Form::List, DeValue::Array(items)) => {
            let texts = items.iter().map(|item| match item.get_ref() {
                DeValue::String(text) => as_it_is(text),
                other => Err(format!("an array with {}", kind(other))),
            });
            Ok(texts.collect::<Result<Vec<_>, _>>()?.join(","))
        }
        (_, other) => Err(kind(other)),
    }
}

/// What a value is, for messages.
fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Boolean(on) => on.to_string(),
        DeValue::Datetime(_) => "a date or a time".to_owned(),
        DeValue::Float(number) => format!("{number}, which is not whole"),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::String(text) => format!("the string {:?}", text),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> FileText {
        FileText { path: "/etc/l.toml".to_owned(), text: text.to_owned(), scope: Scope::All }
    }

    fn set(text: &str) -> Vec<(Key, String, String)> {
        let settings = Settings::of(&[file(text)]).expect("legal");
        settings.iter().cloned().map(|set| (set.key, set.value, set.place)).collect()
    }

    fn faults(text: &str) -> Vec<String> {
        let faults = Settings::of(&[file(text)]).expect_err("illegal");
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_form_of_value_is_as_the_command_line_has_it() {
        let cases = [
            ("listen = \"0.0.0.0:80\"", Key::Listen, "0.0.0.0:80"),
            ("fps = 30", Key::Fps, "30"),
            ("bitrate = 0x1F_40", Key::Bitrate, "8000"),
            ("app-tasks = 64", Key::AppTasks, "64"),
            ("app-tasks = 'none'", Key::AppTasks, "none"),
            ("app-memory = '50%'", Key::AppMemory, "50%"),
            ("relay = false", Key::Relay, "off"),
            ("relay = \"on\"", Key::Relay, "on"),
            ("x11 = true", Key::X11, "1"),
            (
                "trusted-proxy = [\"10.0.0.1\", '10.1.0.0/16']",
                Key::TrustedProxy,
                "10.0.0.1,10.1.0.0/16",
            ),
            ("trusted-proxy = []", Key::TrustedProxy, ""),
            ("relay-key = \"/etc/key.pem\"", Key::RelayKey, "/etc/key.pem"),
            ("app = \"foot -e 'a b'\"", Key::App, "foot -e 'a b'"),
        ];
        for (text, key, value) in cases {
            assert_eq!(set(text), [(key, value.to_owned(), "/etc/l.toml:1".to_owned())], "{text}");
        }
    }

    #[test]
    fn setting_has_its_line_whatever_stands_before_it() {
        let text = "# a comment\r\n\r\napp = \"\"\"\nfoot\n\"\"\"\n\nfps = 30 # few\n";
        let places: Vec<_> = set(text).into_iter().map(|(key, _, place)| (key, place)).collect();
        let expected = [(Key::App, "/etc/l.toml:3"), (Key::Fps, "/etc/l.toml:7")];
        assert_eq!(places, expected.map(|(key, place)| (key, place.to_owned())));
    }

    #[test]
    fn faults_are_all_told_with_line_key_and_what_is_allowed() {
        let cases = [
            ("\nlisen = 1", "/etc/l.toml:2: there is no option lisen; did you mean listen?"),
            ("relay_port = 1", "did you mean relay-port?"),
            (
                "fps = \"30\"",
                ":1: fps is the string \"30\"; expected a whole number, as --fps N has it",
            ),
            ("fps = 30.5", "fps is 30.5, which is not whole; expected a whole number"),
            ("fps = 99999999999999999999", "which is too large; expected a whole number"),
            ("size = 1080", "size is the number 1080; expected a string, as --size WxH has it"),
            ("size = 2026-01-01", "size is a date or a time; expected a string"),
            ("x11 = 1", "x11 is the number 1; expected true or false"),
            (
                "relay = \"yes\"",
                "relay is the string \"yes\"; expected true, false, \"on\" or \"off\"",
            ),
            (
                "relay-key = \"key.pem\"",
                "relay-key is the relative path key.pem; expected a string with",
            ),
            (
                "trusted-proxy = [1]",
                "trusted-proxy is an array with the number 1; expected an array of strings",
            ),
            ("app = \"a\\u0000b\"", "app is a string with a zero byte"),
            ("relay.port = 3", "relay is a table; expected true, false"),
            ("[gateway]\nfps = 3", ":1: [gateway] begins a section, and there are none"),
            ("json = true", "json is not for files, because it is about one command"),
            ("name = \"x\"", "give --name, or set LUMEN_NAME"),
            ("config = \"/x\"", "give --config, or set LUMEN_CONFIG"),
            ("fps = ", ":1: is not TOML: "),
            ("fps = 1\nfps = 2", ":2: is not TOML: duplicate key"),
        ];
        let wrong: Vec<_> = cases
            .iter()
            .map(|(text, expected)| (expected, faults(text).join("\n")))
            .filter(|(expected, said)| !said.contains(**expected))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(faults("fsp = 1\nsize = 2\nx11 = 3").len(), 3);
    }

    #[test]
    fn file_that_is_too_long_is_refused() {
        let long = format!("# {}", "x".repeat(MOST_BYTES));
        assert!(faults(&long).concat().contains("/etc/l.toml: is longer than 65536 bytes"));
    }

    #[test]
    fn deep_nesting_is_refused_and_nothing_worse() {
        let deep = format!("app = {}{}", "[".repeat(30_000), "]".repeat(30_000));
        assert!(!faults(&deep).is_empty());
        let dotted = vec!["a"; 30_000].join(".");
        assert!(!faults(&format!("{dotted} = 1")).is_empty());
    }

    #[test]
    fn earlier_file_wins_and_the_later_fills_in() {
        let files = [file("fps = 30"), file("fps = 24\nsize = \"640x480\"")];
        let both = Settings::of(&files).expect("legal");
        let both: Vec<_> = both.iter().map(|set| (set.key, set.value.as_str())).collect();
        assert_eq!(both, [(Key::Fps, "30"), (Key::Size, "640x480")]);
    }

    #[test]
    fn file_of_the_machine_sets_for_its_users_only_what_desktops_are_like() {
        let text =
            "listen = \"0.0.0.0:443\"\nuser = \"alice\"\nrelay-port = 1\nfps = 30\nlayout = \"de\"";
        let file = FileText { scope: Scope::Desktops, ..file(text) };
        let keys: Vec<_> =
            Settings::of(&[file]).expect("legal").iter().map(|set| set.key).collect();
        assert_eq!(keys, [Key::Fps, Key::Layout]);
    }
}
