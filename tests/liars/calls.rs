//! Short ways to write down system calls.

use std::{net::SocketAddrV4, os::unix::ffi::OsStrExt, path::Path};

use lumen_liar::order::{Argument, Call};
use nix::libc::{self, c_int, c_long};

/// A call.
pub(crate) fn call<const COUNT: usize>(number: c_long, arguments: [Argument; COUNT]) -> Call {
    Call { number, arguments: arguments.into() }
}

/// A number, of whatever type the kernel reads it as.
pub(crate) fn word(value: impl TryInto<i64>) -> Argument {
    Argument::Word(value.try_into().map_or(u64::MAX, i64::cast_unsigned))
}

/// A pointer to a path or another text.
pub(crate) fn text(text: impl AsRef<Path>) -> Argument {
    let mut bytes = text.as_ref().as_os_str().as_bytes().to_vec();
    bytes.push(0);
    Argument::Bytes(bytes)
}

/// A pointer to so many zeroes.
pub(crate) fn space(bytes: usize) -> Argument {
    Argument::Bytes(vec![0; bytes])
}

/// The result of an earlier call.
pub(crate) fn result_of(place: u8) -> Argument {
    Argument::Earlier(place)
}

/// The directory that relative paths begin at.
pub(crate) fn here() -> Argument {
    word(libc::AT_FDCWD)
}

/// `sockaddr_in`.
pub(crate) fn internet(address: SocketAddrV4) -> Vec<u8> {
    let mut bytes = (libc::AF_INET as u16).to_ne_bytes().to_vec();
    bytes.extend(address.port().to_be_bytes());
    bytes.extend(address.ip().octets());
    bytes.extend([0; 8]);
    bytes
}

/// `sockaddr_un` of a path, or of an abstract name, which begins with a zero.
pub(crate) fn local(name: &[u8]) -> Vec<u8> {
    let mut bytes = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
    bytes.extend(name);
    bytes
}

/// A pointer to an address, and its length.
pub(crate) fn address(bytes: &[u8]) -> [Argument; 2] {
    [Argument::Bytes(bytes.to_vec()), word(bytes.len() as c_int)]
}

/// `sockaddr_nl` of the kernel.
pub(crate) fn netlink() -> Vec<u8> {
    [&(libc::AF_NETLINK as u16).to_ne_bytes()[..], &[0; 10]].concat()
}

/// `sockaddr_ll` of every interface.
pub(crate) fn link_layer() -> Vec<u8> {
    [&(libc::AF_PACKET as u16).to_ne_bytes()[..], &[0; 18]].concat()
}

/// `sockaddr_alg` of a digest: a type of 14 bytes, two words, and a name of 64 bytes.
pub(crate) fn kernels_ciphers() -> Vec<u8> {
    let mut bytes = (libc::AF_ALG as u16).to_ne_bytes().to_vec();
    bytes.extend(b"hash");
    bytes.resize(24, 0);
    bytes.extend(b"sha256");
    bytes.resize(88, 0);
    bytes
}
