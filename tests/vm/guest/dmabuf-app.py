#!/usr/bin/env python3
"""A Wayland app whose pixels are in memory of a device: `dmabuf-app.py NODE`.

Speaks the protocol itself, as no library does that is here. Two buffers of the kernel's `vgem` are filled with a
colour each and shown by turns, as often as the compositor asks for a frame. Prints `accepted` when the compositor has
taken both, and `refused` if it does not.
"""

import array
import fcntl
import mmap
import os
import socket
import struct
import sys

WIDTH, HEIGHT = 160, 120
XRGB = int.from_bytes(b"XR24", "little")
# DRM_FORMAT_MOD_LINEAR and DRM_FORMAT_MOD_INVALID
LINEAR, IMPLICIT = 0, 0x00FFFFFFFFFFFFFF
# Requests of the kernel's DRM subsystem, as numbers of the type `d`: read and write, and a size.
REQUEST = lambda number, size: 3 << 30 | size << 16 | ord("d") << 8 | number


class Buffer:
    """A buffer of the device, as a descriptor."""

    def __init__(self, node, colour):
        made = bytearray(struct.pack("IIIIIIQ", HEIGHT, WIDTH, 32, 0, 0, 0, 0))
        fcntl.ioctl(node, REQUEST(0xB2, len(made)), made)
        *_, handle, self.stride, size = struct.unpack("IIIIIIQ", made)
        where = bytearray(struct.pack("IIQ", handle, 0, 0))
        fcntl.ioctl(node, REQUEST(0xB3, len(where)), where)
        with mmap.mmap(node, size, offset=struct.unpack("IIQ", where)[2]) as pixels:
            pixels[:] = (colour * (size // 4 + 1))[:size]
        handed = bytearray(struct.pack("IIi", handle, os.O_CLOEXEC | os.O_RDWR, -1))
        fcntl.ioctl(node, REQUEST(0x2D, len(handed)), handed)
        self.descriptor = struct.unpack("IIi", handed)[2]


class Wayland:
    """A connection, and what each object is."""

    def __init__(self):
        path = os.path.join(os.environ["XDG_RUNTIME_DIR"], os.environ["WAYLAND_DISPLAY"])
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.heard = b""
        self.next = 2
        self.globals = {}

    def new(self):
        self.next += 1
        return self.next - 1

    def ask(self, target, number, *arguments, descriptor=None):
        body = b"".join(
            argument if isinstance(argument, bytes) else struct.pack("I", argument)
            for argument in arguments
        )
        head = struct.pack("II", target, (8 + len(body)) << 16 | number)
        files = [] if descriptor is None else [descriptor]
        control = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))
        self.socket.sendmsg([head + body], [control] if files else [])

    def bind(self, registry, interface, version):
        name, most = self.globals[interface]
        bound = self.new()
        self.ask(registry, 0, name, text(interface), min(version, most), bound)
        return bound

    def events(self):
        """Each event, for ever."""
        while True:
            while len(self.heard) >= 8:
                target, second = struct.unpack_from("II", self.heard)
                length = second >> 16
                if len(self.heard) < length:
                    break
                body, self.heard = self.heard[8:length], self.heard[length:]
                yield target, second & 0xFFFF, body
            # Descriptors that come are not wanted, and closed by being received without room for them.
            more = self.socket.recv(65536)
            if not more:
                sys.exit(1)
            self.heard += more


def text(word):
    data = word.encode() + b"\0"
    return struct.pack("I", len(data)) + data + b"\0" * (-len(data) % 4)


def main():
    node = os.open(sys.argv[1], os.O_RDWR | os.O_CLOEXEC)
    buffers = [Buffer(node, colour) for colour in (b"\x20\x40\xc0\0", b"\x20\xc0\x40\0")]
    wayland = Wayland()
    registry = wayland.new()
    wayland.ask(1, 1, registry)
    events = wayland.events()
    # The last one is there once media has said that it draws.
    wanted = {"wl_compositor", "xdg_wm_base", "zwp_linux_dmabuf_v1"}
    while not wanted <= wayland.globals.keys():
        target, number, body = next(events)
        if target == registry and number == 0:
            name, length = struct.unpack_from("II", body)
            interface = body[8 : 8 + length - 1].decode()
            wayland.globals[interface] = name, struct.unpack_from("I", body, len(body) - 4)[0]
    compositor = wayland.bind(registry, "wl_compositor", 4)
    shell = wayland.bind(registry, "xdg_wm_base", 1)
    dmabuf = wayland.bind(registry, "zwp_linux_dmabuf_v1", 3)
    done, offered = wayland.new(), set()
    wayland.ask(1, 0, done)
    while True:
        target, number, body = next(events)
        if target == dmabuf and number == 1:
            fourcc, high, low = struct.unpack("III", body)
            offered.add((fourcc, high << 32 | low))
        elif target == done:
            break
    # The buffers' rows lie one after the other, which some drivers know without being told.
    modifier = LINEAR if (XRGB, LINEAR) in offered else IMPLICIT
    questions = []
    for buffer in buffers:
        parameters = wayland.new()
        wayland.ask(dmabuf, 1, parameters)
        high, low = modifier >> 32, modifier & 0xFFFFFFFF
        wayland.ask(parameters, 1, 0, 0, buffer.stride, high, low, descriptor=buffer.descriptor)
        wayland.ask(parameters, 2, WIDTH, HEIGHT, struct.pack("I", XRGB), 0)
        questions.append(parameters)
    surface, xdg, window = wayland.new(), wayland.new(), wayland.new()
    wayland.ask(compositor, 0, surface)
    wayland.ask(shell, 2, xdg, surface)
    wayland.ask(xdg, 1, window)
    wayland.ask(surface, 6)
    shown, frame, made, configured = 0, None, [], False

    def show():
        nonlocal shown, frame
        frame = wayland.new()
        wayland.ask(surface, 3, frame)
        wayland.ask(surface, 1, made[shown % 2], 0, 0)
        wayland.ask(surface, 2, 0, 0, WIDTH, HEIGHT)
        wayland.ask(surface, 6)
        shown += 1

    for target, number, body in events:
        if target == 1 and number == 0:
            sys.exit(f"the compositor objects: {body!r}")
        elif target in questions and number == 1:
            print("refused", flush=True)
            sys.exit(1)
        elif target in questions:
            made.append(struct.unpack("I", body)[0])
            if len(made) == 2:
                print("accepted", flush=True)
        elif target == shell:
            wayland.ask(shell, 3, body)
        elif target == xdg:
            wayland.ask(xdg, 4, body)
            configured = True
        elif target != frame:
            continue
        if configured and len(made) == 2 and (target == frame or shown == 0):
            show()


main()
