//! The safe wrapper over libx264, and the only unsafe code of this crate.
//!
//! [`Encoder`] owns the `x264_t`. One call takes a picture and returns it encoded: without
//! lookahead, B-frames and threads x264 holds no picture back, and reads the planes and the
//! macroblock map only during the call.

#![allow(unsafe_code, reason = "the one place of this crate that calls a C library")]

use std::{ffi::c_int, mem::MaybeUninit, ptr::NonNull, slice};

use lumen_ipc::{
    level::Level,
    units::{Fps, FrameSize, Kbps},
};
use x264_sys as x264;

use crate::{
    convert::MACROBLOCK,
    effort::Effort,
    video::{AccessUnit, Picture, PictureKind, Quantizer, direct::Decoded},
};

use super::Tools;

/// BT.709 for `colorprim` and `transfer` (H.264, tables E-3 and E-4).
const BT709: c_int = 1;

/// BT.601 for `colmatrix` (H.264, table E-5), as [`crate::convert`] has it.
const BT601: c_int = 6;

/// Rows and columns that the motion search covers where the motion is unknown; the value of
/// `ultrafast`.
const NEAR: u16 = 16;

/// The most that it covers. Beyond this, searching new content takes longer than encoding it.
const FAR: u16 = 64;

/// How exactly motion between pixels is searched (`subme`): with the value of `veryfast`.
const SUBPEL: c_int = 2;

/// An open encoder.
#[derive(Debug)]
pub struct Encoder {
    handle: NonNull<x264::x264_t>,
    /// The parameters as x264 adjusted them.
    parameters: Box<x264::x264_param_t>,
    tools: Tools,
    /// How the last picture was analysed; `None` before the first.
    analysis: Option<Analysis>,
    size: FrameSize,
    pictures: i64,
    /// That of the last picture.
    quantizer: Quantizer,
    /// The picture encoded last, to which the next one refers.
    reference: Option<Reference>,
}

/// x264's decoded picture, in x264's memory: luma, then Cb and Cr interleaved, each with a border of
/// repeated samples around whole macroblocks. Valid until the next call of `x264_encoder_encode`.
#[derive(Clone, Copy, Debug)]
struct Reference {
    planes: [NonNull<u8>; 2],
    /// Bytes from one row to the next.
    strides: [usize; 2],
}

/// Bytes by which x264 repeats the samples at the left and the right of every row, and the rows at the
/// top and the bottom of luma (`PADH` and `PADV`); of chroma half as many rows.
const BORDER: usize = 32;

/// How x264 looks for what a picture has in common with the one before, and with itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Analysis {
    search: Search,
    effort: Effort,
}

/// How x264 searches for motion.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Search {
    /// From the motion of neighbours on, as long as the match improves, in diamonds or hexagons.
    Near,
    /// In uneven multi-hexagons of this range wherever the neighbours' motion does not fit.
    Far(u16),
}

// SAFETY: an x264_t is bound to no thread: it was opened with `i_threads = 1` and no lookahead
// thread, so only the caller's thread ever runs in it, and `&mut self` keeps callers apart.
unsafe impl Send for Encoder {}

/// Why an encoder cannot be opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// libx264 knows no such preset, tune or profile.
    #[error("libx264 lacks the preset, tune or profile {0:?}")]
    Unknown(&'static str),
    /// libx264 refused the parameters.
    #[error("libx264 cannot encode {0}")]
    Refused(FrameSize),
}

/// Why a picture was not encoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// The picture's size differs from the encoder's.
    #[error("an encoder for {encoder} got a picture of {picture}")]
    Size {
        /// The encoder's size.
        encoder: FrameSize,
        /// The picture's size.
        picture: FrameSize,
    },
    /// libx264 failed.
    #[error("libx264 failed with {0}")]
    Failed(c_int),
    /// libx264 did not return the decoded picture that later ones refer to.
    #[error("libx264 did not return its decoded picture, or in an unexpected layout")]
    Reference,
    /// libx264 kept the picture, which its settings rule out.
    #[error("libx264 returned nothing for a picture")]
    Withheld,
}

