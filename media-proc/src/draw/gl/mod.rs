//! OpenGL ES 3, whose functions EGL finds at run time: a context, and what it binds.

mod ffi;
mod programs;
mod targets;
mod textures;

pub use self::{
    ffi::Gl,
    programs::{Corner, Program},
    targets::{Channels, Target},
    textures::Texture,
};
pub use super::egl::{Refused, Unusable};
