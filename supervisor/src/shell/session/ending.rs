//! What is said of a session that has ended, and of an app.

use std::process;

use super::{ExitCode, Helper, Outcome, Session, Verdict, app, helpers, news};

impl Session {
    /// Logs why the session ended; returns the exit status of `lumen`, which is the app's own if the app
    /// ended it.
    pub(super) fn conclude(&self, outcome: Outcome) -> process::ExitCode {
        match outcome {
            Outcome::Stopped => ExitCode::Ok.into(),
            Outcome::AppEnded { verdict, early } => {
                self.explain_app(verdict, early, "the desktop ends with it");
                verdict.as_status().map_or_else(|| ExitCode::CouldNotStart.into(), Into::into)
            }
            Outcome::CouldNotHelp(helper) => {
                self.log.say(&format!("{helper} could not be started; its lines above say why"));
                ExitCode::CouldNotStart.into()
            }
            Outcome::CouldNotStart(worker) => {
                self.log.say(&format!("{worker} could not be started; its lines above say why"));
                ExitCode::CouldNotStart.into()
            }
        }
    }

    /// Advice for the user about an app that has ended.
    pub(super) fn hint(&self) -> &'static str {
        if self.stage.helper(Helper::XServer).is_some() {
            return "";
        }
        helpers::hint(self.guests.last_lines().iter())
    }

    pub(super) fn explain_app(&self, verdict: Verdict, early: bool, desktop: &str) {
        let command = app::command_line(&self.stage.app);
        let how = news::ended(verdict, early);
        let hint = if verdict.is_success() { "" } else { self.hint() };
        let stop = if hint.is_empty() { "" } else { "." };
        self.log.say(&format!("the app `{command}` {how}; {desktop}{stop}{hint}"));
        if early {
            for line in self.guests.last_lines() {
                self.log.say(&format!("  its last lines: {line}"));
            }
        }
    }
}