impl Encoder {
    /// Opens an encoder for pictures of `size`, at most `fps` of them a second in at most `bitrate`:
    /// together they decide the level of the stream.
    ///
    /// # Errors
    /// [`OpenError`] says what libx264 refused.
    pub fn open(size: FrameSize, fps: Fps, bitrate: Kbps, tools: Tools) -> Result<Self, OpenError> {
        let mut parameters = preset()?;
        let fps = fps.min(size.fastest());
        describe(&mut parameters, size, fps, Level::of(size, fps, bitrate));
        equip(&mut parameters, tools);
        let (profile, name) =
            if tools.arithmetic() { (c"main", "main") } else { (c"baseline", "baseline") };
        // SAFETY: `parameters` is initialised by `preset`, the name is NUL-terminated and static.
        let applied = unsafe { x264::x264_param_apply_profile(&mut parameters, profile.as_ptr()) };
        if applied != 0 {
            return Err(OpenError::Unknown(name));
        }
        // SAFETY: `parameters` is initialised; x264 copies it and keeps no pointer into it, as all
        // its string and callback fields are still those of `x264_param_default_preset`.
        let handle = unsafe { x264::x264_encoder_open(&mut parameters) };
        let handle = NonNull::new(handle).ok_or(OpenError::Refused(size))?;
        // SAFETY: the handle is open; x264 writes all of `parameters`, which is one of its own.
        unsafe { x264::x264_encoder_parameters(handle.as_ptr(), &mut parameters) };
        let (parameters, quantizer) = (Box::new(parameters), Quantizer::COARSEST);
        let (analysis, reference) = (None, None);
        let pictures = 0;
        Ok(Self { handle, parameters, tools, analysis, size, pictures, quantizer, reference })
    }

    /// With which tools it was opened.
    #[must_use]
    pub const fn tools(&self) -> Tools {
        self.tools
    }

    /// The quantizer of the last picture.
    #[must_use]
    pub const fn quantizer(&self) -> Quantizer {
        self.quantizer
    }

    /// Size of its pictures.
    #[must_use]
    pub const fn size(&self) -> FrameSize {
        self.size
    }

