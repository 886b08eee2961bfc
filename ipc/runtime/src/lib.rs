//! What every Lumen process does with the operating system, so that no other crate needs `unsafe`
//! or knows how descriptors are passed.
//!
//! Decides how a message and its descriptors cross a socket ([`channel`], [`rpc`]), how memory is
//! shared ([`shm`]), how a worker starts and ends ([`bootstrap`]), and what it can no longer do
//! while it serves ([`confine`]).
//!
//! Trusts the kernel, and the supervisor as far as grants go. A message from a [`channel::Channel`]
//! was decoded by `lumen-ipc`, which refuses values out of range, and came with exactly the
//! descriptors that its type states; a mapped [`shm::SharedView`] cannot shrink while it is read.
//!
//! The flow of data through a worker:
//! ```text
//! fd 3 control ──▶ rpc ──▶ bootstrap::control ──▶ bootstrap ──▶ Worker::acquire / serve
//! fd 4 grants  ──▶ channel ──▶ Grant ───────────▶    │
//!                                                    └──▶ confine (between the two)
//! ```
//!
//! | module | is |
//! |---|---|
//! | [`bootstrap`] | a worker's life from exec to exit code |
//! | [`channel`] | one typed end of a data link |
//! | [`AsyncChannel`] | the same on a tokio runtime |
//! | [`clock`] | the monotonic clock all processes share |
//! | [`confine`] | a worker's policy as data, and its enforcement |
//! | [`link_end`] | an end of a link that reports why it ended |
//! | [`log`] | one line per event to standard error |
//! | [`metrics`] | lock-free metrics |
//! | [`rpc`] | tarpc over a granted stream socket |
//! | [`sealed`] | a few bytes granted by descriptor: secrets, keys |
//! | [`shm`] | sealed shared memory |
//! | [`timer`], [`wake`] | timers and wake-ups for event loops |
//! | `decoders` | every decoder of input from other processes (feature `test-support`) |
//! | `policy_probe` | proves a policy in child processes (feature `test-support`) |
//! | `policy_table` | what a policy's filter decides about every call (feature `test-support`) |

mod async_channel;
pub mod bootstrap;
pub mod channel;
pub mod clock;
pub mod confine;
#[cfg(feature = "test-support")]
pub mod decoders;
mod fds;
mod ffi;
pub mod link_end;
pub mod log;
pub mod metrics;
#[cfg(feature = "test-support")]
pub mod policy_probe;
#[cfg(feature = "test-support")]
pub mod policy_table;
pub mod rpc;
pub mod sealed;
pub mod shm;
pub mod timer;
pub mod wake;

pub use async_channel::AsyncChannel;
pub use fds::{is_shut_down, make_nonblocking};

/// Gives back to the kernel what is free in the heap. Worth its time only after much has been freed for long.
pub fn trim_heap() {
    ffi::trim_heap();
}
