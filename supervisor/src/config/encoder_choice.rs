//! What encodes a session's picture.

use std::str::FromStr;

/// What `--encoder` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EncoderChoice {
    /// The graphics processor that draws, through VA-API, if media finds it better than the processor.
    Auto,
    /// The processor.
    Cpu,
    /// The graphics processor that draws, through VA-API, if it can.
    Vaapi,
}

/// Not a word that `--encoder` knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected auto, cpu or vaapi")]
pub struct BadEncoderChoice;

impl FromStr for EncoderChoice {
    type Err = BadEncoderChoice;

    fn from_str(text: &str) -> Result<Self, BadEncoderChoice> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "vaapi" => Ok(Self::Vaapi),
            _ => Err(BadEncoderChoice),
        }
    }
}
