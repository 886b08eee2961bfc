//! OpenGL ES 3, whose functions EGL finds at run time.
//!
//! Decides nothing. Each wrapper states every precondition of what it calls, and checks what can be
//! checked; lengths of memory that a driver reads or writes above all.
//!
//! INVARIANT: a [`Gl`] is used only by the thread that made it, on which its context is current from then
//! on: it is neither `Send` nor `Sync`, and no other context is ever made current.

#![allow(unsafe_code, reason = "foreign functions; every block states why it is sound")]

use std::{
    cell::RefCell,
    ffi::{CStr, CString, c_char, c_int, c_uint, c_void},
    os::fd::{BorrowedFd, OwnedFd},
    ptr,
    rc::Rc,
};

use lumen_ipc::{
    message::frames::{PixelFormat, Planes, Rect},
    units::BufferSize,
};

use super::egl::{Egl, Image};
pub use super::egl::{Refused, Unusable};
use crate::library::functions;

// Numbers of OpenGL ES (the registry of Khronos).
const GL_TEXTURE_2D: c_uint = 0x0DE1;
const GL_UNSIGNED_BYTE: c_uint = 0x1401;
const GL_RED: c_uint = 0x1903;
const GL_RGBA: c_uint = 0x1908;
const GL_RG: c_uint = 0x8227;
const GL_R8: c_uint = 0x8229;
const GL_RG8: c_uint = 0x822B;
const GL_RGBA8: c_uint = 0x8058;
const GL_BGRA: c_uint = 0x80E1;
const GL_NEAREST: c_int = 0x2600;
const GL_LINEAR: c_int = 0x2601;
const GL_CLAMP_TO_EDGE: c_int = 0x812F;
const GL_FRAMEBUFFER: c_uint = 0x8D40;
const GL_COLOR_ATTACHMENT0: c_uint = 0x8CE0;
const GL_FRAMEBUFFER_COMPLETE: c_uint = 0x8CD5;
const GL_READ_FORMAT: c_uint = 0x8B9B;
const GL_UNPACK_ROW_LENGTH: c_uint = 0x0CF2;
const GL_UNPACK_ALIGNMENT: c_uint = 0x0CF5;
const GL_PACK_ALIGNMENT: c_uint = 0x0D05;
const GL_SCISSOR_TEST: c_uint = 0x0C11;
const GL_BLEND: c_uint = 0x0BE2;
const GL_ONE: c_uint = 1;
const GL_ONE_MINUS_SRC_ALPHA: c_uint = 0x0303;
const GL_COLOR_BUFFER: c_uint = 0x4000;
const GL_TRIANGLE_STRIP: c_uint = 5;
const GL_FLOAT: c_uint = 0x1406;
const GL_RENDERER: c_uint = 0x1F01;
const GL_VERSION: c_uint = 0x1F02;
const GL_MAX_TEXTURE_SIZE: c_uint = 0x0D33;

