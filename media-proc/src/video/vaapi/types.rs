//! Structures and numbers of VA-API, as `va/va.h` and `va/va_enc_h264.h` have them since its version 1.0, whose
//! layout never changes within the major version.
//!
//! Written by hand, because nothing of libva is needed to build or to run where it is not installed. The
//! driver that the tests build is compiled with the headers themselves, so a field in the wrong place is a
//! picture that does not decode.

use std::ffi::{c_int, c_uint, c_void};

pub(super) type Display = *mut c_void;
pub(super) type Id = c_uint;
pub(super) type Status = c_int;

pub(super) const SUCCESS: Status = 0;
/// `VA_INVALID_ID` and `VA_INVALID_SURFACE`.
pub(super) const NONE: Id = u32::MAX;
pub(super) const CONSTRAINED_BASELINE: c_int = 13;
/// Profiles of H.264 that drivers encode, with their names.
pub(super) const PROFILES: [(c_int, &str); 3] =
    [(CONSTRAINED_BASELINE, "Constrained Baseline"), (6, "Main"), (7, "High")];
pub(super) const YUV420: u32 = 1;
pub(super) const NV12: u32 = u32::from_le_bytes(*b"NV12");
pub(super) const PROGRESSIVE: c_int = 1;

/// `VAEntrypointEncSlice` and `VAEntrypointEncSliceLP`: the second is a smaller part of the hardware.
pub(super) const ENTRY_POINTS: [c_int; 2] = [6, 8];

/// Attributes of entry points by which drivers differ, with their names (`VAConfigAttrib…`).
pub(super) const ATTRIBUTES: [(c_int, &str); 10] = [
    (RT_FORMAT, "RTFormat"),
    (RATE_CONTROL, "RateControl"),
    (PACKED_HEADERS, "EncPackedHeaders"),
    (13, "EncMaxRefFrames"),
    (14, "EncMaxSlices"),
    (15, "EncSliceStructure"),
    (MAX_WIDTH, "MaxPictureWidth"),
    (MAX_HEIGHT, "MaxPictureHeight"),
    (21, "EncQualityRange"),
    (24, "EncRateControlExt"),
];

pub(super) const RT_FORMAT: c_int = 0;
pub(super) const RATE_CONTROL: c_int = 5;
pub(super) const PACKED_HEADERS: c_int = 10;
pub(super) const MAX_WIDTH: c_int = 18;
pub(super) const MAX_HEIGHT: c_int = 19;
pub(super) const NOT_SUPPORTED: u32 = 0x8000_0000;
/// `VA_RC_CQP`.
pub(super) const CONSTANT_QUANTIZER: u32 = 0x10;

/// Types of buffers.
pub(super) const CODED: c_int = 21;
pub(super) const SEQUENCE: c_int = 22;
pub(super) const PICTURE: c_int = 23;
pub(super) const SLICE: c_int = 24;
pub(super) const PACKED_PARAMETERS: c_int = 25;
pub(super) const PACKED_DATA: c_int = 26;

/// `VA_PICTURE_H264_INVALID` and `VA_PICTURE_H264_SHORT_TERM_REFERENCE`.
const UNUSED: u32 = 1;
const SHORT_TERM: u32 = 8;

/// `VA_CODED_BUF_STATUS_…`: a slice or the frame is too large, or the stream is bad.
pub(super) const CODED_WRONG: u32 = 0x200 | 0x1000 | 0x8000;

/// `VAConfigAttrib`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Attribute {
    pub(super) kind: c_int,
    pub(super) value: u32,
}

/// `VAPictureH264`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Reference {
    pub(super) surface: Id,
    pub(super) frame_idx: u32,
    pub(super) flags: u32,
    pub(super) orders: [i32; 2],
    pub(super) reserved: [u32; 4],
}

impl Reference {
    pub(super) const NONE: Self =
        Self { surface: NONE, frame_idx: 0, flags: UNUSED, orders: [0; 2], reserved: [0; 4] };

    /// The picture with this `frame_num` that is in `surface`.
    pub(super) const fn new(surface: Id, frame_num: u32, order: i32) -> Self {
        let flags = SHORT_TERM;
        Self { surface, frame_idx: frame_num, flags, orders: [order; 2], reserved: [0; 4] }
    }
}

/// `VAEncSequenceParameterBufferH264`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct SequenceParameters {
    pub(super) seq_parameter_set_id: u8,
    pub(super) level_idc: u8,
    pub(super) intra_period: u32,
    pub(super) intra_idr_period: u32,
    pub(super) ip_period: u32,
    pub(super) bits_per_second: u32,
    pub(super) max_num_ref_frames: u32,
    pub(super) columns: u16,
    pub(super) rows: u16,
    pub(super) fields: u32,
    pub(super) bit_depths: [u8; 2],
    pub(super) cycle: u8,
    pub(super) order_offsets: [i32; 2],
    pub(super) frame_offsets: [i32; 256],
    pub(super) frame_cropping_flag: u8,
    /// Left, right, top and bottom.
    pub(super) crop: [u32; 4],
    pub(super) vui_parameters_present_flag: u8,
    pub(super) vui_fields: u32,
    pub(super) aspect_ratio_idc: u8,
    pub(super) aspect_ratio: [u32; 2],
    pub(super) num_units_in_tick: u32,
    pub(super) time_scale: u32,
    pub(super) reserved: [u32; 4],
}

