//! H.264 encoded by a graphics processor, through VA-API.
//!
//! A stream of its own: Constrained Baseline, one slice for each picture, which refers to the picture before,
//! and a constant quantizer for each picture, which [`crate::rate`] chooses as it does for x264. So changes of
//! the bit rate, keyframes and refinement are what they are without a graphics processor; and no firmware for
//! rate control is needed, which drivers claim to have, and fail. The coder of simple pictures takes no
//! part: it would have to have the decoded picture.
//!
//! The headers are ours (`headers`) where the driver takes packed ones, and the driver's own elsewhere. Every
//! picture that comes back is examined (`output`) before anybody gets it: a driver that makes something else
//! than it was told is found out with its first picture, and one that cuts pictures short soon (`macroblocks`).
//!
//! The picture comes into the driver's memory in one of two ways. The processor copies it there, those rows of
//! macroblocks that changed; or the driver hands its memory out (`export`), and a graphics processor draws into it.

mod coder;
mod export;
mod ffi;
mod headers;
mod macroblocks;
mod output;
mod types;

use std::rc::Rc;

use lumen_ipc::{
    level::Level,
    units::{Fps, FrameSize, Kbps},
};

pub use self::ffi::{Device, Unusable};
use self::{
    coder::{Coder, Input, Job, Rows},
    headers::{INITIAL_QUANTIZER, Sequence, Slice, SliceKind, picture_set, slice_header},
    output::{Sample, Sets, Wrong, examine},
    types::{PictureParameters, Reference, SequenceParameters, SliceParameters, Weights},
};
use super::{AccessUnit, Picture, PictureKind, Quantizer};
use crate::{
    convert::{MACROBLOCK, MacroblockMap, Planes},
    effort::Effort,
    surfaces::SurfaceMemory,
};

/// Packed headers by the number of their type, which is one more than that of their bit.
const PACKED_SEQUENCE: u32 = 1;
const PACKED_PICTURE: u32 = 2;
const PACKED_SLICE: u32 = 3;
const PACKED: u32 = 0b111;

/// No keyframe comes by itself, and a driver that counts pictures shall not reach this.
const NEVER: u32 = 1 << 30;

/// An open encoder for pictures of one size.
#[derive(Debug)]
pub struct Encoder {
    coder: Coder,
    sequence: Sequence,
    /// `VA_ENC_PACKED_HEADER_…`.
    packed: u32,
    /// Pictures since the last IDR; `None` before the first.
    number: Option<u32>,
    idr_pic_id: u16,
    /// Which of the two surfaces has the picture that was decoded last.
    newest: usize,
    sets: Option<Sets>,
    sample: Sample,
    /// What the driver's copy of the picture does not show yet; `None` where pictures are drawn into its surfaces.
    stale: Option<MacroblockMap>,
    stream: Vec<u8>,
}

/// Why no encoder is opened, or why a picture was not encoded; then it should be given up.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The picture is of another size.
    #[error("an encoder for {encoder} got a picture of {picture}")]
    Size {
        /// The encoder's.
        encoder: FrameSize,
        /// The picture's.
        picture: FrameSize,
    },
    /// Pictures come into its surfaces in the other way.
    #[error("the encoder takes pictures in another way")]
    Input,
    /// The driver encodes no pictures of this size.
    #[error("the driver does not encode pictures of {0}")]
    TooLarge(FrameSize),
    /// The driver failed.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// The driver made something else than it was told.
    #[error(transparent)]
    Wrong(#[from] Wrong),
}

impl Encoder {
    /// Opens an encoder for pictures of `size`, at most `fps` of them a second in at most `bitrate`.
    ///
    /// # Errors
    /// [`Failure`] says what the driver refused.
    pub fn open(
        device: &Rc<Device>,
        size: FrameSize,
        fps: Fps,
        bitrate: Kbps,
    ) -> Result<Self, Failure> {
        let stale = Some(MacroblockMap::whole(size));
        Self::with(device, (size, fps, bitrate), stale)
    }