functions! { Functions,
    active_uniform = c"glGetUniformLocation": fn(c_uint, *const c_char) -> c_int;
    attach_shader = c"glAttachShader": fn(c_uint, c_uint);
    bind_attribute = c"glBindAttribLocation": fn(c_uint, c_uint, *const c_char);
    bind_framebuffer = c"glBindFramebuffer": fn(c_uint, c_uint);
    bind_texture = c"glBindTexture": fn(c_uint, c_uint);
    blend = c"glBlendFunc": fn(c_uint, c_uint);
    check_framebuffer = c"glCheckFramebufferStatus": fn(c_uint) -> c_uint;
    clear = c"glClear": fn(c_uint);
    clear_colour = c"glClearColor": fn(f32, f32, f32, f32);
    compile_shader = c"glCompileShader": fn(c_uint);
    create_program = c"glCreateProgram": fn() -> c_uint;
    create_shader = c"glCreateShader": fn(c_uint) -> c_uint;
    delete_framebuffers = c"glDeleteFramebuffers": fn(c_int, *const c_uint);
    delete_shader = c"glDeleteShader": fn(c_uint);
    delete_textures = c"glDeleteTextures": fn(c_int, *const c_uint);
    disable = c"glDisable": fn(c_uint);
    draw_arrays = c"glDrawArrays": fn(c_uint, c_int, c_int);
    enable = c"glEnable": fn(c_uint);
    enable_attribute = c"glEnableVertexAttribArray": fn(c_uint);
    finish = c"glFinish": fn();
    framebuffer_texture = c"glFramebufferTexture2D": fn(c_uint, c_uint, c_uint, c_uint, c_int);
    gen_framebuffers = c"glGenFramebuffers": fn(c_int, *mut c_uint);
    gen_textures = c"glGenTextures": fn(c_int, *mut c_uint);
    get_error = c"glGetError": fn() -> c_uint;
    get_integer = c"glGetIntegerv": fn(c_uint, *mut c_int);
    get_program = c"glGetProgramiv": fn(c_uint, c_uint, *mut c_int);
    get_shader = c"glGetShaderiv": fn(c_uint, c_uint, *mut c_int);
    get_shader_log = c"glGetShaderInfoLog": fn(c_uint, c_int, *mut c_int, *mut c_char);
    get_string = c"glGetString": fn(c_uint) -> *const c_char;
    image_texture = c"glEGLImageTargetTexture2DOES": fn(c_uint, *mut c_void);
    link_program = c"glLinkProgram": fn(c_uint);
    pixel_store = c"glPixelStorei": fn(c_uint, c_int);
    read_pixels = c"glReadPixels": fn(c_int, c_int, c_int, c_int, c_uint, c_uint, *mut c_void);
    scissor = c"glScissor": fn(c_int, c_int, c_int, c_int);
    shader_source = c"glShaderSource": fn(c_uint, c_int, *const *const c_char, *const c_int);
    texture_image = c"glTexImage2D": fn(c_uint, c_int, c_int, c_int, c_int, c_int, c_uint, c_uint, *const c_void);
    texture_parameter = c"glTexParameteri": fn(c_uint, c_uint, c_int);
    texture_part = c"glTexSubImage2D": fn(c_uint, c_int, c_int, c_int, c_int, c_int, c_uint, c_uint, *const c_void);
    texture_storage = c"glTexStorage2D": fn(c_uint, c_int, c_uint, c_int, c_int);
    uniform_4 = c"glUniform4f": fn(c_int, f32, f32, f32, f32);
    use_program = c"glUseProgram": fn(c_uint);
    vertices = c"glVertexAttribPointer": fn(c_uint, c_int, c_uint, u8, c_int, *const c_void);
    viewport = c"glViewport": fn(c_int, c_int, c_int, c_int);
}

/// A current context of OpenGL ES 3.
pub struct Gl {
    egl: Egl,
    gl: Functions,
    /// Textures and framebuffers that were given back.
    given_back: Rc<RefCell<Vec<Thing>>>,
}

impl std::fmt::Debug for Gl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gl")
    }
}

#[derive(Debug)]
enum Thing {
    Framebuffer(c_uint),
    Image(Image),
    Texture(c_uint),
}

/// A texture. Its memory is given back with the next use of its context.
#[derive(Debug)]
pub struct Texture {
    name: c_uint,
    size: (u16, u16),
    /// The image of a buffer that it samples.
    image: Option<Image>,
    given_back: Rc<RefCell<Vec<Thing>>>,
}

/// A texture that can be drawn to.
#[derive(Debug)]
pub struct Target {
    texture: Texture,
    framebuffer: c_uint,
    channels: Channels,
}

/// The channels of a target, one byte each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Channels {
    /// One.
    One,
    /// Two.
    Two,
    /// Red, green, blue and alpha.
    Four,
}

impl Channels {
    const fn internal(self) -> c_uint {
        match self {
            Self::One => GL_R8,
            Self::Two => GL_RG8,
            Self::Four => GL_RGBA8,
        }
    }

    const fn format(self) -> c_uint {
        match self {
            Self::One => GL_RED,
            Self::Two => GL_RG,
            Self::Four => GL_RGBA,
        }
    }

    /// Their number.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }
}

/// A compiled program with one vector of parameters.
#[derive(Debug)]
pub struct Program {
    name: c_uint,
    parameters: c_int,
}

/// A corner of a rectangle: place in the target, from -1 to 1, and in the texture, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Corner {
    /// Where it is drawn.
    pub at: [f32; 2],
    /// What is drawn there.
    pub of: [f32; 2],
}

