//! The calls of the sound server's library that its Rust bindings lack.

#![allow(unsafe_code, reason = "foreign functions; each block states why it is sound")]

use std::{
    ffi::{CStr, c_int},
    io, mem,
    sync::mpsc,
    time::Duration,
};

use pipewire::{
    context::ContextRc,
    loop_::{Loop, Timeout},
    main_loop::MainLoopRc,
    spa::utils::dict::DictRef,
    sys,
};

/// How long a thread may take until it runs.
const START: Duration = Duration::from_secs(5);

/// Loads a plugin of the library into `context`, where it stays until the process ends; `false` if
/// there is no such plugin.
pub(super) fn load_plugin(context: &ContextRc, factory: &CStr, properties: &DictRef) -> bool {
    // SAFETY: the context is alive for as long as the reference to it, the name ends with a zero byte,
    // and the function reads the properties only until it returns. It is called on the thread that
    // made the context. The handle that it returns is never used, only kept.
    let handle = unsafe {
        sys::pw_context_load_spa_handle(
            context.as_raw_ptr(),
            factory.as_ptr(),
            properties.as_raw_ptr(),
        )
    };
    !handle.is_null()
}

/// Makes the calling thread the loop's for good. Other threads of the library then leave their work for
/// the loop to it; otherwise they would do that work themselves, at the same time as this thread.
pub(super) fn enter(main_loop: &MainLoopRc) {
    // SAFETY: the loop is alive. It is never left, because the process ends with it; it is entered once,
    // and run by this thread only, because its type is not `Send`.
    unsafe { main_loop.loop_().enter() }
}

/// Does the work that waits in a loop that was entered, without waiting for more.
pub(super) fn iterate(main_loop: &MainLoopRc) {
    // SAFETY: `enter` was called on this thread.
    let _ = unsafe { main_loop.loop_().iterate_unguarded(Timeout::Finite(Duration::ZERO)) };
}

/// Ends the thread on which the library moves samples, which it starts with each context.
pub(super) fn stop_data_thread(context: &ContextRc) -> io::Result<()> {
    // SAFETY: the context is alive, and owns the loop for as long as it lives. Both functions may be
    // called on the thread that made the context, which this is; stopping waits for the thread's end.
    let outcome =
        unsafe { sys::pw_data_loop_stop(sys::pw_context_get_data_loop(context.as_raw_ptr())) };
    checked(outcome)
}

/// Starts that thread again, and returns when it runs. Until then it makes calls of the C library's by
/// which each thread begins, and which no policy allows.
pub(super) fn start_data_thread(context: &ContextRc) -> io::Result<()> {
    let (sender, running) = mpsc::channel();
    // SAFETY: the context is alive, and owns both loops for as long as it lives, which is until the
    // process ends. The type is a transparent wrapper of the library's. No thread runs the loop, so
    // this one may change it.
    let data_loop = unsafe { sys::pw_context_get_data_loop(context.as_raw_ptr()) };
    // SAFETY: as above.
    let events = unsafe { &*sys::pw_data_loop_get_loop(data_loop).cast::<Loop>() };
    // A function that the loop is to invoke would not do: before its thread has entered the loop, the
    // library calls it on the thread that asks. The callback needs nothing of this thread's.
    let begun = events.add_event(move || {
        let _ = sender.send(());
    });
    begun.signal().into_result().map_err(io::Error::other)?;
    // Its end would change the loop under the thread that then runs it.
    mem::forget(begun);
    // SAFETY: as above.
    checked(unsafe { sys::pw_data_loop_start(data_loop) })?;
    running.recv_timeout(START).map_err(io::Error::other)
}

/// The library returns errors as negative numbers.
fn checked(outcome: c_int) -> io::Result<()> {
    if outcome < 0 { Err(io::Error::from_raw_os_error(-outcome)) } else { Ok(()) }
}
