#!/usr/bin/env python3
"""Names every pad as SDL2, and so most games, know it: one line of JSON each.

Without a display server; SDL's own list of controllers decides what is recognised.
"""

import ctypes
import json
import os

SDL_INIT_JOYSTICK, SDL_INIT_GAMECONTROLLER = 0x200, 0x2000

os.environ["SDL_VIDEODRIVER"] = "dummy"
sdl = ctypes.CDLL("libSDL2-2.0.so.0")
for function in ("SDL_JoystickNameForIndex", "SDL_GameControllerNameForIndex",
                 "SDL_GameControllerMappingForDeviceIndex", "SDL_GetError"):
    getattr(sdl, function).restype = ctypes.c_char_p


def text(found: bytes | None) -> str | None:
    return found.decode() if found else None


if sdl.SDL_Init(SDL_INIT_JOYSTICK | SDL_INIT_GAMECONTROLLER) != 0:
    raise SystemExit(f"SDL_Init: {text(sdl.SDL_GetError())}")
for index in range(sdl.SDL_NumJoysticks()):
    print(json.dumps({
        "joystick": text(sdl.SDL_JoystickNameForIndex(index)),
        "controller": text(sdl.SDL_GameControllerNameForIndex(index)),
        "vendor": sdl.SDL_JoystickGetDeviceVendor(index),
        "product": sdl.SDL_JoystickGetDeviceProduct(index),
        "mapping": text(sdl.SDL_GameControllerMappingForDeviceIndex(index)),
    }))
sdl.SDL_Quit()