impl Drop for Texture {
    fn drop(&mut self) {
        let mut given_back = self.given_back.borrow_mut();
        given_back.push(Thing::Texture(self.name));
        given_back.extend(self.image.take().map(Thing::Image));
    }
}

impl Texture {
    /// Its width and height.
    #[must_use]
    pub const fn size(&self) -> (u16, u16) {
        self.size
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.texture.given_back.borrow_mut().push(Thing::Framebuffer(self.framebuffer));
    }
}

impl Target {
    /// Its pixels, to draw from.
    #[must_use]
    pub const fn texture(&self) -> &Texture {
        &self.texture
    }
}

impl Gl {
    /// Loads the libraries and makes a context on a node, or without one, on which only the processor draws.
    ///
    /// # Errors
    /// [`Unusable`] names what is missing.
    pub fn open(node: Option<OwnedFd>) -> Result<Self, Unusable> {
        let egl = Egl::open(node)?;
        // SAFETY: these are functions of OpenGL ES by their names, of the current context.
        let gl = unsafe { Functions::load(&|name| egl.function(name)) }?;
        let opened = Self { egl, gl, given_back: Rc::default() };
        opened.prepare()?;
        Ok(opened)
    }

    fn prepare(&self) -> Result<(), Unusable> {
        let gl = &self.gl;
        if !self.string(GL_VERSION).starts_with("OpenGL ES 3") {
            return Err(Unusable::Lacks("OpenGL ES 3"));
        }
        // SAFETY: a context is current, and these take any of these numbers.
        unsafe {
            (gl.pixel_store)(GL_PACK_ALIGNMENT, 1);
            (gl.pixel_store)(GL_UNPACK_ALIGNMENT, 4);
            (gl.blend)(GL_ONE, GL_ONE_MINUS_SRC_ALPHA);
            (gl.enable_attribute)(0);
            (gl.enable_attribute)(1);
        }
        self.check("preparing OpenGL")
    }

    fn string(&self, which: c_uint) -> String {
        // SAFETY: a context is current.
        let text = unsafe { (self.gl.get_string)(which) };
        if text.is_null() {
            return String::new();
        }
        // SAFETY: not null, so it is a text that ends with a zero and lives as long as the context.
        unsafe { CStr::from_ptr(text.cast()) }.to_string_lossy().into_owned()
    }

    /// What the driver calls itself.
    #[must_use]
    pub fn renderer(&self) -> String {
        self.string(GL_RENDERER)
    }

    /// The longest side of a texture.
    #[must_use]
    pub fn longest_side(&self) -> u16 {
        let mut side = 0;
        // SAFETY: a context is current, and the value is one number.
        unsafe { (self.gl.get_integer)(GL_MAX_TEXTURE_SIZE, &raw mut side) };
        u16::try_from(side.clamp(0, i32::from(u16::MAX))).unwrap_or_default()
    }

    /// Frees what was given back.
    pub fn tidy(&self) {
        for thing in self.given_back.borrow_mut().drain(..) {
            match thing {
                Thing::Image(image) => self.egl.give_back(image),
                // SAFETY: each name was made by this context and is given back once, by the drop of its only
                // owner; the context is current.
                Thing::Framebuffer(name) => unsafe {
                    (self.gl.delete_framebuffers)(1, &raw const name);
                },
                // SAFETY: as above.
                Thing::Texture(name) => unsafe { (self.gl.delete_textures)(1, &raw const name) },
            }
        }
    }

    /// The error of the calls since the last check, if there was one.
    ///
    /// # Errors
    /// [`Unusable::Call`] with `call`.
    pub fn check(&self, call: &'static str) -> Result<(), Unusable> {
        // SAFETY: a context is current.
        match unsafe { (self.gl.get_error)() } {
            0 => Ok(()),
            code => Err(Unusable::Call { call, code }),
        }
    }

    /// Waits until everything that was asked for has been done.
    ///
    /// # Errors
    /// The driver has failed.
    pub fn finish(&self) -> Result<(), Unusable> {
        // SAFETY: a context is current.
        unsafe { (self.gl.finish)() };
        self.check("glFinish")
    }

