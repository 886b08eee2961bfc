//! The test app as a test sees it: the command line that starts it, and the log that it writes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{
    app_event::AppEvent,
    patience::{wait_for, wait_until},
};

/// What the app's window shows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Show {
    /// One flat colour with a small square that keeps changing, also after a key has filled the window.
    Blink,
    /// One flat colour with a square chequered in single pixels in the middle, still.
    Checkers,
    /// Bars of saturated colours above letters of thin strokes in the same colours, still.
    Colours,
    /// One flat colour, or another for a moment, when standard input says so.
    Flash,
    /// One flat colour, still.
    Flat,
    /// A coloured picture that changes in every pixel.
    Motion,
    /// Noise that is new in every frame, around a square that a key colours.
    Noise,
    /// Four flat colours, still.
    #[default]
    Quadrants,
    /// A page of text that scrolls.
    Scroll,
}

impl Show {
    /// Every picture.
    pub const ALL: [Self; 9] = [
        Self::Blink,
        Self::Checkers,
        Self::Colours,
        Self::Flash,
        Self::Flat,
        Self::Motion,
        Self::Noise,
        Self::Quadrants,
        Self::Scroll,
    ];

    /// Its name on the app's command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blink => "blink",
            Self::Checkers => "checkers",
            Self::Colours => "colours",
            Self::Flash => "flash",
            Self::Flat => "flat",
            Self::Motion => "motion",
            Self::Noise => "noise",
            Self::Quadrants => "quadrants",
            Self::Scroll => "scroll",
        }
    }

    /// The picture called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|show| show.name() == name)
    }
}

/// The log of a running test app.
#[derive(Clone, Debug)]
pub struct AppLog {
    path: PathBuf,
}

impl AppLog {
    /// The log at `path`, which need not exist yet.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All events written so far, oldest first, without a line that is still being written.
    #[must_use]
    pub fn events(&self) -> Vec<AppEvent> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The current end of the log.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.events().len()
    }

    /// All events written after `mark`.
    #[must_use]
    pub fn since(&self, mark: usize) -> Vec<AppEvent> {
        self.events().split_off(mark)
    }

    /// Waits for an event after `mark` that `pick` accepts.
    ///
    /// # Errors
    /// On a timeout. The error lists the events that came instead.
    pub fn wait_for<T>(
        &self,
        what: &str,
        mark: usize,
        pick: impl Fn(&AppEvent) -> Option<T>,
    ) -> Result<T> {
        wait_for(what, || self.since(mark).iter().find_map(&pick)).map_err(|error| {
            let seen = self.since(mark);
            error.context(format!("the app's log has only {seen:?}"))
        })
    }

    /// Waits for exactly this event after `mark`.
    ///
    /// # Errors
    /// On a timeout. The error lists the events that came instead.
    pub fn wait_for_event(&self, mark: usize, wanted: &AppEvent) -> Result<()> {
        self.wait_for(&format!("the app logs {wanted:?}"), mark, |event| {
            (event == wanted).then_some(())
        })
    }

    /// The app's process id.
    ///
    /// # Errors
    /// When the app does not start in time.
    pub fn pid(&self) -> Result<u32> {
        self.wait_for("the app starts", 0, |event| match event {
            AppEvent::Started { pid } => Some(*pid),
            _ => None,
        })
    }

    /// Waits until the app has drawn its window, and returns the size.
    ///
    /// # Errors
    /// When it does not draw in time.
    pub fn wait_until_drawn(&self) -> Result<(u32, u32)> {
        self.wait_for("the app draws its window", 0, |event| match event {
            AppEvent::Sized { width, height } => Some((*width, *height)),
            _ => None,
        })
    }

    /// The keys and buttons that are down according to the log.
    #[must_use]
    pub fn held(&self) -> Vec<u32> {
        let mut held = Vec::new();
        for event in self.events() {
            match event {
                AppEvent::Key { code, pressed: true }
                | AppEvent::Button { code, pressed: true } => {
                    held.push(code);
                }
                AppEvent::Key { code, pressed: false }
                | AppEvent::Button { code, pressed: false } => held.retain(|other| *other != code),
                AppEvent::KeyboardLeft => held.clear(),
                _ => {}
            }
        }
        held
    }

    /// Waits until nothing is held down.
    ///
    /// # Errors
    /// When something stays down.
    pub fn wait_until_nothing_held(&self) -> Result<()> {
        wait_until("every key and button is released", || self.held().is_empty())
            .map_err(|error| error.context(format!("still down: {:?}", self.held())))
    }
}
