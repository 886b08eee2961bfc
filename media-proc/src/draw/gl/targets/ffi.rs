//! What is drawn to, and reading it.

#![allow(unsafe_code, reason = "foreign functions; every block states why it is sound")]

use std::ffi::c_uint;

use lumen_ipc::message::frames::Rect;

use crate::draw::{
    egl::Unusable,
    gl::{
        ffi::{Gl, Thing},
        textures::Texture,
    },
};

// Numbers of OpenGL ES (the registry of Khronos).
const GL_TEXTURE_2D: c_uint = 0x0DE1;
const GL_UNSIGNED_BYTE: c_uint = 0x1401;
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
        let (width, height) = (size.0.into(), size.1.into());
        // SAFETY: a context is current; the texture is bound.
        unsafe { (self.gl.texture_storage)(GL_TEXTURE_2D, 1, channels.internal(), width, height) };
        self.target_in(texture, channels)
    }

    /// A texture to draw to, whose pixels have these channels.
    ///
    /// # Errors
    /// The driver does not draw to or read such pixels.
    pub fn target_in(&self, texture: Texture, channels: Channels) -> Result<Target, Unusable> {
        let mut framebuffer = 0;
        // SAFETY: a context is current, and the texture is its own; there is room for the one name.
        unsafe {
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
