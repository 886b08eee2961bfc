// Runs in the page before the page's own code and watches it from outside: which frames were
// decoded when, what they look like, and what WebRTC says of itself. Changes nothing the page does,
// but for the ways its connections may take when a test forces one.

/** @param {'udp' | 'tcp' | 'tls' | null} forced  the relay, by this transport and no other */
export function instrument(forced) {
  const isForced = (url) =>
    forced === 'tls'
      ? url.startsWith('turns:')
      : url.startsWith('turn:') && url.endsWith(`transport=${forced}`);

  /** What the page configures, with nothing left that is not forced. */
  function narrowed(configuration = {}) {
    if (!forced) return configuration;
    const iceServers = (configuration.iceServers ?? [])
      .map((server) => ({ ...server, urls: [server.urls].flat().filter(isForced) }))
      .filter((server) => server.urls.length > 0);
    return { ...configuration, iceServers, iceTransportPolicy: 'relay' };
  }

  const peers = [];
  const NativePeer = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends NativePeer {
    constructor(configuration, ...rest) {
      super(narrowed(configuration), ...rest);
      peers.push(this);
    }

    setConfiguration(configuration) {
      super.setConfiguration(narrowed(configuration));
    }
  };

  const frames = [];
  const onFrame = [];
  const probe = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const watched = new Set();
  /** The element that showed a frame last: the page may use several in turn. */
  let video = null;
  /** RTP time of the frame that was shown last. */
  let lastTimestamp = null;

  function watch(element) {
    element.requestVideoFrameCallback((_, frame) => {
      watch(element);
      // An element that loses its stream presents its last frame once more, or a black one that
      // never came over the network.
      if (frame.rtpTimestamp === undefined || frame.rtpTimestamp === lastTimestamp) return;
      lastTimestamp = frame.rtpTimestamp;
      video = element;
      const at = performance.timeOrigin + performance.now();
      frames.push({ at, width: frame.width, height: frame.height });
      for (const listener of [...onFrame]) listener(frame);
    });
  }

  function findVideos() {
    for (const element of document.querySelectorAll('video')) {
      if (watched.has(element)) continue;
      watched.add(element);
      watch(element);
    }
  }
  new MutationObserver(findVideos).observe(document, { childList: true, subtree: true });

  /** The colour at fractions of the picture's width and height. */
  function colourAt(x, y) {
    if (!video || video.videoWidth === 0) throw new Error('there is no picture');
    const left = Math.min(Math.floor(x * video.videoWidth), video.videoWidth - 1);
    const top = Math.min(Math.floor(y * video.videoHeight), video.videoHeight - 1);
    probe.drawImage(video, left, top, 1, 1, 0, 0, 1, 1);
    const [red, green, blue] = probe.getImageData(0, 0, 1, 1).data;
    return { red, green, blue };
  }

  /** Where the picture lies in the window, letterbox excluded, in CSS pixels. */
  function pictureBox() {
    const box = video.getBoundingClientRect();
    const scale = Math.min(box.width / video.videoWidth, box.height / video.videoHeight);
    const width = video.videoWidth * scale;
    const height = video.videoHeight * scale;
    const x = box.x + (box.width - width) / 2;
    const y = box.y + (box.height - height) / 2;
    return { x, y, width, height };
  }

  /** Whether the page has what takes keys, and a way to send them by. */
  function isControllable() {
    const { controls, input } = document.documentElement.dataset;
    return controls === 'ready' && input === 'open';
  }

  /** A report of the youngest peer connection. */
  async function report(type) {
    const reports = await peers.at(-1)?.getStats();
    return [...(reports?.values() ?? [])].find((candidate) => candidate.type === type) ?? null;
  }

  /** The path of the youngest peer connection: how it leaves the browser, and by way of what. */
  async function path() {
    const reports = await peers.at(-1)?.getStats();
    const transport = await report('transport');
    const pair = reports?.get(transport?.selectedCandidatePairId);
    const local = reports?.get(pair?.localCandidateId);
    return local ? { kind: local.candidateType, relayed: local.relayProtocol ?? null } : null;
  }

  /** Bytes that crossed the youngest peer connection in both directions. */
  async function transportBytes() {
    const transport = await report('transport');
    return transport && transport.bytesReceived + transport.bytesSent;
  }

  /** Mean time of a frame in the jitter buffer. */
  async function jitterBufferMillis() {
    const video = await report('inbound-rtp');
    return video && (video.jitterBufferDelay / video.jitterBufferEmittedCount) * 1000;
  }

  /**
   * Presses a key of the page's own accord and waits for the picture's colour at a place to change:
   * milliseconds from the event to the frame that shows it.
   */
  function keyToPixel(code, [x, y]) {
    const before = colourAt(x, y);
    const differs = (now) =>
      Math.abs(now.red - before.red) + Math.abs(now.green - before.green)
        + Math.abs(now.blue - before.blue) > 48;
    return new Promise((resolve) => {
      let pressed = 0;
      const look = (frame) => {
        if (!differs(colourAt(x, y))) return;
        onFrame.splice(onFrame.indexOf(look), 1);
        const decoded = frame.processingDuration * 1000;
        const received = frame.receiveTime ? frame.receiveTime - pressed : null;
        resolve({ total: performance.now() - pressed, received, decoded });
      };
      onFrame.push(look);
      const press = (type) => new KeyboardEvent(type, { code, key: 'x', bubbles: true });
      pressed = performance.now();
      (document.activeElement ?? document.body).dispatchEvent(press('keydown'));
      (document.activeElement ?? document.body).dispatchEvent(press('keyup'));
    });
  }

  /** Latencies of `count` key presses, at moments that no frame clock could be in step with. */
  async function keyLatencies(count) {
    const latencies = [];
    for (let press = 0; press < count; press += 1) {
      latencies.push(await keyToPixel(['KeyA', 'KeyS'][press % 2], [0.5, 0.5]));
      await new Promise((resolve) => setTimeout(resolve, 80 + Math.random() * 80));
    }
    return latencies;
  }

  /** How long ago the last frame was. */
  function quietMillis() {
    return performance.timeOrigin + performance.now() - (frames.at(-1)?.at ?? Infinity);
  }

  /** The first frame after a moment of the wall clock, in milliseconds: the promise takes no part of
   * the processor from what is measured, as repeated questions would. */
  function frameAfter(millis, patience) {
    const found = frames.find((frame) => frame.at > millis);
    if (found) return Promise.resolve(found);
    return new Promise((resolve, reject) => {
      const look = () => {
        const frame = frames.at(-1);
        if (!frame || frame.at <= millis) return;
        clearTimeout(timer);
        onFrame.splice(onFrame.indexOf(look), 1);
        resolve(frame);
      };
      const timer = setTimeout(() => reject(new Error(`no frame after ${millis}`)), patience);
      onFrame.push(look);
    });
  }

  window.lumenTest = {
    frames, frameAfter, peers, path, quietMillis, colourAt, pictureBox, transportBytes,
    isControllable, jitterBufferMillis, keyLatencies,
  };
}
