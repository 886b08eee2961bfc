//! The safe wrapper over libvpx.
//!
//! [`Codec`] owns the encoder's context. One call takes a picture and returns it encoded: without lag and
//! threads libvpx holds no picture back, and reads the planes and the map only during the call.

#![allow(unsafe_code, reason = "it calls a C library")]

use std::{ffi::c_int, fmt, marker::PhantomPinned, mem::MaybeUninit, pin::Pin, ptr, slice};

use lumen_ipc::units::{Fps, FrameSize};

use super::{EncodeError, OpenError};
use crate::{
    convert::{MACROBLOCK, Planes},
    video::AccessUnit,
};

#[allow(
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    unreachable_pub,
    dead_code,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::restriction,
    reason = "bindgen wrote it"
)]
mod vpx {
    include!(concat!(env!("OUT_DIR"), "/vpx.rs"));
}

/// Bit rate in kbit/s that libvpx's own rate control aims for: far more than any quantizer takes, since the
/// quantizer is ours.
const UNLIMITED: u32 = 100_000;

/// Without loop filter.
const PROFILE: u32 = 2;

/// libvpx's hints for desktops: 2 would drop pictures that turn out large.
const SCREEN: c_int = 1;

/// Refers to the picture before only, and remembers no other.
const REFERENCES: u32 = vpx::VP8_EFLAG_NO_REF_GF
    | vpx::VP8_EFLAG_NO_REF_ARF
    | vpx::VP8_EFLAG_NO_UPD_GF
    | vpx::VP8_EFLAG_NO_UPD_ARF;

/// An open encoder.
#[derive(Debug)]
pub(super) struct Codec {
    handle: Pin<Box<Handle>>,
    configuration: Box<vpx::vpx_codec_enc_cfg_t>,
    size: FrameSize,
    pictures: i64,
    /// The quantizer and the speed that libvpx was told last.
    told: Option<(u8, u8)>,
}

/// libvpx keeps a pointer to what it was opened with.
struct Handle {
    context: vpx::vpx_codec_ctx_t,
    pinned: PhantomPinned,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("pinned", &self.pinned).finish_non_exhaustive()
    }
}

// SAFETY: the context is bound to no thread: it was opened with `g_threads = 1`, so only the caller's
// thread ever runs in it, and `&mut self` keeps callers apart.
unsafe impl Send for Codec {}

impl Codec {
    /// Opens an encoder for pictures of `size`, at most `fps` of them a second.
    pub(super) fn open(size: FrameSize, fps: Fps) -> Result<Self, OpenError> {
        let refused = |error| OpenError::Refused { size, error };
        let mut configuration = Box::new(configuration(size, fps).map_err(refused)?);
        // SAFETY: a structure of numbers and pointers, for which zero is a value.
        let context = unsafe { MaybeUninit::<vpx::vpx_codec_ctx_t>::zeroed().assume_init() };
        let mut handle = Box::new(Handle { context, pinned: PhantomPinned });
        // SAFETY: the interface is static, and both structures stay where they are until after
        // `vpx_codec_destroy`; libvpx compares the version of its interface before it reads them.
        let error = unsafe {
            vpx::vpx_codec_enc_init_ver(
                &mut handle.context,
                vpx::vpx_codec_vp8_cx(),
                &*configuration,
                0,
                vpx::VPX_ENCODER_ABI_VERSION as c_int,
            )
        };
        // A context that was not opened holds nothing.
        match error {
            vpx::vpx_codec_err_t_VPX_CODEC_OK => {}
            vpx::vpx_codec_err_t_VPX_CODEC_ABI_MISMATCH => return Err(OpenError::Interface),
            error => return Err(refused(error)),
        }
        configuration.rc_min_quantizer = 0;
        let handle = Box::into_pin(handle);
        let mut codec = Self { handle, configuration, size, pictures: 0, told: None };
        codec
            .control(vpx::vp8e_enc_control_id_VP8E_SET_SCREEN_CONTENT_MODE, SCREEN)
            .map_err(refused)?;
        Ok(codec)
    }

