//! Surfaces, context and buffers of one encoder.
//!
//! Decides nothing. Each wrapper states every precondition of what it calls, and checks what can be checked.

#![allow(unsafe_code, reason = "foreign functions; every block states why it is sound")]

use std::{
    ffi::{c_int, c_uint, c_void},
    ptr,
    rc::Rc,
    slice,
};

use crate::{
    surfaces::SURFACES,
    video::vaapi::{
        ffi::{Device, Unusable, done},
        types::{
            Attribute, CODED, CODED_WRONG, CONSTANT_QUANTIZER, CONSTRAINED_BASELINE, Id, Image,
            ImageFormat, NONE, NV12, PACKED_DATA, PACKED_HEADERS, PACKED_PARAMETERS, PICTURE,
            PROGRESSIVE, PackedParameters, PictureParameters, RATE_CONTROL, RT_FORMAT, SEQUENCE,
            SLICE, SUCCESS, Segment, SequenceParameters, SliceParameters, YUV420,
        },
    },
};

/// More segments has no picture of one slice.
const MOST_SEGMENTS: usize = 64;

/// How pictures come into the surfaces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::video::vaapi) enum Input {
    /// The processor copies them into one.
    Copied,
    /// A graphics processor draws them into several, by turns.
    Drawn,
}

/// Decoded pictures, of which one is referred to while the other is made.
const DECODED: usize = 2;

/// Surfaces of one size, and what encodes them: decoded pictures, and those that come in.
#[derive(Debug)]
pub(in crate::video::vaapi) struct Coder {
    device: Rc<Device>,
    config: Id,
    context: Id,
    /// Decoded pictures, and behind them those that come in.
    surfaces: Vec<Id>,
    coded: Id,
    coded_room: usize,
    /// Width and height of the surfaces.
    size: (u32, u32),
    /// The memory of the surface that comes in, or what is put there.
    image: Image,
    derived: bool,
}

/// One picture to encode.
#[derive(Debug)]
pub(in crate::video::vaapi) struct Job<'packed> {
    pub(in crate::video::vaapi) sequence: Option<SequenceParameters>,
    pub(in crate::video::vaapi) picture: PictureParameters,
    pub(in crate::video::vaapi) slice: SliceParameters,
    /// Headers with their number of bits, by type. That of the slice must be the last.
    pub(in crate::video::vaapi) packed: &'packed [(u32, Vec<u8>, u32)],
}

/// The rows of a picture of NV12.
#[derive(Debug)]
pub(in crate::video::vaapi) struct Rows<'memory> {
    memory: &'memory mut [u8],
    pitches: [usize; 2],
    offsets: [usize; 2],
    width: usize,
}

impl Rows<'_> {
    /// A row of luma, or of both chroma samples in pairs; empty if there is none of this number.
    pub(in crate::video::vaapi) fn row(&mut self, plane: usize, row: usize) -> &mut [u8] {
        let at = self.offsets[plane] + row * self.pitches[plane];
        self.memory.get_mut(at..at + self.width).unwrap_or_default()
    }
}

