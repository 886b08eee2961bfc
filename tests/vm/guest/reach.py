#!/usr/bin/env python3
"""Tries to reach what is somebody's: reach.py VERB TARGET [VERB TARGET]...

Prints a line for each attempt, with `done` or the kernel's name of the error:

| VERB | tries, with TARGET |
|---|---|
| environ, maps, fd, cwd | to read that of a process, by its number |
| ptrace | to trace a process, as a debugger does |
| signal | to send a process a signal, though none that has an effect |
| connect | to connect to a Unix socket, of either kind that Lumen and desktops use |
| list, read, write | to list a directory, to open a file for reading or writing |
"""

import ctypes
import errno
import os
import socket
import sys

# linux/ptrace.h
PTRACE_DETACH, PTRACE_SEIZE = 17, 0x4206

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def trace(pid: int) -> None:
    if libc.ptrace(PTRACE_SEIZE, pid, None, None) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    # It is detached when this process ends, because only a stopped one can be detached on request.


def connect(path: str) -> None:
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        with socket.socket(socket.AF_UNIX, kind) as end:
            try:
                end.connect(path)
                return
            except OSError as error:
                if error.errno != errno.EPROTOTYPE:
                    raise
    raise OSError(errno.EPROTOTYPE, os.strerror(errno.EPROTOTYPE))


def open_and_close(path: str, flags: int) -> None:
    os.close(os.open(path, flags | os.O_NONBLOCK))


VERBS = {
    "environ": lambda pid: read(f"/proc/{pid}/environ"),
    "maps": lambda pid: read(f"/proc/{pid}/maps"),
    "fd": lambda pid: os.listdir(f"/proc/{pid}/fd"),
    "cwd": lambda pid: os.readlink(f"/proc/{pid}/cwd"),
    "ptrace": lambda pid: trace(int(pid)),
    "signal": lambda pid: os.kill(int(pid), 0),
    "connect": connect,
    "list": os.listdir,
    "read": lambda path: open_and_close(path, os.O_RDONLY),
    "write": lambda path: open_and_close(path, os.O_WRONLY),
}


def outcome(verb: str, target: str) -> str:
    try:
        VERBS[verb](target)
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]


arguments = iter(sys.argv[1:])
for verb, target in zip(arguments, arguments):
    print(verb, target, outcome(verb, target))
