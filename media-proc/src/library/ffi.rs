//! Loading a library, and looking its functions up by their names.
//!
//! INVARIANT: what was loaded stays so for as long as the process lives: drivers do not survive being
//! unloaded, and pointers to functions are valid for ever.

#![allow(unsafe_code, reason = "foreign functions; every block states why it is sound")]

use std::ffi::{CStr, c_void};

/// A library is not installed, or not complete.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    /// It cannot be loaded.
    #[error("{0} cannot be loaded")]
    Library(String),
    /// It lacks a function.
    #[error("the driver lacks {0}")]
    Function(&'static str),
}

/// A table of foreign functions by their names.
macro_rules! functions {
    ($table:ident, $($field:ident = $name:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        pub(super) struct $table {
            $(pub(super) $field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }
        impl $table {
            /// Looks each function up.
            ///
            /// # Safety
            /// What `look` returns for a name is the function of that name, or null, and stays loaded.
            unsafe fn load(
                look: &dyn Fn(&std::ffi::CStr) -> *mut std::ffi::c_void,
            ) -> Result<Self, $crate::library::Missing> {
                Ok(Self { $($field: {
                    let found = look($name);
                    if found.is_null() {
                        let name = $name.to_str().unwrap_or_default();
                        return Err($crate::library::Missing::Function(name));
                    }
                    // SAFETY: the caller promises that this is the function of that name, whose
                    // signature the table states as the header of its library does.
                    unsafe {
                        std::mem::transmute::<
                            *mut std::ffi::c_void,
                            unsafe extern "C" fn($($argument),*) $(-> $result)?,
                        >(found)
                    }
                },)* })
            }
        }
    };
}

pub(crate) use functions;

/// A loaded library.
pub(crate) struct Library(*mut c_void);

impl Library {
    /// Loads a library by its name.
    pub(crate) fn load(name: &CStr) -> Result<Self, Missing> {
        // SAFETY: `name` ends with a zero. Libraries run code when they are loaded: those named here are
        // the system's own, and this process has given up its privileges.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        match handle.is_null() {
            true => Err(Missing::Library(name.to_string_lossy().into_owned())),
            false => Ok(Self(handle)),
        }
    }

    /// A function by its name; null if there is none.
    pub(crate) fn symbol(&self, name: &CStr) -> *mut c_void {
        // SAFETY: the handle is of a loaded library, the name ends with a zero.
        unsafe { libc::dlsym(self.0, name.as_ptr()) }
    }
}
