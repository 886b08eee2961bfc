//! What a page hears, and what it may do before its viewer has done anything.

use anyhow::{Context, Result};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::Page;

/// What the page's youngest connection has received of sound.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct HeardSound {
    /// Milliseconds of it that were played.
    pub played: f64,
    /// Milliseconds of those that the browser made up, because nothing had come.
    pub concealed: f64,
}

impl Page {
    /// What it has received of sound. Browsers bridge a gap of a tone so well that its loudness shows
    /// nothing of it.
    ///
    /// # Errors
    /// When the page is gone, or receives no sound.
    pub fn heard_sound(&self) -> Result<HeardSound> {
        self.evaluate("lumenTest.receivedSound()").context("what the page received of sound")
    }

    /// As [`Page::evaluate`], which browsers take for a gesture of the viewer's, but without one: after
    /// it, too, the page may do only what it may do unasked.
    ///
    /// # Errors
    /// When it throws or its value is of another shape.
    pub fn observe<T: DeserializeOwned>(&self, expression: &str) -> Result<T> {
        let value = self.ask(json!({ "do": "observe", "expression": expression }))?;
        let shown = value.to_string();
        serde_json::from_value(value).with_context(|| format!("{expression} is {shown}"))
    }
}
