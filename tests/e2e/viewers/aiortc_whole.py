"""An independent viewer: aiortc, by the direct way.

    aiortc_whole.py HOST:PORT TOKEN RED GREEN BLUE

Does what gstreamer.py does, by an implementation that shares no code with it.
"""

import asyncio
import json
import sys
from array import array

from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc_relayed import add_candidate, colour_of
from page import frequency, is_about, is_tone, signalling, type_a_letter


async def picture(track, colour: list[int]) -> tuple[int, int]:
    """The size of the first frame that shows the colour."""
    while True:
        frame = await track.recv()
        if is_about(colour_of(frame), colour):
            return frame.width, frame.height


async def tone(track) -> float:
    """The frequency of the first second of sound that is the tests' tone."""
    while True:
        samples = array("h")
        while True:
            frame = await track.recv()
            channels = frame.layout.nb_channels
            packed = array("h", bytes(frame.planes[0])[: frame.samples * channels * 2])
            samples.extend(packed[::channels])
            if len(samples) >= frame.sample_rate:
                break
        hertz = frequency(samples, frame.sample_rate)
        if is_tone(hertz):
            return hertz


async def watch(address: str, token: str, colour: list[int]) -> dict:
    """Watches, listens and types."""
    loop = asyncio.get_running_loop()
    async with signalling(address, token) as socket:
        peer = RTCPeerConnection()
        peer.addTransceiver("video", direction="recvonly")
        peer.addTransceiver("audio", direction="recvonly")
        tracks = {"video": loop.create_future(), "audio": loop.create_future()}
        peer.on("track", lambda track: tracks[track.kind].set_result(track))
        channel = peer.createDataChannel("input")
        is_open, lease = loop.create_future(), loop.create_future()
        messages: asyncio.Queue = asyncio.Queue()
        channel.on("open", lambda: is_open.set_result(True))
        channel.on("message", messages.put_nowait)
        await peer.setLocalDescription(await peer.createOffer())
        await socket.send(json.dumps({"type": "lease"}))
        await socket.send(json.dumps({"type": "offer", "sdp": peer.localDescription.sdp}))
        taking = asyncio.create_task(take_messages(socket, peer, lease))
        heard = asyncio.create_task(tone(await tracks["audio"]))
        width, height = await picture(await tracks["video"], colour)
        hertz = await heard
        await is_open
        await type_a_letter(await lease, channel.send, messages)
        taking.cancel()
        await peer.close()
        return {"width": width, "height": height, "hertz": hertz}


async def take_messages(socket, peer: RTCPeerConnection, lease: asyncio.Future) -> None:
    """Takes the answer, the desktop's candidates, and the lease."""
    async for text in socket:
        message = json.loads(text)
        if message["type"] == "answer":
            answer = RTCSessionDescription(sdp=message["sdp"], type="answer")
            await peer.setRemoteDescription(answer)
        elif message["type"] == "candidate":
            await add_candidate(peer, message["candidate"])
        elif message["type"] == "lease":
            lease.set_result(message["lease"])


def main() -> None:
    address, token, *colour = sys.argv[1:]
    seen = asyncio.run(asyncio.wait_for(watch(address, token, [int(c) for c in colour]), 60))
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
