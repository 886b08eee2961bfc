//! The directory that holds an ordinary user's directory of sockets: the user's runtime directory, and
//! otherwise a substitute in `/tmp`.
//!
//! INVARIANT: it belongs to the user, and nobody else can write to it, whatever others make in `/tmp`.
//! Anybody can create the substitute's usual name first. So where that is not the user's, the substitute
//! has a random name, by which it is found again: a directory of the user's own with such a name can only
//! come from the user.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use nix::unistd::mkdtemp;

use super::places::{self, PlaceError};

/// Where to look for the directory.
pub(crate) struct Surroundings {
    /// The user.
    pub(crate) uid: u32,
    /// The user's `XDG_RUNTIME_DIR`.
    pub(crate) variable: Option<OsString>,
    /// The directory of all users' runtime directories.
    users: PathBuf,
    /// The directory in which everybody may create files.
    temporary: PathBuf,
}

impl Surroundings {
    /// Those of this system.
    pub(crate) fn new(uid: u32, variable: Option<OsString>) -> Self {
        Self { uid, variable, users: "/run/user".into(), temporary: "/tmp".into() }
    }

    /// The directory, if there is one. A server and its clients find the same one.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        let usual = [self.users.join(self.uid.to_string()), self.substitute()];
        let variable = places::runtime_dir(self.uid, self.variable.clone());
        let mut usual = usual.into_iter().filter(|path| self.is_private(path));
        variable.or_else(|| usual.next()).or_else(|| self.random())
    }

    /// The directory, made if there is none.
    pub(crate) fn find_or_make(&self) -> Result<PathBuf, PlaceError> {
        if let Some(found) = self.find() {
            return Ok(found);
        }
        let usual = self.substitute();
        match places::make_directory(&usual, 0o700) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let mut pattern = usual.into_os_string();
                pattern.push("-XXXXXX");
                let pattern = PathBuf::from(pattern);
                let made = mkdtemp(&pattern);
                made.map_err(|errno| places::at(&pattern)(errno.into()))?;
                // Another process may have made one at the same time, and both must use the same.
                self.find().ok_or_else(|| places::at(&pattern)(io::ErrorKind::NotFound.into()))
            }
            made => made.map(|()| usual.clone()).map_err(places::at(&usual)),
        }
    }

    fn is_private(&self, path: &Path) -> bool {
        places::check_private(path, self.uid).is_ok()
    }

    /// The usual name of the substitute.
    fn substitute(&self) -> PathBuf {
        self.temporary.join(format!("lumen-{}", self.uid))
    }

    /// The first substitute with a random name that is the user's.
    fn random(&self) -> Option<PathBuf> {
        let prefix = format!("lumen-{}-", self.uid);
        let entries = fs::read_dir(&self.temporary).ok()?.flatten();
        let names = entries.filter(|entry| {
            entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix))
        });
        names.map(|entry| entry.path()).filter(|path| self.is_private(path)).min()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use nix::unistd::Uid;

    use super::*;

    /// A directory in the place of `/tmp` and `/run/user`.
    struct System(PathBuf);

    impl System {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("run-dir-{name}-{}", std::process::id()));
            for part in ["tmp", "users"] {
                fs::create_dir_all(path.join(part)).expect("a directory");
            }
            Self(path)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        /// Lets `act` use these surroundings, in which no variable is set.
        fn with<T>(&self, act: impl FnOnce(&Surroundings) -> T) -> T {
            let (users, temporary) = (self.path("users"), self.path("tmp"));
            let uid = Uid::effective().as_raw();
            act(&Surroundings { uid, variable: None, users, temporary })
        }

        fn substitute(&self) -> PathBuf {
            self.path(&format!("tmp/lumen-{}", Uid::effective()))
        }
    }

    impl Drop for System {
        fn drop(&mut self) {
            // A failure only leaves the directory behind.
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Makes a directory as nobody but its owner should have made it.
    fn open_to_others(path: &Path) {
        fs::create_dir(path).expect("a directory");
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("ours");
    }

    #[test]
    fn find_or_make_without_any_makes_the_usual_substitute_and_finds_it_again() {
        let system = System::new("usual");
        assert_eq!(system.with(Surroundings::find), None);
        let made = system.with(Surroundings::find_or_make).expect("made");
        assert_eq!(made, system.substitute());
        assert_eq!(fs::metadata(&made).expect("there").permissions().mode() & 0o777, 0o700);
        assert_eq!(system.with(Surroundings::find), Some(made));
    }

    #[test]
    fn find_prefers_the_runtime_directory_of_the_user_to_a_substitute() {
        let system = System::new("runtime");
        system.with(Surroundings::find_or_make).expect("made");
        let runtime = system.path(&format!("users/{}", Uid::effective()));
        fs::create_dir(&runtime).expect("a directory");
        assert_eq!(system.with(Surroundings::find), Some(runtime));
    }

    #[test]
    fn find_or_make_with_the_usual_name_taken_makes_one_that_is_found_again() {
        type Take = fn(&Path);
        let takers: [(&str, Take); 3] = [
            ("directory", open_to_others),
            ("file", |path| fs::write(path, "").expect("a file")),
            ("link", |path| symlink("/tmp", path).expect("a link")),
        ];
        for (kind, take) in takers {
            let system = System::new(kind);
            take(&system.substitute());
            // Names that others chose, which sort first.
            open_to_others(&system.path(&format!("tmp/lumen-{}-000000", Uid::effective())));
            let made = system.with(Surroundings::find_or_make).expect("made");
            assert!(system.with(|around| around.is_private(&made)), "{kind}");
            assert_eq!(system.with(Surroundings::find), Some(made.clone()), "{kind}");
            assert_eq!(system.with(Surroundings::find_or_make).expect("found"), made, "{kind}");
        }
    }
}
