//! The requests of `linux/uinput.h`, each behind one safe function.

#![allow(unsafe_code, reason = "ioctl; every block states why it is sound")]

use std::{
    ffi::{CStr, c_char, c_int, c_ulong},
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

use evdev::{AbsoluteAxisCode, EventType, FFEffectCode, InputEvent, KeyCode};
use nix::errno::Errno;

/// `UINPUT_IOCTL_BASE`.
const BASE: u8 = b'U';

/// Declares a kind of events of a new device.
pub const SET_KIND: c_ulong = nix::request_code_write!(BASE, 100, size_of::<c_int>());
/// Declares a key or button of a new device.
pub const SET_KEY: c_ulong = nix::request_code_write!(BASE, 101, size_of::<c_int>());
const SET_AXIS: c_ulong = nix::request_code_write!(BASE, 103, size_of::<c_int>());
const SET_FEEDBACK: c_ulong = nix::request_code_write!(BASE, 107, size_of::<c_int>());
const SET_PHYS: c_ulong = nix::request_code_write!(BASE, 108, size_of::<*const c_char>());
const CREATE: c_ulong = nix::request_code_none!(BASE, 1);
const DESTROY: c_ulong = nix::request_code_none!(BASE, 2);
const SET_UP: c_ulong = nix::request_code_write!(BASE, 3, size_of::<libc::uinput_setup>());
const SET_UP_AXIS: c_ulong = nix::request_code_write!(BASE, 4, size_of::<libc::uinput_abs_setup>());
const BEGIN_UPLOAD: c_ulong =
    nix::request_code_readwrite!(BASE, 200, size_of::<libc::uinput_ff_upload>());
const END_UPLOAD: c_ulong =
    nix::request_code_write!(BASE, 201, size_of::<libc::uinput_ff_upload>());
const BEGIN_ERASE: c_ulong =
    nix::request_code_readwrite!(BASE, 202, size_of::<libc::uinput_ff_erase>());
const END_ERASE: c_ulong = nix::request_code_write!(BASE, 203, size_of::<libc::uinput_ff_erase>());

/// Every request that this process makes while it serves, with its purpose.
pub const REQUESTS: [(c_ulong, &str); 13] = [
    (SET_KIND, "kinds of events a new device has"),
    (SET_KEY, "buttons a new device has"),
    (SET_AXIS, "axes a new device has"),
    (SET_FEEDBACK, "effects a new device has"),
    (SET_PHYS, "physical path of a new device"),
    (SET_UP, "name and numbers of a new device"),
    (SET_UP_AXIS, "range of a new device's axis"),
    (CREATE, "a pad is plugged in"),
    (DESTROY, "a pad is gone"),
    (BEGIN_UPLOAD, "a program uploads an effect"),
    (END_UPLOAD, "answer to the program that uploads"),
    (BEGIN_ERASE, "a program erases an effect"),
    (END_ERASE, "answer to the program that erases"),
];

mod raw {
    //! The calls themselves, typed.

    use super::{BASE, SET_AXIS, SET_FEEDBACK, SET_KEY, SET_KIND, SET_PHYS, c_char};

    nix::ioctl_none!(create, BASE, 1);
    nix::ioctl_none!(destroy, BASE, 2);
    nix::ioctl_write_ptr!(set_up, BASE, 3, libc::uinput_setup);
    nix::ioctl_write_ptr!(set_up_axis, BASE, 4, libc::uinput_abs_setup);
    nix::ioctl_write_int_bad!(set_kind, SET_KIND);
    nix::ioctl_write_int_bad!(set_key, SET_KEY);
    nix::ioctl_write_int_bad!(set_axis, SET_AXIS);
    nix::ioctl_write_int_bad!(set_feedback, SET_FEEDBACK);
    nix::ioctl_write_ptr_bad!(set_phys, SET_PHYS, c_char);
    nix::ioctl_readwrite!(begin_upload, BASE, 200, libc::uinput_ff_upload);
    nix::ioctl_write_ptr!(end_upload, BASE, 201, libc::uinput_ff_upload);
    nix::ioctl_readwrite!(begin_erase, BASE, 202, libc::uinput_ff_erase);
    nix::ioctl_write_ptr!(end_erase, BASE, 203, libc::uinput_ff_erase);
    nix::ioctl_read_buf!(sysname, BASE, 44, u8);
}

/// Size of a `struct input_event`.
pub(super) const EVENT_BYTES: usize = size_of::<libc::input_event>();
/// Size of its time, which comes first.
const TIME_BYTES: usize = EVENT_BYTES - 8;

/// A `struct input_event` without a time.
pub(super) fn event_to_bytes(event: &InputEvent) -> [u8; EVENT_BYTES] {
    let mut bytes = [0; EVENT_BYTES];
    let kind = event.event_type().0.to_ne_bytes();
    let (code, value) = (event.code().to_ne_bytes(), event.value().to_ne_bytes());
    let fields = kind.into_iter().chain(code).chain(value);
    for (place, byte) in bytes.iter_mut().skip(TIME_BYTES).zip(fields) {
        *place = byte;
    }
    bytes
}

/// Decodes a `struct input_event`.
pub(super) fn event_from_bytes(bytes: &[u8]) -> Option<InputEvent> {
    let [k0, k1, c0, c1, v0, v1, v2, v3] = *bytes.get(TIME_BYTES..)?.first_chunk()?;
    Some(InputEvent::new(
        u16::from_ne_bytes([k0, k1]),
        u16::from_ne_bytes([c0, c1]),
        i32::from_ne_bytes([v0, v1, v2, v3]),
    ))
}

/// Whether this descriptor has a device, which then has a name in sysfs.
pub(super) fn has_device(device: BorrowedFd<'_>) -> io::Result<bool> {
    let mut name = [0; 64];
    // SAFETY: the request's number says how long `name` is, and the kernel writes no more.
    match unsafe { raw::sysname(device.as_raw_fd(), &mut name) } {
        Ok(_) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Declares kinds of events.
pub(super) fn declare_kinds(device: BorrowedFd<'_>, kinds: &[EventType]) -> io::Result<()> {
    kinds.iter().try_for_each(|kind| {
        // SAFETY: the argument is a number; the kernel checks its range.
        unsafe { raw::set_kind(device.as_raw_fd(), c_int::from(kind.0)) }?;
        Ok(())
    })
}

/// Declares a button.
pub(super) fn declare_key(device: BorrowedFd<'_>, key: KeyCode) -> io::Result<()> {
    // SAFETY: the argument is a number; the kernel checks its range.
    unsafe { raw::set_key(device.as_raw_fd(), c_int::from(key.0)) }?;
    Ok(())
}

/// Declares a force-feedback effect.
pub(super) fn declare_feedback(device: BorrowedFd<'_>, effect: FFEffectCode) -> io::Result<()> {
    // SAFETY: the argument is a number; the kernel checks its range.
    unsafe { raw::set_feedback(device.as_raw_fd(), c_int::from(effect.0)) }?;
    Ok(())
}

/// Declares an axis: its minimum, maximum, fuzz and flat.
pub(super) fn declare_axis(
    device: BorrowedFd<'_>,
    AbsoluteAxisCode(code): AbsoluteAxisCode,
    [minimum, maximum, fuzz, flat]: [i32; 4],
) -> io::Result<()> {
    let absinfo = libc::input_absinfo { value: 0, minimum, maximum, fuzz, flat, resolution: 0 };
    let value = (minimum + maximum + 1) / 2;
    let setup = libc::uinput_abs_setup { code, absinfo: libc::input_absinfo { value, ..absinfo } };
    // SAFETY: the argument is a number; the kernel checks its range.
    unsafe { raw::set_axis(device.as_raw_fd(), c_int::from(code)) }?;
    // SAFETY: `setup` is what the request's number says, and the kernel only reads it.
    unsafe { raw::set_up_axis(device.as_raw_fd(), &raw const setup) }?;
    Ok(())
}

/// Declares the physical path of the device.
pub(super) fn declare_phys(device: BorrowedFd<'_>, phys: &CStr) -> io::Result<()> {
    // SAFETY: `phys` ends with a zero, up to which the kernel reads it.
    unsafe { raw::set_phys(device.as_raw_fd(), phys.as_ptr()) }?;
    Ok(())
}

/// Declares bus, vendor, product and version, the name, and how many effects there can be.
pub(super) fn set_up(
    device: BorrowedFd<'_>,
    [bustype, vendor, product, version]: [u16; 4],
    name: &str,
    effects: u32,
) -> io::Result<()> {
    let mut setup = libc::uinput_setup {
        id: libc::input_id { bustype, vendor, product, version },
        name: [0; libc::UINPUT_MAX_NAME_SIZE],
        ff_effects_max: effects,
    };
    // The last byte stays zero.
    let places = setup.name.iter_mut().take(libc::UINPUT_MAX_NAME_SIZE - 1);
    for (place, byte) in places.zip(name.bytes()) {
        *place = byte.cast_signed();
    }
    // SAFETY: `setup` is what the request's number says, and the kernel only reads it.
    unsafe { raw::set_up(device.as_raw_fd(), &raw const setup) }?;
    Ok(())
}

/// Creates the declared device.
pub(super) fn create(device: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the request has no argument.
    unsafe { raw::create(device.as_raw_fd()) }?;
    Ok(())
}

/// Removes the device and its declarations.
pub(super) fn destroy(device: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the request has no argument.
    unsafe { raw::destroy(device.as_raw_fd()) }?;
    Ok(())
}

/// Answers an upload with the result of `judge` for the effect.
pub(super) fn answer_upload(
    device: BorrowedFd<'_>,
    number: u32,
    judge: impl FnOnce(&libc::ff_effect) -> bool,
) -> io::Result<()> {
    let none = libc::ff_effect {
        type_: 0,
        id: 0,
        direction: 0,
        trigger: libc::ff_trigger { button: 0, interval: 0 },
        replay: libc::ff_replay { length: 0, delay: 0 },
        u: Default::default(),
    };
    let mut upload =
        libc::uinput_ff_upload { request_id: number, retval: 0, effect: none, old: none };
    // SAFETY: `upload` is what the request's number says, of plain numbers only; the kernel reads
    // it and writes it back whole.
    unsafe { raw::begin_upload(device.as_raw_fd(), &raw mut upload) }?;
    upload.retval = if judge(&upload.effect) { 0 } else { -libc::EINVAL };
    // SAFETY: `upload` is what the request's number says, and the kernel only reads it.
    unsafe { raw::end_upload(device.as_raw_fd(), &raw const upload) }?;
    Ok(())
}

/// Lets a program erase an effect; returns its number.
pub(super) fn answer_erase(device: BorrowedFd<'_>, number: u32) -> io::Result<u32> {
    let mut erase = libc::uinput_ff_erase { request_id: number, retval: 0, effect_id: 0 };
    // SAFETY: `erase` is what the request's number says, of plain numbers only; the kernel reads
    // it and writes it back whole.
    unsafe { raw::begin_erase(device.as_raw_fd(), &raw mut erase) }?;
    erase.retval = 0;
    // SAFETY: `erase` is what the request's number says, and the kernel only reads it.
    unsafe { raw::end_erase(device.as_raw_fd(), &raw const erase) }?;
    Ok(erase.effect_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_kernels_numbers() {
        // As `linux/uinput.h` defines them on every 64-bit machine but PowerPC, MIPS and SPARC.
        let expected = [
            0x4004_5564,
            0x4004_5565,
            0x4004_5567,
            0x4004_556b,
            0x4008_556c,
            0x405c_5503,
            0x401c_5504,
            0x5501,
            0x5502,
            0xc068_55c8,
            0x4068_55c9,
            0xc00c_55ca,
            0x400c_55cb,
        ];
        assert_eq!(REQUESTS.map(|(number, _)| number), expected);
    }

    #[test]
    fn event_comes_back_from_its_bytes() {
        let event = InputEvent::new(3, 0x11, -1);
        let bytes = event_to_bytes(&event);
        assert_eq!(event_from_bytes(&bytes), Some(event));
        assert!(bytes.iter().take(TIME_BYTES).all(|byte| *byte == 0));
        assert_eq!(event_from_bytes(bytes.get(1..).expect("shorter")), None);
    }
}
