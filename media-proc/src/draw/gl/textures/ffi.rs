//! Textures: made, uploaded to and imported.

#![allow(unsafe_code, reason = "foreign functions; every block states why it is sound")]

use std::{
    cell::RefCell,
    ffi::{c_int, c_uint},
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
