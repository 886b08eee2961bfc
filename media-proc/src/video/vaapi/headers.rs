//! The headers of a stream that a graphics processor encodes (H.264, sections 7.3.2.1.1, 7.3.2.2, 7.3.3 and
//! E.1.1).
//!
//! They are what the coder of simple pictures understands, too: Constrained Baseline, pictures in the order
//! of their numbers, one reference picture, one slice.

use lumen_ipc::{
    level::Level,
    units::{Fps, FrameSize},
};

use crate::video::{
    Quantizer,
    direct::{
        bits::{BitWriter, wrap},
        headers::write_picture_set,
    },
};

/// `log2_max_frame_num`.
pub(super) const FRAME_NUM_BITS: u32 = 8;

/// `26 + pic_init_qp_minus26`: what slices name is a difference to it.
pub(super) const INITIAL_QUANTIZER: u8 = 26;

/// Header bytes: sets and slices that others refer to (`nal_ref_idc` 3), and slices (`nal_ref_idc` 2).
const SEQUENCE_SET: u8 = 0x67;
const PICTURE_SET: u8 = 0x68;
const IDR_SLICE: u8 = 0x65;
const SLICE: u8 = 0x41;

/// `profile_idc` of baseline, and the flags by which it is constrained: a decoder of Main can decode it, too.
const PROFILE: u32 = 66;
const CONSTRAINTS: u32 = 0xC0;

/// BT.709 primaries and transfer, and BT.601's matrix, as [`crate::convert`] has them (H.264, tables E-3 to
/// E-5).
const COLOURS: [u32; 3] = [1, 1, 6];
/// `video_format`: unspecified.
const UNSPECIFIED: u32 = 5;

/// What is the same in all pictures of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sequence {
    /// The visible size.
    pub(super) size: FrameSize,
    pub(super) fps: Fps,
    pub(super) level: Level,
}

/// A picture of one slice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Slice {
    pub(super) kind: SliceKind,
    /// Pictures since the last IDR.
    pub(super) number: u32,
    pub(super) quantizer: Quantizer,
}

/// How a picture refers to others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum SliceKind {
    /// It refers to none, and none behind it to one before.
    Idr {
        /// Differs from that of the IDR before.
        idr_pic_id: u16,
    },
    /// It refers to the picture before.
    Predicted,
}

impl Slice {
    /// `frame_num`.
    pub(super) const fn frame_num(&self) -> u32 {
        self.number & ((1 << FRAME_NUM_BITS) - 1)
    }

    /// `slice_qp_delta`.
    pub(super) const fn quantizer_delta(&self) -> i8 {
        // Both are at most 51.
        self.quantizer.value() as i8 - INITIAL_QUANTIZER as i8
    }
}

impl Sequence {
    /// By how many pairs of columns and rows whole macroblocks exceed the picture.
    pub(super) fn crop(&self) -> [u32; 2] {
        let excess = |macroblocks: u32, side: u16| (macroblocks * 16 - u32::from(side)) / 2;
        let size = self.size;
        [excess(size.columns(), size.width()), excess(size.rows(), size.height())]
    }

    /// The sequence parameter set, as a NAL unit with start code.
    pub(super) fn set(&self) -> Vec<u8> {
        let mut writer = BitWriter::default();
        writer.bits(8, PROFILE);
        writer.bits(8, CONSTRAINTS);
        writer.bits(8, self.level.number().into());
        writer.unsigned(0); // seq_parameter_set_id
        writer.unsigned(FRAME_NUM_BITS - 4); // log2_max_frame_num_minus4
        writer.unsigned(2); // pic_order_cnt_type
        writer.unsigned(1); // max_num_ref_frames
        writer.flag(false); // gaps_in_frame_num_value_allowed_flag
        writer.unsigned(self.size.columns() - 1);
        writer.unsigned(self.size.rows() - 1);
        writer.flag(true); // frame_mbs_only_flag
        writer.flag(true); // direct_8x8_inference_flag
        let [right, bottom] = self.crop();
        let cropped = right > 0 || bottom > 0;
        writer.flag(cropped);
        if cropped {
            [0, right, 0, bottom].into_iter().for_each(|side| writer.unsigned(side));
        }
        writer.flag(true); // vui_parameters_present_flag
        self.write_usability(&mut writer);
        let mut unit = Vec::new();
        wrap(SEQUENCE_SET, writer.finish(), &mut unit);
        unit
    }

