//! Waiting: until a condition holds, never for a guessed time.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Time between two checks of a condition, at least.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long a test waits before it gives up: 30 s, or `LUMEN_TEST_PATIENCE` seconds. It decides
/// only how long a failing test takes, never whether a correct one passes.
#[must_use]
pub fn patience() -> Duration {
    let seconds =
        std::env::var("LUMEN_TEST_PATIENCE").ok().and_then(|text| text.parse::<u64>().ok());
    Duration::from_secs(seconds.unwrap_or(30))
}

/// Waits until `condition` yields a value; `what` names what is awaited, for the error.
///
/// # Errors
/// When [`patience`] is over.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> Result<T> {
    let limit = patience();
    let deadline = Instant::now() + limit;
    loop {
        let began = Instant::now();
        if let Some(value) = condition() {
            return Ok(value);
        }
        let looked = Instant::now();
        if looked >= deadline {
            bail!("waited {} s in vain: {what}", limit.as_secs());
        }
        // Asking a page or starting `lumen status` costs as much as what is waited for: it is left half the time.
        thread::sleep(LOOK_EVERY.max(looked - began));
    }
}

/// Waits until `condition` is true.
///
/// # Errors
/// When [`patience`] is over.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) -> Result<()> {
    wait_for(what, || condition().then_some(()))
}

/// Waits until `look` finds something; an error of `look` counts as "not yet" and is reported if
/// time runs out.
///
/// # Errors
/// When [`patience`] is over, with the last error of `look`.
pub fn wait_for_ok<T>(what: &str, mut look: impl FnMut() -> Result<T>) -> Result<T> {
    let mut last = None;
    wait_for(what, || look().map_err(|error| last = Some(error)).ok())
        .map_err(|late| last.map_or_else(|| late, |error| error.context(what.to_owned())))
}