    /// The same for pictures that a graphics processor draws into surfaces, whose memory is handed out.
    ///
    /// # Errors
    /// [`Failure`] says what the driver refused.
    pub fn open_drawn(
        device: &Rc<Device>,
        size: FrameSize,
        fps: Fps,
        bitrate: Kbps,
    ) -> Result<(Self, Vec<SurfaceMemory>), Failure> {
        let encoder = Self::with(device, (size, fps, bitrate), None)?;
        let (device, inputs) = encoder.coder.inputs();
        // Of a side of at most 4096.
        let coded = (size.columns() as u16 * 16, size.rows() as u16 * 16);
        let memory = inputs.iter().map(|surface| export::export(device, *surface, coded));
        let memory = memory.collect::<Result<_, _>>()?;
        Ok((encoder, memory))
    }

    fn with(
        device: &Rc<Device>,
        (size, fps, bitrate): (FrameSize, Fps, Kbps),
        stale: Option<MacroblockMap>,
    ) -> Result<Self, Failure> {
        let input = if stale.is_some() { Input::Copied } else { Input::Drawn };
        let abilities = device.abilities();
        let coded = (size.columns() * 16, size.rows() * 16);
        let exceeds = |most: u32, side: u32| most != 0 && side > most;
        let [width, height] = abilities.most;
        if exceeds(width, coded.0) || exceeds(height, coded.1) {
            return Err(Failure::TooLarge(size));
        }
        let packed = abilities.packed & PACKED;
        Ok(Self {
            coder: Coder::open(device, coded, packed, input)?,
            sequence: Sequence { size, fps, level: Level::of(size, fps, bitrate) },
            packed,
            number: None,
            idr_pic_id: 0,
            newest: 0,
            sets: None,
            sample: Sample::default(),
            stale,
            stream: Vec::new(),
        })
    }

    /// Opens an encoder and has it encode a picture and another that refers to it: what a driver cannot do is
    /// found out before anybody watches.
    ///
    /// # Errors
    /// [`Failure`] says what the driver refused, or made of it.
    pub fn tried(
        device: &Rc<Device>,
        size: FrameSize,
        fps: Fps,
        bitrate: Kbps,
    ) -> Result<Self, Failure> {
        let mut encoder = Self::open(device, size, fps, bitrate)?;
        let (planes, changed) = (Planes::new(size), MacroblockMap::whole(size));
        for (kind, quantizer) in [(PictureKind::Key, 30), (PictureKind::Predicted, 20)] {
            let quantizer = Quantizer::nearest(quantizer);
            let (planes, changed, effort) = (&planes, &changed, Effort::Quick);
            encoder.encode(Picture { planes, changed, kind, quantizer, effort })?;
        }
        Ok(encoder)
    }

    /// Size of its pictures.
    #[must_use]
    pub const fn size(&self) -> FrameSize {
        self.sequence.size
    }

    /// Whether pictures are drawn into its surfaces.
    #[must_use]
    pub const fn is_drawn_into(&self) -> bool {
        self.stale.is_none()
    }

    /// Encodes `picture`. The result lies in the encoder's memory until the next call.
    ///
    /// # Errors
    /// [`Failure`]; the encoder should then be given up.
    pub fn encode(&mut self, picture: Picture<'_>) -> Result<AccessUnit<'_>, Failure> {
        if let Some(size) = picture.size_other_than(self.size()) {
            return Err(Failure::Size { encoder: self.size(), picture: size });
        }
        let stale = self.stale.as_mut().ok_or(Failure::Input)?;
        stale.add(picture.changed);
        self.coder.write(|rows| copy(picture.planes, stale, rows))?;
        stale.clear();
        self.code(0, picture.kind, picture.quantizer)
    }

    /// Encodes the picture that was drawn into the surface with this number. The result lies in the encoder's memory
    /// until the next call.
    ///
    /// # Errors
    /// [`Failure`]; the encoder should then be given up.
    pub fn encode_drawn(
        &mut self,
        surface: usize,
        kind: PictureKind,
        quantizer: Quantizer,
    ) -> Result<AccessUnit<'_>, Failure> {
        if self.stale.is_some() {
            return Err(Failure::Input);
        }
        self.code(surface, kind, quantizer)
    }

