//! The variables of the user's side of a session: what PAM has set, and what a login sets where PAM does not.
//! Pure.
//!
//! Nothing of root's own environment gets there.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

/// Where programs are found, as on any login of Debian's.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";

/// The variables that tell PAM's modules what kind of session this is, as `NAME=value`.
pub const KIND: [&str; 2] = ["XDG_SESSION_TYPE=wayland", "XDG_SESSION_CLASS=user"];

/// What the file of accounts says of a user.
#[derive(Clone, Debug)]
pub struct Person {
    /// Name of the account.
    pub name: String,
    /// Home directory.
    pub home: PathBuf,
    /// Shell.
    pub shell: PathBuf,
}

/// All variables, given those of PAM.
pub fn variables(
    person: &Person,
    of_pam: impl IntoIterator<Item = (OsString, OsString)>,
) -> BTreeMap<OsString, OsString> {
    let usual: [(&str, &OsStr); 5] = [
        // What PAM's modules read of the machine's language says more; without any, letters beyond ASCII are
        // shown all the same.
        ("LANG", "C.UTF-8".as_ref()),
        ("LOGNAME", person.name.as_ref()),
        ("PATH", PATH.as_ref()),
        ("SHELL", person.shell.as_ref()),
        ("USER", person.name.as_ref()),
    ];
    let owned = |(name, value): (&str, &OsStr)| (name.into(), value.to_owned());
    let mut all: BTreeMap<OsString, OsString> = usual.into_iter().map(owned).collect();
    all.insert("HOME".into(), person.home.clone().into());
    all.extend(of_pam.into_iter().filter(|(name, _)| is_harmless(name)));
    all
}

/// Whether a variable may be set for a program that is started as another user. PAM has it from files that the
/// administrator owns; but some machines let it read the user's as well (`user_readenv`), and the dynamic
/// linker of the first program would obey these.
fn is_harmless(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    !name.is_empty() && !name.starts_with(b"LD_") && name != b"GCONV_PATH"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> Person {
        Person { name: "alice".into(), home: "/home/alice".into(), shell: "/bin/bash".into() }
    }

    fn with(of_pam: &[(&str, &str)]) -> BTreeMap<OsString, OsString> {
        variables(&alice(), of_pam.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn variables_are_those_of_a_login() {
        let all = with(&[]);
        let expected = [
            ("HOME", "/home/alice"),
            ("LANG", "C.UTF-8"),
            ("LOGNAME", "alice"),
            ("PATH", PATH),
            ("SHELL", "/bin/bash"),
            ("USER", "alice"),
        ];
        assert_eq!(all, expected.map(|(name, value)| (name.into(), value.into())).into());
    }

    #[test]
    fn variables_of_pam_come_first_but_none_that_the_dynamic_linker_obeys() {
        let all = with(&[
            ("PATH", "/opt/bin"),
            ("LANG", "de_DE.UTF-8"),
            ("LD_PRELOAD", "/home/alice/evil.so"),
            ("LD_LIBRARY_PATH", "/home/alice"),
            ("GCONV_PATH", "/home/alice"),
            ("", "x"),
        ]);
        let value = |name: &str| all.get(OsStr::new(name)).and_then(|value| value.to_str());
        assert_eq!((value("PATH"), value("LANG")), (Some("/opt/bin"), Some("de_DE.UTF-8")));
        for name in ["LD_PRELOAD", "LD_LIBRARY_PATH", "GCONV_PATH", ""] {
            assert_eq!(value(name), None, "{name}");
        }
    }
}
