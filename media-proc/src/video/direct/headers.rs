//! The fields of x264's parameter sets that slice headers depend on, our own slice headers, and
//! x264's slices with another `frame_num` (H.264, sections 7.3.2.1.1, 7.3.2.2 and 7.3.3).
//!
//! Understands only what [`x264`](crate::video::x264) is configured to write: anything else is
//! [`Unsupported`], and then x264 encodes every picture.

use lumen_ipc::{level::Level, units::FrameSize};

use super::bits::{BitReader, BitWriter, units, unwrap, wrap};
use crate::video::Quantizer;

/// Slice types for pictures with slices of one type only (H.264, table 7-6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum SliceType {
    /// Slices that may refer to the picture before.
    P = 5,
    /// Slices that refer to nothing but themselves.
    I = 7,
}

/// `profile_idc` of baseline and Main.
const BASELINE: u8 = 66;
const MAIN: u8 = 77;

/// `constraint_set0_flag` and `constraint_set1_flag`: the stream obeys the constraints of baseline,
/// of Main.
const OBEYS_BASELINE: u8 = 0x80;
const OBEYS_MAIN: u8 = 0x40;

/// The number of the picture parameter set of slices that are coded arithmetically.
const ARITHMETIC: u32 = 1;

/// A unit of supplemental information that says nothing (filler payload of no bytes; H.264, section
/// D.1.3).
const NOTHING: [u8; 8] = [0, 0, 0, 1, 0x06, 0x03, 0x00, 0x80];

/// Header byte of a coded slice of a reference picture: `nal_ref_idc` 2, type 1.
const SLICE: u8 = 0x41;
const SLICE_TYPE: u8 = 1;
const IDR_TYPE: u8 = 5;
const SEQUENCE_SET: u8 = 7;
const PICTURE_SET: u8 = 8;

/// The fields that are needed of the parameter sets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::video) struct Parameters {
    sequence: Sequence,
    /// `26 + pic_init_qp_minus26`.
    initial_quantizer: i32,
    chroma_offset: i32,
    /// `deblocking_filter_control_present_flag`.
    controls_deblocking: bool,
}

/// The fields that are needed of a sequence parameter set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Sequence {
    /// `log2_max_frame_num`.
    frame_num_bits: u32,
    /// Luma rows by which motion may go up or down.
    reach: u32,
}

