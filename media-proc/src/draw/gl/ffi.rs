//! A current context: its table of functions, its errors, and what is given back to it.
//!
//! Decides nothing. Each wrapper states every precondition of what it calls, and checks what can be
//! checked; lengths of memory that a driver reads or writes above all.
//!
//! INVARIANT: a [`Gl`] is used only by the thread that made it, on which its context is current from then
//! on: it is neither `Send` nor `Sync`, and no other context is ever made current.

#![allow(unsafe_code, reason = "foreign functions; every block states why it is sound")]

use std::{
    cell::RefCell,
    ffi::{CStr, c_char, c_int, c_uint, c_void},
    os::fd::OwnedFd,
    rc::Rc,
};

use crate::{
    draw::egl::{Egl, Image, Unusable},
    library::functions,
};

// Numbers of OpenGL ES (the registry of Khronos).
const GL_UNPACK_ALIGNMENT: c_uint = 0x0CF5;
const GL_PACK_ALIGNMENT: c_uint = 0x0D05;
const GL_ONE: c_uint = 1;
const GL_ONE_MINUS_SRC_ALPHA: c_uint = 0x0303;
const GL_VENDOR: c_uint = 0x1F00;
const GL_RENDERER: c_uint = 0x1F01;
const GL_VERSION: c_uint = 0x1F02;
const GL_EXTENSIONS: c_uint = 0x1F03;
const GL_SHADING_LANGUAGE_VERSION: c_uint = 0x8B8C;
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
    pub(super) egl: Egl,
    pub(super) gl: Functions,
    /// Textures and framebuffers that were given back.
    pub(super) given_back: Rc<RefCell<Vec<Thing>>>,
}

impl std::fmt::Debug for Gl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gl")
    }
}

/// What a context has made and gets back.
#[derive(Debug)]
pub(super) enum Thing {
    Framebuffer(c_uint),
    Image(Image),
    Texture(c_uint),
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

    /// What libraries and driver say of themselves, by what it is.
    #[must_use]
    pub fn about(&self) -> Vec<(&'static str, String)> {
        let own = [
            ("OpenGL's vendor", GL_VENDOR),
            ("OpenGL's renderer", GL_RENDERER),
            ("OpenGL's version", GL_VERSION),
            ("OpenGL's shaders", GL_SHADING_LANGUAGE_VERSION),
            ("OpenGL's extensions", GL_EXTENSIONS),
        ];
        let own = own.map(|(what, name)| (what, self.string(name)));
        self.egl.about().into_iter().chain(own).collect()
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
}
