//! The log: lines of children and of this process, kept in rings and written to standard error.
//!
//! Logging cannot block the loop. One thread reads the children's pipes, another writes to standard
//! error, and between them are the rings ([`Journal`]), under a lock that is never held while
//! waiting. Where standard error is not read (a full pipe, a stopped terminal), only the writing
//! thread blocks; the rings drop their oldest lines, and the thread says how many once it
//! continues. Standard output has its own thread, for the same reason.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use lumen_ipc::{
    log::{LogPage, LogSource},
    visible::visible_lines,
};
use lumen_ipc_runtime::confine;
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{SigSet, SigmaskHow},
};
use tokio::{
    net::unix::pipe::Receiver,
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use crate::admin::{
    intake::{Intake, Taken},
    ring::{Journal, Printer},
};

/// Most bytes read from one pipe at a time.
const BLOCK: usize = 256 * 1024;
/// The capacity of a child's pipe: one block.
pub(super) const PIPE_BYTES: i32 = 256 * 1024;
/// How long to wait for a child's last lines after its end.
const SETTLE_TIMEOUT: Duration = Duration::from_millis(500);
/// How long to wait for the last lines to be written when everything ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The log, shared by all who write to it or read its lines.
#[derive(Clone)]
pub(super) struct Log {
    shared: Arc<Shared>,
    reader: Handle,
}

struct Shared {
    state: Mutex<State>,
    /// Signalled when there is more to write.
    more: Condvar,
    /// Signalled when something was written.
    written: Condvar,
    /// The number of texts not yet written to standard output.
    announcing: AtomicUsize,
}

#[derive(Default)]
struct State {
    journal: Journal,
    /// The number of the last line written to standard error.
    written: u64,
}

impl Shared {
    /// The state. Every change of it is complete, so a panic elsewhere left it consistent.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, source: LogSource, line: String) {
        self.state().journal.push(source, line);
        self.more.notify_one();
    }

    fn record(&self, source: LogSource, taken: Taken) {
        let mut state = self.state();
        state.journal.skip(source, taken.dropped);
        for line in taken.lines {
            state.journal.push(source, line);
        }
        drop(state);
        self.more.notify_one();
    }
}

