//! The clipboard of the browser's computer.

use anyhow::{Context, Result};
use serde_json::json;

use super::Browser;

impl Browser {
    /// Puts a text on it, as another program would. `url` is that of a page that may access it.
    ///
    /// # Errors
    /// When the browser refuses.
    pub fn copy(&self, url: &str, text: &str) -> Result<()> {
        self.lease().keep_from_others();
        self.ask(&json!({ "do": "copy", "url": url, "text": text })).map(drop)
    }

    /// The text on it.
    ///
    /// # Errors
    /// When the browser refuses.
    pub fn copied(&self, url: &str) -> Result<String> {
        let text = self.ask(&json!({ "do": "copied", "url": url }))?;
        text.as_str().map(str::to_owned).context("a text")
    }
}
