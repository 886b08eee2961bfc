//! `zwp_linux_buffer_params_v1`: the planes that an app adds one by one, and whether they make a buffer.

use std::{
    fmt,
    os::fd::{AsFd, OwnedFd},
};

use lumen_ipc::{
    link::MAX_DESCRIPTORS,
    message::frames::{self, PixelFormat, Planes},
    units::{BufferSize, PlaneStride},
};
use smithay::{
    backend::allocator::{
        Fourcc, Modifier,
        dmabuf::{Dmabuf, DmabufFlags},
    },
    reexports::{
        wayland_protocols::wp::linux_dmabuf::zv1::server::zwp_linux_buffer_params_v1::{
            Error, Flags,
        },
        wayland_server::{Client, WEnum},
    },
};

use crate::{
    client::{ClientState, MemoryInUse, TooMany},
    imports::Imports,
    kernel::Kernel,
};

/// The planes of a buffer that is to be made.
#[derive(Debug, Default)]
pub(in crate::handlers) struct Params {
    planes: [Option<Plane>; MAX_DESCRIPTORS],
    modifier: Option<u64>,
    is_used: bool,
}

#[derive(Debug)]
struct Plane {
    descriptor: OwnedFd,
    offset_bytes: u32,
    stride_bytes: u32,
    in_use: MemoryInUse,
}

/// The buffer that an app wishes to make of its planes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) fourcc: u32,
    pub(super) flags: WEnum<Flags>,
}

/// Why an app is disconnected.
#[derive(Debug)]
pub(super) enum Refused {
    /// The protocol names the fault.
    Fault(Error, &'static str),
    /// The app holds too much.
    TooMany(TooMany),
    /// A buffer cannot be used that the app uses already.
    Unusable,
}

/// A buffer, and the shares of its app's limits that it has.
type Made = (Dmabuf, Vec<MemoryInUse>);

impl Refused {
    /// The protocol's number.
    pub(super) const fn code(&self) -> Error {
        match self {
            Self::Fault(code, _) => *code,
            Self::TooMany(_) | Self::Unusable => Error::InvalidWlBuffer,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(_, reason) => f.write_str(reason),
            Self::TooMany(refusal) => refusal.fmt(f),
            Self::Unusable => f.write_str("a buffer of this kind cannot be used"),
        }
    }
}

impl Params {
    /// Adds a plane.
    ///
    /// # Errors
    /// [`Refused`] when the app must be disconnected.
    pub(super) fn add(
        &mut self,
        client: &Client,
        index: u32,
        descriptor: OwnedFd,
        (offset_bytes, stride_bytes): (u32, u32),
        modifier: u64,
    ) -> Result<(), Refused> {
        if self.is_used {
            return Err(Refused::Fault(Error::AlreadyUsed, "the planes are used already"));
        }
        let place = usize::try_from(index).ok().and_then(|index| self.planes.get_mut(index));
        let place =
            place.ok_or(Refused::Fault(Error::PlaneIdx, "there are at most four planes"))?;
        if place.is_some() {
            return Err(Refused::Fault(Error::PlaneSet, "a plane is added twice"));
        }
        if self.modifier.is_some_and(|before| before != modifier) {
            return Err(Refused::Fault(Error::InvalidFormat, "planes with different modifiers"));
        }
        // Every client has a state.
        let app = client.get_data::<ClientState>().ok_or(Refused::Unusable)?;
        let in_use = app.objects.take_memory().map_err(Refused::TooMany)?;
        self.modifier = Some(modifier);
        *place = Some(Plane { descriptor, offset_bytes, stride_bytes, in_use });
        Ok(())
    }

    /// Makes a buffer of the planes; `None` if there can be none of its kind, which is not the app's
    /// fault.
    ///
    /// # Errors
    /// [`Refused`] when the app must be disconnected.
    pub(super) fn make(
        &mut self,
        wish: Wish,
        imports: &Imports,
        kernel: &dyn Kernel,
    ) -> Result<Option<Made>, Refused> {
        if std::mem::replace(&mut self.is_used, true) {
            return Err(Refused::Fault(Error::AlreadyUsed, "the planes are used already"));
        }
        let planes = self.take()?;
        let size = size_of(wish)?;
        let fault = |code, reason| Err(Refused::Fault(code, reason));
        let Some((format, code)) = self.format(wish) else {
            return fault(Error::InvalidFormat, "an unknown pixel format");
        };
        let stated = planes.iter().map(|plane| {
            let stride_bytes = PlaneStride::new(plane.stride_bytes.into()).ok()?;
            Some(frames::Plane { offset_bytes: plane.offset_bytes, stride_bytes })
        });
        let stated = stated.collect::<Option<Vec<_>>>().and_then(|all| Planes::new(&all).ok());
        let lengths: Vec<u64> = planes
            .iter()
            .map(|plane| kernel.length(plane.descriptor.as_fd()).unwrap_or_default())
            .collect();
        if !stated.is_some_and(|stated| stated.fit(size, &lengths)) {
            return fault(Error::OutOfBounds, "a plane does not lie in its memory");
        }
        match imports.takes(format) {
            Some(true) => {}
            Some(false) => return fault(Error::InvalidFormat, "a format that was not offered"),
            None => return Ok(None),
        }
        if wish.flags != WEnum::Value(Flags::empty()) {
            return Ok(None);
        }
        let (width, height) = (size.width().into(), size.height().into());
        let modifier = Modifier::from(format.modifier);
        let mut builder = Dmabuf::builder((width, height), code, modifier, DmabufFlags::empty());
        let mut in_use = Vec::new();
        for (index, plane) in (0..).zip(planes) {
            builder.add_plane(plane.descriptor, index, plane.offset_bytes, plane.stride_bytes);
            in_use.push(plane.in_use);
        }
        // There is a plane.
        Ok(builder.build().map(|dmabuf| (dmabuf, in_use)))
    }

    /// The planes, which must be the first ones without a gap.
    fn take(&mut self) -> Result<Vec<Plane>, Refused> {
        let planes = std::mem::take(&mut self.planes);
        let last = planes.iter().rposition(Option::is_some);
        let planes: Vec<_> = planes.into_iter().flatten().collect();
        if last.is_none_or(|last| last + 1 != planes.len()) {
            return Err(Refused::Fault(Error::Incomplete, "a plane is missing"));
        }
        Ok(planes)
    }

    fn format(&self, wish: Wish) -> Option<(PixelFormat, Fourcc)> {
        let code = Fourcc::try_from(wish.fourcc).ok()?;
        let modifier = self.modifier?;
        Some((PixelFormat { fourcc: wish.fourcc, modifier }, code))
    }
}

fn size_of(wish: Wish) -> Result<BufferSize, Refused> {
    let side = |length: i32| u64::try_from(length).unwrap_or_default();
    BufferSize::new(side(wish.width), side(wish.height)).map_err(|_| {
        Refused::Fault(Error::InvalidDimensions, "a side of a buffer is none or too long")
    })
}
