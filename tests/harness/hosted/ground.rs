//! What the host and the sessions of one test share, and a program of it that runs.

use std::{
    cell::Cell,
    fs::{self, OpenOptions},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{
    home::Home,
    patience::wait_for,
    process::{Process, descendants},
    rig::{end, kill_hard},
    setup::{Turn, printed_after},
    stage::{LUMEN, Stage},
};

/// What the host and the sessions of one test share.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) home: Home,
    pub(super) stage: Stage,
    pub(super) programs: Cell<u32>,
    pub(super) _turn: Turn,
}

impl Ground {
    /// `lumen` with these arguments, run as the user who starts everything here.
    pub(super) fn lumen(&self, words: &[&str]) -> Command {
        let mut command = self.home.command(&self.stage.path(LUMEN));
        command.args(words).stdin(Stdio::null());
        command
    }

    pub(super) fn start(&self, mut command: Command) -> Result<Program> {
        let number = self.programs.get();
        self.programs.set(number + 1);
        let output = self.home.path(&format!("output-{number}.txt"));
        let file = OpenOptions::new().create(true).append(true).open(&output)?;
        command.stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().context("starting lumen")?;
        Ok(Program { child, output, left: Vec::new() })
    }
}

/// A running `lumen`. Dropping it ends it and all its descendants.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) child: Child,
    output: PathBuf,
    /// Its descendants when it was killed.
    left: Vec<Process>,
}

impl Program {
    pub(super) fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    pub(super) fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// Waits for the word after `words` in its output.
    pub(super) fn printed_after(&mut self, words: &str) -> Result<String> {
        let printed = wait_for(&format!("lumen prints `{words}` or ends"), || {
            let ended = self.child.try_wait().ok().flatten();
            match (printed_after(&self.said(), words), ended) {
                (Some(word), _) => Some(Ok(word)),
                (None, Some(status)) => Some(Err(status)),
                (None, None) => None,
            }
        })?;
        printed.or_else(|status| bail!("lumen ended with {status}: {}", self.said()))
    }

    pub(super) fn wait_for_end(&mut self) -> Result<ExitStatus> {
        wait_for("lumen ends", || self.child.try_wait().ok()?)
    }

    /// Kills it with SIGKILL, and waits until it is gone.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.left = descendants(self.process());
        kill_hard(self.process())?;
        self.wait_for_end().map(drop)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        end(&mut self.child);
        for process in self.left.iter().filter(|process| process.is_alive()) {
            // The process may have ended meanwhile.
            let _ = kill_hard(*process);
        }
        let name = self.output.file_name().unwrap_or_default().display();
        // The test runner shows this only for a test that fails.
        println!("--- what lumen printed ({name}) ---\n{}--- end ---", self.said());
    }
}
