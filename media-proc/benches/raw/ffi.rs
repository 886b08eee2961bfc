//! The floor: x264 called as in its manual, with `zerolatency`, one thread and a constant quantizer,
//! on planes that are ready. No code of Lumen lies in between.

#![allow(unsafe_code, reason = "calls the C library that is measured")]

use std::{
    ffi::{CStr, c_int},
    mem::MaybeUninit,
    slice,
};

use lumen_ipc::units::FrameSize;
use lumen_media::{convert::Planes, video::Quantizer};
use x264_sys as x264;

/// How hard x264 works, and in which profile.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "each benchmark uses those that it compares with")]
pub(crate) enum Preset {
    /// `ultrafast` in Constrained Baseline, the format that Lumen sends.
    Baseline,
    Ultrafast,
    Superfast,
    Veryfast,
}

impl Preset {
    const fn preset(self) -> &'static CStr {
        match self {
            Self::Baseline | Self::Ultrafast => c"ultrafast",
            Self::Superfast => c"superfast",
            Self::Veryfast => c"veryfast",
        }
    }

    const fn profile(self) -> &'static CStr {
        match self {
            Self::Baseline => c"baseline",
            Self::Ultrafast | Self::Superfast | Self::Veryfast => c"high",
        }
    }

    #[allow(dead_code, reason = "one benchmark prints it")]
    pub(crate) fn name(self) -> &'static str {
        self.preset().to_str().unwrap_or_default()
    }
}

/// An open x264.
pub(crate) struct Raw {
    handle: *mut x264::x264_t,
    input: x264::x264_picture_t,
}

impl Raw {
    pub(crate) fn open(size: FrameSize, preset: Preset) -> Self {
        let mut parameters = MaybeUninit::<x264::x264_param_t>::uninit();
        // SAFETY: the call initialises all of `parameters`; the names are NUL-terminated.
        let mut parameters = unsafe {
            let (preset, tune) = (preset.preset().as_ptr(), c"zerolatency".as_ptr());
            assert_eq!(x264::x264_param_default_preset(parameters.as_mut_ptr(), preset, tune), 0);
            parameters.assume_init()
        };
        parameters.i_width = size.width().into();
        parameters.i_height = size.height().into();
        parameters.i_csp = x264::X264_CSP_I420 as c_int;
        parameters.i_log_level = x264::X264_LOG_NONE;
        parameters.i_threads = 1;
        parameters.b_sliced_threads = 0;
        parameters.i_keyint_max = x264::X264_KEYINT_MAX_INFINITE as c_int;
        parameters.rc.i_rc_method = x264::X264_RC_CQP as c_int;
        parameters.rc.i_qp_constant = 32;
        // x264 clips a picture's quantizer to the range between its constant ones of I, P and B
        // pictures: with these factors all from 0 to 51.
        parameters.rc.f_ip_factor = 0.1;
        parameters.rc.f_pb_factor = 0.01;
        // SAFETY: `parameters` is initialised and outlives both calls; `picture_init` initialises
        // all of the picture.
        let (handle, input) = unsafe {
            assert_eq!(
                x264::x264_param_apply_profile(&mut parameters, preset.profile().as_ptr()),
                0
            );
            let mut input = MaybeUninit::<x264::x264_picture_t>::uninit();
            x264::x264_picture_init(input.as_mut_ptr());
            (x264::x264_encoder_open(&mut parameters), input.assume_init())
        };
        assert!(!handle.is_null(), "x264 does not open");
        Self { handle, input }
    }

    /// Encodes one picture. The result lies in x264's memory until the next call.
    pub(crate) fn encode(&mut self, planes: &Planes, key: bool, quantizer: Quantizer) -> &[u8] {
        let width = c_int::from(planes.size().width());
        let input = &mut self.input;
        input.i_type = if key { x264::X264_TYPE_IDR } else { x264::X264_TYPE_AUTO } as c_int;
        input.i_qpplus1 = c_int::from(quantizer.value()) + 1;
        input.i_pts += 1;
        input.img.i_csp = x264::X264_CSP_I420 as c_int;
        input.img.i_plane = 3;
        input.img.i_stride = [width, width / 2, width / 2, 0];
        let planes = [planes.luma(), planes.blue(), planes.red()];
        for (slot, plane) in input.img.plane.iter_mut().zip(planes) {
            *slot = plane.as_ptr().cast_mut();
        }
        let mut output = MaybeUninit::<x264::x264_picture_t>::uninit();
        let mut units: *mut x264::x264_nal_t = std::ptr::null_mut();
        let mut count = 0;
        // SAFETY: the handle is open and used by one thread; the planes are borrowed across the
        // call, have the encoder's size and are only read; the rest is written by x264.
        let length = unsafe {
            let output = output.as_mut_ptr();
            x264::x264_encoder_encode(self.handle, &mut units, &mut count, input, output)
        };
        assert!(length > 0, "x264 encodes");
        // SAFETY: x264 returned `length > 0`, so the payloads of all units lie one after the other
        // from the first one's on, `length` bytes together, until the next call.
        unsafe { slice::from_raw_parts((*units).p_payload, length.unsigned_abs() as usize) }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: the handle is open and not used after this.
        unsafe { x264::x264_encoder_close(self.handle) };
    }
}