impl Coder {
    /// Opens an encoder for pictures whose sides are whole macroblocks, with these packed headers.
    pub(in crate::video::vaapi) fn open(
        device: &Rc<Device>,
        size: (u32, u32),
        packed: u32,
        input: Input,
    ) -> Result<Self, Unusable> {
        let inputs = if input == Input::Drawn { SURFACES } else { 1 };
        let (width, height) = (size.0.cast_signed(), size.1.cast_signed());
        let coded_room = size.0 as usize * size.1 as usize * 3 + 65_536;
        let mut coder = Self {
            device: Rc::clone(device),
            config: NONE,
            context: NONE,
            surfaces: vec![NONE; DECODED + inputs],
            coded: NONE,
            coded_room,
            size,
            image: Image { id: NONE, ..Image::default() },
            derived: false,
        };
        let (va, display) = (&device.va, device.display);
        let mut attributes = vec![
            Attribute { kind: RT_FORMAT, value: YUV420 },
            Attribute { kind: RATE_CONTROL, value: CONSTANT_QUANTIZER },
        ];
        if packed != 0 {
            attributes.push(Attribute { kind: PACKED_HEADERS, value: packed });
        }
        // SAFETY: an initialised display; as many attributes as the number says; one number for the result.
        done("vaCreateConfig", unsafe {
            (va.create_config)(
                display,
                CONSTRAINED_BASELINE,
                device.abilities().entry_point,
                attributes.as_mut_ptr(),
                attributes.len() as c_int,
                &raw mut coder.config,
            )
        })?;
        let count = coder.surfaces.len() as c_uint;
        let surfaces = coder.surfaces.as_mut_ptr();
        // SAFETY: an initialised display, and room for so many numbers; no attributes.
        done("vaCreateSurfaces", unsafe {
            (va.create_surfaces)(
                display,
                YUV420,
                size.0,
                size.1,
                surfaces,
                count,
                ptr::null_mut(),
                0,
            )
        })?;
        // SAFETY: an initialised display, its config and surfaces; one number for the result.
        done("vaCreateContext", unsafe {
            (va.create_context)(
                display,
                coder.config,
                width,
                height,
                PROGRESSIVE,
                surfaces,
                count.cast_signed(),
                &raw mut coder.context,
            )
        })?;
        coder.coded = coder.buffer(CODED, coded_room, ptr::null_mut())?;
        if input == Input::Copied {
            coder.make_image()?;
        }
        Ok(coder)
    }

    /// The memory of the surface that comes in, or else some that the driver copies to it.
    fn make_image(&mut self) -> Result<(), Unusable> {
        let (va, display) = (&self.device.va, self.device.display);
        let mut image = Image::default();
        // SAFETY: an initialised display, its surface, and room for the result.
        let status = unsafe { (va.derive_image)(display, self.input(0), &raw mut image) };
        if status == SUCCESS {
            (self.image, self.derived) = (image, true);
            if self.suits(&image) {
                return Ok(());
            }
            self.destroy_image();
        }
        let mut format = ImageFormat {
            fourcc: NV12,
            byte_order: 1,
            bits_per_pixel: 12,
            ..ImageFormat::default()
        };
        let (width, height) = (self.size.0.cast_signed(), self.size.1.cast_signed());
        // SAFETY: as above, and a format.
        done("vaCreateImage", unsafe {
            (va.create_image)(display, &raw mut format, width, height, &raw mut image)
        })?;
        (self.image, self.derived) = (image, false);
        if self.suits(&image) { Ok(()) } else { Err(Unusable::Lacks("images of NV12")) }
    }

    /// Whether all rows of the picture lie in the image's memory.
    fn suits(&self, image: &Image) -> bool {
        let (width, height) = (u64::from(self.size.0), u64::from(self.size.1));
        let fits = |plane: usize, rows: u64| {
            let (offset, pitch) =
                (u64::from(image.offsets[plane]), u64::from(image.pitches[plane]));
            pitch >= width && offset + (rows - 1) * pitch + width <= u64::from(image.data_size)
        };
        image.format.fourcc == NV12
            && image.num_planes == 2
            && fits(0, height)
            && fits(1, height / 2)
    }

    /// The surface with this number of those that come in; none if there is none.
    fn input(&self, number: usize) -> Id {
        self.surfaces.get(DECODED + number).copied().unwrap_or(NONE)
    }

    /// The device, and the surfaces that come in.
    pub(in crate::video::vaapi) fn inputs(&self) -> (&Device, &[Id]) {
        (&self.device, self.surfaces.get(DECODED..).unwrap_or_default())
    }

