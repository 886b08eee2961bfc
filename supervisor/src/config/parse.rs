//! Parses arguments, environment and configuration files into an [`Invocation`].

use std::{ffi::OsString, iter::Peekable, path::Path};

use super::{
    AppChoice, Invocation, Note, RunConfig, UsageError, assemble,
    file::Settings,
    nearest::hint,
    operands,
    outside::Outside,
    report,
    table::{COMMANDS, Command, Key, OPTIONS, OptionRow},
    values::Values,
};

/// Parses what follows the program's name.
///
/// # Errors
/// [`UsageError`] is a sentence for the user.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    outside: &dyn Outside,
) -> Result<(Invocation, Vec<Note>), UsageError> {
    let mut arguments = arguments.into_iter();
    let word = arguments.next().ok_or(UsageError::NoCommand)?;
    let word = word.to_string_lossy();
    match &*word {
        "-h" | "--help" | "help" => return Ok((Invocation::Help(None), Vec::new())),
        "-V" | "--version" => return Ok((Invocation::Version, Vec::new())),
        _ => {}
    }
    let row = COMMANDS.iter().find(|row| row.name == word).ok_or_else(|| {
        let hint = hint(&word, COMMANDS.iter().map(|row| row.name), "");
        UsageError::UnknownCommand { word: word.clone().into_owned(), hint }
    })?;
    let values = Values::from_environment(row.command.options(), outside);
    let mut line =
        Line { command: row.command, values, operands: Vec::new(), after: None, tries_gpu: false };
    if line.read(arguments)? == Asked::Help {
        return Ok((Invocation::Help(Some(row.command)), Vec::new()));
    }
    if row.command.reads_files() {
        let chosen = line.values.path(Key::Config);
        let settings = Settings::of(&outside.files(chosen.as_deref())?).map_err(first)?;
        // All of a file is right or none of it is used, whichever command reads it.
        report::faults(&settings).into_iter().next().map_or(Ok(()), Err)?;
        line.values.add(row.command, &settings);
    }
    line.finish(outside)
}

/// The first of a file's faults; `lumen config check` tells them all.
fn first(faults: Vec<UsageError>) -> UsageError {
    let none = || UsageError::Operand("a configuration file cannot be used".to_owned());
    faults.into_iter().next().unwrap_or_else(none)
}

#[derive(Eq, PartialEq)]
enum Asked {
    Command,
    Help,
}

/// The part of a command line that has been read.
struct Line {
    command: Command,
    values: Values,
    operands: Vec<String>,
    /// What follows `--`.
    after: Option<Vec<OsString>>,
    /// Whether doctor was given `--gpu`.
    tries_gpu: bool,
}

