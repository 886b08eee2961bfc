//! Logging: `tracing` to standard error, one line per event, its fields after the message.
//!
//! INVARIANT: an event is one line. What is not visible in it (such as a remote's newline in a
//! logged field) is written as an escape, so nobody can forge a line of another worker.
//!
//! The supervisor adds worker and time when it reads a worker's standard error; a line here is
//! `LEVEL target: message field=value`. Lines that a remote can cause are guarded by a
//! [`RateLimit`]:
//!
//! ```
//! # use lumen_ipc_runtime::log::RateLimit;
//! # fn refuse(reason: &str) {
//! static LIMIT: RateLimit = RateLimit::per_second(1);
//! if LIMIT.allows() {
//!     tracing::warn!(suppressed = LIMIT.suppressed(), reason, "refused a datagram");
//! }
//! # }
//! # refuse("too short");
//! ```

mod limit;

use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use limit::Limits;
use lumen_ipc::visible::visible;
use tracing::{Event, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{LevelFilter, ParseError},
    fmt,
    layer::{self, SubscriberExt},
    reload,
    util::SubscriberInitExt,
};

use crate::clock;

/// Changes what is logged while the process runs.
#[derive(Clone, Debug)]
pub struct Filter(reload::Handle<EnvFilter, Registry>);

/// Why a log filter cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// Its text is not in `tracing`'s syntax.
    #[error("the log filter is malformed")]
    Malformed(#[from] ParseError),
    /// The subscriber no longer exists.
    #[error("the log filter cannot be replaced")]
    NotReloadable(#[from] reload::Error),
}

/// The beginning of every filter: dependencies log errors only. What they say below that, a remote
/// can often cause, and our code says more.
const QUIET: &str = "error";

/// Starts logging to standard error at level `info`. Only the first call in a process has an
/// effect.
pub fn start() -> Filter {
    start_to(write_line)
}

/// Starts logging, and passes each line, without its newline, to `sink`, which must neither block
/// nor log.
pub fn start_to(sink: impl Fn(&str) + Send + Sync + 'static) -> Filter {
    let (filter, handle) = reload::Layer::new(EnvFilter::new(directives("info")));
    let sink: Arc<dyn Fn(&str) + Send + Sync> = Arc::new(sink);
    let limited = Limited { limits: Mutex::default(), sink: Arc::clone(&sink) };
    let writer = move || Lines { line: Vec::new(), sink: Arc::clone(&sink) };
    let lines = fmt::layer().without_time().with_ansi(false).with_writer(writer);
    let lines = lines.with_filter(limited);
    // An error means that a test's subscriber is installed already; then that one logs.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Filter(handle)
}

impl Filter {
    /// Logs what `filter` lets through (in `tracing`'s syntax: "info", "lumen_rtc=debug").
    ///
    /// # Errors
    /// [`FilterError`] keeps the old filter in force.
    pub fn replace(&self, filter: &str) -> Result<(), FilterError> {
        Ok(self.0.reload(EnvFilter::try_new(directives(filter))?)?)
    }
}

/// A filter in which a level without a target is that of our own crates.
fn directives(filter: &str) -> String {
    let own = |directive: &str| match directive.trim().parse::<LevelFilter>() {
        Ok(level) => format!(",{}={level}", limit::OWN),
        Err(_) => format!(",{directive}"),
    };
    filter.split(',').map(own).fold(QUIET.to_owned(), |all, next| all + &next)
}

/// Holds back lines beyond what their source may log, and says how many.
struct Limited {
    limits: Mutex<Limits>,
    sink: Arc<dyn Fn(&str) + Send + Sync>,
}

impl<S> layer::Filter<S> for Limited {
    fn enabled(&self, _: &Metadata<'_>, _: &layer::Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &layer::Context<'_, S>) -> bool {
        let second = clock::now().0 / 1_000_000;
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        limits.allow(second, event.metadata(), |line| (self.sink)(&single_line(&line)))
    }
}

/// Collects one event and writes it as one line.
struct Lines {
    line: Vec<u8>,
    sink: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            (self.sink)(&single_line(&String::from_utf8_lossy(&self.line)));
        }
    }
}