    /// Lets `write` change the rows of the picture that is copied. They keep what was written before.
    pub(in crate::video::vaapi) fn write(
        &mut self,
        write: impl FnOnce(Rows<'_>),
    ) -> Result<(), Unusable> {
        let (va, display) = (&self.device.va, self.device.display);
        let mut memory = ptr::null_mut();
        // SAFETY: the image's buffer, and room for a pointer.
        done("vaMapBuffer", unsafe {
            (va.map_buffer)(display, self.image.buffer, &raw mut memory)
        })?;
        if memory.is_null() {
            return Err(Unusable::Call { call: "vaMapBuffer", status: -1 });
        }
        let [luma, chroma, _] = self.image.offsets.map(|offset| offset as usize);
        let [luma_pitch, chroma_pitch, _] = self.image.pitches.map(|pitch| pitch as usize);
        // SAFETY: the mapped image has so many bytes (`VAImage.data_size`), which nobody else reads or writes
        // until the buffer is unmapped.
        let memory = unsafe {
            slice::from_raw_parts_mut(memory.cast::<u8>(), self.image.data_size as usize)
        };
        write(Rows {
            memory,
            pitches: [luma_pitch, chroma_pitch],
            offsets: [luma, chroma],
            width: self.size.0 as usize,
        });
        // SAFETY: it was mapped above, and nothing of it is held any more.
        done("vaUnmapBuffer", unsafe { (va.unmap_buffer)(display, self.image.buffer) })?;
        if self.derived {
            return Ok(());
        }
        let (width, height) = self.size;
        // SAFETY: an initialised display, its surface and image, both at least of this size.
        done("vaPutImage", unsafe {
            (va.put_image)(
                display,
                self.input(0),
                self.image.id,
                0,
                0,
                width,
                height,
                0,
                0,
                width,
                height,
            )
        })
    }

    /// The surfaces of decoded pictures.
    pub(in crate::video::vaapi) fn decoded(&self) -> [Id; DECODED] {
        [self.surfaces[0], self.surfaces[1]]
    }

    /// The buffer that `coded_buf` names.
    pub(in crate::video::vaapi) const fn coded(&self) -> Id {
        self.coded
    }

    fn buffer(&self, kind: c_int, size: usize, data: *mut c_void) -> Result<Id, Unusable> {
        let mut made = NONE;
        let size = c_uint::try_from(size).unwrap_or(c_uint::MAX);
        // SAFETY: the context of this display; `data` is null or has `size` bytes, which are copied; one number
        // for the result.
        let status = unsafe {
            (self.device.va.create_buffer)(
                self.device.display,
                self.context,
                kind,
                size,
                1,
                data,
                &raw mut made,
            )
        };
        done("vaCreateBuffer", status).map(|()| made)
    }

    fn parameters<T>(&self, kind: c_int, mut value: T) -> Result<Id, Unusable> {
        self.buffer(kind, size_of::<T>(), (&raw mut value).cast())
    }

    /// Encodes the picture in a surface of those that come in, and appends it to `stream`.
    pub(in crate::video::vaapi) fn encode(
        &mut self,
        input: usize,
        job: &Job<'_>,
        stream: &mut Vec<u8>,
    ) -> Result<(), Unusable> {
        let mut buffers = Vec::new();
        let encoded =
            self.submit(self.input(input), job, &mut buffers).and_then(|()| self.take(stream));
        for buffer in buffers {
            // SAFETY: it was made for this picture, which is finished or given up.
            unsafe { (self.device.va.destroy_buffer)(self.device.display, buffer) };
        }
        encoded
    }

    /// Hands everything over, in the order that most applications use, and waits.
    fn submit(&self, input: Id, job: &Job<'_>, buffers: &mut Vec<Id>) -> Result<(), Unusable> {
        if let Some(sequence) = job.sequence {
            buffers.push(self.parameters(SEQUENCE, sequence)?);
        }
        buffers.push(self.parameters(PICTURE, job.picture)?);
        for (kind, header, bit_length) in job.packed {
            let (kind, bit_length) = (*kind, *bit_length);
            let told =
                PackedParameters { kind, bit_length, has_emulation_bytes: 1, reserved: [0; 4] };
            buffers.push(self.parameters(PACKED_PARAMETERS, told)?);
            // The driver only reads it.
            let data = header.as_ptr().cast_mut().cast();
            buffers.push(self.buffer(PACKED_DATA, header.len(), data)?);
        }
        buffers.push(self.parameters(SLICE, job.slice)?);
        let (va, display) = (&self.device.va, self.device.display);
        let count = c_int::try_from(buffers.len()).unwrap_or(c_int::MAX);
        // SAFETY: the context of this display, its surface, and as many of its buffers as the number says.
        unsafe {
            done("vaBeginPicture", (va.begin_picture)(display, self.context, input))?;
            let rendered = (va.render_picture)(display, self.context, buffers.as_mut_ptr(), count);
            // Ended in any case: a picture that was begun is never left open.
            let ended = (va.end_picture)(display, self.context);
            done("vaRenderPicture", rendered)?;
            done("vaEndPicture", ended)?;
            done("vaSyncSurface", (va.sync_surface)(display, input))
        }
    }

    /// Appends what was encoded: drivers put it into one segment, or each unit into one of its own.
    fn take(&self, stream: &mut Vec<u8>) -> Result<(), Unusable> {
        let (va, display) = (&self.device.va, self.device.display);
        let mut first = ptr::null_mut();
        // SAFETY: the coded buffer of this display, and room for a pointer.
        done("vaMapBuffer", unsafe { (va.map_buffer)(display, self.coded, &raw mut first) })?;
        // SAFETY: a coded buffer that is mapped is a list of segments (`va.h`, at `VACodedBufferSegment`).
        let taken = unsafe { self.append(first.cast::<Segment>(), stream) };
        // SAFETY: it was mapped above, and nothing of it is held any more.
        done("vaUnmapBuffer", unsafe { (va.unmap_buffer)(display, self.coded) })?;
        taken
    }

    /// Appends the segments of a list.
    ///
    /// # Safety
    /// Each segment is null or valid, and its bytes are as many as it says.
    unsafe fn append(&self, first: *const Segment, stream: &mut Vec<u8>) -> Result<(), Unusable> {
        let mut next = first;
        for _ in 0..MOST_SEGMENTS {
            if next.is_null() {
                return Ok(());
            }
            // SAFETY: the caller's promise.
            let segment = unsafe { &*next };
            if segment.status & CODED_WRONG != 0 {
                return Err(Unusable::Coded(segment.status));
            }
            let size = segment.size as usize;
            if stream.len() + size > self.coded_room || (size > 0 && segment.bytes.is_null()) {
                return Err(Unusable::Coded(segment.status));
            }
            if size > 0 {
                // SAFETY: the caller's promise, and not null.
                stream.extend_from_slice(unsafe { slice::from_raw_parts(segment.bytes, size) });
            }
            next = segment.next;
        }
        // A list that is a ring, perhaps.
        Err(Unusable::Coded(0))
    }

    fn destroy_image(&self) {
        // SAFETY: an image of this display, which nobody has any more; it fails for none.
        unsafe { (self.device.va.destroy_image)(self.device.display, self.image.id) };
    }
}

impl Drop for Coder {
    fn drop(&mut self) {
        let (va, display) = (&self.device.va, self.device.display);
        if self.image.id != NONE {
            self.destroy_image();
        }
        // SAFETY: each was made of this display, or is none, for which the driver does nothing; nobody has any
        // of them after this.
        unsafe {
            if self.coded != NONE {
                (va.destroy_buffer)(display, self.coded);
            }
            if self.context != NONE {
                (va.destroy_context)(display, self.context);
            }
            if self.surfaces[0] != NONE {
                let count = self.surfaces.len() as c_int;
                (va.destroy_surfaces)(display, self.surfaces.as_mut_ptr(), count);
            }
            if self.config != NONE {
                (va.destroy_config)(display, self.config);
            }
        }
    }
}
