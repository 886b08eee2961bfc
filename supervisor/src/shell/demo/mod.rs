//! The demo desktop that is started when no app is named: which one, and with which command. The
//! files in `supervisor/demo` define its look and its programs.

mod files;

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use super::{places::PlaceError, programs};

/// Demo desktops, the best first.
pub(crate) const DESKTOPS: [&str; 4] = ["labwc", "sway", "weston", "foot"];

/// A program with its arguments and environment.
#[derive(Debug)]
pub(crate) struct Demo {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(&'static str, OsString)>,
}

/// Why no demo can be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoDemo {
    /// None is installed.
    #[error(
        "no demo desktop is installed: looked for {} in {path}. Install one (on Debian or Ubuntu: \
         apt install sway waybar wofi foot), or name an app: lumen run -- PROGRAM",
        DESKTOPS.join(", ")
    )]
    NotInstalled {
        /// The search path.
        path: String,
    },
    /// Its configuration cannot be written.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

/// The first demo desktop in `path`; its configuration goes to `files`.
pub(crate) fn choose(path: &OsStr, files: &Path) -> Result<Demo, NoDemo> {
    let found =
        DESKTOPS.into_iter().find_map(|name| Some((name, programs::find(name.as_ref(), path)?)));
    let Some((name, program)) = found else {
        return Err(NoDemo::NotInstalled { path: path.to_string_lossy().into_owned() });
    };
    let folder = files::write(files)?;
    let (program, arguments) = match name {
        "labwc" | "sway" => {
            (PathBuf::from("/bin/sh"), vec![folder.join(name).join("start").into()])
        }
        "weston" => {
            let mut settings = OsString::from("--config=");
            settings.push(folder.join("weston.ini"));
            let fixed = ["--backend=wayland-backend.so", "--use-pixman", "--fullscreen"];
            (program, fixed.map(OsString::from).into_iter().chain([settings]).collect())
        }
        _ => (program, Vec::new()),
    };
    Ok(Demo { program, arguments, environment: vec![("LUMEN_DEMO", folder.into())] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_demo_names_what_was_looked_for_and_how_to_install() {
        let error = choose("/nowhere".as_ref(), Path::new("/nowhere")).expect_err("none");
        let text = error.to_string();
        assert!(text.contains("labwc, sway, weston, foot") && text.contains("/nowhere"), "{text}");
        assert!(text.contains("apt install"), "{text}");
    }
}
