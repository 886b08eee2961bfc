//! Targets of drawing.

mod ffi;

pub use ffi::{Channels, Target};