    /// Macroblocks in a row.
    pub(super) fn columns(&self) -> usize {
        usize::from(self.size.width()).div_ceil(MACROBLOCK)
    }

    /// Rows of macroblocks.
    pub(super) fn rows(&self) -> usize {
        usize::from(self.size.height()).div_ceil(MACROBLOCK)
    }

    /// Encodes with this quantizer and this fast from now on.
    pub(super) fn set(&mut self, quantizer: u8, speed: u8) -> Result<(), EncodeError> {
        if self.told == Some((quantizer, speed)) {
            return Ok(());
        }
        self.told = None;
        let fast = vpx::vp8e_enc_control_id_VP8E_SET_CPUUSED;
        self.control(fast, -c_int::from(speed)).map_err(EncodeError::Failed)?;
        self.configuration.rc_min_quantizer = quantizer.into();
        self.configuration.rc_max_quantizer = quantizer.into();
        // SAFETY: the context is open and not shared (`&mut self`); libvpx copies the configuration, of which
        // only the quantizers differ from what it was opened with.
        let error = unsafe { vpx::vpx_codec_enc_config_set(self.context(), &*self.configuration) };
        succeeded(error).map_err(EncodeError::Failed)?;
        self.told = Some((quantizer, speed));
        Ok(())
    }

    /// Encodes a picture, of which only the macroblocks that are `active` are examined, with one byte for
    /// each.
    pub(super) fn encode(
        &mut self,
        planes: &Planes,
        active: &[u8],
        key: bool,
    ) -> Result<AccessUnit<'_>, EncodeError> {
        assert_eq!((planes.size(), active.len()), (self.size, self.columns() * self.rows()));
        let mut map = vpx::vpx_active_map_t {
            active_map: active.as_ptr().cast_mut(),
            rows: self.rows() as u32,
            cols: self.columns() as u32,
        };
        let active_map = vpx::vp8e_enc_control_id_VP8E_SET_ACTIVEMAP as c_int;
        // SAFETY: the context is open and not shared (`&mut self`); this control takes a pointer to such a map,
        // whose bytes are as many as its sides say (checked above) and which libvpx copies.
        let error = unsafe { vpx::vpx_codec_control_(self.context(), active_map, &raw mut map) };
        succeeded(error).map_err(EncodeError::Failed)?;
        let image = describe(planes);
        let (number, flags) =
            (self.pictures, if key { vpx::VPX_EFLAG_FORCE_KF } else { REFERENCES });
        self.pictures += 1;
        let deadline = vpx::VPX_DL_REALTIME.into();
        // SAFETY: as above; `image` has planes of the encoder's size (checked above) that are borrowed
        // across the call and only read: libvpx copies them before it works on them.
        let error = unsafe {
            vpx::vpx_codec_encode(self.context(), &image, number, 1, flags.into(), deadline)
        };
        succeeded(error).map_err(EncodeError::Failed)?;
        let mut next: vpx::vpx_codec_iter_t = ptr::null();
        // SAFETY: the context is open; libvpx returns null or a packet that stays untouched until the next
        // call or the end, both of which need the `&mut self` that the result borrows. Of the union a packet
        // of this kind has `frame`, whose `sz` bytes at `buf` libvpx has written.
        unsafe {
            let packet = vpx::vpx_codec_get_cx_data(self.context(), &mut next).as_ref();
            let is_frame = |packet: &&vpx::vpx_codec_cx_pkt| {
                packet.kind == vpx::vpx_codec_cx_pkt_kind_VPX_CODEC_CX_FRAME_PKT
            };
            let frame = &packet.filter(is_frame).ok_or(EncodeError::Withheld)?.data.frame;
            if frame.buf.is_null() || frame.sz == 0 {
                return Err(EncodeError::Withheld);
            }
            let bytes = slice::from_raw_parts(frame.buf.cast::<u8>(), frame.sz);
            let key = frame.flags & vpx::VPX_FRAME_IS_KEY != 0;
            Ok(AccessUnit { bytes, key, direct: false })
        }
    }

    /// The index of the quantizer of the last picture, as it stands in the stream.
    #[cfg(test)]
    pub(super) fn index(&mut self) -> Result<c_int, u32> {
        let mut index: c_int = -1;
        let quantizer = vpx::vp8e_enc_control_id_VP8E_GET_LAST_QUANTIZER as c_int;
        // SAFETY: the context is open and not shared (`&mut self`); this control takes a pointer to an
        // integer, which it writes.
        succeeded(unsafe { vpx::vpx_codec_control_(self.context(), quantizer, &raw mut index) })?;
        Ok(index)
    }

    fn control(&mut self, what: vpx::vp8e_enc_control_id, value: c_int) -> Result<(), u32> {
        // SAFETY: the context is open and not shared (`&mut self`), and both controls that come here take
        // an integer (vp8cx.h).
        succeeded(unsafe { vpx::vpx_codec_control_(self.context(), what as c_int, value) })
    }

    fn context(&mut self) -> *mut vpx::vpx_codec_ctx_t {
        // SAFETY: nothing is moved: only libvpx uses the pointer, which changes the context in place.
        unsafe { &raw mut self.handle.as_mut().get_unchecked_mut().context }
    }
}

