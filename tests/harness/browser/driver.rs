//! The Node program that drives a browser, and which browser a test gets.
//!
//! A Chromium and its driver take two seconds of processor time to start, about a third of what a test with a
//! page needs in all. So a plain Chromium that a test leaves is another test's: alone until that one has left
//! it, too. Nothing of the pages is left, because each had a context of its own, with its own storage, cache,
//! cookies and permissions, and all are closed in between. Chromiums that were started with flags or on another
//! host, that were stopped, or whose clipboard was used are ended with their test.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    network::{Host, spawn_on},
    patience::patience,
    process::Process,
};

/// The plain Chromiums that no test has now.
static LEFT: Mutex<Vec<Driver>> = Mutex::new(Vec::new());

fn left() -> MutexGuard<'static, Vec<Driver>> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running driver. Dropping it ends its browser.
#[derive(Debug)]
struct Driver {
    node: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    value: Value,
    error: Option<String>,
}

impl Driver {
    fn start(host: Option<&Host>, program: &[&str], launch: &Value) -> Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
        let mut node = Command::new("node");
        node.args(program)
            .arg(patience().as_millis().to_string())
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut node = spawn_on(host, &mut node)?;
        let commands = node.stdin.take().context("node's standard input")?;
        let answers = BufReader::new(node.stdout.take().context("node's standard output")?);
        let mut driver = Self { node, commands, answers };
        driver.ask(launch)?;
        Ok(driver)
    }

    fn ask(&mut self, command: &Value) -> Result<Value> {
        writeln!(self.commands, "{command}").context("asking the browser's driver")?;
        let mut line = String::new();
        let length = self.answers.read_line(&mut line)?;
        if length == 0 {
            bail!("the browser's driver ended");
        }
        let answer: Answer = serde_json::from_str(&line)?;
        match answer.error {
            Some(error) => bail!("{command}: {error}"),
            None => Ok(answer.value),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // On this command the driver closes the browser and ends; if the driver is stuck, playwright's
        // own exit handler ends Chromium with it.
        let _ = writeln!(self.commands, "{}", json!({ "do": "quit" }));
        let mut line = String::new();
        if self.answers.read_line(&mut line).unwrap_or(0) == 0 {
            let _ = self.node.kill();
        }
        let _ = self.node.wait();
    }
}

/// A browser that one test has. Dropping it leaves the browser to another test, or ends it.
#[derive(Debug)]
pub(super) struct Lease {
    /// There until it is dropped.
    driver: Option<Driver>,
    /// Whether another test may have it.
    is_plain: bool,
}

impl Lease {
    /// A plain Chromium: one that was left, or a new one.
    pub(super) fn plain(launch: &Value) -> Result<Self> {
        let found = left().pop();
        let driver = found.map_or_else(|| Driver::start(None, &["driver.mjs"], launch), Ok)?;
        Ok(Self { driver: Some(driver), is_plain: true })
    }

    /// A new browser, for one test only.
    pub(super) fn own(host: Option<&Host>, program: &[&str], launch: &Value) -> Result<Self> {
        Ok(Self { driver: Some(Driver::start(host, program, launch)?), is_plain: false })
    }

    /// Ends the browser with this test.
    pub(super) fn keep_from_others(&mut self) {
        self.is_plain = false;
    }

    pub(super) fn ask(&mut self, command: &Value) -> Result<Value> {
        self.driver.as_mut().context("a browser that was left")?.ask(command)
    }

    /// The driver's process.
    pub(super) fn process(&self) -> Result<Process> {
        let driver = self.driver.as_ref().context("a browser that was left")?;
        Ok(Process(driver.node.id()))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut driver) = self.driver.take() else { return };
        // One that does not close its pages is ended here, as `driver` is dropped.
        if self.is_plain && driver.ask(&json!({ "do": "leave" })).is_ok() {
            left().push(driver);
        }
    }
}
