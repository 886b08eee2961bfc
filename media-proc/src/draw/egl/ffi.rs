//! EGL and GBM, found at run time: media runs as well where they are not installed.
//!
//! Decides nothing. Each wrapper states every precondition of what it calls, and checks what can be
//! checked.
//!
//! INVARIANT: one context is made, and stays current on the thread that made it: an [`Egl`] is neither
//! `Send` nor `Sync`.

#![allow(unsafe_code, reason = "foreign functions; every block states why it is sound")]

use std::{
    ffi::{CStr, c_char, c_int, c_uint, c_void},
    marker::PhantomData,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    ptr,
};

use lumen_ipc::{
    message::frames::{PixelFormat, Planes},
    units::BufferSize,
};

use crate::library::{Library, Missing, functions};

type Display = *mut c_void;

/// Why nothing can be drawn here.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// A library is not installed, or not complete.
    #[error(transparent)]
    Library(#[from] Missing),
    /// The driver lacks an extension, or something else that is needed.
    #[error("the driver lacks {0}")]
    Lacks(&'static str),
    /// A call failed.
    #[error("{call} failed with {code:#x}")]
    Call {
        /// Which.
        call: &'static str,
        /// The error of EGL or of OpenGL.
        code: u32,
    },
    /// A shader was refused.
    #[error("the driver does not compile a shader: {0}")]
    Shader(String),
}

/// A driver refuses a buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the driver does not take the buffer")]
pub struct Refused;

// Numbers of EGL (the registry of Khronos).
const EGL_PLATFORM_GBM: c_uint = 0x31D7;
const EGL_PLATFORM_SURFACELESS: c_uint = 0x31DD;
const EGL_NONE: c_int = 0x3038;
const EGL_VENDOR: c_int = 0x3053;
const EGL_VERSION: c_int = 0x3054;
const EGL_EXTENSIONS: c_int = 0x3055;
const EGL_CLIENT_APIS: c_int = 0x308D;
const EGL_OPENGL_ES_API: c_uint = 0x30A0;
const EGL_CONTEXT_MAJOR_VERSION: c_int = 0x3098;
const EGL_ROBUST_ACCESS: c_int = 0x30BF;
const EGL_RESET_STRATEGY: c_int = 0x3138;
const EGL_LOSE_CONTEXT_ON_RESET: c_int = 0x31BF;
const EGL_LINUX_DMA_BUF: c_uint = 0x3270;
const EGL_WIDTH: c_int = 0x3057;
const EGL_HEIGHT: c_int = 0x3056;
const EGL_FOURCC: c_int = 0x3271;
/// For each plane: descriptor, offset, pitch, and the two halves of the modifier.
const EGL_PLANES: [[c_int; 5]; 4] = [
    [0x3272, 0x3273, 0x3274, 0x3443, 0x3444],
    [0x3275, 0x3276, 0x3277, 0x3445, 0x3446],
    [0x3278, 0x3279, 0x327A, 0x3447, 0x3448],
    [0x3440, 0x3441, 0x3442, 0x3449, 0x344A],
];
/// `DRM_FORMAT_MOD_INVALID`: the driver knows the arrangement by itself.
const IMPLICIT: u64 = 0x00ff_ffff_ffff_ffff;

functions! { Functions,
    get_platform_display = c"eglGetPlatformDisplayEXT": fn(c_uint, *mut c_void, *const c_int) -> Display;
    initialize = c"eglInitialize": fn(Display, *mut c_int, *mut c_int) -> c_uint;
    bind_api = c"eglBindAPI": fn(c_uint) -> c_uint;
    query_string = c"eglQueryString": fn(Display, c_int) -> *const c_char;
    create_context = c"eglCreateContext": fn(Display, *mut c_void, *mut c_void, *const c_int) -> *mut c_void;
    make_current = c"eglMakeCurrent": fn(Display, *mut c_void, *mut c_void, *mut c_void) -> c_uint;
    get_error = c"eglGetError": fn() -> c_int;
    create_image = c"eglCreateImageKHR": fn(Display, *mut c_void, c_uint, *mut c_void, *const c_int) -> *mut c_void;
    destroy_image = c"eglDestroyImageKHR": fn(Display, *mut c_void) -> c_uint;
    query_formats = c"eglQueryDmaBufFormatsEXT": fn(Display, c_int, *mut c_int, *mut c_int) -> c_uint;
    query_modifiers = c"eglQueryDmaBufModifiersEXT": fn(Display, c_int, c_int, *mut u64, *mut c_uint, *mut c_int) -> c_uint;
}

/// An initialised display with a current context of OpenGL ES 3.
pub(in crate::draw) struct Egl {
    egl: Functions,
    display: Display,
    get_address: unsafe extern "C" fn(*const c_char) -> *mut c_void,
    library: Library,
    /// The granted node, which the display uses.
    _node: Option<OwnedFd>,
    _of_one_thread: PhantomData<*const ()>,
}

/// A buffer as EGL has imported it. It must be given back by [`Egl::give_back`].
#[derive(Debug)]
pub(in crate::draw) struct Image(*mut c_void);

impl Image {
    /// The pointer, for a function of OpenGL that takes one.
    pub(in crate::draw) const fn pointer(&self) -> *mut c_void {
        self.0
    }
}

/// Tells a driver how to behave, by its environment: before it is loaded, and before this process has a
/// second thread.
pub(in crate::draw) fn set_environment(variables: &[(&str, &str)]) {
    for (name, value) in variables {
        // SAFETY: the process has no other thread yet that could read the environment meanwhile.
        unsafe { std::env::set_var(name, value) };
    }
}

impl Egl {
    /// Loads the libraries and makes a context on a node, or without one, on which only the processor draws.
    pub(in crate::draw) fn open(node: Option<OwnedFd>) -> Result<Self, Unusable> {
        let library = Library::load(c"libEGL.so.1")?;
        let get_address = library.symbol(c"eglGetProcAddress");
        if get_address.is_null() {
            return Err(Missing::Function("eglGetProcAddress").into());
        }
        // SAFETY: the function of that name, with the signature of EGL's header.
        let get_address = unsafe {
            std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*const c_char) -> *mut c_void>(
                get_address,
            )
        };
        let look = |name: &CStr| look_up(&library, get_address, name);
        // SAFETY: `look` returns functions of EGL by their names, and the library stays loaded.
        let egl = unsafe { Functions::load(&look) }?;
        let display = display(&egl, node.as_ref())?;
        context(&egl, display)?;
        Ok(Self { egl, display, get_address, library, _node: node, _of_one_thread: PhantomData })
    }

    /// What the library and the driver say of themselves, by what it is.
    pub(in crate::draw) fn about(&self) -> Vec<(&'static str, String)> {
        let all = [
            ("EGL's vendor", EGL_VENDOR),
            ("EGL's version", EGL_VERSION),
            ("EGL's interfaces", EGL_CLIENT_APIS),
            ("EGL's extensions", EGL_EXTENSIONS),
        ];
        all.map(|(what, name)| (what, text(&self.egl, self.display, name))).into()
    }

    /// A function of EGL or of the current context's OpenGL ES; null if there is none of that name.
    pub(in crate::draw) fn function(&self, name: &CStr) -> *mut c_void {
        look_up(&self.library, self.get_address, name)
    }

    /// Gives back what was imported; the memory is freed when nothing samples it any more.
    pub(in crate::draw) fn give_back(&self, image: Image) {
        // SAFETY: an image of this display, which nobody has any more.
        unsafe { (self.egl.destroy_image)(self.display, image.0) };
    }

    /// The formats of buffers that can be imported.
    #[must_use]
    pub(in crate::draw) fn formats(&self) -> Vec<PixelFormat> {
        let query = |list: *mut c_int, room: c_int| {
            let mut count = 0;
            // SAFETY: `list` has room for so many numbers, or there is room for none and it is null.
            let ok = unsafe { (self.egl.query_formats)(self.display, room, list, &raw mut count) };
            if ok == 0 { 0 } else { usize::try_from(count).unwrap_or(0) }
        };
        let mut formats = vec![0; query(ptr::null_mut(), 0)];
        let room = c_int::try_from(formats.len()).unwrap_or(0);
        let count = query(formats.as_mut_ptr(), room).min(formats.len());
        let known = formats.into_iter().take(count);
        known.flat_map(|fourcc| self.modifiers(fourcc)).collect()
    }

    fn modifiers(&self, fourcc: c_int) -> Vec<PixelFormat> {
        let query = |modifiers: *mut u64, external: *mut c_uint, room: c_int| {
            let mut count = 0;
            // SAFETY: both lists have room for so many numbers, or there is room for none and they are null.
            let ok = unsafe {
                (self.egl.query_modifiers)(
                    self.display,
                    fourcc,
                    room,
                    modifiers,
                    external,
                    &raw mut count,
                )
            };
            if ok == 0 { 0 } else { usize::try_from(count).unwrap_or(0) }
        };
        let room = query(ptr::null_mut(), ptr::null_mut(), 0);
        let (mut modifiers, mut external) = (vec![0; room], vec![0; room]);
        let given = c_int::try_from(room).unwrap_or(0);
        let count = query(modifiers.as_mut_ptr(), external.as_mut_ptr(), given).min(room);
        let format = |modifier| PixelFormat { fourcc: fourcc.cast_unsigned(), modifier };
        // Those that are external only need a sampler of another kind.
        let all = modifiers.into_iter().zip(external).take(count);
        let inner = all.filter(|(_, external)| *external == 0).map(|(modifier, _)| modifier);
        inner.chain([IMPLICIT]).map(format).collect()
    }

    /// Imports a buffer in memory of a graphics processor. The driver keeps what it needs; the descriptors can
    /// be closed.
    pub(in crate::draw) fn import(
        &self,
        size: BufferSize,
        format: PixelFormat,
        planes: &Planes,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Image, Refused> {
        if planes.count() != descriptors.len() {
            return Err(Refused);
        }
        let sides = [EGL_WIDTH, size.width().into(), EGL_HEIGHT, size.height().into()];
        let mut attributes =
            [sides.as_slice(), &[EGL_FOURCC, format.fourcc.cast_signed()]].concat();
        for ((plane, descriptor), names) in planes.iter().zip(descriptors).zip(EGL_PLANES) {
            let [fd, offset, pitch, low, high] = names;
            let stride = c_int::try_from(plane.stride_bytes.value()).map_err(|_| Refused)?;
            let begin = c_int::try_from(plane.offset_bytes).map_err(|_| Refused)?;
            attributes.extend([fd, descriptor.as_raw_fd(), offset, begin, pitch, stride]);
            if format.modifier != IMPLICIT {
                // The two halves.
                let (below, above) = (format.modifier as u32, (format.modifier >> 32) as u32);
                attributes.extend([low, below.cast_signed(), high, above.cast_signed()]);
            }
        }
        attributes.push(EGL_NONE);
        // SAFETY: the display is initialised; the list names open descriptors and ends with EGL_NONE. The
        // driver checks the planes against the memory behind them.
        let image = unsafe {
            (self.egl.create_image)(
                self.display,
                ptr::null_mut(),
                EGL_LINUX_DMA_BUF,
                ptr::null_mut(),
                attributes.as_ptr(),
            )
        };
        if image.is_null() {
            return Err(Refused);
        }
        Ok(Image(image))
    }
}

fn look_up(
    library: &Library,
    get_address: unsafe extern "C" fn(*const c_char) -> *mut c_void,
    name: &CStr,
) -> *mut c_void {
    let exported = library.symbol(name);
    if !exported.is_null() {
        return exported;
    }
    // SAFETY: EGL's function, and the name ends with a zero.
    unsafe { get_address(name.as_ptr()) }
}

fn failed(egl: &Functions, call: &'static str) -> Unusable {
    // SAFETY: EGL's own error of this thread.
    Unusable::Call { call, code: unsafe { (egl.get_error)() }.cast_unsigned() }
}

fn display(egl: &Functions, node: Option<&OwnedFd>) -> Result<Display, Unusable> {
    let (platform, native) = match node {
        None => (EGL_PLATFORM_SURFACELESS, ptr::null_mut()),
        Some(node) => (EGL_PLATFORM_GBM, gbm_device(node)?),
    };
    // SAFETY: the native display belongs to the platform, and lives as long as the process.
    let display = unsafe { (egl.get_platform_display)(platform, native, ptr::null()) };
    // SAFETY: a display of EGL's; where the numbers of the version go may be null.
    let known = !display.is_null()
        && unsafe { (egl.initialize)(display, ptr::null_mut(), ptr::null_mut()) } != 0;
    if known { Ok(display) } else { Err(failed(egl, "eglInitialize")) }
}

/// A device of GBM on the node. It is never given back: the display needs it.
fn gbm_device(node: &OwnedFd) -> Result<*mut c_void, Unusable> {
    let create = Library::load(c"libgbm.so.1")?.symbol(c"gbm_create_device");
    if create.is_null() {
        return Err(Missing::Function("gbm_create_device").into());
    }
    // SAFETY: the function of that name, with the signature of GBM's header.
    let create = unsafe {
        std::mem::transmute::<*mut c_void, unsafe extern "C" fn(c_int) -> *mut c_void>(create)
    };
    // SAFETY: an open descriptor, which the caller keeps.
    let device = unsafe { create(node.as_raw_fd()) };
    if device.is_null() {
        Err(Unusable::Call { call: "gbm_create_device", code: 0 })
    } else {
        Ok(device)
    }
}

/// One of the texts of an initialised display; empty if there is none.
fn text(egl: &Functions, display: Display, name: c_int) -> String {
    // SAFETY: an initialised display.
    let text = unsafe { (egl.query_string)(display, name) };
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, so a text that ends with a zero and lives as long as the display.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Makes a context and makes it current.
fn context(egl: &Functions, display: Display) -> Result<(), Unusable> {
    let text = text(egl, display, EGL_EXTENSIONS);
    let has = |name: &str| text.split(' ').any(|word| word == name);
    for name in ["EGL_KHR_no_config_context", "EGL_KHR_surfaceless_context"] {
        if !has(name) {
            return Err(Unusable::Lacks(name));
        }
    }
    let mut attributes = vec![EGL_CONTEXT_MAJOR_VERSION, 3];
    if has("EGL_EXT_create_context_robustness") {
        // Otherwise a driver may end the process when the graphics processor is reset.
        let robust = [EGL_ROBUST_ACCESS, 1, EGL_RESET_STRATEGY, EGL_LOSE_CONTEXT_ON_RESET];
        attributes.extend(robust);
    }
    attributes.push(EGL_NONE);
    // SAFETY: an initialised display, no configuration, which its extension permits, and a list that ends
    // with EGL_NONE; the context is made current on this thread and stays so.
    unsafe {
        if (egl.bind_api)(EGL_OPENGL_ES_API) == 0 {
            return Err(failed(egl, "eglBindAPI"));
        }
        let none = ptr::null_mut();
        let context = (egl.create_context)(display, none, none, attributes.as_ptr());
        if context.is_null() {
            return Err(failed(egl, "eglCreateContext"));
        }
        if (egl.make_current)(display, none, none, context) == 0 {
            return Err(failed(egl, "eglMakeCurrent"));
        }
    }
    Ok(())
}
