//! Memory of surfaces that is handed out, for a graphics processor to draw into.

mod ffi;

pub(super) use ffi::export;
