//! Log lines as an administrator sees them: their source, and how many are missing.
//!
//! INVARIANT: [`LogLine::sequence`] numbers the lines of a source without gaps as they are written,
//! so a jump tells the reader how many were dropped.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{process::Worker, text::Text};

/// The source of a line. Each source has its own ring.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum LogSource {
    /// The user's app and the programs it started.
    App,
    /// The session bus.
    Bus,
    /// The clipboard's bridge.
    Clipboard,
    /// The sound server.
    Pipewire,
    /// What speaks to the sound server for programs of PulseAudio.
    Pulse,
    /// The supervisor itself.
    Supervisor,
    /// What connects programs to the sound server's devices.
    Wireplumber,
    /// A worker.
    Worker(Worker),
    /// The X server.
    XServer,
}

impl LogSource {
    /// Every source.
    pub const ALL: [Self; 15] = [
        Self::Supervisor,
        Self::App,
        Self::Bus,
        Self::XServer,
        Self::Clipboard,
        Self::Pipewire,
        Self::Wireplumber,
        Self::Pulse,
        Self::Worker(Worker::Compositor),
        Self::Worker(Worker::Media),
        Self::Worker(Worker::Sound),
        Self::Worker(Worker::Rtc),
        Self::Worker(Worker::Gamepad),
        Self::Worker(Worker::Gateway),
        Self::Worker(Worker::Turn),
    ];

    /// The word before its lines, by which commands select them.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Bus => "bus",
            Self::Clipboard => "clipboard",
            Self::Pipewire => "pipewire",
            Self::Pulse => "pulse",
            Self::Supervisor => "lumen",
            Self::Wireplumber => "wireplumber",
            Self::Worker(worker) => worker.name(),
            Self::XServer => "xserver",
        }
    }

    /// The source called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.name() == name)
    }
}

impl fmt::Display for LogSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Some log lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogPage {
    /// The lines, as many as fit a frame.
    pub lines: Vec<LogLine>,
}

/// One line.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// Its number, counted over all sources: the order in which lines were read.
    pub number: u64,
    /// Its source.
    pub source: LogSource,
    /// Its number among the lines of its source, from 1; dropped lines count.
    pub sequence: u64,
    /// The line, without its end.
    pub text: Text<2048>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_name_inverts_name_for_every_source() {
        for source in LogSource::ALL {
            assert_eq!(LogSource::from_name(source.name()), Some(source));
        }
        for worker in Worker::ALL {
            assert_eq!(LogSource::from_name(worker.name()), Some(LogSource::Worker(worker)));
        }
    }
}