    /// Video usability information: colours, and that no picture waits for another.
    fn write_usability(&self, writer: &mut BitWriter) {
        writer.flag(false); // aspect_ratio_info_present_flag
        writer.flag(false); // overscan_info_present_flag
        writer.flag(true); // video_signal_type_present_flag
        writer.bits(3, UNSPECIFIED);
        writer.flag(false); // video_full_range_flag
        writer.flag(true); // colour_description_present_flag
        COLOURS.into_iter().for_each(|colour| writer.bits(8, colour));
        writer.flag(false); // chroma_loc_info_present_flag
        writer.flag(true); // timing_info_present_flag
        writer.bits(32, 1); // num_units_in_tick
        writer.bits(32, u32::from(self.fps.value()) * 2); // time_scale
        writer.flag(false); // fixed_frame_rate_flag
        writer.flag(false); // nal_hrd_parameters_present_flag
        writer.flag(false); // vcl_hrd_parameters_present_flag
        writer.flag(false); // pic_struct_present_flag
        writer.flag(true); // bitstream_restriction_flag
        writer.flag(true); // motion_vectors_over_pic_boundaries_flag
        writer.unsigned(0); // max_bytes_per_pic_denom: no limit
        writer.unsigned(0); // max_bits_per_mb_denom: no limit
        writer.unsigned(11); // log2_max_mv_length_horizontal
        writer.unsigned(11); // log2_max_mv_length_vertical
        writer.unsigned(0); // max_num_reorder_frames
        writer.unsigned(1); // max_dec_frame_buffering
    }
}

/// The picture parameter set, as a NAL unit with start code.
pub(super) fn picture_set() -> Vec<u8> {
    let mut writer = BitWriter::default();
    write_picture_set(&mut writer, 0, (INITIAL_QUANTIZER.into(), 0), true);
    let mut unit = Vec::new();
    wrap(PICTURE_SET, writer.finish(), &mut unit);
    unit
}

/// A slice's header with start code and emulation prevention, whose last byte need not be full, and how many
/// bits it has. The data of the slice follow at once.
pub(super) fn slice_header(slice: &Slice) -> (Vec<u8>, u32) {
    let mut writer = BitWriter::default();
    let idr = matches!(slice.kind, SliceKind::Idr { .. });
    writer.unsigned(0); // first_mb_in_slice
    writer.unsigned(if idr { 7 } else { 5 }); // slice_type: all slices of the picture are so
    writer.unsigned(0); // pic_parameter_set_id
    writer.bits(FRAME_NUM_BITS, slice.frame_num());
    match slice.kind {
        SliceKind::Idr { idr_pic_id } => {
            writer.unsigned(idr_pic_id.into());
            writer.flag(false); // no_output_of_prior_pics_flag
            writer.flag(false); // long_term_reference_flag
        }
        SliceKind::Predicted => {
            writer.flag(false); // num_ref_idx_active_override_flag
            writer.flag(false); // ref_pic_list_modification_flag_l0
            writer.flag(false); // adaptive_ref_pic_marking_mode_flag
        }
    }
    writer.signed(slice.quantizer_delta().into());
    writer.unsigned(0); // disable_deblocking_filter_idc: edges are smoothed
    writer.signed(0); // slice_alpha_c0_offset_div2
    writer.signed(0); // slice_beta_offset_div2
    let bits = writer.length();
    let mut unit = Vec::new();
    // The last bits are ones, so neither does the unit end with a zero, nor does what follows decide whether
    // its last byte needs emulation prevention.
    wrap(if idr { IDR_SLICE } else { SLICE }, writer.align(), &mut unit);
    // Nothing is left of the bytes that pad the last one, but each byte of emulation prevention counts.
    let unused = bits.next_multiple_of(8) - bits;
    let length = u32::try_from(unit.len() * 8 - unused).unwrap_or(u32::MAX);
    (unit, length)
}