    /// Encodes `picture`. The result lies in x264's memory until the next call.
    ///
    /// # Errors
    /// [`EncodeError`]; the encoder should then be opened anew.
    pub fn encode(&mut self, picture: Picture<'_>) -> Result<AccessUnit<'_>, EncodeError> {
        // INVARIANT: planes and map of the encoder's size are as long as x264 will read.
        if let Some(size) = picture.size_other_than(self.size) {
            return Err(EncodeError::Size { encoder: self.size, picture: size });
        }
        let search = match picture.kind {
            PictureKind::Moved(rows) => Search::Far(rows.unsigned_abs().clamp(NEAR, FAR)),
            PictureKind::Fresh | PictureKind::Key | PictureKind::Predicted => Search::Near,
        };
        self.analyse(Analysis { search, effort: picture.effort })?;
        (self.reference, self.quantizer) = (None, picture.quantizer);
        let mut input = describe_picture(picture, self.pictures);
        self.pictures += 1;
        let mut output = MaybeUninit::<x264::x264_picture_t>::uninit();
        let mut units: *mut x264::x264_nal_t = std::ptr::null_mut();
        let mut count: c_int = 0;
        // SAFETY: the handle is open and not shared (`&mut self`). `input` is initialised; its
        // planes and `mb_info` point into `picture`, which is borrowed across the call, have the
        // encoder's size (checked above) and are only read: `b_mb_info_update` is off, and x264
        // copies input planes before it works on them. `output`, `units` and `count` are written.
        let length = unsafe {
            x264::x264_encoder_encode(
                self.handle.as_ptr(),
                &mut units,
                &mut count,
                &mut input,
                output.as_mut_ptr(),
            )
        };
        if length < 0 {
            return Err(EncodeError::Failed(length));
        }
        if length == 0 || count == 0 || units.is_null() {
            return Err(EncodeError::Withheld);
        }
        // SAFETY: x264 returned `length > 0`, so it has filled `output` and `units[0]`, and
        // the payloads of all NAL units lie one after the other from the first one's on, `length`
        // bytes together (x264.h, at `x264_encoder_encode`). They stay untouched until the next
        // call or the close, both of which need the `&mut self` that the result borrows.
        let (bytes, output) = unsafe {
            let start = (*units).p_payload;
            (slice::from_raw_parts(start, length.unsigned_abs() as usize), output.assume_init_ref())
        };
        self.reference = Reference::of(&output.img, self.size);
        Ok(AccessUnit { bytes, key: output.b_keyframe != 0, direct: false })
    }

    /// Copies the picture to which the next one refers; `false` if x264 did not return it.
    pub(in crate::video) fn read_reference(&self, into: &mut Decoded) -> bool {
        let Some(reference) = self.reference else { return false };
        let (columns, _) = into.macroblocks();
        let width = columns * MACROBLOCK;
        let (luma, [blue, red]) = into.planes_mut();
        for (row, line) in luma.chunks_exact_mut(width).enumerate() {
            // SAFETY: `luma` has whole rows of whole macroblocks of the encoder's size, as has
            // x264's plane; nobody writes it outside of calls that need `&mut self`.
            line.copy_from_slice(unsafe { reference.row(0, row, width) });
        }
        let lines = blue.chunks_exact_mut(width / 2).zip(red.chunks_exact_mut(width / 2));
        for (row, (blue, red)) in lines.enumerate() {
            // SAFETY: as above; a row of the second plane has a byte of each for two pixels.
            let (pairs, _) = unsafe { reference.row(1, row, width) }.as_chunks::<2>();
            for ((blue, red), pair) in blue.iter_mut().zip(red).zip(pairs) {
                [*blue, *red] = *pair;
            }
        }
        true
    }

    /// Makes the next picture refer to `from` instead; `false` if that is impossible.
    ///
    /// x264.h promises that the returned picture is the decoded one, but not that the next picture
    /// refers to the same memory. So far it does in every version; a test compares the result with
    /// another decoder.
    #[expect(clippy::needless_pass_by_ref_mut, reason = "it writes to what the handle owns")]
    pub(in crate::video) fn write_reference(&mut self, from: &Decoded) -> bool {
        let Some(reference) = self.reference else { return false };
        let (columns, rows) = from.macroblocks();
        let width = columns * MACROBLOCK;
        let bordered = |rows: usize, border: usize| {
            (0..rows + 2 * border).map(move |row| {
                let inside = row.saturating_sub(border).min(rows - 1);
                (row as isize - border as isize, inside)
            })
        };
        for (row, inside) in bordered(rows * MACROBLOCK, BORDER) {
            let line = &from.luma()[inside * width..][..width];
            // SAFETY: x264's luma has whole macroblocks of the encoder's size, as has `from`, and
            // a border of `BORDER` bytes and rows around them; `&mut self` keeps others away.
            let into = unsafe { reference.row_mut(0, row, width) };
            let (left, rest) = into.split_at_mut(BORDER);
            let (middle, right) = rest.split_at_mut(width);
            left.fill(line[0]);
            middle.copy_from_slice(line);
            right.fill(line[width - 1]);
        }
        let half = width / 2;
        for (row, inside) in bordered(rows * MACROBLOCK / 2, BORDER / 2) {
            let [blue, red] = from.chroma().each_ref().map(|plane| &plane[inside * half..][..half]);
            // SAFETY: as above, with half as many rows.
            let into = unsafe { reference.row_mut(1, row, width) };
            let (pairs, _) = into.as_chunks_mut::<2>();
            let (left, rest) = pairs.split_at_mut(BORDER / 2);
            let (middle, right) = rest.split_at_mut(half);
            left.fill([blue[0], red[0]]);
            for (pair, (blue, red)) in middle.iter_mut().zip(blue.iter().zip(red)) {
                *pair = [*blue, *red];
            }
            right.fill([blue[half - 1], red[half - 1]]);
        }
        true
    }

    /// Changes how pictures are analysed from the next one on.
    fn analyse(&mut self, analysis: Analysis) -> Result<(), EncodeError> {
        if self.analysis == Some(analysis) {
            return Ok(());
        }
        let (method, reach) = match (analysis.search, analysis.effort) {
            (Search::Near, Effort::Quick) => (x264::X264_ME_DIA, NEAR),
            (Search::Near, Effort::Thorough | Effort::Thrifty) => (x264::X264_ME_HEX, NEAR),
            (Search::Far(reach), _) => (x264::X264_ME_UMH, reach),
        };
        let (intra, inter) = match analysis.effort {
            Effort::Quick => (0, 0),
            Effort::Thorough | Effort::Thrifty => {
                let small = x264::X264_ANALYSE_I4x4;
                (small, small | x264::X264_ANALYSE_PSUB16x16)
            }
        };
        self.parameters.analyse.intra = intra;
        self.parameters.analyse.inter = inter;
        self.parameters.analyse.i_me_method = method as c_int;
        self.parameters.analyse.i_me_range = reach.into();
        // SAFETY: the handle is open and not shared (`&mut self`); `parameters` are x264's own of
        // this encoder but for a few values, and only read: x264 copies what it takes over.
        let failed =
            unsafe { x264::x264_encoder_reconfig(self.handle.as_ptr(), &mut *self.parameters) };
        if failed != 0 {
            return Err(EncodeError::Failed(failed));
        }
        self.analysis = Some(analysis);
        Ok(())
    }
}

impl Reference {
    /// Describes a picture that x264 returned for an encoder of `size`.
    fn of(image: &x264::x264_image_t, size: FrameSize) -> Option<Self> {
        let width = usize::from(size.width()).next_multiple_of(MACROBLOCK);
        let [luma, chroma, ..] = image.plane;
        let [luma_stride, chroma_stride, ..] = image.i_stride;
        let strides = [usize::try_from(luma_stride).ok()?, usize::try_from(chroma_stride).ok()?];
        let expected = image.i_csp == x264::X264_CSP_NV12 as c_int
            && image.i_plane == 2
            && strides.iter().all(|stride| *stride >= width + 2 * BORDER);
        let planes = [NonNull::new(luma)?, NonNull::new(chroma)?];
        expected.then_some(Self { planes, strides })
    }

