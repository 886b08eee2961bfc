//! The demo desktop that is started when no app is named, and how each is told to run inside ours.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use super::{
    places::{self, PlaceError},
    programs,
};

/// Demo desktops, the best first.
pub(crate) const DESKTOPS: [&str; 4] = ["labwc", "sway", "weston", "foot"];

/// wlroots inside another compositor, on the processor: no seat, no input devices, no GPU.
const WLROOTS: [(&str, &str); 3] =
    [("WLR_BACKENDS", "wayland"), ("WLR_RENDERER", "pixman"), ("WLR_LIBINPUT_NO_DEVICES", "1")];

/// A program with what it needs to be told.
#[derive(Debug)]
pub(crate) struct Demo {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(&'static str, OsString)>,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoDemo {
    /// None is installed.
    #[error(
        "no demo desktop is installed: looked for {} in {path}. Install one (on Debian or Ubuntu: \
         apt install sway foot), or name an app: lumen run -- PROGRAM",
        DESKTOPS.join(", ")
    )]
    NotInstalled {
        /// Where they were looked for.
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
    let terminal = ["foot", "weston-terminal", "xterm"]
        .into_iter()
        .find_map(|name| programs::find(name.as_ref(), path));
    let demo = |arguments: Vec<OsString>, environment: &[(&'static str, &str)]| Demo {
        program,
        arguments,
        environment: environment.iter().map(|(name, value)| (*name, value.into())).collect(),
    };
    Ok(match name {
        "labwc" => {
            let start = terminal.map(|terminal| [OsString::from("-s"), terminal.into()]);
            demo(start.into_iter().flatten().collect(), &WLROOTS)
        }
        "sway" => {
            let config = files.join("sway.conf");
            fs::write(&config, sway_config(terminal.as_deref())).map_err(places::at(&config))?;
            demo(vec!["-c".into(), config.into()], &WLROOTS)
        }
        "weston" => {
            let config = files.join("weston.ini");
            fs::write(&config, WESTON_CONFIG).map_err(places::at(&config))?;
            let mut settings = OsString::from("--config=");
            settings.push(&config);
            let fixed = ["--backend=wayland-backend.so", "--use-pixman", "--fullscreen"];
            demo(fixed.map(OsString::from).into_iter().chain([settings]).collect(), &[])
        }
        _ => demo(Vec::new(), &[]),
    })
}

/// A desktop that is not empty at the first picture: a colour, a bar, a terminal, a few keys. The
/// modifier is Alt, because browsers and their hosts keep the logo key.
fn sway_config(terminal: Option<&Path>) -> String {
    let start = terminal.map_or(String::new(), |terminal| {
        let looks = if terminal.ends_with("foot") { FOOT_LOOKS } else { "" };
        let terminal = terminal.display();
        format!("bindsym Mod1+Return exec {terminal}{looks}\nexec {terminal}{looks}\n")
    });
    format!(
        "xwayland disable\n\
         output * bg #24415c solid_color\n\
         default_border pixel 2\n\
         gaps inner 8\n\
         floating_modifier Mod1\n\
         bindsym Mod1+Shift+q kill\n\
         bindsym Mod1+Left focus left\n\
         bindsym Mod1+Right focus right\n\
         bindsym Mod1+Up focus up\n\
         bindsym Mod1+Down focus down\n\
         bindsym Mod1+f fullscreen toggle\n\
         bar {{\n    position bottom\n    status_command while date +'%F %R'; do sleep 60; done\n}}\n\
         {start}"
    )
}

/// Letters as large as a browser's: foot's own default is meant for a terminal on a desk.
const FOOT_LOOKS: &str = " -o main.font=monospace:size=12 -o main.pad=8x8 \
                          -o colors.background=10161d -o colors.foreground=d8dee6";

const WESTON_CONFIG: &str = "[core]\nidle-time=0\n\n[shell]\nbackground-color=0xff24415c\n\
                             panel-position=top\nlocking=false\n";

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
