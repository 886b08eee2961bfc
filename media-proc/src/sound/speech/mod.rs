//! What a viewer says, from packets to samples.

pub mod voice;
