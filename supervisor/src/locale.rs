//! The app's locale: the caller's, as far as this machine has it, and always UTF-8. Pure.
//!
//! A program whose locale is missing falls back to plain ASCII as a whole, and terminals then
//! refuse to work: a caller who comes by SSH brings a locale that only the other machine has. So
//! each variable with a locale that is not installed is replaced, and so is the one that determines
//! the character set if its locale is not UTF-8.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
};

use crate::environment::Environment;

/// Replacements, the first installed one is used: the first exists nearly everywhere.
const STAND_INS: [&str; 3] = ["C.UTF-8", "C.utf8", "en_US.UTF-8"];

/// Variables that determine the character set; the first that is set counts (`locale(7)`).
const CHARACTERS: [&str; 3] = ["LC_ALL", "LC_CTYPE", "LANG"];

/// Returns the character set of a locale; `None` if it is not installed.
pub type Codeset<'machine> = &'machine dyn Fn(&OsStr) -> Option<String>;

/// A locale that was replaced.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Replaced {
    /// The variables that named it.
    pub variables: Vec<OsString>,
    /// The locale.
    pub wanted: OsString,
    /// Its character set; `None` if it is not installed.
    pub codeset: Option<String>,
    /// The locale that the app gets instead.
    pub by: &'static str,
}

impl fmt::Display for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables: Vec<_> = self.variables.iter().map(|name| name.to_string_lossy()).collect();
        let (wanted, variables) = (self.wanted.to_string_lossy(), variables.join(", "));
        match &self.codeset {
            None => write!(f, "the locale {wanted} ({variables}) is not installed here")?,
            Some(other) => write!(f, "the locale {wanted} ({variables}) is {other}, not UTF-8")?,
        }
        write!(f, "; the app gets {} instead", self.by)
    }
}

/// Advice about a locale that is not installed.
pub const ADVICE: &str = "`locale -a` lists those that are; on Debian or Ubuntu \
                          `apt install locales-all` installs all";

/// Replaces locales that cannot work, and returns which.
pub fn settle(environment: &mut Environment, codeset: Codeset<'_>) -> Vec<Replaced> {
    let is_utf8 = |set: &str| set.eq_ignore_ascii_case("UTF-8");
    let by = STAND_INS
        .into_iter()
        .find(|name| codeset(OsStr::new(name)).is_some_and(|set| is_utf8(&set)))
        .unwrap_or(STAND_INS[0]);
    let deciding = CHARACTERS.into_iter().find(|name| environment.get(name).is_some());
    let mut replaced: BTreeMap<OsString, Replaced> = BTreeMap::new();
    for (variable, wanted) in environment.iter().filter(|(name, _)| is_about_locale(name)) {
        let found = codeset(wanted);
        let decides = deciding.is_some_and(|name| variable == name);
        let good = found.as_deref().is_some_and(|set| is_utf8(set) || !decides);
        if !good && !wanted.is_empty() {
            let entry = replaced.entry(wanted.to_owned()).or_insert_with(|| Replaced {
                variables: Vec::new(),
                wanted: wanted.to_owned(),
                codeset: found,
                by,
            });
            entry.variables.push(variable.to_owned());
        }
    }
    let replaced: Vec<_> = replaced.into_values().collect();
    for variable in replaced.iter().flat_map(|replaced| &replaced.variables) {
        environment.set(variable, by);
    }
    if deciding.is_none() {
        environment.set("LANG", by);
    }
    replaced
}

fn is_about_locale(variable: &OsStr) -> bool {
    variable == "LANG" || variable.as_encoded_bytes().starts_with(b"LC_")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with a few locales.
    fn machine(locale: &OsStr) -> Option<String> {
        let set = match locale.to_str()? {
            "C.UTF-8" | "fr_FR.UTF-8" => "UTF-8",
            "C" | "POSIX" => "ANSI_X3.4-1968",
            "fr_FR" => "ISO-8859-1",
            _ => return None,
        };
        Some(set.to_owned())
    }

    fn settled(pairs: &[(&str, &str)]) -> (Environment, String) {
        let mut environment: Environment = pairs.iter().copied().collect();
        let replaced = settle(&mut environment, &machine);
        let said: Vec<_> = replaced.iter().map(Replaced::to_string).collect();
        (environment, said.join("\n"))
    }

    fn of(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().copied().collect()
    }

    #[test]
    fn settle_keeps_what_works() {
        let works = [
            ("LANG", "fr_FR.UTF-8"),
            ("LC_COLLATE", "C"),
            ("LC_TIME", "C.UTF-8"),
            ("TZ", "Europe/Nowhere"),
        ];
        assert_eq!(settled(&works), (of(&works), String::new()));
        // With LC_ALL set, the value of LANG does not matter as long as it is installed.
        let overruled = [("LANG", "C"), ("LC_ALL", "C.UTF-8")];
        assert_eq!(settled(&overruled), (of(&overruled), String::new()));
    }

    #[test]
    fn settle_without_any_locale_is_utf8_and_says_nothing() {
        assert_eq!(settled(&[]), (of(&[("LANG", "C.UTF-8")]), String::new()));
        assert_eq!(settled(&[("LANG", "")]), (of(&[("LANG", "C.UTF-8")]), String::new()));
    }

    #[test]
    fn settle_replaces_each_variable_of_a_locale_that_is_not_installed() {
        for variable in ["LANG", "LC_ALL", "LC_CTYPE", "LC_TIME"] {
            let (environment, said) = settled(&[("LANG", "C.UTF-8"), (variable, "de_DE.UTF-8")]);
            assert_eq!(environment.get(variable), Some(OsStr::new("C.UTF-8")));
            assert_eq!(
                said,
                format!(
                    "the locale de_DE.UTF-8 ({variable}) is not installed here; the app gets \
                     C.UTF-8 instead"
                )
            );
        }
        let (_, said) = settled(&[("LANG", "de_DE.UTF-8"), ("LC_TIME", "de_DE.UTF-8")]);
        assert!(said.contains("de_DE.UTF-8 (LANG, LC_TIME)") && !said.contains('\n'), "{said}");
    }

    #[test]
    fn settle_replaces_what_decides_over_characters_and_is_not_utf8() {
        for (variable, wanted) in
            [("LANG", "fr_FR"), ("LC_CTYPE", "POSIX"), ("LC_ALL", "C"), ("LANG", "C")]
        {
            let (environment, said) = settled(&[(variable, wanted)]);
            assert_eq!(environment.get(variable), Some(OsStr::new("C.UTF-8")));
            assert!(said.contains("not UTF-8") && said.contains(wanted), "{said}");
        }
    }
}