/// Writes `text` to standard error as exactly one line.
pub(crate) fn write_line(text: &str) {
    let mut line = single_line(text);
    line.push('\n');
    // Without standard error there is nowhere to report the failure.
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

fn single_line(text: &str) -> String {
    visible(text.trim_end()).into_owned()
}

/// Limits the lines per second of one call site, and counts the suppressed ones.
#[derive(Debug)]
pub struct RateLimit {
    per_second: u32,
    /// The current second in the upper half, the lines allowed in it in the lower.
    window: AtomicU64,
    suppressed: AtomicU64,
}

impl RateLimit {
    /// At most `lines` a second.
    #[must_use]
    pub const fn per_second(lines: u32) -> Self {
        Self { per_second: lines, window: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }

    /// Whether a line may be written now.
    pub fn allows(&self) -> bool {
        self.allows_in(clock::now().0 / 1_000_000)
    }

    /// How many lines were suppressed since the last call.
    pub fn suppressed(&self) -> u64 {
        self.suppressed.swap(0, Ordering::Relaxed)
    }

    fn allows_in(&self, second: u64) -> bool {
        let count = |window: u64| {
            let lines = if window >> 32 == second { window & u64::from(u32::MAX) } else { 0 };
            (lines < u64::from(self.per_second)).then_some(second << 32 | (lines + 1))
        };
        let allowed = self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).is_ok();
        if !allowed {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_without_a_target_are_about_our_own_crates() {
        assert_eq!(directives("info"), "error,lumen=info");
        assert_eq!(directives("warn,str0m=debug"), "error,lumen=warn,str0m=debug");
        assert!(EnvFilter::try_new(directives("debug,lumen_rtc=trace")).is_ok());
        assert!(EnvFilter::try_new(directives("=no[filter")).is_err());
    }

    #[test]
    fn our_own_crates_log_at_the_level_asked_for_and_dependencies_errors_only() {
        let filter = EnvFilter::new(directives("info"));
        let subscriber = tracing_subscriber::registry().with(filter);
        tracing::subscriber::with_default(subscriber, || {
            assert!(tracing::enabled!(target: "lumen_rtc::shell", tracing::Level::INFO));
            assert!(!tracing::enabled!(target: "lumen_rtc::shell", tracing::Level::DEBUG));
            assert!(!tracing::enabled!(target: "str0m::ice", tracing::Level::WARN));
            assert!(tracing::enabled!(target: "str0m::ice", tracing::Level::ERROR));
        });
    }

    #[test]
    fn flood_of_a_dependency_is_held_back_and_counted_and_others_stay_readable() {
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&said);
        let sink: Arc<dyn Fn(&str) + Send + Sync> =
            Arc::new(move |line: &str| kept.lock().expect("no panic").push(line.to_owned()));
        let limited = Limited { limits: Mutex::default(), sink: Arc::clone(&sink) };
        let writer = move || Lines { line: Vec::new(), sink: Arc::clone(&sink) };
        let lines = fmt::layer().without_time().with_ansi(false).with_writer(writer);
        let subscriber = tracing_subscriber::registry().with(lines.with_filter(limited));
        tracing::subscriber::with_default(subscriber, || {
            let start = clock::now().0 / 1_000_000;
            for _ in 0..20_000 {
                tracing::error!(target: "dependency::stun", "malformed");
                tracing::error!(target: "dependency::dtls", "malformed");
            }
            tracing::warn!(target: "lumen_test", "another line");
            // The count is told with the first line of another second.
            while clock::now().0 / 1_000_000 == start {
                std::hint::spin_loop();
            }
            tracing::info!(target: "lumen_test", "the end");
        });
        let said = said.lock().expect("no panic");
        let of = |what: &str| said.iter().filter(|line| line.contains(what)).count();
        assert!(of("another line") == 1 && of("the end") == 1, "{said:?}");
        assert!(of("lines of this kind were held back") >= 1, "{said:?}");
        // Five a second, over the few seconds that this may take on a busy machine.
        assert!(of("malformed") < 200, "{}", of("malformed"));
    }

    #[test]
    fn rate_limit_counts_what_it_holds_back_per_second() {
        let limit = RateLimit::per_second(2);
        let allowed = [7, 7, 7, 7, 8].map(|second| limit.allows_in(second));
        assert_eq!(allowed, [true, true, false, false, true]);
        assert_eq!(limit.suppressed(), 2);
        assert_eq!(limit.suppressed(), 0);
    }

    #[test]
    fn single_line_escapes_what_could_start_another() {
        assert_eq!(single_line("a\nb\u{1b}[2Jä\r\n"), "a\\nb\\u{1b}[2Jä");
    }
}
