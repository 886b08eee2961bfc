//! The H.264 encoder, which sends each picture to the faster of two coders.
//!
//! `direct` codes pictures that are mostly known already, [`x264`] all others. Both write into one
//! stream, so a coder that takes over first gets the other's decoded picture, and x264's slices are
//! renumbered once pictures of `direct` lie between them.
//!
//! Where pictures are to be thrifty, another x264 with better tools goes on from the decoded picture,
//! without a keyframe, and when they are not, the first kind again. It begins with a keyframe that
//! nobody gets, of which only the memory is used. Text that scrolls then takes fewer bits with
//! arithmetic coding than with `direct`. In a stream of Main profile the two name different
//! parameter sets, which all keyframes bring.

use lumen_ipc::units::{Fps, FrameSize, Kbps};

use super::{
    AccessUnit, Picture, PictureKind,
    direct::Direct,
    x264::{self, EncodeError, Tools},
};
use crate::{
    convert::{MacroblockMap, Planes},
    effort::Effort,
};

/// An open encoder for pictures of one size.
#[derive(Debug)]
pub struct Encoder {
    x264: x264::Encoder,
    fps: Fps,
    bitrate: Kbps,
    /// The tools of thrifty pictures.
    thrifty: Tools,
    /// Whether x264 could not be opened with other tools.
    is_stuck: bool,
    /// The parameter sets of a stream of Main profile.
    sets: Vec<u8>,
    /// Present from the first IDR on, if x264's headers are of the expected kind.
    direct: Option<Direct>,
    newest: Newest,
    /// Whether x264's pictures need other numbers than x264 gave them.
    renumbered: bool,
    /// What differs from the picture that x264 encoded last.
    changed: MacroblockMap,
    everything: MacroblockMap,
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
    /// Opens an encoder for pictures of `size`, at most `fps` of them a second in at most `bitrate`;
    /// thrifty ones are coded with the tools `thrifty`, which also decide the profile.
    ///
    /// # Errors
    /// [`x264::OpenError`] says what libx264 refused.
    pub fn open(
        size: FrameSize,
        fps: Fps,
        bitrate: Kbps,
        thrifty: Tools,
    ) -> Result<Self, x264::OpenError> {
        Ok(Self {
            x264: x264::Encoder::open(size, fps, bitrate, Tools::Plain)?,
            fps,
            bitrate,
            thrifty,
            is_stuck: false,
            sets: Vec::new(),
            direct: None,
            newest: Newest::X264,
            renumbered: false,
            changed: MacroblockMap::constant(size),
            everything: MacroblockMap::whole(size),
            stream: Vec::new(),
        })
    }

    /// Size of its pictures.
    #[must_use]
    pub const fn size(&self) -> FrameSize {
        self.x264.size()
    }

    /// Whether its streams are of Main profile.
    #[must_use]
    pub const fn is_main(&self) -> bool {
        self.thrifty.arithmetic()
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
        if !self.is_better_arithmetically(&picture) && self.encode_directly(&picture) {
            return Ok(AccessUnit { bytes: &self.stream, key: false, direct: true });
        }
        self.encode_with_x264(picture)
    }

    /// Whether x264 takes fewer bits of a thrifty picture than `direct`: text that moved, coded
    /// arithmetically.
    fn is_better_arithmetically(&self, picture: &Picture<'_>) -> bool {
        let is_moved = matches!(picture.kind, PictureKind::Moved(_));
        is_moved && picture.effort == Effort::Thrifty && self.thrifty.arithmetic()
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
        if !key {
            self.bring_up_to_date(&picture)?;
        }
        // Where x264 deblocks what is marked as constant, it is no longer sure of it: then a picture of
        // nothing but copies could not be made.
        let sure = self.x264.tools() == Tools::Plain;
        let changed = if sure { &self.changed } else { &self.everything };
        // What has nothing in common with the picture before may be the same, seen from elsewhere.
        let is_thrifty = picture.effort == Effort::Thrifty;
        let kind = match picture.kind {
            PictureKind::Fresh if is_thrifty => PictureKind::Predicted,
            kind => kind,
        };
        let unit = self.x264.encode(Picture { changed, kind, ..picture })?;
        self.changed.clear();
        self.newest = Newest::X264;
        if unit.key {
            self.renumbered = false;
            self.direct = continued(self.direct.take(), unit.bytes, size);
            let Some(direct) = self.direct.as_ref().filter(|_| self.thrifty.arithmetic()) else {
                return Ok(unit);
            };
            if self.sets.is_empty() {
                let sets = direct.sets_of_main(unit.bytes);
                self.sets = sets.map_err(|_| EncodeError::Reference)?;
            }
            Direct::put_behind(&self.sets, unit.bytes, &mut self.stream);
            return Ok(AccessUnit { bytes: &self.stream, ..unit });
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

    /// Gives x264 the tools that `picture` is to be coded with, and the picture before it.
    fn bring_up_to_date(&mut self, picture: &Picture<'_>) -> Result<(), EncodeError> {
        let thrifty = picture.effort == Effort::Thrifty;
        let tools = if thrifty { self.thrifty } else { Tools::Plain };
        if tools != self.x264.tools() && !self.is_stuck {
            self.hand_over(tools, picture.planes)?;
        }
        if let Some(direct) = &self.direct
            && self.newest == Newest::Direct
        {
            refer(&mut self.x264, direct, picture.planes)?;
        }
        Ok(())
    }

    /// Goes on with another x264, from the picture that decoders show.
    fn hand_over(&mut self, tools: Tools, planes: &Planes) -> Result<(), EncodeError> {
        let size = self.size();
        let Some(direct) = &mut self.direct else { return Ok(()) };
        if self.newest == Newest::X264 {
            if !self.x264.read_reference(direct.decoded_mut()) {
                return Err(EncodeError::Reference);
            }
            self.newest = Newest::Both;
        }
        let mut next = match x264::Encoder::open(size, self.fps, self.bitrate, tools) {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(%error, ?tools, "pictures are coded with the tools at hand");
                self.is_stuck = true;
                return Ok(());
            }
        };
        let begin = Picture {
            planes: &Planes::new(size),
            changed: &MacroblockMap::whole(size),
            kind: PictureKind::Key,
            // What is unchanged is as coarse as the last x264 left it.
            quantizer: self.x264.quantizer(),
            effort: Effort::Quick,
        };
        if !direct.agrees_with(next.encode(begin)?.bytes, size) {
            tracing::warn!(?tools, "another x264 has other headers");
            self.is_stuck = true;
            return Ok(());
        }
        refer(&mut next, direct, planes)?;
        (self.x264, self.newest, self.renumbered) = (next, Newest::Both, true);
        Ok(())
    }
}

/// Makes the next picture of `x264` refer to that of `direct`.
fn refer(x264: &mut x264::Encoder, direct: &Direct, planes: &Planes) -> Result<(), EncodeError> {
    if !x264.write_reference(direct.decoded()) {
        return Err(EncodeError::Reference);
    }
    if x264.tools() == Tools::Plain {
        return Ok(());
    }
    // Samples between pixels are made with each picture. So one is made, for nobody, that is the
    // overwritten one in every macroblock.
    let copy = Picture {
        planes,
        changed: &MacroblockMap::constant(x264.size()),
        kind: PictureKind::Predicted,
        quantizer: x264.quantizer(),
        effort: Effort::Thrifty,
    };
    x264.encode(copy).map(drop)
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
