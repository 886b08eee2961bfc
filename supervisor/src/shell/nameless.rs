//! Gives a temporary user what every other user has: a name and a home.
//!
//! Programs look up the name of a uid in `/etc/passwd`: a shell for its prompt, `whoami`, and ssh,
//! which refuses to run without one. The desktop sees copies of both user databases with one more
//! line, bound over the real ones in its own mount namespace (`spawn::app`). Other processes see
//! the originals.

use std::{
    ffi::{CString, OsStr},
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
};

use super::{
    places::{self, PlaceError},
    spawn::BoundFile,
    users::SessionUser,
};

/// The initial content of a new home, as for `useradd`.
const SKELETON: &str = "/etc/skel";

/// Where nothing can be bound over the databases (root of a container may not, nor an ordinary
/// caller who is in no database), bash still shows a name in its prompt, through its
/// `PROMPT_COMMAND`.
pub(super) const PROMPT: &str = r"PS1=${PS1//\\u/$USER}";

/// Writes copies of the databases with one more user to `files`. Where one cannot be read or
/// written, the user remains without a name, which must not prevent the desktop.
pub(super) fn databases(user: &SessionUser, home: &Path, files: &Path) -> Vec<BoundFile> {
    let lines = [("passwd", passwd_line(user, home)), ("group", group_line(user))];
    let bound = lines.into_iter().filter_map(|(name, line)| {
        let real = Path::new("/etc").join(name);
        let copy = files.join(name);
        fs::write(&copy, with_line(fs::read(&real).ok()?, &line)).ok()?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).ok()?;
        Some(BoundFile { copy: path(&copy)?, real: path(&real)? })
    });
    bound.collect()
}

fn path(path: &Path) -> Option<CString> {
    CString::new(path.as_os_str().as_bytes()).ok()
}

/// A line of `passwd(5)`.
fn passwd_line(user: &SessionUser, home: &Path) -> Vec<u8> {
    let (uid, gid) = (user.identity.uid.to_string(), user.identity.gid.to_string());
    let fields: [&OsStr; 7] = [
        &user.name,
        "x".as_ref(),
        uid.as_ref(),
        gid.as_ref(),
        "Lumen".as_ref(),
        home.as_ref(),
        user.shell.as_ref(),
    ];
    fields.map(OsStr::as_bytes).join(&b':')
}

/// A line of `group(5)`.
fn group_line(user: &SessionUser) -> Vec<u8> {
    let gid = user.identity.gid.to_string();
    let fields: [&OsStr; 4] = [&user.name, "x".as_ref(), gid.as_ref(), "".as_ref()];
    fields.map(OsStr::as_bytes).join(&b':')
}

/// A database with one more line, whether or not its last line ended with a newline.
fn with_line(mut database: Vec<u8>, line: &[u8]) -> Vec<u8> {
    if database.last().is_some_and(|last| *last != b'\n') {
        database.push(b'\n');
    }
    database.extend_from_slice(line);
    database.push(b'\n');
    database
}

/// Fills a new home with the system's initial files. Must be called as that user.
pub(super) fn furnish(home: &Path) -> Result<(), PlaceError> {
    copy_below(Path::new(SKELETON), home)
}

/// Copies files and folders; other kinds of files, and unreadable ones, are skipped.
fn copy_below(from: &Path, to: &Path) -> Result<(), PlaceError> {
    let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
    for entry in entries.flatten() {
        let (source, place) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => {
                places::directory(&place, 0o700)?;
                copy_below(&source, &place)?;
            }
            Ok(kind) if kind.is_file() => {
                let Ok(content) = fs::read(&source) else { continue };
                fs::write(&place, content).map_err(places::at(&place))?;
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use nix::unistd::Gid;

    use super::*;
    use crate::plan::Identity;

    fn user() -> SessionUser {
        SessionUser {
            identity: Identity { uid: 61184, gid: 61185 },
            name: "lumen".into(),
            home: None,
            shell: "/bin/bash".into(),
            groups: Vec::<Gid>::new(),
        }
    }

    #[test]
    fn lines_of_the_databases_have_every_field() {
        let passwd = passwd_line(&user(), Path::new("/run/lumen/home"));
        assert_eq!(passwd, b"lumen:x:61184:61185:Lumen:/run/lumen/home:/bin/bash");
        assert_eq!(group_line(&user()), b"lumen:x:61185:");
    }

    #[test]
    fn with_line_keeps_what_was_there_and_ends_each_line() {
        for (before, after) in [("", "b\n"), ("a\n", "a\nb\n"), ("a", "a\nb\n")] {
            assert_eq!(with_line(before.into(), b"b"), after.as_bytes(), "{before:?}");
        }
    }
}