/// `VAEncPictureParameterBufferH264`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct PictureParameters {
    pub(super) current: Reference,
    pub(super) references: [Reference; 16],
    pub(super) coded: Id,
    pub(super) pic_parameter_set_id: u8,
    pub(super) seq_parameter_set_id: u8,
    pub(super) last_picture: u8,
    pub(super) frame_num: u16,
    pub(super) pic_init_qp: u8,
    pub(super) num_ref_idx_active_minus1: [u8; 2],
    pub(super) chroma_qp_index_offsets: [i8; 2],
    pub(super) fields: u32,
    pub(super) reserved: [u32; 4],
}

/// The weights of predictions of one list; all zero, because none are used.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Weights {
    luma_flag: u8,
    luma: [[i16; 32]; 2],
    chroma_flag: u8,
    chroma: [[[i16; 2]; 32]; 2],
}

impl Weights {
    pub(super) const NONE: Self =
        Self { luma_flag: 0, luma: [[0; 32]; 2], chroma_flag: 0, chroma: [[[0; 2]; 32]; 2] };
}

/// `VAEncSliceParameterBufferH264`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct SliceParameters {
    pub(super) macroblock_address: u32,
    pub(super) num_macroblocks: u32,
    pub(super) macroblock_info: Id,
    pub(super) slice_type: u8,
    pub(super) pic_parameter_set_id: u8,
    pub(super) idr_pic_id: u16,
    pub(super) pic_order_cnt_lsb: u16,
    pub(super) order_deltas: [i32; 3],
    pub(super) direct_spatial_mv_pred_flag: u8,
    pub(super) num_ref_idx_active_override_flag: u8,
    pub(super) num_ref_idx_active_minus1: [u8; 2],
    pub(super) lists: [[Reference; 32]; 2],
    pub(super) weight_denominators: [u8; 2],
    pub(super) weights: [Weights; 2],
    pub(super) cabac_init_idc: u8,
    pub(super) slice_qp_delta: i8,
    pub(super) disable_deblocking_filter_idc: u8,
    pub(super) deblocking_offsets: [i8; 2],
    pub(super) reserved: [u32; 4],
}

/// `VAEncPackedHeaderParameterBuffer`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct PackedParameters {
    pub(super) kind: u32,
    pub(super) bit_length: u32,
    pub(super) has_emulation_bytes: u8,
    pub(super) reserved: [u32; 4],
}

/// `VAImageFormat`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct ImageFormat {
    pub(super) fourcc: u32,
    pub(super) byte_order: u32,
    pub(super) bits_per_pixel: u32,
    pub(super) depth_and_masks: [u32; 5],
    pub(super) reserved: [u32; 4],
}

/// `VAImage`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Image {
    pub(super) id: Id,
    pub(super) format: ImageFormat,
    pub(super) buffer: Id,
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) data_size: u32,
    pub(super) num_planes: u32,
    pub(super) pitches: [u32; 3],
    pub(super) offsets: [u32; 3],
    pub(super) palette: [i32; 2],
    pub(super) component_order: [i8; 4],
    pub(super) reserved: [u32; 4],
}

/// `VACodedBufferSegment`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Segment {
    pub(super) size: u32,
    pub(super) bit_offset: u32,
    pub(super) status: u32,
    pub(super) reserved: u32,
    pub(super) bytes: *const u8,
    pub(super) next: *const Self,
    pub(super) padding: [u32; 4],
}

/// `VA_SURFACE_ATTRIB_MEM_TYPE_DRM_PRIME_2`: descriptors, and where the planes lie.
pub(super) const PRIME: u32 = 0x4000_0000;
/// `VA_EXPORT_SURFACE_READ_WRITE` and `VA_EXPORT_SURFACE_SEPARATE_LAYERS`: each plane as a picture of its own.
pub(super) const WRITABLE_PLANES: u32 = 0x3 | 0x4;

/// `VADRMPRIMESurfaceDescriptor`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct PrimeSurface {
    pub(super) fourcc: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) num_objects: u32,
    pub(super) objects: [PrimeObject; 4],
    pub(super) num_layers: u32,
    pub(super) layers: [PrimeLayer; 4],
}

/// One of its objects.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct PrimeObject {
    pub(super) descriptor: c_int,
    pub(super) size: u32,
    pub(super) modifier: u64,
}

impl Default for PrimeObject {
    fn default() -> Self {
        Self { descriptor: -1, size: 0, modifier: 0 }
    }
}

/// One of its layers.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct PrimeLayer {
    pub(super) format: u32,
    pub(super) num_planes: u32,
    pub(super) objects: [u32; 4],
    pub(super) offsets: [u32; 4],
    pub(super) pitches: [u32; 4],
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a C compiler says of libva 2.17's headers on x86-64 and aarch64.
    #[test]
    fn structures_are_as_large_as_those_of_the_headers() {
        assert_eq!(size_of::<Reference>(), 0x24);
        assert_eq!(size_of::<SequenceParameters>(), 0x46c);
        assert_eq!(size_of::<PictureParameters>(), 0x288);
        assert_eq!(size_of::<SliceParameters>(), 0xc44);
        assert_eq!(size_of::<PackedParameters>(), 0x1c);
        assert_eq!(size_of::<ImageFormat>(), 0x30);
        assert_eq!(size_of::<Image>(), 0x78);
        assert_eq!(size_of::<Segment>(), 0x30);
        assert_eq!(size_of::<PrimeSurface>(), 0x138);
    }
}