    fn code(
        &mut self,
        input: usize,
        kind: PictureKind,
        quantizer: Quantizer,
    ) -> Result<AccessUnit<'_>, Failure> {
        let slice = match self.number {
            Some(number) if kind != PictureKind::Key => {
                let number = number.wrapping_add(1);
                Slice { kind: SliceKind::Predicted, number, quantizer }
            }
            _ => {
                // Two IDRs in a row have different ones (H.264, section 7.4.3).
                self.idr_pic_id ^= 1;
                let kind = SliceKind::Idr { idr_pic_id: self.idr_pic_id };
                Slice { kind, number: 0, quantizer }
            }
        };
        self.stream.clear();
        let packed = self.packed_headers(&slice);
        let job = self.job(&slice, &packed);
        self.coder.encode(input, &job, &mut self.stream)?;
        let thoroughly = self.sample.takes(&slice, self.stream.len());
        examine(&mut self.stream, &self.sequence, &slice, &mut self.sets, thoroughly)?;
        self.number = Some(slice.number);
        self.newest = 1 - self.newest;
        let key = matches!(slice.kind, SliceKind::Idr { .. });
        Ok(AccessUnit { bytes: &self.stream, key, direct: false })
    }

    /// The headers that the driver takes, by their types.
    fn packed_headers(&self, slice: &Slice) -> Vec<(u32, Vec<u8>, u32)> {
        let takes = |kind: u32| self.packed & 1 << (kind - 1) != 0;
        let mut headers = Vec::new();
        let mut add = |kind: u32, header: Vec<u8>| {
            let bits = u32::try_from(header.len() * 8).unwrap_or(u32::MAX);
            headers.push((kind, header, bits));
        };
        if matches!(slice.kind, SliceKind::Idr { .. }) {
            if takes(PACKED_SEQUENCE) {
                add(PACKED_SEQUENCE, self.sequence.set());
            }
            if takes(PACKED_PICTURE) {
                add(PACKED_PICTURE, picture_set());
            }
        }
        if takes(PACKED_SLICE) {
            let (header, bits) = slice_header(slice);
            headers.push((PACKED_SLICE, header, bits));
        }
        headers
    }

    fn job<'packed>(&self, slice: &Slice, packed: &'packed [(u32, Vec<u8>, u32)]) -> Job<'packed> {
        let decoded = self.coder.decoded();
        let (before, next) = (decoded[self.newest], decoded[1 - self.newest]);
        // With `pic_order_cnt_type` 2 the order follows from the number.
        let place = |surface, number: u32| {
            let order = number.wrapping_mul(2).cast_signed();
            Reference::new(surface, number & ((1 << headers::FRAME_NUM_BITS) - 1), order)
        };
        let idr_pic_id = match slice.kind {
            SliceKind::Idr { idr_pic_id } => Some(idr_pic_id),
            SliceKind::Predicted => None,
        };
        let reference = match idr_pic_id {
            Some(_) => Reference::NONE,
            None => place(before, slice.number.wrapping_sub(1)),
        };
        let mut references = [Reference::NONE; 16];
        let mut lists = [[Reference::NONE; 32]; 2];
        (references[0], lists[0][0]) = (reference, reference);
        let size = self.size();
        let picture = PictureParameters {
            current: place(next, slice.number),
            references,
            coded: self.coder.coded(),
            pic_parameter_set_id: 0,
            seq_parameter_set_id: 0,
            last_picture: 0,
            frame_num: slice.frame_num() as u16, // of eight bits
            pic_init_qp: INITIAL_QUANTIZER,
            num_ref_idx_active_minus1: [0; 2],
            chroma_qp_index_offsets: [0; 2],
            // `idr_pic_flag`, `reference_pic_flag` and `deblocking_filter_control_present_flag`.
            fields: u32::from(idr_pic_id.is_some()) | 1 << 1 | 1 << 9,
            reserved: [0; 4],
        };
        let slice = SliceParameters {
            macroblock_address: 0,
            num_macroblocks: size.macroblocks(),
            macroblock_info: types::NONE,
            slice_type: if idr_pic_id.is_some() { 2 } else { 0 },
            pic_parameter_set_id: 0,
            idr_pic_id: idr_pic_id.unwrap_or(0),
            pic_order_cnt_lsb: 0,
            order_deltas: [0; 3],
            direct_spatial_mv_pred_flag: 0,
            num_ref_idx_active_override_flag: 0,
            num_ref_idx_active_minus1: [0; 2],
            lists,
            weight_denominators: [0; 2],
            weights: [Weights::NONE; 2],
            cabac_init_idc: 0,
            slice_qp_delta: slice.quantizer_delta(),
            disable_deblocking_filter_idc: 0,
            deblocking_offsets: [0; 2],
            reserved: [0; 4],
        };
        let sequence = idr_pic_id.map(|_| self.sequence_parameters());
        Job { sequence, picture, slice, packed }
    }

    fn sequence_parameters(&self) -> SequenceParameters {
        let Sequence { size, fps, level } = self.sequence;
        let [right, bottom] = self.sequence.crop();
        SequenceParameters {
            seq_parameter_set_id: 0,
            level_idc: level.number(),
            intra_period: NEVER,
            intra_idr_period: NEVER,
            ip_period: 1,
            bits_per_second: 0,
            max_num_ref_frames: 1,
            columns: size.columns() as u16, // of a side of at most 4096
            rows: size.rows() as u16,
            // `chroma_format_idc` 1, `frame_mbs_only_flag`, `direct_8x8_inference_flag`,
            // `log2_max_frame_num_minus4` and `pic_order_cnt_type` 2.
            fields: 1 | 1 << 2 | 1 << 5 | (headers::FRAME_NUM_BITS - 4) << 6 | 2 << 10,
            bit_depths: [0; 2],
            cycle: 0,
            order_offsets: [0; 2],
            frame_offsets: [0; 256],
            frame_cropping_flag: u8::from(right > 0 || bottom > 0),
            crop: [0, right, 0, bottom],
            vui_parameters_present_flag: 0,
            vui_fields: 0,
            aspect_ratio_idc: 0,
            aspect_ratio: [0; 2],
            num_units_in_tick: 1,
            time_scale: u32::from(fps.value()) * 2,
            reserved: [0; 4],
        }
    }
}