impl Line {
    fn read(&mut self, arguments: impl Iterator<Item = OsString>) -> Result<Asked, UsageError> {
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            let word = argument.to_string_lossy();
            match &*word {
                "--" => {
                    self.after = Some(arguments.collect());
                    return Ok(Asked::Command);
                }
                "-h" | "--help" => return Ok(Asked::Help),
                _ if word.starts_with('-') && word.len() > 1 => {
                    self.option(&word, &mut arguments)?;
                }
                _ => self.operands.push(word.into_owned()),
            }
        }
        Ok(Asked::Command)
    }

    fn option(
        &mut self,
        word: &str,
        arguments: &mut Peekable<impl Iterator<Item = OsString>>,
    ) -> Result<(), UsageError> {
        let (name, inline) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        let row = self.row(name)?;
        if (self.command, row.key) == (Command::Doctor, Key::Gpu) {
            self.tries_gpu = true;
            // It may stand alone: the node is then that of a desktop started with the same settings.
            let follows =
                arguments.peek().is_some_and(|next| !next.to_string_lossy().starts_with('-'));
            if inline.is_none() && !follows {
                return Ok(());
            }
        }
        let value = match (row.placeholder, inline) {
            (None, None) => "1".to_owned(),
            (None, Some(_)) => return Err(UsageError::NeedlessValue(row.name)),
            (Some(_), Some(value)) => value,
            (Some(placeholder), None) => arguments
                .next()
                .map(|value| value.to_string_lossy().into_owned())
                .ok_or(UsageError::MissingValue { option: row.name, placeholder })?,
        };
        self.values.set(row, value);
        Ok(())
    }

    fn row(&self, name: &str) -> Result<&'static OptionRow, UsageError> {
        let named = |row: &&OptionRow| {
            name.strip_prefix("--") == Some(row.name)
                || row.short.is_some_and(|letter| name == format!("-{letter}"))
        };
        self.command.options().find(named).ok_or_else(|| UsageError::UnknownOption {
            command: self.command.row().name,
            option: name.to_owned(),
            hint: self.hint(name),
        })
    }

    fn hint(&self, name: &str) -> String {
        let bare = name.trim_start_matches('-');
        if let Some(row) = OPTIONS.iter().find(|row| row.name == bare) {
            let takers: Vec<&str> = row.commands.iter().map(|taker| taker.row().name).collect();
            return format!(" (it belongs to `lumen {}`)", takers.join("`, `lumen "));
        }
        hint(bare, self.command.options().map(|row| row.name), "--")
    }

    fn finish(mut self, outside: &dyn Outside) -> Result<(Invocation, Vec<Note>), UsageError> {
        if !matches!(self.command, Command::Run | Command::Session) && self.after.is_some() {
            let name = self.command.row().name;
            return Err(UsageError::Operand(format!(
                "`lumen {name}` starts no app: drop the `--`"
            )));
        }
        let invocation = match self.command {
            Command::Config => self.config(outside)?,
            Command::Doctor => {
                Invocation::Doctor(Box::new(assemble::doctor(&self.values, self.tries_gpu)?))
            }
            Command::Logs => {
                let (session, source) = operands::session_and_source(&mut self.operands)?;
                let follow = self.values.switch(Key::Follow)?;
                Invocation::Logs { name: self.values.name()?, session, source, follow }
            }
            Command::Metrics => Invocation::Metrics {
                session: operands::session(&mut self.operands)?,
                name: self.values.name()?,
                json: self.values.switch(Key::Json)?,
            },
            Command::Restart => {
                let (session, worker) = operands::session_and_worker(&mut self.operands)?;
                Invocation::Restart { name: self.values.name()?, session, worker }
            }
            Command::Revoke => Invocation::Revoke {
                which: operands::sign_ins(&mut self.operands)?,
                name: self.values.name()?,
            },
            Command::Run => self.run()?,
            Command::Serve => self.serve()?,
            Command::Session => {
                let (host, name) = (self.values.host()?, self.values.session_name()?);
                let app = self.app()?;
                let session = assemble::session(&mut self.values, app, host, name)?;
                Invocation::Session(Box::new(session))
            }
            Command::Sessions => Invocation::Sessions {
                name: self.values.name()?,
                json: self.values.switch(Key::Json)?,
            },
            Command::Users => Invocation::Users {
                name: self.values.name()?,
                json: self.values.switch(Key::Json)?,
            },
            Command::Status => Invocation::Status {
                name: self.values.name()?,
                json: self.values.switch(Key::Json)?,
            },
            Command::Stop => Invocation::Stop {
                session: operands::session(&mut self.operands)?,
                name: self.values.name()?,
            },
        };
        self.no_operand_left()?;
        Ok((invocation, self.values.notes))
    }

    fn config(&mut self, outside: &dyn Outside) -> Result<Invocation, UsageError> {
        let words: Vec<String> = self.operands.drain(..).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let chosen = self.values.path(Key::Config);
        Ok(Invocation::Config(match words.as_slice() {
            ["check"] => report::check(&outside.files(chosen.as_deref())?),
            ["check", file] => report::check(&outside.files(Some(Path::new(file)))?),
            ["show"] => report::show(&outside.files(chosen.as_deref())?, outside),
            _ => {
                let reason = "`lumen config` is followed by check, check FILE or show";
                return Err(UsageError::Operand(reason.to_owned()));
            }
        }))
    }

    fn run(&mut self) -> Result<Invocation, UsageError> {
        let front_door = self.values.front_door()?;
        let (app, host) = (self.app()?, self.values.name()?);
        let session = assemble::session(&mut self.values, app, host, None)?;
        let auth = self.values.auth(&front_door)?;
        let host = assemble::host(&self.values, auth, front_door)?;
        Ok(Invocation::Run(Box::new(RunConfig { host, session })))
    }

    fn serve(&self) -> Result<Invocation, UsageError> {
        let front_door = self.values.front_door()?;
        let auth = self.values.auth_of_many(&front_door)?;
        Ok(Invocation::Serve(Box::new(assemble::host(&self.values, auth, front_door)?)))
    }

    /// The command after `--` overrides `LUMEN_APP` and a file; together with `--app` it is an error.
    fn app(&mut self) -> Result<AppChoice, UsageError> {
        let named = self.values.optional(Key::App);
        match self.after.take() {
            Some(command) if command.is_empty() => {
                Err(UsageError::Operand("nothing follows `--`: name the app to start".to_owned()))
            }
            Some(_) if self.values.is_on_command_line(Key::App) => Err(UsageError::TwoApps),
            Some(command) => Ok(AppChoice::Command(command)),
            None => Ok(named.map_or(AppChoice::Demo, AppChoice::Shell)),
        }
    }

    fn no_operand_left(&self) -> Result<(), UsageError> {
        let Some(word) = self.operands.first() else { return Ok(()) };
        Err(UsageError::Operand(match self.command {
            Command::Run | Command::Session => {
                let name = self.command.row().name;
                format!("what is `{word}`? An app goes after `--`: lumen {name} -- {word}")
            }
            _ => format!("`lumen {}` has no use for `{word}`", self.command.row().name),
        }))
    }
}

#[cfg(test)]
mod tests;