impl Drop for Codec {
    fn drop(&mut self) {
        // SAFETY: the context is open, and nobody has it after this.
        unsafe { vpx::vpx_codec_destroy(self.context()) };
    }
}

const fn succeeded(error: vpx::vpx_codec_err_t) -> Result<(), u32> {
    if error == vpx::vpx_codec_err_t_VPX_CODEC_OK { Ok(()) } else { Err(error) }
}

/// libvpx's defaults, and what differs from them.
fn configuration(size: FrameSize, fps: Fps) -> Result<vpx::vpx_codec_enc_cfg_t, u32> {
    let mut configuration = MaybeUninit::<vpx::vpx_codec_enc_cfg_t>::zeroed();
    // SAFETY: the interface is static; the call writes the whole structure.
    let mut configuration = unsafe {
        succeeded(vpx::vpx_codec_enc_config_default(
            vpx::vpx_codec_vp8_cx(),
            configuration.as_mut_ptr(),
            0,
        ))?;
        configuration.assume_init()
    };
    configuration.g_profile = PROFILE;
    configuration.g_w = size.width().into();
    configuration.g_h = size.height().into();
    configuration.g_timebase.num = 1;
    configuration.g_timebase.den = c_int::from(fps.value());
    configuration.g_threads = 1;
    configuration.g_lag_in_frames = 0;
    // A decoder that lost a picture gets it again, or a keyframe.
    configuration.g_error_resilient = 0;
    // Keyframes come only when asked for.
    configuration.kf_mode = vpx::vpx_kf_mode_VPX_KF_DISABLED;
    // With a constant bit rate libvpx would drop pictures that turn out large.
    configuration.rc_end_usage = vpx::vpx_rc_mode_VPX_VBR;
    configuration.rc_dropframe_thresh = 0;
    configuration.rc_resize_allowed = 0;
    configuration.rc_target_bitrate = UNLIMITED;
    Ok(configuration)
}

/// `planes` in the form libvpx takes.
fn describe(planes: &Planes) -> vpx::vpx_image_t {
    let (width, height) = (u32::from(planes.size().width()), u32::from(planes.size().height()));
    let luma = planes.luma().as_ptr().cast_mut();
    // SAFETY: a structure of numbers and pointers, for which zero is a value. The call fills it, and fails
    // for other formats or alignments only; it does not touch the samples.
    let mut image = unsafe {
        let mut image = MaybeUninit::<vpx::vpx_image_t>::zeroed();
        vpx::vpx_img_wrap(
            image.as_mut_ptr(),
            vpx::vpx_img_fmt_VPX_IMG_FMT_I420,
            width,
            height,
            1,
            luma,
        );
        image.assume_init()
    };
    let [blue, red] = [planes.blue(), planes.red()].map(|plane| plane.as_ptr().cast_mut());
    let half = (width / 2) as c_int;
    image.planes = [luma, blue, red, ptr::null_mut()];
    image.stride = [width as c_int, half, half, 0];
    image
}
