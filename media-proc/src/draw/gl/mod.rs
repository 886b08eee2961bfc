//! OpenGL ES 3, whose functions EGL finds at run time: a context, and what it binds.

mod ffi;
mod things;

pub use self::{
    ffi::Gl,
    things::{Channels, Corner, Program, Target, Texture},
};
pub use super::egl::{Refused, Unusable};