/// Copies the rows of macroblocks that changed. What whole macroblocks exceed the picture by repeats its edge,
/// which costs the fewest bits.
fn copy(planes: &Planes, changed: &MacroblockMap, mut rows: Rows<'_>) {
    let (width, height) = (usize::from(planes.size().width()), usize::from(planes.size().height()));
    let (luma, blue, red) = (planes.luma(), planes.blue(), planes.red());
    let half = width / 2;
    for row in 0..planes.size().rows() as usize {
        if !changed.row_changed(row) {
            continue;
        }
        for line in row * MACROBLOCK..(row + 1) * MACROBLOCK {
            let Some((seen, beyond)) = rows.row(0, line).split_at_mut_checked(width) else {
                return;
            };
            let from = &luma[line.min(height - 1) * width..][..width];
            seen.copy_from_slice(from);
            beyond.fill(from[width - 1]);
        }
        for line in row * MACROBLOCK / 2..(row + 1) * MACROBLOCK / 2 {
            let (pairs, _) = rows.row(1, line).as_chunks_mut::<2>();
            let Some((seen, beyond)) = pairs.split_at_mut_checked(half) else { return };
            let at = line.min(height / 2 - 1) * half;
            let (blue, red) = (&blue[at..][..half], &red[at..][..half]);
            for (pair, (blue, red)) in seen.iter_mut().zip(blue.iter().zip(red)) {
                *pair = [*blue, *red];
            }
            beyond.fill([blue[half - 1], red[half - 1]]);
        }
    }
}
