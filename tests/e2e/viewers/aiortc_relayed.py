"""An independent viewer: aiortc, through the relay alone.

    aiortc_relayed.py HOST:PORT TOKEN WAY RED GREEN BLUE

Logs in, watches by one way to the relay (udp or tcp), and decodes until the middle of the upper
left quarter has about this colour: the first frames may come before the app has drawn. Prints that
frame's size as one line of JSON.
"""

import asyncio
import json
import sys

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.sdp import candidate_from_sdp
from page import is_about, signalling


def ice_server(relay: dict, host: str, way: str) -> RTCIceServer:
    """The relay's address of this way, as the page would use it."""
    urls = [url.replace(":*:", f":{host}:") for url in relay["urls"]]
    url = next(url for url in urls if url.startswith("turn:") and f"transport={way}" in url)
    return RTCIceServer(urls=url, username=relay["username"], credential=relay["credential"])


def relayed_only(sdp: str) -> str:
    """The description with the relay's candidates alone."""
    lines = sdp.splitlines(keepends=True)
    return "".join(
        line for line in lines if not line.startswith("a=candidate:") or " typ relay" in line
    )


def colour_of(frame) -> list[int]:
    """The colour in the middle of the upper left quarter."""
    plane = frame.reformat(format="rgb24").planes[0]
    start = frame.height // 4 * plane.line_size + frame.width // 4 * 3
    return list(bytes(plane)[start : start + 3])


async def watch(address: str, token: str, way: str, colour: list[int]) -> dict:
    """Decodes frames until one has the colour."""
    async with signalling(address, token) as socket:
        welcome = json.loads(await socket.recv())
        server = ice_server(welcome["relay"], address.rsplit(":", 1)[0], way)
        # One transport for everything: a viewer has one allocation, which an unused one would take.
        bundle = RTCBundlePolicy.MAX_BUNDLE
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[server], bundlePolicy=bundle))
        peer.addTransceiver("video", direction="recvonly")
        peer.createDataChannel("input")
        tracks: asyncio.Queue = asyncio.Queue()
        peer.on("track", tracks.put_nowait)
        await peer.setLocalDescription(await peer.createOffer())
        offer = relayed_only(peer.localDescription.sdp)
        await socket.send(json.dumps({"type": "offer", "sdp": offer}))
        trickled = asyncio.create_task(take_messages(socket, peer))
        track = await tracks.get()
        frame = await track.recv()
        while not is_about(colour_of(frame), colour):
            frame = await track.recv()
        trickled.cancel()
        await peer.close()
        return {"width": frame.width, "height": frame.height}


async def take_messages(socket, peer: RTCPeerConnection) -> None:
    """Takes the answer, and the relay's candidate, which is in it or follows it, by itself.

    Returns when the desktop has closed the connection.
    """
    async for text in socket:
        message = json.loads(text)
        found = []
        if message["type"] == "answer":
            lines = relayed_only(message["sdp"]).splitlines(keepends=True)
            found = [line.strip()[2:] for line in lines if line.startswith("a=candidate:")]
            sdp = "".join(line for line in lines if not line.startswith("a=candidate:"))
            await peer.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="answer"))
        elif message["type"] == "candidate":
            found = [message["candidate"]]
        elif message["type"] == "closed":
            return
        for line in found:
            await add_candidate(peer, line)


async def add_candidate(peer: RTCPeerConnection, line: str) -> None:
    """Tells the connection of an address of the desktop."""
    candidate = candidate_from_sdp(line.removeprefix("candidate:"))
    candidate.sdpMLineIndex = 0
    await peer.addIceCandidate(candidate)


def main() -> None:
    address, token, way, *colour = sys.argv[1:]
    seen = asyncio.run(asyncio.wait_for(watch(address, token, way, [int(c) for c in colour]), 60))
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
