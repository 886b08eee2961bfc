"""What a page of Lumen does beside WebRTC: it logs in, signals, and proves that its viewer is there."""

import hashlib
import hmac
import json
import urllib.request
from statistics import median

import websockets

# Largest difference of a colour after encoding and decoding, of 255.
TOLERANCE = 24
# The frequency of the tests' tone, and how far from it what is heard may be.
HERTZ = 440.0
HERTZ_TOLERANCE = 5.0

# Tags of messages on the data channel `input`.
KEY = 0x01
PROVED = 0x0D
CHALLENGED = 0x8A
# The key `a`, as evdev numbers it.
KEY_A = 30

# The name of an argument of `websockets.connect`, which version 14 renamed.
MAJOR = int(websockets.__version__.split(".")[0])
HEADERS = "additional_headers" if MAJOR >= 14 else "extra_headers"


def log_in(address: str, token: str) -> tuple[str, str]:
    """Trades the token for a cookie and what the page stores."""
    request = urllib.request.Request(
        f"http://{address}/login",
        data=json.dumps({"token": token}).encode(),
        headers={"Content-Type": "application/json", "Origin": f"http://{address}"},
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        return reply.headers["Set-Cookie"].split(";")[0], json.load(reply)["key"]


def signalling(address: str, token: str):
    """Opens the signalling connection; to be used with `async with`."""
    cookie, key = log_in(address, token)
    headers = {"Cookie": cookie, "Origin": f"http://{address}"}
    protocols = [websockets.Subprotocol(name) for name in ("lumen", f"lumen-key.{key}")]
    options = {HEADERS: headers, "subprotocols": protocols}
    return websockets.connect(f"ws://{address}/ws/signal", **options)


def is_about(seen: list[int], wanted: list[int]) -> bool:
    """Whether a decoded colour is the one that was drawn."""
    return max(abs(a - b) for a, b in zip(seen, wanted)) <= TOLERANCE


def frequency(samples: list[int], rate: int) -> float:
    """The frequency of a tone: that of most of its waves, because a packet that is late breaks one."""
    waves = [at for at in range(1, len(samples)) if samples[at - 1] < 0 <= samples[at]]
    lengths = [after - before for before, after in zip(waves, waves[1:])]
    return rate / median(lengths) if lengths else 0.0


def is_tone(hertz: float) -> bool:
    """Whether that is the tests' tone."""
    return abs(hertz - HERTZ) <= HERTZ_TOLERANCE


async def type_a_letter(lease: dict, send, messages) -> None:
    """Types an `a`; `send` takes a message, and `messages` is the queue of the desktop's.

    What a viewer does counts once the desktop has answered its proof of presence; by the answer to a second
    proof it has taken what was sent between the two.
    """
    challenge = await prove(lease, bytes.fromhex(lease["challenge"]), send, messages)
    for down in (1, 0):
        send(bytes([KEY]) + KEY_A.to_bytes(2, "big") + bytes([down]))
    await prove(lease, challenge, send, messages)


async def prove(lease: dict, challenge: bytes, send, messages) -> bytes:
    """Proves that the viewer is there, and waits for the desktop's answer: what the next proof has to answer."""
    number, key = (bytes.fromhex(lease[name]) for name in ("id", "key"))
    tag = hmac.new(key, b"lumen: presence " + number + challenge, hashlib.sha256).digest()
    send(bytes([PROVED]) + number + tag)
    following = hmac.new(key, b"lumen: challenge" + challenge, hashlib.sha256).digest()[:16]
    while await messages.get() != bytes([CHALLENGED]) + following:
        pass
    return following
