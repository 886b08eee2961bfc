//! Where an encoder finds the samples of a picture, and what it is told about them.

use lumen_ipc::{graphics::Rung, units::FrameSize};

use super::{Broken, drawing::Drawing, figures::Figures, shown::Shown};
use crate::{
    convert::{MacroblockMap, Planes, Reduced},
    draw::{Filled, Surfaces, gl::Unusable},
    effort::Effort,
    motion::{Memory, Relation},
    pacing::Work,
    rate::{Ask, Kind},
    video::{
        AccessUnit, Encoder, EncoderError as EncodeError, OpenError, Picture, PictureKind,
        Quantizer,
    },
};

/// Samples to encode.
#[derive(Debug)]
pub(super) enum Source<'samples> {
    /// In a surface of the encoder.
    Drawn(Filled),
    /// In memory of the processor, with what changed.
    Read(&'samples Planes, &'samples MacroblockMap),
}

impl Source<'_> {
    pub(super) const fn changed(&self) -> &MacroblockMap {
        match self {
            Self::Drawn(filled) => &filled.changed,
            Self::Read(_, changed) => changed,
        }
    }

    /// Has it encoded.
    pub(super) fn encode<'encoder>(
        &self,
        encoder: &'encoder mut Encoder,
        kind: PictureKind,
        (quantizer, effort): (Quantizer, Effort),
    ) -> Result<AccessUnit<'encoder>, EncodeError> {
        match *self {
            Self::Drawn(Filled { surface, .. }) => encoder.encode_drawn(surface, kind, quantizer),
            Self::Read(planes, changed) => {
                encoder.encode(Picture { planes, changed, kind, quantizer, effort })
            }
        }
    }
}

/// Encoder or driver failed. Media then ends, and its successor opens another.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the graphics processor or its driver failed")]
    Drawing(#[from] Unusable),
    #[error("the encoder cannot be opened")]
    Open(#[from] OpenError),
    #[error("the encoder failed")]
    Encode(#[from] EncodeError),
}

impl Failure {
    /// Whether the graphics processor or its driver failed.
    pub(super) const fn is_of_graphics(&self) -> bool {
        matches!(
            self,
            Self::Drawing(_)
                | Self::Open(OpenError::Vaapi(_))
                | Self::Encode(EncodeError::Vaapi(_))
        )
    }
}

/// Why a picture was not sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum PictureError {
    #[error(transparent)]
    Failed(#[from] Failure),
    #[error(transparent)]
    Link(#[from] Broken),
}

/// Brings the samples of the newest screen to where an encoder for pictures of `size` finds them: into its `surfaces`, or
/// else into memory of the processor. Says how they relate to the picture before, as far as the processor sees them.
pub(super) fn bring<'kept>(
    (shown, drawing): (&'kept mut Shown, Option<&mut Drawing>),
    surfaces: Option<&mut Surfaces>,
    (reduced, memory): (&'kept mut Option<Reduced>, &mut Memory),
    size: FrameSize,
    figures: &Figures,
) -> Result<(Source<'kept>, Relation), Unusable> {
    let drawing = match (surfaces, drawing) {
        (Some(surfaces), Some(drawing)) => {
            let filled = drawing.fill(surfaces, &shown.changed)?;
            shown.leave();
            (*reduced, *memory) = (None, Memory::default());
            figures.graphics_rung.set(Rung::Encoded.number().into());
            return Ok((Source::Drawn(filled), Relation::Altered));
        }
        (_, drawing) => drawing,
    };
    let rung = if drawing.is_some() { Rung::Drawn } else { Rung::Processor };
    figures.graphics_rung.set(rung.number().into());
    let (planes, changed) = shown.read(drawing, figures)?;
    let relation = memory.relate(planes, changed);
    let (planes, changed) = reduce(reduced, (planes, changed), size);
    Ok((Source::Read(planes, changed), relation))
}

/// The samples to encode at `size`, and which of them changed.
fn reduce<'a>(
    reduced: &'a mut Option<Reduced>,
    (planes, changed): (&'a Planes, &'a MacroblockMap),
    size: FrameSize,
) -> (&'a Planes, &'a MacroblockMap) {
    let whole = planes.size();
    if size == whole {
        *reduced = None;
        return (planes, changed);
    }
    let known = reduced.take().filter(|reduced| reduced.is_of(whole, size));
    let reduced = reduced.insert(known.unwrap_or_else(|| Reduced::new(whole, size)));
    reduced.update(planes, changed);
    (reduced.planes(), reduced.changed())
}

/// How a picture is encoded, and what the rate control is told of it.
pub(super) fn describe(
    work: Work,
    relation: Relation,
    changed: &MacroblockMap,
) -> (PictureKind, Ask) {
    let (picture, kind) = match (work, relation) {
        (Work::Key, _) => (PictureKind::Key, Kind::Key),
        (Work::Refinement, _) => (PictureKind::Predicted, Kind::Refinement),
        (Work::Change, Relation::Altered) => (PictureKind::Predicted, Kind::Change),
        (Work::Change, Relation::Fresh) => (PictureKind::Fresh, Kind::Fresh),
        (Work::Change, Relation::Moved(rows)) => (PictureKind::Moved(rows), Kind::Moved),
    };
    let ask = Ask { kind, changed: changed.changed(), total: changed.total() };
    (picture, ask)
}
