// Runs in the page before the page's own code and watches it from outside: which frames were
// decoded when, what they look like, and what WebRTC says of itself. Changes nothing the page does,
// but for what a test forces: the ways its connections may take, the key they are secured with, and
// pictures that a decoder cannot make anything of.

/**
 * @param {{ relay: 'udp' | 'tcp' | 'tls' | null, spoil: { garblesFrom?: number } | null,
 *   lacks: string[] }} forced the relay, by this transport and no other; that pictures can be spoiled, and
 *   which are at once; formats of video that the browser seems to lack, such as `video/H264`
 */
export function instrument({ relay: forced, spoil: spoiled, lacks }) {
  const capabilities = RTCRtpReceiver.getCapabilities.bind(RTCRtpReceiver);
  RTCRtpReceiver.getCapabilities = (kind) => {
    const all = capabilities(kind);
    return all && { ...all, codecs: all.codecs.filter(({ mimeType }) => !lacks.includes(mimeType)) };
  };

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

  /**
   * Pictures of so many macroblocks or more become garbage, or get lost; until the page asks for a
   * keyframe or for ever. `since` is when the first was.
   */
  const spoil = { garblesFrom: Infinity, losesFrom: Infinity, untilAsked: false, since: null, ...spoiled };

  /** Between what assembles pictures of packets and what decodes them. */
  function intercept(receiver) {
    let macroblocks = 0;
    const { readable, writable } = receiver.createEncodedStreams();
    const spoiler = new TransformStream({
      transform(frame, controller) {
        const { width, height } = frame.getMetadata();
        // Only keyframes say.
        if (width > 0) macroblocks = Math.ceil(width / 16) * Math.ceil(height / 16);
        const [lost, garbled] = [macroblocks >= spoil.losesFrom, macroblocks >= spoil.garblesFrom];
        if (lost || garbled) spoil.since ??= performance.now();
        if (lost) return;
        if (garbled) new Uint8Array(frame.data).fill(0x5a);
        controller.enqueue(frame);
      },
    });
    readable.pipeThrough(spoiler).pipeTo(writable).catch(() => {});
  }

  const KEYFRAME_WANTED = 0x0b;
  /** Messages of the page to the desktop: when, and what by their first byte. */
  const said = [];
  function listenTo(channel) {
    const send = channel.send.bind(channel);
    channel.send = (message) => {
      const [tag] = new Uint8Array(message.buffer ?? message);
      said.push({ at: performance.now(), tag });
      if (tag === KEYFRAME_WANTED && spoil.untilAsked) {
        spoil.garblesFrom = spoil.losesFrom = Infinity;
      }
      send(message);
    };
    return channel;
  }

  /** What the next connections are secured with, if not with what the browser chooses. */
  let certificates;
  async function useRsaKeys() {
    const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 2048 };
    const publicExponent = new Uint8Array([1, 0, 1]);
    certificates = [await NativePeer.generateCertificate({ ...algorithm, publicExponent })];
  }

  const peers = [];
  /** How many offers the page has made. */
  let offers = 0;
  const NativePeer = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends NativePeer {
    #forced;

    constructor(configuration, ...rest) {
      const forced = { ...(spoiled && { encodedInsertableStreams: true }), ...(certificates && { certificates }) };
      super({ ...narrowed(configuration), ...forced }, ...rest);
      this.#forced = forced;
      peers.push(this);
    }

    setConfiguration(configuration) {
      super.setConfiguration({ ...narrowed(configuration), ...this.#forced });
    }

    setLocalDescription(...rest) {
      offers += 1;
      return super.setLocalDescription(...rest);
    }

    addTransceiver(...rest) {
      const transceiver = super.addTransceiver(...rest);
      if (spoiled) intercept(transceiver.receiver);
      return transceiver;
    }

    createDataChannel(...rest) {
      return listenTo(super.createDataChannel(...rest));
    }
  };

  /** All that the status line said, one after the other. */
  const statuses = [];
  function noteStatus() {
    const text = document.querySelector('#status-text')?.textContent ?? '';
    if (text !== '' && text !== statuses.at(-1)) statuses.push(text);
  }

  const frames = [];
  const onFrame = [];
  const probe = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const watched = new Set();
  /** The element that showed a frame last: the page may use several in turn. */
  let video = null;
  /** RTP time of the frame that was shown last. */
  let lastTimestamp = null;

  const isFirefox = navigator.userAgent.includes('Firefox/');

  function watch(element) {
    element.requestVideoFrameCallback((_, frame) => {
      watch(element);
      // An element that loses its stream presents its last frame once more, or a black one that
      // never came over the network. Firefox does neither, and tells no time of the network.
      const timestamp = frame.rtpTimestamp ?? (isFirefox ? frame.presentedFrames : undefined);
      if (timestamp === undefined || timestamp === lastTimestamp) return;
      lastTimestamp = timestamp;
      video = element;
      const at = performance.timeOrigin + performance.now();
      const { width, height, presentedFrames: presented } = frame;
      frames.push({ at, width, height, presented, rtp: lastTimestamp });
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
  function look() {
    findVideos();
    noteStatus();
  }
  new MutationObserver(look).observe(document, { childList: true, subtree: true });

  /** The colour at fractions of the picture's width and height. */
  function colourAt(x, y) {
    if (!video || video.videoWidth === 0) throw new Error('there is no picture');
    const left = Math.min(Math.floor(x * video.videoWidth), video.videoWidth - 1);
    const top = Math.min(Math.floor(y * video.videoHeight), video.videoHeight - 1);
    probe.drawImage(video, left, top, 1, 1, 0, 0, 1, 1);
    const [red, green, blue] = probe.getImageData(0, 0, 1, 1).data;
    return { red, green, blue };
  }

  /** Red, green and blue of each pixel in a part of the picture, row by row, without a gap. */
  function coloursIn(left, top, width, height) {
    const canvas = new OffscreenCanvas(width, height).getContext('2d');
    canvas.drawImage(video, left, top, width, height, 0, 0, width, height);
    return [...canvas.getImageData(0, 0, width, height).data].filter((_, at) => at % 4 < 3);
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
  async function report(type, kind) {
    const reports = await peers.at(-1)?.getStats();
    const isIt = (candidate) => candidate.type === type && (!kind || candidate.kind === kind);
    return [...(reports?.values() ?? [])].find(isIt) ?? null;
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

  /** By connection, what WebRTC says of the picture it receives; of a closed one, what it said last. */
  const received = new Map();

  /** Figures of received pictures, over all connections of the page. */
  async function receivedPictures() {
    for (const peer of peers) {
      for (const stream of (await peer.getStats()).values()) {
        if (stream.type === 'inbound-rtp' && stream.kind === 'video') received.set(peer, stream);
      }
    }
    const streams = [...received.values()];
    const sum = (name) => streams.reduce((total, stream) => total + (stream[name] ?? 0), 0);
    return {
      now: performance.timeOrigin + performance.now(),
      freezes: sum('freezeCount'),
      nacks: sum('nackCount'),
      keyframes: sum('keyFramesDecoded'),
      buffered: sum('jitterBufferDelay'),
      emitted: sum('jitterBufferEmittedCount'),
      height: streams.at(-1)?.frameHeight ?? 0,
    };
  }

  /** The format in which pictures are received, as WebRTC's statistics describe it. */
  async function pictureCodec() {
    const video = await report('inbound-rtp', 'video');
    const reports = await peers.at(-1)?.getStats();
    return reports?.get(video?.codecId) ?? null;
  }

  /** The parameters of that format. */
  const pictureFormat = async () => (await pictureCodec())?.sdpFmtpLine ?? null;

  /** Its name, such as `video/H264`. */
  const pictureType = async () => (await pictureCodec())?.mimeType ?? null;

  /**
   * What the youngest peer connection has played of sound, in milliseconds, and made up of that; and the sum of
   * how long each sample was kept in store against jitter, in milliseconds, with the number of samples.
   */
  async function receivedSound() {
    const reports = await peers.at(-1)?.getStats();
    const isSound = (stream) => stream.type === 'inbound-rtp' && stream.kind === 'audio';
    const sound = [...(reports?.values() ?? [])].find(isSound);
    const millis = (samples) => samples / 48;
    return sound && {
      played: millis(sound.totalSamplesReceived ?? 0),
      concealed: millis(sound.concealedSamples ?? 0),
      kept: (sound.jitterBufferDelay ?? 0) * 1000,
      samples: sound.jitterBufferEmittedCount ?? 0,
    };
  }

  /** Mean time of a frame in the jitter buffer. */
  async function jitterBufferMillis() {
    const video = await report('inbound-rtp', 'video');
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

  /** What a keyboard does in ways that the driver's cannot: its lock keys on, its releases lost. */
  function keyEvent(type, code, more) {
    const event = new KeyboardEvent(type, { code, bubbles: true, cancelable: true, ...more });
    (document.activeElement ?? document.body).dispatchEvent(event);
  }

  /**
   * Keys and movements as a browser would report them that loses every third release, by chance with
   * a seed, so that it is the same each time.
   */
  function keyStorm(count) {
    const codes = ['ShiftLeft', 'ControlLeft', 'AltRight', 'KeyA', 'KeyB', 'Enter', 'Numpad4'];
    let seed = 1;
    // Numerical Recipes' linear congruential generator.
    const chance = (below) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    for (let number = 0; number < count; number += 1) {
      const code = codes[chance(codes.length)];
      const key = code.replace(/(Left|Right)$/, '');
      const type = chance(3) === 0 ? 'keyup' : 'keydown';
      const modifiers = { shiftKey: chance(2) === 0, ctrlKey: chance(4) === 0 };
      keyEvent(type, code, { key, repeat: chance(5) === 0, ...modifiers });
    }
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

  /** Texts that the page has put on the clipboard: when, and how long they are. */
  const copies = [];
  // Pages that were not loaded securely have none.
  const { clipboard } = navigator;
  if (clipboard) {
    const writeText = clipboard.writeText.bind(clipboard);
    clipboard.writeText = async (text) => {
      await writeText(text);
      copies.push({ at: performance.timeOrigin + performance.now(), length: text.length });
    };
  }

  window.lumenTest = {
    copies, frames, frameAfter, peers, path, quietMillis, colourAt, coloursIn, pictureBox, transportBytes,
    isControllable, jitterBufferMillis, keyEvent, keyLatencies, keyStorm, pictureFormat, pictureType,
    receivedPictures, receivedSound, said, spoil,
    offersMade: () => offers, statuses, useRsaKeys,
  };
}
