//! What a command line is read in: the environment, and the configuration files of this machine.

use std::path::Path;

use super::{UsageError, file::FileText};

/// The environment and the configuration files.
pub trait Outside {
    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Option<String>;

    /// The configuration file at `chosen`, or those that there are at the usual places. What an
    /// earlier file sets wins.
    ///
    /// # Errors
    /// A file cannot be read, or is not to be believed.
    fn files(&self, chosen: Option<&Path>) -> Result<Vec<FileText>, UsageError>;
}

/// An environment without configuration files.
impl<Look: Fn(&str) -> Option<String>> Outside for Look {
    fn variable(&self, name: &str) -> Option<String> {
        self(name)
    }

    fn files(&self, _: Option<&Path>) -> Result<Vec<FileText>, UsageError> {
        Ok(Vec::new())
    }
}
