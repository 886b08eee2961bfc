//! EGL: displays, contexts and imported buffers, for [`super::gl`].

mod ffi;

pub(super) use ffi::{Egl, Image, set_environment};
pub use ffi::{Refused, Unusable};
