//! The test app's log: one JSON object a line for each event from the compositor.

use serde::{Deserialize, Serialize};

use crate::picture::Colour;

/// One line of the app's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum AppEvent {
    /// The app runs and has a window.
    Started {
        /// Its process id.
        pid: u32,
    },
    /// The compositor gave the window this size, and it has been drawn.
    Sized {
        /// Width in surface pixels.
        width: u32,
        /// Height in surface pixels.
        height: u32,
    },
    /// The compositor's preferred scale for the window changed.
    Scaled {
        /// Buffer pixels for 120 surface pixels.
        parts: u32,
    },
    /// The window shows a flat colour from now on.
    Filled {
        /// Which colour.
        colour: Colour,
    },
    /// A flash was committed; both times are of the monotonic clock.
    Flashed {
        /// When its beep is played, as the sound server says.
        meant_micros: u64,
        /// When it was committed.
        committed_micros: u64,
    },
    /// The window has the keyboard.
    KeyboardEntered,
    /// It lost the keyboard; keys held until then count as released.
    KeyboardLeft,
    /// A key, by its evdev code.
    Key {
        /// Which.
        code: u32,
        /// Down or up.
        pressed: bool,
    },
    /// The pointer is inside the window or moved there, in surface pixels.
    PointerAt {
        /// From the left.
        x: f64,
        /// From the top.
        y: f64,
    },
    /// A button, by its evdev code.
    Button {
        /// Which.
        code: u32,
        /// Down or up.
        pressed: bool,
    },
    /// The scrolling of one pointer frame. Zero where the compositor sent nothing.
    Scrolled {
        /// Rightward in pixels.
        right: f64,
        /// Downward in pixels.
        down: f64,
        /// Rightward, 120 a notch.
        right_v120: i32,
        /// Downward, 120 a notch.
        down_v120: i32,
        /// Whether the source was a wheel.
        wheel: bool,
        /// Whether the scrolling stopped: the fingers were lifted.
        stopped: bool,
    },
    /// The compositor is gone.
    Disconnected,
}
