//! libva, found at run time: media runs as well where it is not installed.
//!
//! Loaded by name rather than linked, as EGL is: a package that links it would make every machine install it,
//! and with it a chain of drivers, for an encoder that most do without.
//!
//! Decides nothing. Each wrapper states every precondition of what it calls, and checks what can be checked.
//! The driver is trusted with this process, as any library is.
//!
//! INVARIANT: a display is used only by the thread that opened it: a [`Device`] is neither `Send` nor `Sync`.

#![allow(unsafe_code, reason = "foreign functions; every block states why it is sound")]

use std::{
    ffi::{CStr, c_char, c_int, c_uint, c_void},
    os::fd::{AsRawFd, OwnedFd},
};

use super::types::{
    ATTRIBUTES, Attribute, CONSTANT_QUANTIZER, CONSTRAINED_BASELINE, Display, ENTRY_POINTS, Id,
    Image, ImageFormat, MAX_HEIGHT, MAX_WIDTH, NOT_SUPPORTED, PACKED_HEADERS, PROFILES,
    RATE_CONTROL, RT_FORMAT, SUCCESS, Status, YUV420,
};
use crate::library::{Library, Missing, functions};

functions! { Functions,
    begin_picture = c"vaBeginPicture": fn(Display, Id, Id) -> Status;
    create_buffer = c"vaCreateBuffer": fn(Display, Id, c_int, c_uint, c_uint, *mut c_void, *mut Id) -> Status;
    create_config = c"vaCreateConfig": fn(Display, c_int, c_int, *mut Attribute, c_int, *mut Id) -> Status;
    create_context = c"vaCreateContext": fn(Display, Id, c_int, c_int, c_int, *mut Id, c_int, *mut Id) -> Status;
    create_image = c"vaCreateImage": fn(Display, *mut ImageFormat, c_int, c_int, *mut Image) -> Status;
    create_surfaces = c"vaCreateSurfaces": fn(Display, c_uint, c_uint, c_uint, *mut Id, c_uint, *mut c_void, c_uint) -> Status;
    derive_image = c"vaDeriveImage": fn(Display, Id, *mut Image) -> Status;
    destroy_buffer = c"vaDestroyBuffer": fn(Display, Id) -> Status;
    destroy_config = c"vaDestroyConfig": fn(Display, Id) -> Status;
    destroy_context = c"vaDestroyContext": fn(Display, Id) -> Status;
    destroy_image = c"vaDestroyImage": fn(Display, Id) -> Status;
    destroy_surfaces = c"vaDestroySurfaces": fn(Display, *mut Id, c_int) -> Status;
    end_picture = c"vaEndPicture": fn(Display, Id) -> Status;
    export_surface = c"vaExportSurfaceHandle": fn(Display, Id, u32, u32, *mut c_void) -> Status;
    get_attributes = c"vaGetConfigAttributes": fn(Display, c_int, c_int, *mut Attribute, c_int) -> Status;
    initialize = c"vaInitialize": fn(Display, *mut c_int, *mut c_int) -> Status;
    map_buffer = c"vaMapBuffer": fn(Display, Id, *mut *mut c_void) -> Status;
    put_image = c"vaPutImage": fn(Display, Id, Id, c_int, c_int, c_uint, c_uint, c_int, c_int, c_uint, c_uint) -> Status;
    render_picture = c"vaRenderPicture": fn(Display, Id, *mut Id, c_int) -> Status;
    sync_surface = c"vaSyncSurface": fn(Display, Id) -> Status;
    terminate = c"vaTerminate": fn(Display) -> Status;
    unmap_buffer = c"vaUnmapBuffer": fn(Display, Id) -> Status;
    vendor = c"vaQueryVendorString": fn(Display) -> *const c_char;
}

/// Why nothing is encoded by VA-API here.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// A library is not installed, or not complete.
    #[error(transparent)]
    Library(#[from] Missing),
    /// A call failed.
    #[error("{call} failed with {status:#x}")]
    Call {
        /// Which.
        call: &'static str,
        /// The status of VA-API.
        status: Status,
    },
    /// The driver cannot do what is needed.
    #[error("the driver does not offer {0}")]
    Lacks(&'static str),
    /// The driver says that a picture is wrong.
    #[error("the driver says that a coded picture is wrong ({0:#x})")]
    Coded(u32),
}

/// What a driver's entry point for encoding can do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Abilities {
    pub(super) entry_point: c_int,
    /// `VA_ENC_PACKED_HEADER_…`.
    pub(super) packed: u32,
    /// The largest width and height; zero if it does not say.
    pub(super) most: [u32; 2],
}

/// An initialised display on a render node.
pub struct Device {
    pub(super) va: Functions,
    pub(super) display: Display,
    abilities: Abilities,
    version: [c_int; 2],
    _node: OwnedFd,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").field("abilities", &self.abilities).finish_non_exhaustive()
    }
}

/// The outcome of a call.
pub(super) const fn done(call: &'static str, status: Status) -> Result<(), Unusable> {
    if status == SUCCESS { Ok(()) } else { Err(Unusable::Call { call, status }) }
}

