//! What media may still do while it serves: nothing beyond the base policy.
//!
//! x264 runs on the caller's thread, and neither it nor the colour converter opens any file; both
//! detect the processor by its own instructions. Encoders of a new size and newly announced buffers
//! need memory and shared mappings, which the base policy allows without execution. The packet ring
//! is made before confinement and serves every rtc in turn.

use lumen_ipc_runtime::confine::{MIB, Policy};

/// Descriptors: 0–2, control, grants, three link ends, ring, event queue and wakers of the control
/// thread's runtime and of the loop (8), and room for those that arrive: the descriptor of an
/// announced buffer is closed as soon as the buffer is mapped.
const OPEN_FILES: u64 = 64;

/// Heap: the planes and x264's pictures take 80 MiB at 1280 × 720 and 300 MiB at 4096 × 2304, the largest
/// size.
const PRIVATE_MEMORY: u64 = 1024 * MIB;

/// The confinement.
#[must_use]
pub fn policy() -> Policy {
    Policy::base().open_files(OPEN_FILES).private_memory(PRIVATE_MEMORY)
}
