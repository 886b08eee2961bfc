//! What no dependency does safely: an allocator that wipes, a step between fork and exec, and one item of
//! PAM's that is a function.

#![allow(
    unsafe_code,
    reason = "an allocator, pre_exec and a raw PAM item; each block says why it is sound"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ffi::{c_int, c_uint, c_void},
    io,
    os::{fd::RawFd, unix::process::CommandExt},
    process::Command,
};

use nix::libc;
use pam_client2::{Context, ConversationHandler};

/// Wipes memory before it is given back. Passwords pass through strings of libraries that free their copies
/// as they are; this process lives as long as the session, and nothing it does is slow enough to notice.
struct Wiping;

#[global_allocator]
static ALLOCATOR: Wiping = Wiping;

// SAFETY: all calls are passed on to the system's allocator with the same arguments, so its guarantees hold;
// memory is written only in `dealloc`, which is given a block that nobody else uses any more. `realloc` is
// the trait's own, made of these, so that the old block is wiped, too.
unsafe impl GlobalAlloc for Wiping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's guarantees are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        for offset in 0..layout.size() {
            // SAFETY: `block` was allocated with this layout, so it has that many bytes. Volatile, because a
            // compiler leaves out writes to memory that is freed.
            unsafe { block.add(offset).write_volatile(0) };
        }
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

/// `PAM_FAIL_DELAY` of security/_pam_types.h.
const FAIL_DELAY: c_int = 10;

/// A PAM delay that is none: this process answers refusals at a time of its own.
extern "C" fn no_delay(_status: c_int, _microseconds: c_uint, _data: *mut c_void) {}

/// Has PAM not wait after a failure.
pub(super) fn without_delay<Handler: ConversationHandler>(
    context: &mut Context<Handler>,
) -> pam_client2::Result<()> {
    let function: extern "C" fn(c_int, c_uint, *mut c_void) = no_delay;
    // SAFETY: PAM_FAIL_DELAY is a pointer to a function of this signature (pam_fail_delay(3)), and this one
    // exists as long as the program; it neither unwinds nor touches its arguments.
    unsafe { context.set_item(FAIL_DELAY, function as *const c_void) }
}

/// Has a command's process take this step between fork and exec, after which it fails or is executed.
pub(super) fn before_exec(
    command: &mut Command,
    step: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: this process has a single thread, so its child is no worse off than the process itself: nobody
    // else can hold a lock. (A PAM module that starts a thread would break that; the steps taken here make
    // system calls only.)
    unsafe { command.pre_exec(step) };
}

/// Duplicates a descriptor to a number, open across exec. Between fork and exec only, and to numbers that
/// nothing else has there.
pub(super) fn place(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: both are plain numbers. The caller keeps `to` in use in this process, so no descriptor that
    // the child needs has it (`user_side::reserve`).
    match unsafe { libc::dup2(from, to) } {
        placed if placed == to => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
