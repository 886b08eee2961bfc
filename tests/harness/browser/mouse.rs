//! A page's mouse.

use anyhow::Result;
use serde_json::json;

use super::Page;

/// A mouse button.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MouseButton {
    /// `BTN_LEFT`.
    Left,
    /// `BTN_RIGHT`.
    Right,
    /// `BTN_MIDDLE`.
    Middle,
}

impl Page {
    /// Moves the mouse to a place in the window, in CSS pixels.
    ///
    /// # Errors
    /// When the page is gone, or never accepts it.
    pub fn mouse_to(&self, x: f64, y: f64) -> Result<()> {
        self.act(json!({ "do": "mouse", "x": x, "y": y }))
    }

    /// Presses or releases a mouse button.
    ///
    /// # Errors
    /// When the page is gone.
    pub fn mouse_button(&self, button: MouseButton, down: bool) -> Result<()> {
        let name = match button {
            MouseButton::Left => "left",
            MouseButton::Right => "right",
            MouseButton::Middle => "middle",
        };
        self.ask(json!({ "do": "button", "button": name, "down": down })).map(drop)
    }

    /// Clicks with the left button at a place in the window, in CSS pixels.
    ///
    /// # Errors
    /// When the page is gone, or never accepts it.
    pub fn click(&self, x: f64, y: f64) -> Result<()> {
        self.mouse_to(x, y)?;
        self.ask(json!({ "do": "click" })).map(drop)
    }

    /// Turns the wheel by this many CSS pixels.
    ///
    /// # Errors
    /// When the page is gone, or never accepts it.
    pub fn wheel(&self, right: f64, down: f64) -> Result<()> {
        self.act(json!({ "do": "wheel", "right": right, "down": down }))
    }
}
