//! What a driver has made, before anybody sees it.
//!
//! Drivers write headers of their own, ignore parameters, return empty units and cut streams short. A picture is
//! taken only if it consists of the units that were asked for, and its slice is the one that was asked for: of
//! that kind, with that number and that quantizer. Some pictures are read to their last macroblock
//! ([`Sample`]). What the macroblocks show only a decoder can tell.

use lumen_ipc::units::FrameSize;

use super::{
    headers::{Sequence, Slice, SliceKind, picture_set},
    macroblocks::are_whole,
};
use crate::video::direct::{
    bits::{BitReader, units, unwrap},
    headers::Parameters,
};

/// Types of NAL units (H.264, table 7-1).
const SLICE: u8 = 1;
const IDR_SLICE: u8 = 5;
const INFORMATION: u8 = 6;
const SEQUENCE_SET: u8 = 7;
const PICTURE_SET: u8 = 8;
const DELIMITER: u8 = 9;

/// Why a driver's stream is not sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the driver's stream is wrong: {0}")]
pub struct Wrong(&'static str);

/// The parameter sets that slices of a stream refer to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sets(Parameters);

/// Which pictures are read to their last macroblock, which takes the longer the more bytes they have: the first ones,
/// all IDRs, and of others as many as a part of all bytes allows.
#[derive(Debug, Default)]
pub(super) struct Sample {
    pictures: u32,
    /// Bytes of pictures that were not read since the last one that was.
    unread: usize,
}

/// So many pictures are always read, all those of a trial among them.
const FIRST: u32 = 8;
/// One byte in so many is read.
const PART: usize = 4;

impl Sample {
    /// Whether to read this picture of so many bytes.
    pub(super) fn takes(&mut self, slice: &Slice, bytes: usize) -> bool {
        self.pictures = self.pictures.saturating_add(1);
        self.unread = self.unread.saturating_add(bytes);
        let takes = self.pictures <= FIRST
            || matches!(slice.kind, SliceKind::Idr { .. })
            || self.unread >= bytes.saturating_mul(PART);
        if takes {
            self.unread = 0;
        }
        takes
    }
}

/// Reads the picture that `slice` describes, which must be the whole of `stream`; its macroblocks only where it is
/// read `thoroughly`. Puts `sequence`'s own sets in front of an IDR for which the driver has made none.
///
/// # Errors
/// [`Wrong`] says what is.
pub(super) fn examine(
    stream: &mut Vec<u8>,
    sequence: &Sequence,
    slice: &Slice,
    sets: &mut Option<Sets>,
    thoroughly: bool,
) -> Result<(), Wrong> {
    let idr = matches!(slice.kind, SliceKind::Idr { .. });
    let [mut slices, mut sequence_sets, mut picture_sets] = [0; 3];
    for unit in units(stream) {
        match unit.first().map(|header| header & 0x1F) {
            Some(DELIMITER | INFORMATION) => {}
            Some(SEQUENCE_SET) if idr && slices == 0 => sequence_sets += 1,
            Some(PICTURE_SET) if idr && slices == 0 => picture_sets += 1,
            Some(IDR_SLICE) if idr => slices += 1,
            Some(SLICE) if !idr => slices += 1,
            Some(0) => return Err(Wrong("a unit of no type")),
            _ => return Err(Wrong("a unit of another type")),
        }
    }
    if slices != 1 {
        return Err(Wrong("not one slice"));
    }
    match (idr, sequence_sets, picture_sets) {
        (false, ..) | (true, 1, 1) => {}
        (true, 0, 0) => {
            let own = [sequence.set(), picture_set()].concat();
            stream.splice(0..0, own);
        }
        _ => return Err(Wrong("not one parameter set of each kind")),
    }
    if idr {
        *sets = Some(Sets::of(stream, sequence.size)?);
    }
    let sets = sets.as_ref().ok_or(Wrong("no parameter sets"))?;
    let unit = units(stream)
        .find(|unit| unit.first().is_some_and(|header| matches!(header & 0x1F, SLICE | IDR_SLICE)));
    sets.compare(unit.unwrap_or_default(), slice, thoroughly.then_some(sequence.size))
}

impl Sets {
    fn of(stream: &[u8], size: FrameSize) -> Result<Self, Wrong> {
        let wrong = |_| Wrong("parameter sets that say something else");
        Parameters::of(stream, size).map(Self).map_err(wrong)
    }

    /// Whether `unit` is the slice that was asked for, with all macroblocks of a picture of the size `whole`, if
    /// they are to be read.
    fn compare(&self, unit: &[u8], slice: &Slice, whole: Option<FrameSize>) -> Result<(), Wrong> {
        let (header, rest) = unit.split_first().ok_or(Wrong("an empty slice"))?;
        if header & 0x60 == 0 {
            return Err(Wrong("a picture that none may refer to"));
        }
        // A header has at most some 40 bytes; the rest is data.
        let read = if whole.is_some() { rest } else { rest.get(..64).unwrap_or(rest) };
        let payload = unwrap(read);
        let (mut reader, idr) = (BitReader::new(&payload), header & 0x1F == IDR_SLICE);
        let found = self.read(&mut reader, idr).ok_or(Wrong("a cut slice"))?;
        let expected_type = if matches!(slice.kind, SliceKind::Idr { .. }) { 2 } else { 0 };
        match found {
            Found { first_macroblock: 1.., .. } => Err(Wrong("more than one slice")),
            Found { kind, .. } if kind != expected_type => Err(Wrong("a slice of another type")),
            Found { frame_num, .. } if frame_num != self.wrapped(slice.number) => {
                Err(Wrong("another frame number"))
            }
            Found { plain: false, .. } => Err(Wrong("another order of references")),
            Found { quantizer, .. } if quantizer != i32::from(slice.quantizer.value()) => {
                Err(Wrong("another quantizer"))
            }
            Found { .. } => match whole {
                Some(size) if !self.is_whole(reader, idr, size) => {
                    Err(Wrong("macroblocks are missing or cannot be read"))
                }
                _ => Ok(()),
            },
        }
    }

    const fn wrapped(&self, number: u32) -> u32 {
        number & ((1 << self.0.frame_num_bits()) - 1)
    }

    /// Whether all macroblocks are there of a slice whose header has been read up to its quantizer.
    fn is_whole(&self, mut reader: BitReader<'_>, idr: bool, size: FrameSize) -> bool {
        let begins = self.pass_deblocking(&mut reader).is_some();
        begins && are_whole(reader, !idr, (size.columns(), size.macroblocks()))
    }

    /// Passes over what comes between [`Self::read`] and the macroblocks.
    fn pass_deblocking(&self, reader: &mut BitReader<'_>) -> Option<()> {
        // disable_deblocking_filter_idc
        if self.0.controls_deblocking() && reader.unsigned()? != 1 {
            reader.signed()?; // slice_alpha_c0_offset_div2
            reader.signed()?; // slice_beta_offset_div2
        }
        Some(())
    }

    /// Reads a slice's header up to its quantizer.
    fn read(&self, reader: &mut BitReader<'_>, idr: bool) -> Option<Found> {
        let first_macroblock = reader.unsigned()?;
        let kind = reader.unsigned()? % 5;
        reader.unsigned()?; // pic_parameter_set_id
        let frame_num = reader.bits(self.0.frame_num_bits())?;
        let mut plain = true;
        if idr {
            reader.unsigned()?; // idr_pic_id
        }
        if kind == 0 {
            if reader.flag()? {
                plain &= reader.unsigned()? == 0; // num_ref_idx_l0_active_minus1
            }
            plain &= !reader.flag()?; // ref_pic_list_modification_flag_l0
        }
        // dec_ref_pic_marking
        plain &= !reader.flag()?;
        if idr {
            plain &= !reader.flag()?;
        }
        let quantizer = self.0.initial_quantizer() + reader.signed()?;
        Some(Found { first_macroblock, kind, frame_num, plain, quantizer })
    }
}

/// The fields of a slice header that matter.
struct Found {
    first_macroblock: u32,
    /// `slice_type` modulo 5.
    kind: u32,
    frame_num: u32,
    /// Whether references are in their usual order, and pictures are forgotten in theirs.
    plain: bool,
    quantizer: i32,
}

#[cfg(test)]
mod tests {
    use lumen_ipc::{
        level::Level,
        units::{Fps, Kbps},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::video::{
        Quantizer,
        direct::bits::{BitWriter, wrap},
        vaapi::headers::slice_header,
    };

    fn sequence(width: u16, height: u16) -> Sequence {
        let (size, fps) = (FrameSize::nearest(width.into(), height.into()), Fps::clamped(60));
        Sequence { size, fps, level: Level::of(size, fps, Kbps::clamped(8000)) }
    }

    /// The slice with a run of skipped macroblocks behind its header.
    fn unit(slice: &Slice) -> Vec<u8> {
        let (header, bits) = slice_header(slice);
        let payload = unwrap(&header[5..]);
        let bits = bits as usize - 8 * (header.len() - payload.len());
        let mut reader = BitReader::new(&payload);
        let mut writer = BitWriter::default();
        for _ in 0..bits {
            writer.flag(reader.flag().expect("as long as it says"));
        }
        writer.unsigned(80);
        let mut unit = Vec::new();
        wrap(header[4], writer.finish(), &mut unit);
        unit
    }

    fn key(sequence: &Sequence, quantizer: Quantizer) -> (Vec<u8>, Slice) {
        let slice = Slice { kind: SliceKind::Idr { idr_pic_id: 1 }, number: 0, quantizer };
        ([sequence.set(), picture_set(), unit(&slice)].concat(), slice)
    }

    proptest! {
        #[test]
        fn headers_are_read_as_they_were_written(
            (width, height) in (16_u16..4096, 16_u16..2160),
            number in 1_u32..1000,
            quantizer in 0_u8..52,
            idr_pic_id in 0_u16..2,
        ) {
            let (sequence, quantizer) = (sequence(width, height), Quantizer::nearest(quantizer));
            let idr = Slice { kind: SliceKind::Idr { idr_pic_id }, number: 0, quantizer };
            let mut sets = None;
            let mut stream = [sequence.set(), picture_set(), unit(&idr)].concat();
            let before = stream.clone();
            prop_assert_eq!(examine(&mut stream, &sequence, &idr, &mut sets, false), Ok(()));
            prop_assert_eq!(&stream, &before);
            let slice = Slice { kind: SliceKind::Predicted, number, quantizer };
            prop_assert_eq!(examine(&mut unit(&slice), &sequence, &slice, &mut sets, false), Ok(()));
            let other = Slice { number: number + 1, ..slice };
            let found = examine(&mut unit(&other), &sequence, &slice, &mut sets, false);
            prop_assert_eq!(found, Err(Wrong("another frame number")));
            let other = Slice { quantizer: Quantizer::nearest(quantizer.value() ^ 8), ..slice };
            prop_assume!(other != slice);
            let found = examine(&mut unit(&other), &sequence, &slice, &mut sets, false);
            prop_assert_eq!(found, Err(Wrong("another quantizer")));
        }

        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(0_u8..9, 0..200)) {
            let sequence = sequence(64, 64);
            let (mut stream, slice) = key(&sequence, Quantizer::FINEST);
            stream.extend([0, 0, 1]);
            stream.extend(bytes);
            let _ = examine(&mut stream, &sequence, &slice, &mut None, true); // any answer, but an answer
        }
    }

    #[test]
    fn first_pictures_idrs_and_a_quarter_of_all_bytes_are_read_thoroughly() {
        let quantizer = Quantizer::COARSEST;
        let predicted = Slice { kind: SliceKind::Predicted, number: 1, quantizer };
        let idr = Slice { kind: SliceKind::Idr { idr_pic_id: 0 }, number: 0, quantizer };
        let mut sample = Sample::default();
        assert!((0..FIRST).all(|_| sample.takes(&predicted, 9_000)));
        let taken: Vec<usize> = (0..9).filter(|_| sample.takes(&predicted, 100)).collect();
        assert_eq!(taken, [3, 7]);
        assert!(sample.takes(&idr, 50_000));
        assert!(!sample.takes(&predicted, 40_000), "a large one waits for its turn");
        assert_eq!((0..).position(|_| sample.takes(&predicted, 40_000)), Some(2));
    }

    #[test]
    fn sets_that_the_driver_left_out_are_put_in_front() {
        let sequence = sequence(320, 200);
        let (whole, slice) = key(&sequence, Quantizer::COARSEST);
        let mut stream = unit(&slice);
        assert_eq!(examine(&mut stream, &sequence, &slice, &mut None, false), Ok(()));
        assert_eq!(stream, whole);
    }

    #[test]
    fn streams_that_are_not_what_was_asked_for_are_refused() {
        let sequence = sequence(320, 200);
        let (whole, slice) = key(&sequence, Quantizer::COARSEST);
        let refused = |mut stream: Vec<u8>| {
            examine(&mut stream, &sequence, &slice, &mut None, false).expect_err("wrong").0
        };
        assert_eq!(refused(Vec::new()), "not one slice");
        assert_eq!(refused([whole, unit(&slice)].concat()), "not one slice");
        assert_eq!(
            refused([sequence.set(), unit(&slice)].concat()),
            "not one parameter set of each kind"
        );
        let mut unmarked = unit(&slice);
        unmarked[4] = 0;
        assert_eq!(refused(unmarked), "a unit of no type");
        let mut disposable = unit(&slice);
        disposable[4] = 0x05;
        assert_eq!(refused(disposable), "a picture that none may refer to");
        let mut other_size = unit(&slice);
        other_size.splice(0..0, [self::sequence(640, 480).set(), picture_set()].concat());
        assert_eq!(refused(other_size), "parameter sets that say something else");
        let predicted = Slice { kind: SliceKind::Predicted, ..slice };
        assert_eq!(refused(unit(&predicted)), "a unit of another type");
        assert_eq!(refused(unit(&slice)[..6].to_vec()), "a cut slice");
    }
}