impl Device {
    /// Loads libva and the driver of a node, which must encode H.264 with a constant quantizer.
    ///
    /// # Errors
    /// [`Unusable`] names what is missing.
    pub fn open(node: OwnedFd) -> Result<Self, Unusable> {
        Self::of_any_use(node)?.that_suits()
    }

    /// Loads libva and the driver of a node, whatever it is good for.
    ///
    /// # Errors
    /// [`Unusable`] names what is missing.
    pub fn of_any_use(node: OwnedFd) -> Result<Self, Unusable> {
        let library = Library::load(c"libva.so.2")?;
        let of_drm = Library::load(c"libva-drm.so.2")?.symbol(c"vaGetDisplayDRM");
        if of_drm.is_null() {
            return Err(Missing::Function("vaGetDisplayDRM").into());
        }
        // SAFETY: these are functions of libva by their names, with the signatures of its headers, and it is
        // never unloaded.
        let (va, of_drm) = unsafe {
            let of_drm =
                std::mem::transmute::<*mut c_void, unsafe extern "C" fn(c_int) -> Display>(of_drm);
            (Functions::load(&|name| library.symbol(name))?, of_drm)
        };
        // SAFETY: an open descriptor, which lives as long as the display.
        let display = unsafe { of_drm(node.as_raw_fd()) };
        if display.is_null() {
            return Err(Unusable::Call { call: "vaGetDisplayDRM", status: -1 });
        }
        let abilities = Abilities { entry_point: 0, packed: 0, most: [0; 2] };
        // From here on, what is returned early is terminated by its drop.
        let mut device = Self { va, display, abilities, version: [0; 2], _node: node };
        let [major, minor] = &mut device.version;
        // SAFETY: a display that was just made, and two numbers.
        done("vaInitialize", unsafe { (device.va.initialize)(display, major, minor) })?;
        Ok(device)
    }

    /// Chooses how it encodes.
    ///
    /// # Errors
    /// It does not encode H.264 with a constant quantizer.
    pub fn that_suits(mut self) -> Result<Self, Unusable> {
        let found = ENTRY_POINTS.into_iter().find_map(|entry_point| self.ask(entry_point));
        self.abilities = found.ok_or(Unusable::Lacks(
            "encoding of H.264's Constrained Baseline with a constant quantizer",
        ))?;
        Ok(self)
    }

    /// What an entry point can do, if it is there and can do what is needed.
    fn ask(&self, entry_point: c_int) -> Option<Abilities> {
        let kinds = [RT_FORMAT, RATE_CONTROL, PACKED_HEADERS, MAX_WIDTH, MAX_HEIGHT];
        let values = self.attributes(CONSTRAINED_BASELINE, entry_point, kinds)?;
        let supported = |value| if value == NOT_SUPPORTED { 0 } else { value };
        let [format, rate, packed, width, height] = values.map(supported);
        let suits = format & YUV420 != 0 && rate & CONSTANT_QUANTIZER != 0;
        suits.then_some(Abilities { entry_point, packed, most: [width, height] })
    }

    /// The values of attributes; `None` if there is no such entry point.
    fn attributes<const COUNT: usize>(
        &self,
        profile: c_int,
        entry_point: c_int,
        kinds: [c_int; COUNT],
    ) -> Option<[u32; COUNT]> {
        let mut asked = kinds.map(|kind| Attribute { kind, value: 0 });
        // SAFETY: an initialised display, and as many attributes as the number says.
        let status = unsafe {
            (self.va.get_attributes)(
                self.display,
                profile,
                entry_point,
                asked.as_mut_ptr(),
                asked.len() as c_int,
            )
        };
        (status == SUCCESS).then(|| asked.map(|asked| asked.value))
    }

    /// What library and driver say of themselves and of encoding, by what it is.
    #[must_use]
    pub fn about(&self) -> Vec<(String, String)> {
        let [major, minor] = self.version;
        let mut about = vec![
            ("VA-API's version".to_owned(), format!("{major}.{minor}")),
            ("VA-API's driver".to_owned(), self.name()),
        ];
        for (profile, name) in PROFILES {
            for (entry_point, part) in ENTRY_POINTS.into_iter().zip(["EncSlice", "EncSliceLP"]) {
                let kinds = ATTRIBUTES.map(|(kind, _)| kind);
                let offered = match self.attributes(profile, entry_point, kinds) {
                    None => "no".to_owned(),
                    Some(values) => {
                        let known = ATTRIBUTES.iter().zip(values);
                        let known = known.filter(|(_, value)| *value != NOT_SUPPORTED);
                        let named = known.map(|((_, name), value)| format!("{name} {value:#x}"));
                        named.collect::<Vec<_>>().join(", ")
                    }
                };
                about.push((format!("{name} by {part}"), offered));
            }
        }
        about
    }

    /// What it can do.
    pub(super) const fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    /// What the driver calls itself.
    #[must_use]
    pub fn name(&self) -> String {
        // SAFETY: an initialised display.
        let text = unsafe { (self.va.vendor)(self.display) };
        if text.is_null() {
            return String::new();
        }
        // SAFETY: not null, so a text that ends with a zero and lives as long as the display.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: nobody has the display after this; everything that was made of it holds the device. It fails
        // for one that was never initialised, which changes nothing.
        unsafe { (self.va.terminate)(self.display) };
    }
}
