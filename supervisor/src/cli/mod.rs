//! The command line: parses, executes, prints, and turns every outcome into an exit code.
//!
//! Results go to standard output; an error, as one sentence with its causes, goes to standard
//! error.

mod client;
mod doctor;
mod logs;
mod metrics;
mod output;
mod revoke;
mod roster;
mod sessions;
mod status;

use std::{error::Error, ffi::OsString, process};

use lumen_ipc::process::ExitCode;

use crate::{
    config::{self, Invocation, Report, help},
    shell::{
        self,
        config_files::{Machine, Rereading},
        start,
    },
};

/// Executes a command line. `arguments` follow the program's name. Returns one of Lumen's exit
/// codes, or that of the app if its end ended the desktop.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> process::ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let (invocation, notes) = match config::parse(arguments.clone(), &Machine) {
        Ok(parsed) => parsed,
        Err(error) => return failed(&error, ExitCode::Usage).into(),
    };
    for note in notes {
        output::tell(&format!("lumen: {}", note.0));
    }
    let code = match invocation {
        Invocation::Config(report) => reported(&report),
        Invocation::Help(None) => output::print(&help::overview()),
        Invocation::Help(Some(command)) => output::print(&help::of(command)),
        Invocation::Version => output::print(&format!("lumen {}\n", env!("CARGO_PKG_VERSION"))),
        Invocation::Run(config) => return start::run(&config),
        Invocation::Serve(config) => return start::serve(&config, Rereading::of(arguments)),
        Invocation::Session(config) => return start::session(&config),
        Invocation::Doctor(config) => doctor::run(&config),
        Invocation::Sessions { name, json } => answered(roster::sessions(&name, json)),
        Invocation::Users { name, json } => answered(roster::users(&name, json)),
        Invocation::Revoke { name, which } => answered(revoke::run(&name, &which)),
        Invocation::Status { name, json } => answered(status::run(&name, json)),
        Invocation::Restart { name, session, worker } => {
            let restart = async |admin| client::restart(&admin, session.as_ref(), worker).await;
            answered(client::with(&name, restart))
        }
        Invocation::Logs { name, session, source, follow } => {
            answered(logs::run(&name, session.as_ref(), source, follow))
        }
        Invocation::Metrics { name, session, json } => {
            answered(metrics::run(&name, session.as_ref(), json))
        }
        Invocation::Stop { name, session } => {
            let stop = async |admin| client::stop(&admin, session.as_ref()).await;
            answered(client::with(&name, stop))
        }
    };
    code.into()
}

fn reported(report: &Report) -> ExitCode {
    for fault in &report.faults {
        output::tell(&format!("lumen: {fault}"));
    }
    match (output::print(&report.text), report.faults.is_empty()) {
        (code, true) => code,
        (_, false) => ExitCode::Usage,
    }
}

fn answered(outcome: Result<ExitCode, client::AdminError>) -> ExitCode {
    outcome.unwrap_or_else(|error| failed(&error, error.exit_code()))
}

fn failed(error: &dyn Error, code: ExitCode) -> ExitCode {
    output::tell(&format!("lumen: {}", shell::sentence(error)));
    code
}
