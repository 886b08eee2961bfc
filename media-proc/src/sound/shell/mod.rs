//! What touches the sound server.

mod defaults;
mod ffi;
pub mod server;
