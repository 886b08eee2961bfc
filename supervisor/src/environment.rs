//! The app's environment: which of the caller's variables reach it. Pure.
//!
//! On its caller's own desktop an app gets what the caller's shell would pass on, except for
//! variables that lead back: to the supervisor, to the service manager that started it, or to the
//! surrounding session. On another user's desktop it gets what a login of that user sets, and the
//! caller's language and time zone, which identify nobody.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

/// Environment variables by name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Environment(BTreeMap<OsString, OsString>);

/// Variables that would lead an app out of its desktop.
const LEADS_BACK: [&str; 24] = [
    // The service manager's: a process with these speaks for the supervisor, or reads its
    // credentials.
    "CREDENTIALS_DIRECTORY",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "MAINPID",
    "MANAGERPID",
    "NOTIFY_SOCKET",
    "SYSTEMD_EXEC_PID",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    // The surrounding session's: windows would open there, or nowhere.
    "DESKTOP_SESSION",
    "DESKTOP_STARTUP_ID",
    "DISPLAY",
    "I3SOCK",
    "SESSION_MANAGER",
    "SWAYSOCK",
    "WAYLAND_DISPLAY",
    "WAYLAND_SOCKET",
    "WINDOWID",
    "XAUTHORITY",
    "XDG_ACTIVATION_TOKEN",
    "XDG_CURRENT_DESKTOP",
    "XDG_SEAT",
    "XDG_SEAT_PATH",
    "XDG_VTNR",
];

/// Prefixes of names that lead back, too: the supervisor's own options, its inherited sockets, and
/// the seat's session.
const LEADS_BACK_BY_PREFIX: [&str; 3] = ["LISTEN_", "LUMEN_", "XDG_SESSION_"];

/// What a login of another user takes over from the caller, besides `LC_*`.
const NOBODYS_OWN: [&str; 3] = ["LANG", "LANGUAGE", "TZ"];

impl Environment {
    /// A variable's value, unless it is empty, which most programs treat as unset.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// Sets a variable.
    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.0.insert(name.into(), value.into());
    }

    /// Sets a variable unless it is set.
    pub fn set_default(&mut self, name: &str, value: impl Into<OsString>) {
        if self.get(name).is_none() {
            self.set(name, value);
        }
    }

    /// All variables.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// The caller's variables for an app on the caller's own desktop.
    #[must_use]
    pub fn inherited(&self) -> Self {
        self.only(|name| {
            !LEADS_BACK.contains(&name)
                && !LEADS_BACK_BY_PREFIX.iter().any(|prefix| name.starts_with(prefix))
        })
    }

    /// The caller's variables for an app on another user's desktop.
    #[must_use]
    pub fn of_nobody(&self) -> Self {
        self.only(|name| NOBODYS_OWN.contains(&name) || name.starts_with("LC_"))
    }

    /// Names that are not UTF-8 are in no list, so lists of exclusions keep them.
    fn only(&self, keep: impl Fn(&str) -> bool) -> Self {
        let kept = self.0.iter().filter(|(name, _)| keep(&name.to_string_lossy()));
        Self(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}

impl<Name: Into<OsString>, Value: Into<OsString>> FromIterator<(Name, Value)> for Environment {
    fn from_iter<Pairs: IntoIterator<Item = (Name, Value)>>(pairs: Pairs) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().copied().collect()
    }

    #[test]
    fn inherited_keeps_the_callers_variables_and_drops_those_that_lead_back() {
        let caller = of(&[
            ("DISPLAY", ":0"),
            ("EDITOR", "vi"),
            ("LC_TIME", "de_DE.UTF-8"),
            ("LISTEN_FDS", "1"),
            ("LUMEN_LISTEN", "0.0.0.0:80"),
            ("NOTIFY_SOCKET", "/run/notify"),
            ("TZ", "Europe/Berlin"),
            ("WAYLAND_DISPLAY", "wayland-0"),
            ("XDG_SESSION_ID", "3"),
        ]);
        let expected = of(&[("EDITOR", "vi"), ("LC_TIME", "de_DE.UTF-8"), ("TZ", "Europe/Berlin")]);
        assert_eq!(caller.inherited(), expected);
    }

    #[test]
    fn of_nobody_keeps_language_and_time_zone_only() {
        let caller = of(&[
            ("HOME", "/root"),
            ("LANG", "C.UTF-8"),
            ("LANGUAGE", "de:en"),
            ("LC_TIME", "C"),
            ("LD_PRELOAD", "/opt/library.so"),
            ("SECRET", "of root"),
            ("TZ", "UTC"),
        ]);
        let expected =
            of(&[("LANG", "C.UTF-8"), ("LANGUAGE", "de:en"), ("LC_TIME", "C"), ("TZ", "UTC")]);
        assert_eq!(caller.of_nobody(), expected);
    }

    #[test]
    fn variable_that_is_empty_counts_as_not_set() {
        let mut environment = of(&[("LANG", ""), ("TZ", "UTC")]);
        environment.set_default("LANG", "C.UTF-8");
        environment.set_default("TZ", "Europe/Berlin");
        assert_eq!(environment, of(&[("LANG", "C.UTF-8"), ("TZ", "UTC")]));
    }
}
