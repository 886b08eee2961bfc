//! Stands in for the crate `tempfile` in `lumen-compositor`.
//!
//! Smithay makes one kind of temporary file: the keymap for an app that speaks `wl_seat` below
//! version 7 (wlroots 0.15, so every nested sway of Debian 12). The confined compositor opens
//! nothing by path and would be ended by the attempt. A memfd serves as well: it has no name, and
//! is freed with its last descriptor. Each app gets its own, because it may write to it.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

use std::{fs::File, io, path::Path};

use rustix::fs::{MemfdFlags, memfd_create};

/// A new file without a name. The directory does not matter.
///
/// # Errors
/// The kernel's error when there is no memory or descriptor left.
pub fn tempfile_in(_directory: impl AsRef<Path>) -> io::Result<File> {
    let memory = memfd_create("lumen-keymap", MemfdFlags::CLOEXEC)?;
    Ok(File::from(memory))
}
