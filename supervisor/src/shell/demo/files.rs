//! The files of the demo desktops: `supervisor/demo`, embedded in the program and written out at
//! start.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::shell::places::{self, PlaceError};

/// Each file by its path below `supervisor/demo`, with its content.
macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/demo/", $path)))),*]
    };
}

/// All files; `wallpaper.svg` is only the source of the wallpaper.
const FILES: &[(&str, &[u8])] = files![
    "bar",
    "bar.css",
    "bar.jsonc",
    "data/applications/foot-server.desktop",
    "data/applications/foot.desktop",
    "data/applications/footclient.desktop",
    "data/applications/lumen-keyboard.desktop",
    "data/applications/thunar-bulk-rename.desktop",
    "environment",
    "keyboard",
    "labwc/autostart",
    "labwc/bar.jsonc",
    "labwc/rc.xml",
    "labwc/start",
    "labwc/themerc-override",
    "labwc/xdg/foot/foot.ini",
    "labwc/xdg/gtk-3.0/settings.ini",
    "menu",
    "menu.conf",
    "menu.css",
    "quiet-exec",
    "sway/bar.jsonc",
    "sway/fit.pl",
    "sway/start",
    "sway/sway.conf",
    "sway/swaybar.conf",
    "sway/waybar.conf",
    "sway/xdg/foot/foot.ini",
    "sway/xdg/gtk-3.0/settings.ini",
    "tell-bus",
    "terminal",
    "wallpaper.png",
];

/// In the one file whose program expands no variables, this word stands for the folder.
const FOLDER_WORD: &str = "LUMEN_DEMO";
const WESTON: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/demo/weston.ini"));

/// Writes them to a folder of their own in `files`, readable for everybody, and returns its path.
pub(super) fn write(files: &Path) -> Result<PathBuf, PlaceError> {
    let folder = files.join("demo");
    make_folder(&folder)?;
    for (path, content) in FILES {
        let mut place = folder.clone();
        let mut names = path.split('/').peekable();
        while let Some(name) = names.next() {
            place.push(name);
            if names.peek().is_some() {
                make_folder(&place)?;
            }
        }
        write_file(&place, content)?;
    }
    let weston = WESTON.replace(FOLDER_WORD, &folder.to_string_lossy());
    write_file(&folder.join("weston.ini"), weston.as_bytes())?;
    Ok(folder)
}

fn make_folder(path: &Path) -> Result<(), PlaceError> {
    fs::create_dir_all(path).map_err(places::at(path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(places::at(path))
}

fn write_file(path: &Path, content: &[u8]) -> Result<(), PlaceError> {
    fs::write(path, content).map_err(places::at(path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).map_err(places::at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every file below `folder`, by its path below `root`.
    fn below(root: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("readable") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                below(root, &path, found);
            } else {
                let name = path.strip_prefix(root).expect("below it");
                found.push(name.to_string_lossy().into_owned());
            }
        }
    }

    #[test]
    fn files_are_all_that_stand_in_the_folder() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
        let mut found = Vec::new();
        below(&root, &root, &mut found);
        found.retain(|path| path != "wallpaper.svg" && path != "weston.ini");
        found.sort();
        let carried: Vec<_> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(carried, found);
    }
}
