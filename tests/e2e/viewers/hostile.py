"""A viewer that may watch, and sends a report that no browser sends.

    hostile.py HOST:PORT TOKEN

Watches as aiortc_relayed.py does, by the relay. Then it reports received packets in a way that
contradicts itself: an empty run of packets with small time differences is followed by a run with
large ones (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1). Prints "closed" when
its connection is closed for that.
"""

import asyncio
import json
import struct
import sys

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
)
from aiortc_relayed import ice_server, relayed_only, take_messages
from page import signalling

# Header extension and feedback that Chromium offers and aiortc does not know.
EXTENSION = (
    "a=extmap:5 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n"
)


def with_reports(sdp: str) -> str:
    """The offer with transport-wide reports of what was received; its first section is the video."""
    lines = []
    for line in sdp.replace("a=extmap:1 ", f"{EXTENSION}a=extmap:1 ", 1).splitlines(keepends=True):
        lines.append(line)
        if line.startswith("a=rtpmap:"):
            kind = line.removeprefix("a=rtpmap:").split()[0]
            lines.append(f"a=rtcp-fb:{kind} transport-cc\r\n")
    return "".join(lines)


def contradiction(first: int) -> bytes:
    """A report about one packet from `first` on (RTCP transport feedback, format 15)."""
    empty_run_of_small, run_of_large = 0b0_01 << 13, 0b0_10 << 13 | 1
    words = struct.pack("!HHIHHh", first, 1, 0, empty_run_of_small, run_of_large, 4)
    words += bytes(-len(words) % 4)
    return struct.pack("!BBHII", 0x8F, 205, 2 + len(words) // 4, 1, 1) + words


async def attack(address: str, token: str) -> None:
    """Watches until there is a picture, and then lies until it is thrown out."""
    async with signalling(address, token) as socket:
        welcome = json.loads(await socket.recv())
        server = ice_server(welcome["relay"], address.rsplit(":", 1)[0], "udp")
        bundle = RTCBundlePolicy.MAX_BUNDLE
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[server], bundlePolicy=bundle))
        video = peer.addTransceiver("video", direction="recvonly")
        peer.createDataChannel("input")
        tracks: asyncio.Queue = asyncio.Queue()
        peer.on("track", tracks.put_nowait)
        await peer.setLocalDescription(await peer.createOffer())
        offer = with_reports(relayed_only(peer.localDescription.sdp))
        await socket.send(json.dumps({"type": "offer", "sdp": offer}))
        trickled = asyncio.create_task(take_messages(socket, peer))
        await (await tracks.get()).recv()
        transport = video.receiver.transport
        while not trickled.done():
            # Where numbers begin is the sender's to choose; it is near zero.
            for first in range(400):
                await transport._send_rtp(contradiction(first))
            await asyncio.wait({trickled}, timeout=0.1)
        print("closed")


asyncio.run(asyncio.wait_for(attack(*sys.argv[1:3]), 60))
