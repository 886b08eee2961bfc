//! What a context binds: textures, targets, and programs.
//!
//! Decides nothing. Each wrapper states every precondition of what it calls, and checks what can be
//! checked; lengths of memory that a driver reads or writes above all.

#![allow(unsafe_code, reason = "foreign functions; every block states why it is sound")]

use std::{
    cell::RefCell,
    ffi::{CStr, CString, c_int, c_uint},
    os::fd::BorrowedFd,
    ptr,
    rc::Rc,
};

use lumen_ipc::{
    message::frames::{PixelFormat, Planes, Rect},
    units::BufferSize,
};

use crate::draw::{
    egl::{Image, Refused, Unusable},
    gl::ffi::{Gl, Thing},
};

// Numbers of OpenGL ES (the registry of Khronos).
const GL_TEXTURE_2D: c_uint = 0x0DE1;
const GL_UNSIGNED_BYTE: c_uint = 0x1401;
const GL_BGRA: c_uint = 0x80E1;
const GL_NEAREST: c_int = 0x2600;
const GL_LINEAR: c_int = 0x2601;
const GL_CLAMP_TO_EDGE: c_int = 0x812F;
const GL_UNPACK_ROW_LENGTH: c_uint = 0x0CF2;
const GL_RED: c_uint = 0x1903;
const GL_RGBA: c_uint = 0x1908;
const GL_RG: c_uint = 0x8227;
const GL_R8: c_uint = 0x8229;
const GL_RG8: c_uint = 0x822B;
const GL_RGBA8: c_uint = 0x8058;
const GL_FRAMEBUFFER: c_uint = 0x8D40;
const GL_COLOR_ATTACHMENT0: c_uint = 0x8CE0;
const GL_FRAMEBUFFER_COMPLETE: c_uint = 0x8CD5;
const GL_READ_FORMAT: c_uint = 0x8B9B;
const GL_SCISSOR_TEST: c_uint = 0x0C11;
const GL_COLOR_BUFFER: c_uint = 0x4000;
const GL_BLEND: c_uint = 0x0BE2;
const GL_TRIANGLE_STRIP: c_uint = 5;
const GL_FLOAT: c_uint = 0x1406;

/// A texture. Its memory is given back with the next use of its context.
#[derive(Debug)]
pub struct Texture {
    pub(in crate::draw::gl) name: c_uint,
    pub(in crate::draw::gl) size: (u16, u16),
    /// The image of a buffer that it samples.
    image: Option<Image>,
    pub(in crate::draw::gl) given_back: Rc<RefCell<Vec<Thing>>>,
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

impl Gl {
    /// A texture without pixels, which is bound.
    pub(in crate::draw::gl) fn texture(&self, size: (u16, u16), image: Option<Image>) -> Texture {
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

    /// Binds it.
    pub(in crate::draw::gl) fn bind(&self, texture: &Texture) {
        // SAFETY: a context is current, and the texture is its own.
        unsafe { (self.gl.bind_texture)(GL_TEXTURE_2D, texture.name) };
    }

    /// Whether the bound texture is smoothed when it is enlarged or shrunk.
    pub(in crate::draw::gl) fn filter(&self, smooth: bool) {
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

impl Gl {
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
}
