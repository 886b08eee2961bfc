//! Numbers that whoever runs the tests may change, by variables of the environment; tests/README.md lists them.

use std::{error::Error, str::FromStr};

use anyhow::{Context, Result};

/// The number that this variable names, or `usual` where it is not set.
///
/// # Errors
/// When it names no number.
pub fn knob<N: FromStr<Err: Error + Send + Sync + 'static>>(name: &str, usual: N) -> Result<N> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name} is no number: {text:?}")),
        Err(_) => Ok(usual),
    }
}
