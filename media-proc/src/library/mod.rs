//! Libraries of the system that are found at run time: media runs as well where they are not installed, and
//! a package of it needs none of them.

mod ffi;

pub use ffi::Missing;
pub(crate) use ffi::{Library, functions};
