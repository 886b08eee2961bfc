"""An independent viewer: GStreamer's webrtcbin.

    gstreamer.py HOST:PORT TOKEN RED GREEN BLUE

Logs in, watches, listens, and types. It decodes until the middle of the upper left quarter has about this
colour and a second of sound is the tests' tone, and types an `a`. Prints the picture's size and the tone's
frequency as one line of JSON.

It is done within seconds, and has to be: Debian 12's libnice does not ask for consent again (RFC 7675), and a
viewer of which nothing is heard for 15 seconds is taken for gone.
"""

import asyncio
import hashlib
import json
import re
import ssl
import subprocess
import sys
from array import array

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC
from page import frequency, is_about, is_tone, signalling, type_a_letter

RATE = 48_000
OFFERED = (
    "application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000,"
    "packetization-mode=(string)1,profile-level-id=(string)42e01f,rtcp-fb-nack-pli=(boolean)true",
    "application/x-rtp,media=audio,encoding-name=OPUS,payload=97,clock-rate=48000,"
    "encoding-params=(string)2",
)
# Whole pictures leave the first element: the parser would else wait for the beginning of the next one, and a
# still desktop has none.
DECODERS = {
    "video": "rtph264depay ! video/x-h264,stream-format=byte-stream,alignment=au ! h264parse ! "
    "openh264dec ! videoconvert ! video/x-raw,format=RGB",
    "audio": "rtpopusdepay ! opusdec ! audioconvert ! audioresample ! "
    f"audio/x-raw,format=S16LE,channels=1,rate={RATE}",
}


def certificate() -> str:
    """A certificate of one's own and its private key."""
    kind = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout - -subj /CN=viewer"
    made = subprocess.run(["openssl", *kind.split()], capture_output=True, check=True, text=True)
    return made.stdout


class Viewer:
    """A peer connection, and what has come by it. GStreamer's threads call, asyncio's waits."""

    def __init__(self, colour: list[int]) -> None:
        self.loop = asyncio.get_running_loop()
        self.colour = colour
        self.said: asyncio.Queue = asyncio.Queue()
        self.size: asyncio.Future = self.loop.create_future()
        self.hertz: asyncio.Future = self.loop.create_future()
        self.open: asyncio.Future = self.loop.create_future()
        self.messages: asyncio.Queue = asyncio.Queue()
        self.screen: Gst.Element | None = None
        self.samples = array("h")
        self.certificate = certificate()
        self.pipeline = Gst.Pipeline()
        self.pipeline.connect("deep-element-added", self.on_element)
        self.peer = Gst.ElementFactory.make("webrtcbin")
        self.peer.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        # Libnice leaves the loopback interface out, which is where the desktop listens. The agent is kept:
        # Python's reference would otherwise be its last.
        self.agent = self.peer.get_property("ice-agent")
        self.agent.emit("add-local-ip-address", "127.0.0.1")
        self.pipeline.add(self.peer)
        self.peer.connect("on-ice-candidate", self.on_candidate)
        self.peer.connect("pad-added", self.on_media)
        receive = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
        for caps in OFFERED:
            self.peer.emit("add-transceiver", receive, Gst.Caps.from_string(caps))
        # A data channel can be made from this state on.
        self.pipeline.set_state(Gst.State.READY)
        self.input = self.peer.emit("create-data-channel", "input", None)
        self.input.connect("on-open", lambda _: self.resolve(self.open, True))
        self.input.connect("on-message-data", self.on_message)
        self.pipeline.set_state(Gst.State.PLAYING)
        self.peer.emit("create-offer", None, Gst.Promise.new_with_change_func(self.on_offer))

    def on_element(self, _, __, element: Gst.Element) -> None:
        # GStreamer makes a certificate of RSA where WebRTC wants one of ECDSA (RFC 8827, section 6.5).
        factory = element.get_factory()
        if factory and factory.get_name() == "dtlssrtpdec":
            element.set_property("pem", self.certificate)

    def resolve(self, future: asyncio.Future, value) -> None:
        """Gives a future its value, from any thread, unless it has one."""
        self.loop.call_soon_threadsafe(lambda: future.done() or future.set_result(value))

    def say(self, message: dict) -> None:
        """Has a message sent to the gateway, from any thread."""
        self.loop.call_soon_threadsafe(self.said.put_nowait, message)

    def on_offer(self, promise: Gst.Promise) -> None:
        # The offer lives as long as the reply.
        reply = promise.get_reply()
        offer = reply.get_value("offer")
        self.peer.emit("set-local-description", offer, Gst.Promise.new())
        # It takes the fingerprint of certificate and key together.
        named = re.sub(r"(a=fingerprint:sha-256 )\S+", rf"\g<1>{self.fingerprint()}", offer.sdp.as_text())
        self.say({"type": "offer", "sdp": named})

    def fingerprint(self) -> str:
        """The certificate's, as descriptions have it (RFC 8122, section 5)."""
        start = self.certificate.index("-----BEGIN CERTIFICATE")
        certificate = ssl.PEM_cert_to_DER_cert(self.certificate[start:])
        return hashlib.sha256(certificate).digest().hex(":").upper()

    def on_candidate(self, _, __: int, candidate: str) -> None:
        # It finds some of TCP, which no browser offers.
        if " UDP " in candidate:
            self.say({"type": "candidate", "candidate": candidate})

    def on_media(self, _, pad: Gst.Pad) -> None:
        if pad.direction != Gst.PadDirection.SRC:
            return
        kind = pad.get_current_caps().get_structure(0).get_string("media")
        sink = "appsink name=sink emit-signals=true sync=false async=false"
        decoder = Gst.parse_bin_from_description(f"{DECODERS[kind]} ! {sink}", True)
        if kind == "video":
            self.screen = decoder.get_by_name("sink")
        take = {"video": self.on_picture, "audio": self.on_sound}[kind]
        decoder.get_by_name("sink").connect("new-sample", take)
        self.pipeline.add(decoder)
        # Not its parent's state: that may still be on its way there, and sinks hand out nothing before.
        decoder.set_state(Gst.State.PLAYING)
        pad.link(decoder.get_static_pad("sink"))

    def on_picture(self, sink: Gst.Element) -> Gst.FlowReturn:
        sample = sink.emit("pull-sample")
        shape = sample.get_caps().get_structure(0)
        width, height = (shape.get_int(name).value for name in ("width", "height"))
        pixels = sample.get_buffer().extract_dup(0, sample.get_buffer().get_size())
        # Rows begin at multiples of four bytes.
        start = height // 4 * ((width * 3 + 3) // 4 * 4) + width // 4 * 3
        if is_about(list(pixels[start : start + 3]), self.colour):
            self.resolve(self.size, (width, height))
        return Gst.FlowReturn.OK

    def want_keyframe(self) -> None:
        """Asks for a keyframe, once there is something to ask."""
        if self.screen:
            wanted = Gst.Structure.new_empty("GstForceKeyUnit")
            self.screen.send_event(Gst.Event.new_custom(Gst.EventType.CUSTOM_UPSTREAM, wanted))

    def on_sound(self, sink: Gst.Element) -> Gst.FlowReturn:
        buffer = sink.emit("pull-sample").get_buffer()
        self.samples.frombytes(buffer.extract_dup(0, buffer.get_size()))
        if len(self.samples) >= RATE:
            hertz = frequency(self.samples, RATE)
            self.samples = array("h")
            if is_tone(hertz):
                self.resolve(self.hertz, hertz)
        return Gst.FlowReturn.OK

    def on_message(self, _, message: GLib.Bytes) -> None:
        self.loop.call_soon_threadsafe(self.messages.put_nowait, message.get_data())

    def take_answer(self, sdp: str) -> None:
        _, parsed = GstSdp.SDPMessage.new_from_text(sdp)
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, parsed)
        self.peer.emit("set-remote-description", answer, Gst.Promise.new())

    def send(self, message: bytes) -> None:
        self.input.emit("send-data", GLib.Bytes.new(message))


