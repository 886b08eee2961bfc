//! What encodes pictures of one size: surfaces, a context and a buffer for what comes out.

mod ffi;

pub(super) use ffi::{Coder, Input, Job, Rows};
