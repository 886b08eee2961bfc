//! The user's app: its program, its environment and its user.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use lumen_ipc::service::Keymap;
use tracing::warn;

use super::{
    demo::{self, NoDemo},
    ffi, nameless, programs,
    spawn::AppLaunch,
    users::SessionUser,
};
use crate::{config::AppChoice, environment::Environment, locale};

/// The surroundings in which the app runs.
pub(crate) struct Surroundings<'start> {
    /// The user of the desktop.
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
    /// The layout of the keyboard.
    pub(crate) keymap: &'start Keymap,
    /// The caller who asked for it.
    pub(crate) caller: &'start Caller,
}

/// The process that started `lumen run`, as far as it influences the app.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Its variables.
    pub(crate) environment: Environment,
    /// Its working directory, if that still exists.
    pub(crate) directory: Option<PathBuf>,
}

impl Caller {
    /// This process.
    pub(crate) fn here() -> Self {
        Self { environment: std::env::vars_os().collect(), directory: std::env::current_dir().ok() }
    }

    /// A variable's value.
    pub(crate) fn variable(&self, name: &str) -> Option<OsString> {
        self.environment.get(name).map(OsStr::to_owned)
    }
}

/// Why no app can be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoApp {
    /// No demo desktop is installed.
    #[error(transparent)]
    Demo(#[from] NoDemo),
    /// The named program does not exist.
    #[error("there is no program {} in {path}", .program.display())]
    NotFound {
        /// The name.
        program: PathBuf,
        /// The directories that were searched.
        path: String,
    },
}

/// The app's command line, for people.
pub(crate) fn command_line(launch: &AppLaunch) -> String {
    let words = std::iter::once(launch.program.as_os_str())
        .chain(launch.arguments.iter().map(OsString::as_os_str));
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Turns the choice into an existing program with all that it needs.
pub(crate) fn launch(
    choice: &AppChoice,
    surroundings: &Surroundings<'_>,
) -> Result<AppLaunch, NoApp> {
    let own_path = surroundings.caller.variable("PATH").filter(|_| !surroundings.become_user);
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
    for (name, value) in layout(surroundings.keymap).chain(extra) {
        environment.set(name, value);
    }
    let is_nameless = surroundings.user.home.is_none();
    if is_nameless {
        environment.set_default("PROMPT_COMMAND", nameless::PROMPT);
    }
    let bound = match is_nameless && surroundings.become_user {
        true => nameless::databases(surroundings.user, &surroundings.home, &surroundings.files),
        false => Vec::new(),
    };
    let identity = surroundings
        .become_user
        .then(|| (surroundings.user.identity, surroundings.user.groups.clone()));
    let directories = directories(choice, surroundings);
    Ok(AppLaunch {
        program,
        name: None,
        arguments,
        environment,
        directories,
        identity,
        bound,
        group: None,
    })
}

/// Candidates for the working directory, of which the first that its user may enter is used: the
/// caller's, as for any command of the caller's. A desktop begins at home, as after a login, and so does
/// whatever is started for another user than the caller, also where `sudo` stands between the two.
fn directories(choice: &AppChoice, surroundings: &Surroundings<'_>) -> Vec<PathBuf> {
    let Surroundings { caller, user, .. } = surroundings;
    let is_callers =
        !surroundings.become_user || caller.variable("SUDO_USER") == Some(user.name.clone());
    let callers = caller.directory.clone().filter(|_| is_callers && *choice != AppChoice::Demo);
    let usual = [surroundings.home.clone(), PathBuf::from("/")];
    callers.into_iter().chain(usual).collect()
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

/// The layout as variables of libxkbcommon: a nested desktop such as sway has its own keyboard and
/// does not take the layout of ours.
fn layout(keymap: &Keymap) -> impl Iterator<Item = (&'static str, OsString)> {
    let variables = [
        ("XKB_DEFAULT_LAYOUT", keymap.layout.as_str()),
        ("XKB_DEFAULT_VARIANT", keymap.variant.as_str()),
        ("XKB_DEFAULT_OPTIONS", keymap.options.as_str()),
    ];
    variables
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name, OsString::from(value)))
}

/// The caller's own environment, or what a login of another user would set, with the variables that
/// lead to the desktop.
fn environment(surroundings: &Surroundings<'_>, path: OsString) -> Environment {
    let (user, caller) = (surroundings.user, &surroundings.caller.environment);
    let mut environment = match surroundings.become_user {
        true => caller.of_nobody(),
        false => caller.inherited(),
    };
    for replaced in locale::settle(&mut environment, &ffi::codeset) {
        warn!("{replaced}; {}", locale::ADVICE);
    }
    environment.set_default("LOGNAME", &user.name);
    environment.set_default("SHELL", &user.shell);
    environment.set_default("USER", &user.name);
    environment.set("HOME", &surroundings.home);
    environment.set("PATH", path);
    environment.set("WAYLAND_DISPLAY", &surroundings.display);
    environment.set("XDG_RUNTIME_DIR", &surroundings.runtime_dir);
    environment.set("XDG_SESSION_TYPE", "wayland");
    environment
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lumen_ipc::text::Text;

    use super::*;
    use crate::plan::Identity;

    /// Where something that this user's desktop starts begins, if `lumen` was started in `/srv`.
    fn begins(choice: &AppChoice, become_user: bool, variables: &[(&str, &str)]) -> PathBuf {
        let user = SessionUser {
            identity: Identity { uid: 4001, gid: 4001 },
            name: "alice".into(),
            home: Some("/home/alice".into()),
            shell: "/bin/sh".into(),
            groups: Vec::new(),
        };
        let variables =
            variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let environment = variables.collect();
        let caller = Caller { environment, directory: Some("/srv".into()) };
        let (layout, variant, options) = (Text::default(), Text::default(), Text::default());
        let keymap = Keymap { layout, variant, options };
        let surroundings = Surroundings {
            user: &user,
            become_user,
            home: "/home/alice".into(),
            runtime_dir: "/run/user/4001".into(),
            display: "wayland-lumen".into(),
            files: "/run/lumen/files".into(),
            keymap: &keymap,
            caller: &caller,
        };
        directories(choice, &surroundings).remove(0)
    }

    #[test]
    fn desktop_of_another_user_begins_at_home_and_the_callers_own_command_where_it_was_given() {
        let command = AppChoice::Command(vec!["foot".into()]);
        let shell = AppChoice::Shell("foot".into());
        let (home, here) = (Path::new("/home/alice"), Path::new("/srv"));
        for choice in [&command, &shell] {
            assert_eq!(begins(choice, false, &[]), here);
            assert_eq!(begins(choice, true, &[]), home);
            assert_eq!(begins(choice, true, &[("SUDO_USER", "root")]), home);
            assert_eq!(begins(choice, true, &[("SUDO_USER", "bob")]), home);
            assert_eq!(begins(choice, true, &[("SUDO_USER", "alice")]), here, "she called sudo");
        }
        assert_eq!(begins(&AppChoice::Demo, false, &[]), home);
    }
}
