//! Calls of the C library that no crate wraps.

#![allow(unsafe_code, reason = "calls of the C library; every block states why it is sound")]

use std::ffi::{CStr, c_char, c_int};

unsafe extern "C" {
    /// glibc's, of `<nss.h>`: replaces a line of `/etc/nsswitch.conf` for this process.
    fn __nss_configure_lookup(database: *const c_char, line: *const c_char) -> c_int;
}

/// Lets the C library look names up in `/etc/hosts` and by DNS only, whatever the machine's settings say: the other ways
/// are libraries that it would load, and programs of the machine that those would talk to. For a process with one thread.
///
/// # Errors
/// When the C library does not take it.
pub(super) fn look_names_up_plainly() -> std::io::Result<()> {
    let (database, line): (&CStr, &CStr) = (c"hosts", c"files dns");
    // SAFETY: both are constant strings with an end, which it reads. It changes what look-ups read without a lock, so
    // none may run meanwhile: this is called before there is a second thread.
    match unsafe { __nss_configure_lookup(database.as_ptr(), line.as_ptr()) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