async def watch(address: str, token: str, colour: list[int]) -> dict:
    """Watches, listens and types."""
    async with signalling(address, token) as socket:
        viewer = Viewer(colour)
        lease = asyncio.get_running_loop().create_future()
        viewer.say({"type": "lease"})
        tasks = [
            asyncio.create_task(work)
            for work in (
                send_messages(socket, viewer),
                take_messages(socket, viewer, lease),
                want_pictures(viewer),
            )
        ]
        width, height = await viewer.size
        hertz = await viewer.hertz
        await viewer.open
        await type_a_letter(await lease, viewer.send, viewer.messages)
        for task in tasks:
            task.cancel()
        viewer.pipeline.set_state(Gst.State.NULL)
        return {"width": width, "height": height, "hertz": hertz}


async def send_messages(socket, viewer: Viewer) -> None:
    """Sends what the peer connection has to say."""
    while True:
        await socket.send(json.dumps(await viewer.said.get()))


async def want_pictures(viewer: Viewer) -> None:
    """Asks for a keyframe until there is a picture, as browsers do: the first packets may come too early."""
    while not viewer.size.done():
        viewer.want_keyframe()
        await asyncio.sleep(0.3)


async def take_messages(socket, viewer: Viewer, lease: asyncio.Future) -> None:
    """Takes the answer, the desktop's candidates, and the lease."""
    async for text in socket:
        message = json.loads(text)
        if message["type"] == "answer":
            viewer.take_answer(message["sdp"])
        elif message["type"] == "candidate":
            viewer.peer.emit("add-ice-candidate", 0, message["candidate"])
        elif message["type"] == "lease":
            lease.set_result(message["lease"])


def main() -> None:
    Gst.init(None)
    address, token, *colour = sys.argv[1:]
    seen = asyncio.run(asyncio.wait_for(watch(address, token, [int(c) for c in colour]), 60))
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
