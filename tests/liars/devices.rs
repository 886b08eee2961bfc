//! Input devices that would type and point, and the requests of uinput that make them (`linux/uinput.h`).

use std::path::Path;

use lumen_liar::order::{Argument, Call};
use nix::libc::{self as c, c_int};

use crate::{
    aims::Way,
    calls::{call, here, result_of, text, word},
};

const CREATE: u32 = 0x5501;
const SET_UP: u32 = 0x405c_5503;
const SET_KIND: u32 = 0x4004_5564;
const SET_KEY: u32 = 0x4004_5565;
const SET_RELATIVE_AXIS: u32 = 0x4004_5566;

/// Kinds, keys and axes (`linux/input-event-codes.h`).
const EV_KEY: c_int = 1;
const EV_REL: c_int = 2;
const KEY_A: c_int = 30;
const KEY_OK: c_int = 0x160;
const BTN_LEFT: c_int = 0x110;
const REL_X: c_int = 0;

/// The device of uinput, of the major and the minor number.
const UINPUT: (u32, u32) = (10, 223);

/// Ways to make a device that can type or point, by `descriptor`, which would be one of uinput. The control
/// opens one of its own at `nothing`, where there is nothing yet.
pub(crate) fn ways(descriptor: i32, nothing: &Path) -> Vec<Way> {
    let all: [(&'static str, &[(u32, c_int)]); 4] = [
        ("a device with a key of a keyboard", &[(SET_KIND, EV_KEY), (SET_KEY, KEY_A)]),
        ("a device with a key of a remote control", &[(SET_KIND, EV_KEY), (SET_KEY, KEY_OK)]),
        ("a device with a button of a mouse", &[(SET_KIND, EV_KEY), (SET_KEY, BTN_LEFT)]),
        ("a device with an axis of a mouse", &[(SET_KIND, EV_REL), (SET_RELATIVE_AXIS, REL_X)]),
    ];
    let way = |(kind, declared): (&'static str, &[(u32, c_int)])| {
        let mut way = Way::new(kind, made(&word(descriptor), declared));
        let number = c::makedev(UINPUT.0, UINPUT.1);
        let node = [here(), text(nothing), word(c::S_IFCHR | 0o600), word(number)];
        let opened = [here(), text(nothing), word(c::O_RDWR)];
        let first = vec![call(c::SYS_mknodat, node), call(c::SYS_openat, opened)];
        way.control = Some([first, made(&result_of(1), declared)].concat());
        way
    };
    all.map(way).into()
}

/// The requests that make a device which has this.
fn made(device: &Argument, declared: &[(u32, c_int)]) -> Vec<Call> {
    let request =
        |number: u32, argument| call(c::SYS_ioctl, [device.clone(), word(number), argument]);
    // `uinput_setup`: a bus, vendor, product and version, a name, and a number of effects.
    let mut setup = b"\x03\0\x01\0\x01\0\x01\0liar".to_vec();
    setup.resize(92, 0);
    let declared = declared.iter().map(|(number, what)| request(*number, word(*what)));
    let made = [request(SET_UP, Argument::Bytes(setup)), request(CREATE, word(0))];
    declared.chain(made).collect()
}