    fn texture(&self, size: (u16, u16), image: Option<Image>) -> Texture {
        let mut name = 0;
        // SAFETY: a context is current; there is room for the one name.
        unsafe { (self.gl.gen_textures)(1, &raw mut name) };
        let given_back = Rc::clone(&self.given_back);
        let texture = Texture { name, size, image, given_back };
        self.bind(&texture);
        for parameter in [0x2802, 0x2803] {
            // SAFETY: a texture is bound; the numbers are its wrap modes.
            unsafe { (self.gl.texture_parameter)(GL_TEXTURE_2D, parameter, GL_CLAMP_TO_EDGE) };
        }
        self.filter(false);
        texture
    }

    fn bind(&self, texture: &Texture) {
        // SAFETY: a context is current, and the texture is its own.
        unsafe { (self.gl.bind_texture)(GL_TEXTURE_2D, texture.name) };
    }

    /// Whether the bound texture is smoothed when it is enlarged or shrunk.
    fn filter(&self, smooth: bool) {
        let filter = if smooth { GL_LINEAR } else { GL_NEAREST };
        for parameter in [0x2800, 0x2801] {
            // SAFETY: a texture is bound; the numbers are its filters.
            unsafe { (self.gl.texture_parameter)(GL_TEXTURE_2D, parameter, filter) };
        }
    }

    /// A texture for pixels of BGRA that are uploaded.
    ///
    /// # Errors
    /// The driver has no room.
    pub fn bgra(&self, size: (u16, u16)) -> Result<Texture, Unusable> {
        let texture = self.texture(size, None);
        let (width, height) = (size.0.into(), size.1.into());
        // SAFETY: a texture is bound; without pixels only room is made.
        unsafe {
            (self.gl.texture_image)(
                GL_TEXTURE_2D,
                0,
                GL_BGRA.cast_signed(),
                width,
                height,
                0,
                GL_BGRA,
                GL_UNSIGNED_BYTE,
                ptr::null(),
            );
        }
        self.check("glTexImage2D").map(|()| texture)
    }

    /// Uploads the part `rect` of rows of BGRA in `pixels`. A part that leaves the texture or the pixels is
    /// not uploaded.
    pub fn upload(&self, texture: &Texture, pixels: &[u8], stride: usize, rect: Rect) {
        let (x, y) = (usize::from(rect.x), usize::from(rect.y));
        let (width, height) = (usize::from(rect.width), usize::from(rect.height));
        let fits = x + width <= texture.size.0.into() && y + height <= texture.size.1.into();
        if !fits || width == 0 || height == 0 || stride < (x + width) * 4 {
            return;
        }
        self.bind(texture);
        let part = |top: usize, rows: usize| {
            let from = top * stride + x * 4;
            let length = (rows - 1) * stride + width * 4;
            pixels.get(from..from.saturating_add(length)).map(<[u8]>::as_ptr)
        };
        let send = |top: usize, rows: usize, from: *const u8| {
            // Sides are at most 16384, so nothing is cut.
            let (x, y, width, rows) = (x as c_int, top as c_int, width as c_int, rows as c_int);
            // SAFETY: a texture is bound, the part lies in it, and from `from` on there are so many rows, as
            // far apart as the row length says or only one; `part` has checked that.
            unsafe {
                (self.gl.texture_part)(
                    GL_TEXTURE_2D,
                    0,
                    x,
                    y,
                    width,
                    rows,
                    GL_BGRA,
                    GL_UNSIGNED_BYTE,
                    from.cast(),
                );
            }
        };
        if stride.is_multiple_of(4) {
            let pitch = c_int::try_from(stride / 4).unwrap_or(0);
            // SAFETY: a context is current.
            unsafe { (self.gl.pixel_store)(GL_UNPACK_ROW_LENGTH, pitch) };
            part(y, height).into_iter().for_each(|from| send(y, height, from));
            // SAFETY: as above.
            unsafe { (self.gl.pixel_store)(GL_UNPACK_ROW_LENGTH, 0) };
        } else {
            for row in y..y + height {
                part(row, 1).into_iter().for_each(|from| send(row, 1, from));
            }
        }
    }