    /// A row of plane `plane` without its border.
    ///
    /// # Safety
    /// The plane has that row and it has `width` bytes; nobody writes it while the result lives.
    const unsafe fn row(&self, plane: usize, row: usize, width: usize) -> &[u8] {
        // SAFETY: the caller's promise; strides are x264's own.
        unsafe {
            slice::from_raw_parts(self.planes[plane].as_ptr().add(row * self.strides[plane]), width)
        }
    }

    /// A row of plane `plane` with its border, which negative rows are part of.
    ///
    /// # Safety
    /// The plane has that row, and it has `width` bytes and `BORDER` more on either side; nobody
    /// else has access to it while the result lives.
    #[expect(clippy::mut_from_ref, reason = "the memory is x264's; the caller answers for access")]
    const unsafe fn row_mut(&self, plane: usize, row: isize, width: usize) -> &mut [u8] {
        let stride = self.strides[plane] as isize;
        // SAFETY: the caller's promise; strides are x264's own.
        unsafe {
            let start = self.planes[plane].as_ptr().offset(row * stride).sub(BORDER);
            slice::from_raw_parts_mut(start, width + 2 * BORDER)
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and nobody has it after this.
        unsafe { x264::x264_encoder_close(self.handle.as_ptr()) };
    }
}

/// x264's parameters for its fastest preset without latency.
fn preset() -> Result<x264::x264_param_t, OpenError> {
    let mut parameters = MaybeUninit::<x264::x264_param_t>::uninit();
    // SAFETY: the call initialises the whole structure through the pointer, beginning with
    // `x264_param_default`; both names are NUL-terminated and static.
    let applied = unsafe {
        x264::x264_param_default_preset(
            parameters.as_mut_ptr(),
            c"ultrafast".as_ptr(),
            c"zerolatency".as_ptr(),
        )
    };
    if applied != 0 {
        return Err(OpenError::Unknown("ultrafast, zerolatency"));
    }
    // SAFETY: zero means that it was initialised.
    Ok(unsafe { parameters.assume_init() })
}

/// Sets everything that differs from the preset.
fn describe(parameters: &mut x264::x264_param_t, size: FrameSize, fps: Fps, level: Level) {
    parameters.i_width = size.width().into();
    parameters.i_height = size.height().into();
    parameters.i_csp = x264::X264_CSP_I420 as c_int;
    parameters.i_fps_num = fps.value().into();
    parameters.i_fps_den = 1;
    // The level also limits how far motion may reach. x264's own choice would not know the bit
    // rate.
    parameters.i_level_idc = level.number().into();
    parameters.b_vfr_input = 0;
    // x264's default handler prints to standard error, bypassing our log; failures are returned.
    parameters.i_log_level = x264::X264_LOG_NONE;

    parameters.i_threads = 1;
    parameters.b_sliced_threads = 0;
    parameters.i_sync_lookahead = 0;
    parameters.rc.i_lookahead = 0;
    parameters.i_frame_reference = 1;

    // IDRs come only when asked for.
    parameters.i_keyint_max = x264::X264_KEYINT_MAX_INFINITE as c_int;
    parameters.i_scenecut_threshold = 0;
    parameters.b_repeat_headers = 1;
    parameters.b_annexb = 1;

    // Each picture brings its own quantizer, which x264 clips to the range of its constant ones:
    // that of P pictures, that of I pictures, 20 steps coarser by its factor (6·log₂0.1), and that
    // of B pictures, 40 steps finer. Hence all from 0 to 51.
    parameters.rc.i_rc_method = x264::X264_RC_CQP as c_int;
    parameters.rc.i_qp_constant = 32;
    parameters.rc.f_ip_factor = 0.1;
    parameters.rc.f_pb_factor = 0.01;
    parameters.analyse.b_mb_info = 1;

    parameters.vui.b_fullrange = 0;
    parameters.vui.i_colorprim = BT709;
    parameters.vui.i_transfer = BT709;
    parameters.vui.i_colmatrix = BT601;
}

/// Sets what `tools` permit.
fn equip(parameters: &mut x264::x264_param_t, tools: Tools) {
    let fine = tools != Tools::Plain;
    parameters.b_deblocking_filter = fine.into();
    parameters.analyse.i_subpel_refine = if fine { SUBPEL } else { 0 };
    parameters.b_cabac = tools.arithmetic().into();
    // The number of both parameter sets, which slices name.
    parameters.i_sps_id = tools.arithmetic().into();
}

/// `picture` in the form x264 takes.
fn describe_picture(picture: Picture<'_>, number: i64) -> x264::x264_picture_t {
    let mut input = MaybeUninit::<x264::x264_picture_t>::uninit();
    // SAFETY: the call initialises the whole structure (it clears it first).
    let mut input = unsafe {
        x264::x264_picture_init(input.as_mut_ptr());
        input.assume_init()
    };
    let width = c_int::from(picture.planes.size().width());
    input.i_type = match picture.kind {
        PictureKind::Key => x264::X264_TYPE_IDR,
        PictureKind::Fresh => x264::X264_TYPE_I,
        PictureKind::Moved(_) | PictureKind::Predicted => x264::X264_TYPE_AUTO,
    } as c_int;
    // x264.h: "force quantizer for != X264_QP_AUTO", which is 0, hence plus one.
    input.i_qpplus1 = c_int::from(picture.quantizer.value()) + 1;
    input.i_pts = number;
    input.img.i_csp = x264::X264_CSP_I420 as c_int;
    input.img.i_plane = 3;
    input.img.i_stride = [width, width / 2, width / 2, 0];
    let planes = [picture.planes.luma(), picture.planes.blue(), picture.planes.red()];
    for (slot, plane) in input.img.plane.iter_mut().zip(planes) {
        *slot = plane.as_ptr().cast_mut();
    }
    // No `mb_info_free`: the map stays ours, and without that callback x264 frees nothing.
    input.prop.mb_info = picture.changed.flags().as_ptr().cast_mut();
    input
}
