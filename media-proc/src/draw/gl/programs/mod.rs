//! Programs of shaders.

mod ffi;

pub use ffi::{Corner, Program};