    /// A texture that samples a buffer in memory of a graphics processor. The driver keeps what it needs;
    /// the descriptors can be closed.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn import(
        &self,
        size: BufferSize,
        format: PixelFormat,
        planes: &Planes,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Texture, Refused> {
        let image = self.egl.import(size, format, planes, descriptors)?;
        let pointer = image.pointer();
        let texture = self.texture((size.width(), size.height()), Some(image));
        // SAFETY: a texture is bound, and the image was just made.
        unsafe { (self.gl.image_texture)(GL_TEXTURE_2D, pointer) };
        self.check("glEGLImageTargetTexture2DOES").map(|()| texture).map_err(|_| Refused)
    }

    /// The formats of buffers that can be sampled as they are.
    #[must_use]
    pub fn formats(&self) -> Vec<PixelFormat> {
        self.egl.formats()
    }

    /// Something to draw to.
    ///
    /// # Errors
    /// The driver has no room, or does not draw to or read such pixels.
    pub fn target(&self, size: (u16, u16), channels: Channels) -> Result<Target, Unusable> {
        let texture = self.texture(size, None);
        let mut framebuffer = 0;
        let (width, height) = (size.0.into(), size.1.into());
        // SAFETY: a context is current; the texture is bound; there is room for the one name.
        unsafe {
            (self.gl.texture_storage)(GL_TEXTURE_2D, 1, channels.internal(), width, height);
            (self.gl.gen_framebuffers)(1, &raw mut framebuffer);
            (self.gl.bind_framebuffer)(GL_FRAMEBUFFER, framebuffer);
            (self.gl.framebuffer_texture)(
                GL_FRAMEBUFFER,
                GL_COLOR_ATTACHMENT0,
                GL_TEXTURE_2D,
                texture.name,
                0,
            );
        }
        let target = Target { texture, framebuffer, channels };
        self.check("making a target")?;
        let mut readable = 0;
        // SAFETY: a framebuffer is bound, and the value is one number.
        let status = unsafe {
            (self.gl.get_integer)(GL_READ_FORMAT, &raw mut readable);
            (self.gl.check_framebuffer)(GL_FRAMEBUFFER)
        };
        match status == GL_FRAMEBUFFER_COMPLETE && readable == channels.format().cast_signed() {
            true => Ok(target),
            false => Err(Unusable::Lacks("targets of one and two channels")),
        }
    }

    /// Compiles a program whose vertices are [`Corner`]s.
    ///
    /// # Errors
    /// [`Unusable::Shader`].
    pub fn program(&self, vertex: &str, fragment: &str) -> Result<Program, Unusable> {
        let gl = &self.gl;
        // SAFETY: a context is current.
        let name = unsafe { (gl.create_program)() };
        for (kind, text) in [(0x8B31, vertex), (0x8B30, fragment)] {
            let shader = self.shader(kind, text)?;
            // SAFETY: both names were just made; a shader that is attached lives until its program ends.
            unsafe {
                (gl.attach_shader)(name, shader);
                (gl.delete_shader)(shader);
            }
        }
        let mut linked = 0;
        // SAFETY: the program was just made; the names end with a zero; the value is one number.
        let parameters = unsafe {
            (gl.bind_attribute)(name, 0, c"at".as_ptr());
            (gl.bind_attribute)(name, 1, c"of".as_ptr());
            (gl.link_program)(name);
            (gl.get_program)(name, 0x8B82, &raw mut linked);
            (gl.active_uniform)(name, c"parameters".as_ptr())
        };
        match linked {
            0 => Err(Unusable::Shader("it does not link".to_owned())),
            _ => Ok(Program { name, parameters }),
        }
    }

    fn shader(&self, kind: c_uint, text: &str) -> Result<c_uint, Unusable> {
        let text = CString::new(text).map_err(|_| Unusable::Shader("a zero".to_owned()))?;
        let mut compiled = 0;
        // SAFETY: a context is current; the one text ends with a zero, and its length is not stated; the
        // value is one number.
        let shader = unsafe {
            let shader = (self.gl.create_shader)(kind);
            (self.gl.shader_source)(shader, 1, &text.as_ptr(), ptr::null());
            (self.gl.compile_shader)(shader);
            (self.gl.get_shader)(shader, 0x8B81, &raw mut compiled);
            shader
        };
        if compiled != 0 {
            return Ok(shader);
        }
        let mut said = [0_u8; 256];
        // SAFETY: the driver writes at most so many bytes, with a zero at the end.
        unsafe {
            (self.gl.get_shader_log)(shader, 256, ptr::null_mut(), said.as_mut_ptr().cast());
        }
        let said = CStr::from_bytes_until_nul(&said).unwrap_or_default();
        Err(Unusable::Shader(said.to_string_lossy().into_owned()))
    }

