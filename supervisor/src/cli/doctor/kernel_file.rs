//! Files in which the kernel says something in a line.

use std::fs;

/// What the file says; `None` if there is no such file.
pub(super) fn read(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}
