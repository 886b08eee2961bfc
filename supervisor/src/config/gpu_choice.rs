//! Which graphics processor draws a session's picture.

use std::{path::PathBuf, str::FromStr};

/// What `--gpu` says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GpuChoice {
    /// The one with this device node.
    At(PathBuf),
    /// The first that can be used.
    Auto,
    /// None.
    Off,
}

/// Neither a word that `--gpu` knows nor an absolute path.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected auto, off or the absolute path of a render node, such as /dev/dri/renderD128")]
pub struct BadGpuChoice;

impl FromStr for GpuChoice {
    type Err = BadGpuChoice;

    fn from_str(text: &str) -> Result<Self, BadGpuChoice> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            path if path.starts_with('/') => Ok(Self::At(PathBuf::from(path))),
            _ => Err(BadGpuChoice),
        }
    }
}
