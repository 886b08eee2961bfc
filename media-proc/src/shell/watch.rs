//! A thread that ends media when its graphics processor does not finish: a driver that hangs holds the only
//! thread that could notice.
//!
//! While nothing is drawn it sleeps without a deadline. While something is, it wakes at most once in the
//! time that a frame may take.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use lumen_ipc::process::ExitCode;
use lumen_ipc_runtime::bootstrap;

/// How long a driver may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// To be opened and tried, for which it compiles.
    opening: Duration,
    /// For a frame.
    frame: Duration,
}

/// Of a graphics processor: a hundred times what a slow frame takes.
pub(super) const LIMITS: Limits =
    Limits { opening: Duration::from_secs(8), frame: Duration::from_secs(1) };

/// Of a driver that draws by the processor, which others use, too, and which does not hang by itself.
pub(super) const SOFTWARE_LIMITS: Limits =
    Limits { opening: Duration::from_secs(60), frame: Duration::from_secs(60) };

/// The watching thread; it lives as long as the process.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    shared: Arc<Shared>,
    limits: Limits,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// When the driver must have come back.
    deadline: Option<Instant>,
    /// When the thread wakes by itself; `None` if it must be woken.
    wakes: Option<Instant>,
}

/// While this exists, the driver is expected to come back.
#[derive(Debug)]
pub(super) struct Watched<'watch>(&'watch Watch);

impl Watch {
    /// Starts the thread, which calls `overdue` once, if ever.
    pub(super) fn start(
        limits: Limits,
        overdue: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let watch = Self { shared: Arc::default(), limits };
        let shared = Arc::clone(&watch.shared);
        let thread = thread::Builder::new().name("gpu-watch".to_owned()).stack_size(64 * 1024);
        thread.spawn(move || {
            shared.wait();
            overdue();
        })?;
        Ok(watch)
    }

    /// The driver opens and compiles.
    pub(super) fn opening(&self) -> Watched<'_> {
        self.begin(self.limits.opening)
    }

    /// The driver draws a frame.
    pub(super) fn drawing(&self) -> Watched<'_> {
        self.begin(self.limits.frame)
    }

    fn begin(&self, limit: Duration) -> Watched<'_> {
        let mut state = self.shared.state();
        let deadline = Instant::now() + limit;
        state.deadline = Some(deadline);
        if state.wakes.is_none_or(|wakes| wakes > deadline) {
            self.shared.changed.notify_one();
        }
        Watched(self)
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.shared.state().deadline = None;
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when a deadline has passed.
    fn wait(&self) {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            state = match state.deadline {
                Some(deadline) if deadline <= now => return,
                Some(deadline) => {
                    state.wakes = Some(deadline);
                    let woken = self.changed.wait_timeout(state, deadline - now);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    state.wakes = None;
                    self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }
}

/// Ends the process: a driver that does not come back cannot be given up in any other way.
pub(super) fn end() {
    bootstrap::end_now(ExitCode::GpuHung, "lumen-media: the graphics processor does not finish");
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn what_comes_back_in_time_is_not_overdue_and_what_does_not_is() {
        let (overdue, is_overdue) = mpsc::channel();
        let watch =
            Watch::start(LIMITS, move || overdue.send(()).expect("a reader")).expect("a thread");
        (0..100).for_each(|_| drop(watch.begin(Duration::from_secs(60))));
        assert!(is_overdue.try_recv().is_err());
        let hangs = watch.begin(Duration::from_millis(1));
        is_overdue.recv_timeout(Duration::from_secs(30)).expect("noticed");
        drop(hangs);
    }
}
