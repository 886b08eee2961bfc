//! The H.264 encoder, which sends each picture to the faster of two coders.
//!
//! `direct` codes pictures that are mostly known already, [`x264`] all others. Both write into one
//! stream, so a coder that takes over first gets the other's decoded picture, and x264's slices are
//! renumbered once pictures of `direct` lie between them.

use lumen_ipc::units::{Fps, FrameSize, Kbps};

use super::{
    AccessUnit, Picture, PictureKind,
    direct::Direct,
    x264::{self, EncodeError},
};
use crate::convert::MacroblockMap;

/// An open encoder for pictures of one size.
#[derive(Debug)]
pub struct Encoder {
    x264: x264::Encoder,
    /// Present from the first IDR on, if x264's headers are of the expected kind.
    direct: Option<Direct>,
    newest: Newest,
    /// Whether x264's pictures need other numbers than x264 gave them.
    renumbered: bool,
    /// What differs from the picture that x264 encoded last.
    changed: MacroblockMap,
    stream: Vec<u8>,
}

/// Which coder holds the picture that decoders show.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Newest {
    X264,
    Direct,
    Both,
}

impl Encoder {
    /// Opens an encoder for pictures of `size`, at most `fps` of them a second in at most `bitrate`.
    ///
    /// # Errors
    /// [`x264::OpenError`] says what libx264 refused.
    pub fn open(size: FrameSize, fps: Fps, bitrate: Kbps) -> Result<Self, x264::OpenError> {
        Ok(Self {
            x264: x264::Encoder::open(size, fps, bitrate)?,
            direct: None,
            newest: Newest::X264,
            renumbered: false,
            changed: MacroblockMap::constant(size),
            stream: Vec::new(),
        })
    }

    /// Size of its pictures.
    #[must_use]
    pub const fn size(&self) -> FrameSize {
        self.x264.size()
    }

    /// Encodes `picture`. The result lies in the encoder's memory until the next call.
    ///
    /// # Errors
    /// [`EncodeError`]; the encoder should then be opened anew.
    pub fn encode(&mut self, picture: Picture<'_>) -> Result<AccessUnit<'_>, EncodeError> {
        for size in [picture.planes.size(), picture.changed.size()] {
            if size != self.size() {
                return Err(EncodeError::Size { encoder: self.size(), picture: size });
            }
        }
        self.changed.add(picture.changed);
        self.stream.clear();
        if self.encode_directly(&picture) {
            return Ok(AccessUnit { bytes: &self.stream, key: false, direct: true });
        }
        self.encode_with_x264(picture)
    }

    /// Whether `direct` encoded it.
    fn encode_directly(&mut self, picture: &Picture<'_>) -> bool {
        let Some(direct) = self.direct.as_mut().filter(|_| Direct::suits(picture)) else {
            return false;
        };
        if self.newest == Newest::X264 {
            if !self.x264.read_reference(direct.decoded_mut()) {
                return false;
            }
            self.newest = Newest::Both;
        }
        if !direct.encode(picture, &mut self.stream) {
            return false;
        }
        self.newest = Newest::Direct;
        self.renumbered = true;
        true
    }

    fn encode_with_x264(&mut self, picture: Picture<'_>) -> Result<AccessUnit<'_>, EncodeError> {
        let (key, size) = (picture.kind == PictureKind::Key, self.size());
        if let Some(direct) = &self.direct
            && self.newest == Newest::Direct
            && !key
            && !self.x264.write_reference(direct.decoded())
        {
            return Err(EncodeError::Reference);
        }
        let unit = self.x264.encode(Picture { changed: &self.changed, ..picture })?;
        self.changed.clear();
        self.newest = Newest::X264;
        if unit.key {
            self.renumbered = false;
            self.direct = continued(self.direct.take(), unit.bytes, size);
            return Ok(unit);
        }
        match &mut self.direct {
            Some(direct) if self.renumbered => {
                if direct.renumber(unit.bytes, &mut self.stream).is_err() {
                    return Err(EncodeError::Reference);
                }
                Ok(AccessUnit { bytes: &self.stream, key: false, direct: false })
            }
            Some(direct) => {
                direct.count();
                Ok(unit)
            }
            None => Ok(unit),
        }
    }
}

/// Continues `direct` after `idr`; `None` if the headers are not understood, so that x264 encodes
/// every picture.
fn continued(before: Option<Direct>, idr: &[u8], size: FrameSize) -> Option<Direct> {
    let direct = match before {
        Some(mut direct) => direct.restart(idr, size).map(|()| direct),
        None => Direct::behind(idr, size),
    };
    direct.inspect_err(|error| tracing::warn!(%error, "x264 encodes simple pictures, too")).ok()
}

#[cfg(test)]
#[path = "h264_tests.rs"]
mod tests;
