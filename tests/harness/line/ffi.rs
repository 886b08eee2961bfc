//! The one request that turns an open `/dev/net/tun` into a network interface.

#![allow(unsafe_code, reason = "ioctl; the block states why it is sound")]

use std::{
    ffi::c_int,
    fs::{File, OpenOptions},
    io,
    os::{fd::AsRawFd as _, unix::fs::OpenOptionsExt as _},
};

use nix::libc;

/// `struct ifreq` (`net/if.h`), as far as this request reads it.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    flags: i16,
    rest: [u8; 22],
}

mod raw {
    //! The call itself, typed. `TUNSETIFF` says "int" where it means `struct ifreq` (`if_tun.h`).

    use super::{Request, c_int};

    nix::ioctl_write_ptr_bad!(
        set_interface,
        nix::request_code_write!(b'T', 202, size_of::<c_int>()),
        Request
    );
}

/// A new interface for IP packets in the network namespace of this thread: each read takes one packet
/// that the kernel sends there, each write is one that it receives. It vanishes with its descriptor.
///
/// Nobody tells the kernel that this interface would segment or sum, so the kernel does both before, and
/// packets are here as they would be on a cable.
///
/// # Errors
/// When there is no `/dev/net/tun`, the caller may not make interfaces, or the name is taken.
pub(super) fn interface(name: &str) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")?;
    let flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
    let mut request = Request { name: [0; libc::IFNAMSIZ], flags, rest: [0; 22] };
    // The last byte stays zero and ends the name.
    for (place, byte) in request.name.iter_mut().take(libc::IFNAMSIZ - 1).zip(name.bytes()) {
        *place = byte;
    }
    let request = (&raw mut request).cast_const();
    // SAFETY: the descriptor is open. The kernel reads as many bytes as `Request` has and writes the name
    // back, to memory that is mutable and lives until the end of this function.
    unsafe { raw::set_interface(file.as_raw_fd(), request) }?;
    Ok(file)
}