/// Parameter sets or slices of another kind than expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the encoder's headers are not understood: {0}")]
pub(in crate::video) struct Unsupported(&'static str);

impl Parameters {
    /// Reads the sets in front of an IDR, for pictures of `size`.
    pub(in crate::video) fn of(stream: &[u8], size: FrameSize) -> Result<Self, Unsupported> {
        let set = |kind| {
            units(stream)
                .find(|unit| unit.first().is_some_and(|header| header & 0x1F == kind))
                .map(|unit| unwrap(&unit[1..]))
                .ok_or(Unsupported("no parameter sets"))
        };
        let sequence = sequence(&set(SEQUENCE_SET)?, size)?;
        let picture = set(PICTURE_SET)?;
        picture_set(&picture).ok_or(Unsupported("picture parameter set"))?.with(sequence)
    }

    /// The sets of a stream of Main profile that continues what x264 begins with `idr` in baseline:
    /// the same ones, and a picture parameter set for slices that are coded arithmetically.
    pub(super) fn sets_of_main(&self, idr: &[u8]) -> Result<Vec<u8>, Unsupported> {
        let unit = |kind| {
            units(idr)
                .find(|unit| unit.first().is_some_and(|header| header & 0x1F == kind))
                .ok_or(Unsupported("no parameter sets"))
        };
        let (mut sequence, picture) = (unit(SEQUENCE_SET)?.to_vec(), unit(PICTURE_SET)?);
        let [header, profile, constraints, ..] = sequence.as_mut_slice() else {
            return Err(Unsupported("sequence parameter set"));
        };
        *profile = MAIN;
        *constraints = *constraints & !OBEYS_BASELINE | OBEYS_MAIN;
        let mut writer = BitWriter::default();
        // It differs from x264's in its coding only.
        write_picture_set(
            &mut writer,
            ARITHMETIC,
            (self.initial_quantizer, self.chroma_offset),
            self.controls_deblocking,
        );
        let mut arithmetic = Vec::new();
        wrap(*header & 0xE0 | PICTURE_SET, writer.finish(), &mut arithmetic);
        // What puts units into packets joins one set of each kind with the unit behind them.
        let pair = |picture: &[u8]| [&[0, 0, 0, 1], sequence.as_slice(), picture].concat();
        let plain = pair(&[&[0, 0, 0, 1], picture].concat());
        Ok([plain, NOTHING.to_vec(), pair(&arithmetic)].concat())
    }

    /// Appends the slices of `idr` to `stream`, behind `sets` instead of their own.
    pub(super) fn put_behind(sets: &[u8], idr: &[u8], stream: &mut Vec<u8>) {
        stream.extend_from_slice(sets);
        for unit in units(idr).filter(|unit| unit.first().is_some_and(|it| it & 0x1F == IDR_TYPE)) {
            stream.extend_from_slice(&[0, 0, 0, 1]);
            stream.extend_from_slice(unit);
        }
    }

    /// Luma rows by which motion may go up or down.
    pub(super) const fn reach(&self) -> u32 {
        self.sequence.reach
    }

    /// `log2_max_frame_num`.
    pub(in crate::video) const fn frame_num_bits(&self) -> u32 {
        self.sequence.frame_num_bits
    }

    /// `26 + pic_init_qp_minus26`.
    pub(in crate::video) const fn initial_quantizer(&self) -> i32 {
        self.initial_quantizer
    }

    /// Whether slice headers say how edges are smoothed.
    pub(in crate::video) const fn controls_deblocking(&self) -> bool {
        self.controls_deblocking
    }

    pub(super) const fn chroma_offset(&self) -> i32 {
        self.chroma_offset
    }

    /// Begins a picture of one slice; its macroblocks follow.
    pub(super) fn write_slice_header(
        &self,
        writer: &mut BitWriter,
        slice: SliceType,
        frame_num: u32,
        quantizer: Quantizer,
    ) {
        writer.unsigned(0); // first_mb_in_slice
        writer.unsigned(slice as u32);
        writer.unsigned(0); // pic_parameter_set_id
        writer.bits(self.sequence.frame_num_bits, self.wrapped(frame_num));
        if slice == SliceType::P {
            writer.flag(false); // num_ref_idx_active_override_flag
            writer.flag(false); // ref_pic_list_modification_flag_l0
        }
        writer.flag(false); // adaptive_ref_pic_marking_mode_flag
        writer.signed(i32::from(quantizer.value()) - self.initial_quantizer);
        if self.controls_deblocking {
            writer.unsigned(1); // disable_deblocking_filter_idc
        }
    }

    /// Appends the slice that `writer` holds to `stream`.
    pub(super) fn finish_slice(writer: &mut BitWriter, stream: &mut Vec<u8>) {
        wrap(SLICE, writer.finish(), stream);
    }

    /// Appends x264's `picture` to `stream`, with `frame_num` in every slice.
    pub(super) fn renumber(
        &self,
        picture: &[u8],
        frame_num: u32,
        stream: &mut Vec<u8>,
    ) -> Result<(), Unsupported> {
        for unit in units(picture) {
            let (header, rest) = unit.split_first().ok_or(Unsupported("empty unit"))?;
            let mut payload = unwrap(rest);
            match header & 0x1F {
                SLICE_TYPE => self
                    .put_frame_num(&mut payload, frame_num)
                    .ok_or(Unsupported("slice header"))?,
                IDR_TYPE => return Err(Unsupported("an IDR's frame number is zero")),
                _ => {}
            }
            wrap(*header, &payload, stream);
        }
        Ok(())
    }

    fn put_frame_num(&self, payload: &mut [u8], frame_num: u32) -> Option<()> {
        let mut reader = BitReader::new(payload);
        for _ in ["first_mb_in_slice", "slice_type", "pic_parameter_set_id"] {
            reader.unsigned()?;
        }
        let start = reader.position();
        reader.bits(self.sequence.frame_num_bits)?;
        let value = self.wrapped(frame_num);
        for index in 0..self.sequence.frame_num_bits {
            let bit = value >> (self.sequence.frame_num_bits - 1 - index) & 1 == 1;
            let at = start + index as usize;
            let mask = 0x80 >> (at % 8);
            let byte = payload.get_mut(at / 8)?;
            *byte = if bit { *byte | mask } else { *byte & !mask };
        }
        Some(())
    }

    const fn wrapped(&self, frame_num: u32) -> u32 {
        frame_num & ((1 << self.sequence.frame_num_bits) - 1)
    }
}

/// Reads a sequence parameter set of the expected kind.
fn sequence(payload: &[u8], size: FrameSize) -> Result<Sequence, Unsupported> {
    const END: Unsupported = Unsupported("sequence parameter set");
    let mut reader = BitReader::new(payload);
    let profile = reader.bits(8).ok_or(END)?;
    if ![BASELINE, MAIN].map(u32::from).contains(&profile) {
        return Err(Unsupported("a profile other than baseline and Main"));
    }
    reader.bits(8).ok_or(END)?; // constraint flags
    let number = reader.bits(8).ok_or(END)?;
    let level = u8::try_from(number).ok().and_then(Level::numbered);
    let level = level.ok_or(Unsupported("an unknown level"))?;
    // One row less, because the range is open at one end.
    let reach = u32::from(level.reach()) - 1;
    reader.unsigned().ok_or(END)?; // seq_parameter_set_id
    let frame_num_bits = reader.unsigned().ok_or(END)? + 4;
    if frame_num_bits > 16 {
        return Err(END);
    }
    if reader.unsigned().ok_or(END)? != 2 {
        return Err(Unsupported("reordered pictures"));
    }
    if reader.unsigned().ok_or(END)? != 1 {
        return Err(Unsupported("more than one reference picture"));
    }
    reader.flag().ok_or(END)?; // gaps_in_frame_num_value_allowed_flag
    let columns = reader.unsigned().ok_or(END)? + 1;
    let rows = reader.unsigned().ok_or(END)? + 1;
    let frames_only = reader.flag().ok_or(END)?;
    if (columns, rows) != (size.columns(), size.rows()) || !frames_only {
        return Err(Unsupported("another picture size, or interlaced pictures"));
    }
    Ok(Sequence { frame_num_bits, reach })
}

/// A picture parameter set of the expected kind, without the fields of the sequence parameter set.
struct PictureSet {
    initial_quantizer: i32,
    chroma_offset: i32,
    controls_deblocking: bool,
    plain: bool,
}

impl PictureSet {
    const fn with(self, sequence: Sequence) -> Result<Parameters, Unsupported> {
        if !self.plain {
            return Err(Unsupported("coding tools other than those x264 is configured for"));
        }
        let Self { initial_quantizer, chroma_offset, controls_deblocking, .. } = self;
        Ok(Parameters { sequence, initial_quantizer, chroma_offset, controls_deblocking })
    }
}

/// Writes a picture parameter set (H.264, section 7.3.2.2), with the quantizer that slices begin with and the
/// difference of chroma's. By its number it says how slices are coded, as [`picture_set`] reads it.
pub(in crate::video) fn write_picture_set(
    writer: &mut BitWriter,
    number: u32,
    (initial_quantizer, chroma_offset): (i32, i32),
    controls_deblocking: bool,
) {
    writer.unsigned(number); // pic_parameter_set_id
    writer.unsigned(0); // seq_parameter_set_id
    writer.flag(number == ARITHMETIC); // entropy_coding_mode_flag
    writer.flag(false); // bottom_field_pic_order_in_frame_present_flag
    writer.unsigned(0); // num_slice_groups_minus1
    writer.unsigned(0); // num_ref_idx_l0_default_active_minus1
    writer.unsigned(0); // num_ref_idx_l1_default_active_minus1
    writer.flag(false); // weighted_pred_flag
    writer.bits(2, 0); // weighted_bipred_idc
    writer.signed(initial_quantizer - 26); // pic_init_qp_minus26
    writer.signed(0); // pic_init_qs_minus26
    writer.signed(chroma_offset); // chroma_qp_index_offset
    writer.flag(controls_deblocking); // deblocking_filter_control_present_flag
    writer.flag(false); // constrained_intra_pred_flag
    writer.flag(false); // redundant_pic_cnt_present_flag
}

fn picture_set(payload: &[u8]) -> Option<PictureSet> {
    let mut reader = BitReader::new(payload);
    let number = reader.unsigned()?; // pic_parameter_set_id
    reader.unsigned()?; // seq_parameter_set_id
    // Of two encoders of ours, each has its number.
    let mut plain = reader.flag()? == (number == ARITHMETIC); // entropy_coding_mode_flag
    plain &= !reader.flag()?; // bottom_field_pic_order_in_frame_present_flag
    plain &= reader.unsigned()? == 0; // num_slice_groups_minus1
    plain &= reader.unsigned()? == 0; // num_ref_idx_l0_default_active_minus1
    reader.unsigned()?; // num_ref_idx_l1_default_active_minus1
    plain &= !reader.flag()?; // weighted_pred_flag
    plain &= reader.bits(2)? == 0; // weighted_bipred_idc
    let initial_quantizer = reader.signed()? + 26;
    reader.signed()?; // pic_init_qs_minus26
    let chroma_offset = reader.signed()?;
    let controls_deblocking = reader.flag()?;
    plain &= !reader.flag()?; // constrained_intra_pred_flag
    plain &= !reader.flag()?; // redundant_pic_cnt_present_flag
    Some(PictureSet { initial_quantizer, chroma_offset, controls_deblocking, plain })
}
