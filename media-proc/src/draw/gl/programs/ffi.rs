//! Programs, and the rectangles that they draw.

#![allow(unsafe_code, reason = "foreign functions; every block states why it is sound")]

use std::{
    ffi::{CStr, CString, c_int, c_uint},
    ptr,
};

use crate::draw::{
    egl::Unusable,
    gl::{ffi::Gl, textures::Texture},
};

// Numbers of OpenGL ES (the registry of Khronos).
const GL_BLEND: c_uint = 0x0BE2;
const GL_TRIANGLE_STRIP: c_uint = 5;
const GL_FLOAT: c_uint = 0x1406;

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
