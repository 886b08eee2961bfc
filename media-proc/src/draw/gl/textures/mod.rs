//! Textures.

mod ffi;

pub use ffi::Texture;
