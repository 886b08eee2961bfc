//! Every command and every option, once: parsing, `--help`, the manual page and the tests all read
//! these two tables.
//!
//! INVARIANT: an option that is not a row here does not exist; a row that is not in the manual
//! page fails `tests/manual.rs`.

mod commands;
mod doctor;
mod oidc;
mod options;
mod proxy;
mod relay;
mod rows;
mod sign_in;
mod sound;

pub use commands::COMMANDS;
pub use options::OPTIONS;
pub use rows::{Command, CommandRow, Form, Key, OptionRow};

impl Command {
    /// Its row.
    #[must_use]
    pub fn row(self) -> &'static CommandRow {
        COMMANDS
            .iter()
            .find(|row| row.command == self)
            .expect("the test `commands_have_one_row_each` proves that every command has a row")
    }

    /// The options it takes, in the table's order.
    pub fn options(self) -> impl Iterator<Item = &'static OptionRow> {
        OPTIONS.iter().filter(move |row| row.commands.contains(&self))
    }

    /// Whether configuration files set options of it.
    #[must_use]
    pub const fn reads_files(self) -> bool {
        matches!(self, Self::Doctor | Self::Run | Self::Serve | Self::Session)
    }
}

impl Key {
    /// Its row.
    #[must_use]
    pub fn row(self) -> &'static OptionRow {
        OPTIONS
            .iter()
            .find(|row| row.key == self)
            .expect("the test `options_have_one_row_each` proves that every key has a row")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn commands_have_one_row_each() {
        use Command::*;
        let commands = [
            Config, Doctor, Logs, Metrics, Restart, Revoke, Run, Serve, Session, Sessions, Status,
            Stop, Users,
        ];
        for command in commands {
            assert_eq!(COMMANDS.iter().filter(|row| row.command == command).count(), 1);
        }
        assert_eq!(commands.len(), COMMANDS.len());
    }

    #[test]
    fn options_have_one_row_each() {
        use Key::*;
        let keys = [
            App,
            AppMemory,
            AppTasks,
            Auth,
            BasePath,
            Bitrate,
            Clipboard,
            Config,
            Encoder,
            Follow,
            Fps,
            Granted,
            Gpu,
            Host,
            Json,
            Layout,
            LayoutOptions,
            LayoutVariant,
            Listen,
            Log,
            LoginGroups,
            LoginIdle,
            LoginLife,
            LoginSocket,
            MetricsTokenFile,
            Microphone,
            Name,
            OidcName,
            OidcSocket,
            Pad,
            PadGrace,
            ProxyHeader,
            ProxySocket,
            ProxyUser,
            PublicAddress,
            Relay,
            RelayCert,
            RelayKey,
            RelayName,
            RelayPort,
            RelayTlsPort,
            Report,
            Resize,
            SessionIdle,
            SessionInUse,
            SessionName,
            SessionSocket,
            SessionUnwatched,
            SessionsPerUser,
            SessionsTotal,
            Size,
            Sound,
            SoundBitrate,
            Tls,
            TlsCert,
            TlsKey,
            TrustedProxy,
            UdpListen,
            UdpPort,
            User,
            WorkersDir,
            X11,
        ];
        for key in keys {
            assert_eq!(OPTIONS.iter().filter(|row| row.key == key).count(), 1, "{key:?}");
        }
        assert_eq!(keys.len(), OPTIONS.len());
    }

    /// Except that LUMEN_NAME means the host for every command, so that one setting serves them
    /// all.
    #[test]
    fn environment_twin_is_the_name_in_capitals() {
        for row in &OPTIONS {
            let expected = match row.key {
                Key::Host => "LUMEN_NAME".to_owned(),
                Key::SessionName => "LUMEN_SESSION".to_owned(),
                _ => format!("LUMEN_{}", row.name.to_uppercase().replace('-', "_")),
            };
            assert_eq!(row.environment, expected);
        }
    }

    #[test]
    fn options_of_a_command_have_a_name_and_a_variable_each() {
        for command in COMMANDS.iter().map(|row| row.command) {
            let count = command.options().count();
            let names: BTreeSet<_> = command.options().map(|row| row.name).collect();
            let variables: BTreeSet<_> = command.options().map(|row| row.environment).collect();
            assert_eq!((names.len(), variables.len()), (count, count), "{command:?}");
        }
    }

    #[test]
    fn options_of_files_are_those_that_outlast_one_command() {
        let others: Vec<&str> =
            OPTIONS.iter().filter(|row| !row.is_for_files()).map(|row| row.environment).collect();
        let expected = [
            "LUMEN_REPORT",
            "LUMEN_CONFIG",
            "LUMEN_NAME",
            "LUMEN_NAME",
            "LUMEN_SESSION",
            "LUMEN_GRANTED",
            "LUMEN_FOLLOW",
            "LUMEN_JSON",
        ];
        assert_eq!(others, expected);
    }

    #[test]
    fn defaults_have_the_form_of_their_option() {
        for row in OPTIONS.iter().filter(|row| row.is_for_files()) {
            let is_number = row.default.parse::<u32>().is_ok();
            let right = match row.form() {
                Form::Number => is_number,
                Form::NumberOrText => !row.default.is_empty(),
                Form::OnOff => ["on", "off"].contains(&row.default),
                Form::List | Form::Path | Form::Switch => row.default.is_empty(),
                Form::Text => !is_number,
            };
            assert!(right, "{} is {:?}", row.name, row.form());
        }
    }

    #[test]
    fn help_is_a_sentence() {
        for row in &OPTIONS {
            assert!(row.help.ends_with('.') && !row.help.contains("  "), "{}", row.name);
        }
    }
}