impl Log {
    /// Starts both threads, which receive no signals.
    pub(super) fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            more: Condvar::new(),
            written: Condvar::new(),
            announcing: AtomicUsize::new(0),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let reader = runtime.handle().clone();
        start_thread("log-reader", move || runtime.block_on(std::future::pending::<()>()))?;
        let output = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let source = Arc::clone(&shared);
        start_thread("log-writer", move || pass_on(&source, output))?;
        Ok(Self { shared, reader })
    }

    /// Logs a line of this process.
    pub(super) fn say(&self, text: &str) {
        for line in text.lines() {
            self.shared.push(LogSource::Supervisor, line.to_owned());
        }
    }

    /// Writes to standard output in the background.
    pub(super) fn announce(&self, text: String) {
        let log = self.clone();
        log.shared.announcing.fetch_add(1, Ordering::SeqCst);
        let write = move || {
            let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
            write_all(&mut output, visible_lines(&text).as_bytes())
        };
        let announced = start_thread("announcer", move || {
            if let Err(error) = write() {
                log.say(&format!("cannot write the address to standard output: {error}"));
            }
            // Under the lock, so that a waiting thread sees it.
            let _state = log.shared.state();
            log.shared.announcing.fetch_sub(1, Ordering::SeqCst);
            log.shared.written.notify_all();
        });
        if let Err(error) = announced {
            self.shared.announcing.fetch_sub(1, Ordering::SeqCst);
            self.say(&format!("cannot start a thread for standard output: {error}"));
        }
    }

    /// Reads a child's output until the child and all who inherited its output have closed it.
    pub(super) fn follow(&self, source: LogSource, output: OwnedFd) -> Tail {
        let (settle, asked) = mpsc::channel(1);
        self.reader.spawn(read(Arc::clone(&self.shared), source, output, asked));
        Tail { settle }
    }

    /// The last lines of a source, oldest first.
    pub(super) fn latest(&self, source: LogSource, count: usize) -> Vec<String> {
        self.shared.state().journal.latest(source, count).map(str::to_owned).collect()
    }

    /// Lines with numbers above `after`.
    pub(super) fn page(&self, source: Option<LogSource>, after: u64) -> LogPage {
        LogPage { lines: self.shared.state().journal.page(source, after) }
    }

    /// Waits until everything logged so far is written, or a time limit has passed.
    pub(super) fn flush(&self) {
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        let mut state = self.shared.state();
        let last = state.journal.last();
        while state.written < last || self.shared.announcing.load(Ordering::SeqCst) > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.shared.written.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The end of one child's output.
pub(super) struct Tail {
    settle: mpsc::Sender<oneshot::Sender<()>>,
}

impl Tail {
    /// Waits, for a limited time, until everything that the child has written is in the log.
    pub(super) async fn settled(self) {
        let settled = async {
            let (reply, answer) = oneshot::channel();
            // The reader has ended if everything was read.
            if self.settle.send(reply).await.is_ok() {
                let _ = answer.await;
            }
        };
        let _ = tokio::time::timeout(SETTLE_TIMEOUT, settled).await;
    }
}

/// Reads one pipe, no faster than its [`Intake`] allows.
async fn read(
    shared: Arc<Shared>,
    source: LogSource,
    output: OwnedFd,
    mut settle: mpsc::Receiver<oneshot::Sender<()>>,
) {
    let pipe = match Receiver::from_owned_fd(output) {
        Ok(pipe) => pipe,
        Err(error) => {
            let line = format!("cannot read the output of {source}: {error}");
            return shared.push(LogSource::Supervisor, line);
        }
    };
    let mut intake = Intake::new(Instant::now());
    let (mut block, mut is_watched) = (vec![0; BLOCK], true);
    loop {
        let readable = async {
            tokio::time::sleep_until(intake.rest_until().into()).await;
            // The read below reports any error.
            let _ = pipe.readable().await;
        };
        let asked = tokio::select! {
            asked = settle.recv(), if is_watched => {
                is_watched = asked.is_some();
                asked
            }
            () = readable => None,
        };
        let (count, ended) = fill(&pipe, &mut block);
        let taken = intake.take(Instant::now(), block.get(..count).unwrap_or_default());
        shared.record(source, taken);
        if let Some(asked) = asked {
            // The requester may have stopped waiting.
            let _ = asked.send(());
        }
        if ended {
            if let Some(line) = intake.finish() {
                shared.push(source, line);
            }
            return;
        }
    }
}

/// Reads until a pipe is empty or the block is full; returns whether the pipe has ended.
fn fill(pipe: &Receiver, block: &mut [u8]) -> (usize, bool) {
    let mut count = 0;
    // The runtime reads only after a readiness event, but what a child wrote just before its end is
    // often there already.
    let ended = read_all(block, &mut count, |room| pipe.try_read(room))
        || read_all(block, &mut count, |room| Ok(rustix::io::read(pipe, room)?));
    (count, ended)
}

/// Reads until there is no more input or no more room; returns whether the input has ended.
fn read_all(
    block: &mut [u8],
    count: &mut usize,
    read: impl Fn(&mut [u8]) -> io::Result<usize>,
) -> bool {
    while let Some(room) = block.get_mut(*count..).filter(|room| !room.is_empty()) {
        match read(room) {
            Ok(0) => return true,
            Ok(read) => *count += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return true,
        }
    }
    false
}

/// Writes every line to standard error, for ever.
fn pass_on(shared: &Shared, mut output: File) {
    let mut printer = Printer::default();
    loop {
        let mut state = shared.state();
        while state.journal.last() == state.written {
            state = shared.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let page = state.journal.page(None, state.written);
        drop(state);
        // If standard error is closed (by a closed terminal), the failure cannot be reported, and
        // the desktop continues.
        let _ = write_all(&mut output, printer.print(&page).as_bytes());
        let mut state = shared.state();
        state.written = page.last().map_or_else(|| state.journal.last(), |line| line.number);
        shared.written.notify_all();
    }
}

/// Writes everything, even to a descriptor that the caller made non-blocking.
fn write_all(output: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut waiting = [PollFd::new(output.as_fd(), PollFlags::POLLOUT)];
                poll(&mut waiting, PollTimeout::NONE)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Starts a thread that receives no signals: those for this process go to its first thread, which
/// reads them from descriptors, and a terminal stops no thread that writes to it from the
/// background.
fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let usual = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let started = thread::Builder::new().name(name.to_owned()).spawn(|| {
        // It uses descriptors that it has, and must be no way around what other threads give up later.
        confine::renounce();
        work();
    });
    usual.thread_set_mask()?;
    started.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn fill_finds_what_was_written_though_the_runtime_was_not_told_yet() {
        let (output, mut input) = io::pipe().expect("a pipe");
        let pipe = Receiver::from_owned_fd(output.into()).expect("a pipe");
        let mut block = [0; 16];
        assert_eq!(fill(&pipe, &mut block), (0, false));
        input.write_all(b"last words").expect("room");
        assert_eq!(fill(&pipe, &mut block), (10, false));
        drop(input);
        assert_eq!(fill(&pipe, &mut block), (0, true));
    }
}
