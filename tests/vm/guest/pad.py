#!/usr/bin/env python3
"""Makes an Xbox 360 pad on /dev/uinput: pad.py PHYS

Prints its event and joystick nodes in one line, then obeys lines of standard input, `key CODE VALUE`
and `axis CODE VALUE`, until that ends and the pad with it. Structures and numbers are those of
linux/uinput.h and linux/input.h.
"""

import ctypes
import fcntl
import os
import pathlib
import struct
import sys

UI_DEV_CREATE, UI_DEV_SETUP, UI_ABS_SETUP = 0x5501, 0x405C5503, 0x401C5504
UI_SET_EVBIT, UI_SET_KEYBIT, UI_SET_PHYS = 0x40045564, 0x40045565, 0x4008556C
UI_GET_SYSNAME_64 = 0x8040552C
EV_SYN, EV_KEY, EV_ABS, BUS_USB = 0, 1, 3, 3

# BTN_SOUTH, EAST, NORTH, WEST, TL, TR, SELECT, START, MODE, THUMBL, THUMBR
KEYS = [0x130, 0x131, 0x133, 0x134, 0x136, 0x137, 0x13A, 0x13B, 0x13C, 0x13D, 0x13E]
STICK, TRIGGER, HAT = (-32768, 32767), (0, 255), (-1, 1)
AXES = {0: STICK, 1: STICK, 2: TRIGGER, 3: STICK, 4: STICK, 5: TRIGGER, 16: HAT, 17: HAT}


def make(device: int, phys: str) -> pathlib.Path:
    """Makes the pad and returns its folder in sysfs."""
    fcntl.ioctl(device, UI_SET_EVBIT, EV_KEY)
    for key in KEYS:
        fcntl.ioctl(device, UI_SET_KEYBIT, key)
    fcntl.ioctl(device, UI_SET_EVBIT, EV_ABS)
    for axis, (least, most) in AXES.items():
        setup = struct.pack("=Hxx6i", axis, 0, least, most, 0, 0, 0)
        fcntl.ioctl(device, UI_ABS_SETUP, setup)
    setup = struct.pack("=4H80sI", BUS_USB, 0x045E, 0x028E, 0x0110, b"Xbox 360 Controller", 0)
    fcntl.ioctl(device, UI_DEV_SETUP, setup)
    # fcntl.ioctl would copy the structure's 8 bytes; this one takes the text's address.
    ctypes.CDLL(None).ioctl(device, ctypes.c_ulong(UI_SET_PHYS), ctypes.c_char_p(phys.encode()))
    fcntl.ioctl(device, UI_DEV_CREATE)
    name = bytearray(64)
    fcntl.ioctl(device, UI_GET_SYSNAME_64, name)
    return pathlib.Path("/sys/devices/virtual/input", name.rstrip(b"\0").decode())


def emit(device: int, kind: int, code: int, value: int) -> None:
    """One event and the end of its report; the kernel fills in the time."""
    os.write(device, struct.pack("=16xHHi", kind, code, value) + struct.pack("=16xHHi", EV_SYN, 0, 0))


def main() -> None:
    device = os.open("/dev/uinput", os.O_RDWR)
    folder = make(device, sys.argv[1])
    nodes = [next(folder.glob(f"{kind}[0-9]*")).name for kind in ("event", "js")]
    print(*(f"/dev/input/{node}" for node in nodes), flush=True)
    for line in sys.stdin:
        kind, code, value = line.split()
        emit(device, {"key": EV_KEY, "axis": EV_ABS}[kind], int(code, 0), int(value))


main()
