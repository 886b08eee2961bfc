//! What a context binds.

mod ffi;

pub use ffi::{Channels, Corner, Program, Target, Texture};