    /// Draws to `target` from now on, in all of it.
    pub fn draw_to(&self, target: &Target) {
        let (width, height) = target.texture.size;
        // SAFETY: a context is current, and the framebuffer is its own.
        unsafe {
            (self.gl.bind_framebuffer)(GL_FRAMEBUFFER, target.framebuffer);
            (self.gl.viewport)(0, 0, width.into(), height.into());
            (self.gl.disable)(GL_SCISSOR_TEST);
        }
    }

    /// Draws only in this rectangle of the target.
    pub fn only_in(&self, rect: Rect) {
        // SAFETY: a context is current, and sides are not negative.
        unsafe {
            (self.gl.enable)(GL_SCISSOR_TEST);
            (self.gl.scissor)(rect.x.into(), rect.y.into(), rect.width.into(), rect.height.into());
        }
    }

    /// Fills the target, or the rectangle of it.
    pub fn fill(&self, [red, green, blue, alpha]: [f32; 4]) {
        // SAFETY: a context is current.
        unsafe {
            (self.gl.clear_colour)(red, green, blue, alpha);
            (self.gl.clear)(GL_COLOR_BUFFER);
        }
    }

    /// Draws a rectangle by `program`, over what is there or in its place, with or without a texture.
    pub fn rectangle(
        &self,
        program: &Program,
        texture: Option<(&Texture, bool)>,
        corners: &[Corner; 4],
        (over, [a, b, c, d]): (bool, [f32; 4]),
    ) {
        if let Some((texture, smooth)) = texture {
            self.bind(texture);
            self.filter(smooth);
        }
        let stride = size_of::<Corner>() as c_int;
        let first: *const Corner = corners.as_ptr();
        let second = first.cast::<u8>().wrapping_add(std::mem::offset_of!(Corner, of));
        // SAFETY: a context is current; no buffer is ever bound, so the pointers name the corners, which
        // outlive the drawing of all four: the driver has read them when this call returns.
        unsafe {
            if over {
                (self.gl.enable)(GL_BLEND)
            } else {
                (self.gl.disable)(GL_BLEND)
            }
            (self.gl.use_program)(program.name);
            (self.gl.uniform_4)(program.parameters, a, b, c, d);
            (self.gl.vertices)(0, 2, GL_FLOAT, 0, stride, first.cast());
            (self.gl.vertices)(1, 2, GL_FLOAT, 0, stride, second.cast());
            (self.gl.draw_arrays)(GL_TRIANGLE_STRIP, 0, 4);
        }
    }

    /// Reads a rectangle of a target, row after row without gaps, into `pixels`.
    ///
    /// # Errors
    /// The rectangle leaves the target or does not fit, or the driver has failed.
    pub fn read(&self, target: &Target, rect: Rect, pixels: &mut [u8]) -> Result<(), Unusable> {
        let (x, y): (usize, usize) = (rect.x.into(), rect.y.into());
        let (width, height): (usize, usize) = (rect.width.into(), rect.height.into());
        let (most_x, most_y) = target.texture.size;
        let inside = x + width <= most_x.into() && y + height <= most_y.into();
        if !inside || pixels.len() < width * height * target.channels.count() {
            return Err(Unusable::Call { call: "reading a part that is not there", code: 0 });
        }
        // SAFETY: a context is current; the part lies in the target, and there is room for its pixels, whose
        // rows follow each other because the alignment is one.
        unsafe {
            (self.gl.bind_framebuffer)(GL_FRAMEBUFFER, target.framebuffer);
            (self.gl.read_pixels)(
                rect.x.into(),
                rect.y.into(),
                rect.width.into(),
                rect.height.into(),
                target.channels.format(),
                GL_UNSIGNED_BYTE,
                pixels.as_mut_ptr().cast(),
            );
        }
        self.check("glReadPixels")
    }
}
