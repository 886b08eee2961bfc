//! A page's keyboard, and whether it has the focus.

use anyhow::Result;
use serde_json::{Value, json};

use super::Page;

impl Page {
    /// Presses a key, by its `KeyboardEvent.code`.
    ///
    /// # Errors
    /// When the page is gone, or never takes keys.
    pub fn key_down(&self, code: &str) -> Result<()> {
        self.act(json!({ "do": "key", "code": code, "down": true }))
    }

    /// Presses a key, whether the page takes keys at this moment or not.
    ///
    /// # Errors
    /// When the page is gone.
    pub fn key_down_now(&self, code: &str) -> Result<()> {
        self.ask(json!({ "do": "key", "code": code, "down": true })).map(drop)
    }

    /// Releases a key.
    ///
    /// # Errors
    /// When the page is gone.
    pub fn key_up(&self, code: &str) -> Result<()> {
        self.ask(json!({ "do": "key", "code": code, "down": false })).map(drop)
    }

    /// A key event that the driver's keyboard cannot make: `more` are members of the event.
    ///
    /// # Errors
    /// When the page is gone, or never takes keys.
    pub fn key_event(&self, kind: &str, code: &str, more: &Value) -> Result<()> {
        self.wait_for_controls()?;
        self.evaluate(&format!("void lumenTest.keyEvent('{kind}', '{code}', {more})"))
    }

    /// Takes the focus from the window, as switching to another one does.
    ///
    /// # Errors
    /// When the page is gone.
    pub fn blur(&self) -> Result<()> {
        self.evaluate("void window.dispatchEvent(new FocusEvent('blur'))")
    }

    /// Gives it back.
    ///
    /// # Errors
    /// When the page is gone.
    pub fn focus(&self) -> Result<()> {
        self.evaluate("void window.dispatchEvent(new FocusEvent('focus'))")
    }

    /// Has the page believe that its tab is hidden, as behind another one, or shown again. A browser
    /// without a screen never hides a tab.
    ///
    /// # Errors
    /// When the page is gone.
    pub fn set_hidden(&self, hidden: bool) -> Result<()> {
        self.evaluate(&format!(
            "Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }}),
             void document.dispatchEvent(new Event('visibilitychange'))"
        ))
    }
}
