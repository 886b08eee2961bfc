//! The user's app: which program, in which environment, as whom.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use super::{
    demo::{self, NoDemo},
    programs,
    spawn::AppLaunch,
    users::SessionUser,
};
use crate::config::AppChoice;

/// Where the app runs.
pub(crate) struct Surroundings<'start> {
    /// Whose desktop it is.
    pub(crate) user: &'start SessionUser,
    /// Whether root must become that user.
    pub(crate) become_user: bool,
    /// Its home directory.
    pub(crate) home: PathBuf,
    /// Its `XDG_RUNTIME_DIR`.
    pub(crate) runtime_dir: PathBuf,
    /// Name of the Wayland socket in it.
    pub(crate) display: String,
    /// Where a demo's configuration goes.
    pub(crate) files: PathBuf,
    /// The caller's environment.
    pub(crate) caller: &'start dyn Fn(&str) -> Option<OsString>,
}

/// Why there is nothing to start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoApp {
    /// No demo desktop.
    #[error(transparent)]
    Demo(#[from] NoDemo),
    /// The named program is not there.
    #[error("there is no program {} in {path}", .program.display())]
    NotFound {
        /// What was named.
        program: PathBuf,
        /// Where it was looked for.
        path: String,
    },
}

/// The app's command line, for people.
pub(crate) fn command_line(launch: &AppLaunch) -> String {
    let words = std::iter::once(launch.program.as_os_str())
        .chain(launch.arguments.iter().map(OsString::as_os_str));
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Turns the choice into a program that is there, with all it needs.
pub(crate) fn launch(
    choice: &AppChoice,
    surroundings: &Surroundings<'_>,
) -> Result<AppLaunch, NoApp> {
    let own_path = (surroundings.caller)("PATH").filter(|_| !surroundings.become_user);
    let path = programs::search_path(own_path);
    let (program, arguments, extra) = match choice {
        AppChoice::Demo => {
            let demo = demo::choose(&path, &surroundings.files)?;
            (demo.program, demo.arguments, demo.environment)
        }
        AppChoice::Shell(command) => {
            (PathBuf::from("/bin/sh"), vec!["-c".into(), command.into()], Vec::new())
        }
        AppChoice::Command(words) => {
            let (program, arguments) = named(words, &path)?;
            (program, arguments, Vec::new())
        }
    };
    let mut environment = environment(surroundings, path);
    environment.extend(extra);
    let home = &surroundings.home;
    let directory = if home.is_dir() { home.clone() } else { PathBuf::from("/") };
    let identity = surroundings
        .become_user
        .then(|| (surroundings.user.identity, surroundings.user.groups.clone()));
    Ok(AppLaunch { program, arguments, environment, directory, identity })
}

fn named(words: &[OsString], path: &OsStr) -> Result<(PathBuf, Vec<OsString>), NoApp> {
    let (program, arguments) = words.split_first().ok_or_else(|| NoApp::NotFound {
        program: PathBuf::new(),
        path: path.to_string_lossy().into_owned(),
    })?;
    let found = programs::find(program, path).ok_or_else(|| NoApp::NotFound {
        program: PathBuf::from(program),
        path: path.to_string_lossy().into_owned(),
    })?;
    Ok((found, arguments.to_vec()))
}

/// What a login would set, and nothing that leads back to the supervisor.
fn environment(surroundings: &Surroundings<'_>, path: OsString) -> Vec<(&'static str, OsString)> {
    let user = surroundings.user;
    let language = (surroundings.caller)("LANG").filter(|language| !language.is_empty());
    let as_os = |path: &Path| path.as_os_str().to_owned();
    vec![
        ("HOME", as_os(&surroundings.home)),
        // Programs like terminals refuse to work without a UTF-8 locale; C.UTF-8 is always there.
        ("LANG", language.unwrap_or_else(|| "C.UTF-8".into())),
        ("LOGNAME", user.name.clone()),
        ("PATH", path),
        ("SHELL", as_os(&user.shell)),
        ("USER", user.name.clone()),
        ("WAYLAND_DISPLAY", surroundings.display.clone().into()),
        ("XDG_RUNTIME_DIR", as_os(&surroundings.runtime_dir)),
        ("XDG_SESSION_TYPE", "wayland".into()),
    ]
}
