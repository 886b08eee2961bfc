// One peer connection: receives pictures and sound, and sends input.
//
// The offer is sent before any address of this browser is known; addresses follow one by one, as soon
// as it is known whether there is a relay. The answer contains the desktop's addresses.
//
// When the path to the desktop is lost, it is sought again (`core/path`), and the picture then
// continues. Only if none is found is the connection lost.

import { decodeOutput, encodeInput } from '../core/input-codec.js';
import { offeredFormats } from '../core/formats.js';
import { loopbackAdvice } from '../core/loopback.js';
import { Path } from '../core/path.js';
import { withRoundTrip } from '../core/round-trip.js';
import { withStereo } from '../core/signalling.js';
import { log } from '../util/log.js';

/** @import { Counts } from '../core/decoding.js' */
/** @import { InputMessage, OutputMessage } from '../core/input-codec.js' */
/** @import { Event as PathEvent } from '../core/path.js' */
/** @import { RelayServer } from '../core/relay.js' */
/** @import { Stats } from '../core/report.js' */

/**
 * @typedef {{ servers: RelayServer[], relayOnly: boolean }} Paths
 * @typedef {{ offer: (sdp: string) => void, restartOffer: (sdp: string) => void,
 *   candidate: (candidate: string) => void, restartNeeded: () => boolean, pathChanged: () => void,
 *   stream: (stream: MediaStream) => void, ready: () => void,
 *   received: (message: OutputMessage) => void, transferred: (data: ArrayBuffer) => void,
 *   transferRoom: () => void, lost: (reason: string) => void }} PeerHandlers
 */

/** Motion that would queue behind this many bytes would arrive late, and newer motion follows. */
const MAX_QUEUED_MOTION = 256;

/** Most bytes of text that wait here for the network: just enough to keep it busy. */
const MAX_QUEUED_TEXT = 32 * 1024;

/** One of WebRTC's priorities (https://w3c.github.io/webrtc-priority/); browsers without them ignore
 * it. */
const LOW_PRIORITY = /** @type {RTCDataChannelInit} */ ({ priority: 'very-low' });

/** A path on the same machine is found well within this many milliseconds. */
const LOOPBACK_PATIENCE = 4000;

const BROWSERS = 'Chrome, Chromium, Edge, Firefox or Safari';

/**
 * What this browser lacks, reported before anything is tried.
 * @returns {string | null} what is missing and what to do about it, or null
 */
export function findObstacle() {
  if (!('RTCPeerConnection' in window)) {
    return `This browser has no WebRTC, or it is switched off. Use a current ${BROWSERS}.`;
  }
  const video = RTCRtpReceiver.getCapabilities?.('video');
  // Without the list of codecs the offer is tried; the desktop refuses one without a common codec.
  if (video && offeredFormats(video.codecs).length === 0) {
    return `This browser can decode none of the formats that the desktop is sent in, H.264 and VP8. Use a current ${BROWSERS}.`;
  }
  return null;
}

export class Peer {
  #connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  #input = this.#connection.createDataChannel('input');
  #motion = this.#connection.createDataChannel('motion', { ordered: false, maxRetransmits: 0 });
  // Lost messages are sent again, but do not hold up newer ones.
  #pads = this.#connection.createDataChannel('pads', { ordered: false });
  // Text of any length. All other messages take precedence.
  #transfer = this.#connection.createDataChannel('transfer', LOW_PRIORITY);
  #listeners = new AbortController();
  #handlers;
  #receiver;
  #sound;
  #speech;
  /** @type {number | null} */
  #shownTime = null;
  #path = new Path();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #pathTimer;
  /** Whether an offer to restart is not answered yet. */
  #restartOffered = false;
  #started = false;
  /** Resolves once the browser gathers addresses. @type {Promise<void>} */
  #local;
  /** @type {(paths: Paths) => void} */
  #chosen = () => {};

  /** @param {PeerHandlers} handlers */
  constructor(handlers) {
    this.#handlers = handlers;
    this.#receiver = this.#addVideo();
    this.#sound = this.#addSound();
    // Idle until there is a microphone.
    this.#speech = this.#connection.addTransceiver('audio', { direction: 'sendonly' });
    this.#listenToConnection();
    this.#listenToInput();
    this.#listenToTransfer();
    /** @type {Promise<Paths>} */
    const paths = new Promise((resolve) => {
      this.#chosen = resolve;
    });
    this.#local = this.#makeOffer(paths);
    this.#showVideo();
  }

  /**
   * Gathers this browser's addresses. Only the first call counts; it ends the wait of {@link answer}.
   *
   * @param {Paths} paths
   */
  start(paths) {
    this.#started = true;
    this.#chosen(paths);
  }

  get isStarted() {
    return this.#started;
  }

  /** RTP time of the picture shown last, null before the first. */
  get shownTime() {
    const [source] = this.#receiver.getSynchronizationSources?.() ?? [];
    // After ten seconds the browser does not know it any more.
    this.#shownTime = source?.rtpTimestamp ?? this.#shownTime;
    return this.#shownTime;
  }

  /** The desktop's sound; null if it sends none, or has not answered yet. */
  get sound() {
    const { direction, stream } = this.#sound;
    return direction() === 'recvonly' ? stream : null;
  }

  /** @param {MediaStreamTrack | null} track of the viewer's microphone, or null */
  async speak(track) {
    try {
      await this.#speech.sender.replaceTrack(track);
    } catch (error) {
      log('info', 'the microphone cannot be used', { error });
    }
  }

  get isReady() {
    return this.#input.readyState === 'open';
  }

  /** @param {string} sdp */
  async answer(sdp) {
    await this.#local;
    if (this.#connection.signalingState !== 'have-local-offer') return;
    this.#restartOffered = false;
    try {
      const measures = this.#connection.localDescription?.sdp.includes(' rrtr\r\n');
      const answer = measures ? withRoundTrip(sdp) : sdp;
      await this.#connection.setRemoteDescription({ type: 'answer', sdp: answer });
      this.#doubtLoopback(sdp);
    } catch (error) {
      this.#lost('The desktop and this browser found no common video format.', error);
    }
  }

  /** Firefox itself waits for ever where it knows of no path. @param {string} answer */
  #doubtLoopback(answer) {
    const advice = loopbackAdvice(answer, navigator.userAgent);
    if (advice === null) return;
    const timer = setTimeout(() => {
      const isFound = ['connected', 'completed'].includes(this.#connection.iceConnectionState);
      if (!isFound && !this.#path.isSought) this.#lost(advice);
    }, LOOPBACK_PATIENCE);
    this.#listeners.signal.addEventListener('abort', () => clearTimeout(timer));
  }

  /** @param {string} candidate of the desktop that was not in its answer */
  async addCandidate(candidate) {
    await this.#local;
    try {
      await this.#connection.addIceCandidate({ candidate, sdpMLineIndex: 0 });
    } catch (error) {
      log('debug', 'ignored a candidate', { error });
    }
  }

  /** Whether there is no path to the desktop at the moment. */
  get isPathLost() {
    return this.#path.isSought;
  }

  /** Seeks another path to the desktop, although ICE finds this one good. */
  seekPath() {
    this.#handlePath({ type: 'doubted' });
  }

  /**
   * Has both sides look for paths to each other.
   *
   * @param {Paths} paths
   */
  async restart(paths) {
    if (this.#connection.signalingState !== 'stable') return;
    log('info', 'looking for another path');
    try {
      this.#configure(paths);
      this.#connection.restartIce();
      await this.#propose(await this.#newOffer());
      this.#restartOffered = true;
      this.offerRestartAgain();
    } catch (error) {
      this.#lost('The connection to the desktop was lost.', error);
    }
  }

  /** Repeats an offer that is not answered, over another socket: the answer to it is the same. */
  offerRestartAgain() {
    const { localDescription } = this.#connection;
    if (this.#restartOffered && localDescription) {
      this.#handlers.restartOffer(localDescription.sdp);
    }
  }

  /** Whether the relay is in use. */
  async isRelayed() {
    // Usually it is loaded already, for the connection report.
    const { usedPath } = await import('../core/report.js');
    const path = usedPath(await this.stats());
    return path !== null && path.name !== 'direct UDP';
  }

  /** @returns {Promise<Stats[]>} */
  async stats() {
    /** @type {Stats[]} */
    const all = [];
    (await this.#connection.getStats()).forEach((one) => all.push(one));
    return all;
  }

  /** @returns {Promise<Counts>} */
  async countPictures() {
    const count = { received: 0, decoded: 0, lost: 0 };
    for (const stats of await this.stats()) {
      if (stats.type !== 'inbound-rtp' || stats['kind'] !== 'video') continue;
      count.received = Number(stats['framesReceived'] ?? 0);
      count.decoded = Number(stats['framesDecoded'] ?? 0);
      count.lost = Number(stats['packetsLost'] ?? 0);
    }
    return count;
  }

  /** @param {InputMessage} message */
  send(message) {
    if (this.isReady) this.#input.send(encodeInput(message));
  }

  /** @param {InputMessage} message sent once, possibly never arriving */
  sendMotion(message) {
    const room = this.#motion.bufferedAmount <= MAX_QUEUED_MOTION;
    if (this.#motion.readyState === 'open' && room) this.#motion.send(encodeInput(message));
  }

  /**
   * @param {InputMessage} message of a gamepad
   * @returns {boolean} whether it could be sent
   */
  sendPad(message) {
    if (this.#pads.readyState !== 'open') return false;
    this.#pads.send(encodeInput(message));
    return true;
  }

  /**
   * @param {Uint8Array<ArrayBuffer>} message about the clipboard
   * @returns {boolean} whether it could be sent
   */
  sendTransfer(message) {
    if (this.#transfer.readyState !== 'open') return false;
    this.#transfer.send(message);
    return true;
  }

  /** Whether a piece of text may be sent; if not, `transferRoom` is called when it may. */
  get hasTransferRoom() {
    return this.#transfer.bufferedAmount < MAX_QUEUED_TEXT;
  }

  /** Stops calling the handlers; the connection stays open. */
  retire() {
    clearTimeout(this.#pathTimer);
    this.#listeners.abort();
  }

  /** Ends the connection without telling the handlers. */
  close() {
    this.retire();
    this.#connection.close();
  }

  #addVideo() {
    const transceiver = this.#connection.addTransceiver('video', { direction: 'recvonly' });
    const { receiver } = transceiver;
    // Frames are shown as they arrive: one late frame is better than a delay of all later ones.
    receiver.jitterBufferTarget = 0;
    if ('playoutDelayHint' in receiver) receiver.playoutDelayHint = 0;
    const video = RTCRtpReceiver.getCapabilities?.('video');
    if (video) transceiver.setCodecPreferences?.(offeredFormats(video.codecs));
    return receiver;
  }

  /** Sound has a stream of its own, so that the browser delays no picture for it. */
  #addSound() {
    const transceiver = this.#connection.addTransceiver('audio', { direction: 'recvonly' });
    const { receiver } = transceiver;
    // Only as much delay as the network makes necessary.
    receiver.jitterBufferTarget = 0;
    const stream = new MediaStream([receiver.track]);
    return { stream, direction: () => transceiver.currentDirection };
  }

  // Set before the connection exists: a frame that is decoded before the callback is set is lost, and
  // on a still desktop no other follows.
  #showVideo() {
    const { track } = this.#receiver;
    track.contentHint = 'detail';
    this.#handlers.stream(new MediaStream([track]));
  }

  #listenToConnection() {
    const { signal } = this.#listeners;
    const connection = this.#connection;
    connection.addEventListener(
      'icecandidate',
      ({ candidate }) => this.#handlers.candidate(candidate?.candidate ?? ''),
      { signal },
    );
    const check = () => this.#checkConnection();
    connection.addEventListener('iceconnectionstatechange', check, { signal });
    connection.addEventListener('connectionstatechange', check, { signal });
  }

  #checkConnection() {
    const { iceConnectionState, connectionState } = this.#connection;
    log('debug', 'peer connection', { iceConnectionState, connectionState });
    // "disconnected" follows seconds of silence; another path costs less than more silence.
    if (['disconnected', 'failed'].includes(iceConnectionState)) {
      this.#handlePath({ type: 'lost' });
    } else if (['connected', 'completed'].includes(iceConnectionState)) {
      this.#handlePath({ type: 'found' });
      // There is a path, but the DTLS handshake failed.
      if (connectionState === 'failed') {
        this.#lost('The connection to the desktop could not be secured.');
      }
    }
  }

  #listenToInput() {
    const { signal } = this.#listeners;
    this.#input.binaryType = 'arraybuffer';
    this.#input.addEventListener('open', () => this.#opened(), { signal });
    this.#input.addEventListener('close', () => this.#lost('The desktop ended the connection.'), {
      signal,
    });
    this.#input.addEventListener(
      'message',
      ({ data }) => {
        const message = data instanceof ArrayBuffer ? decodeOutput(data) : null;
        if (message === null) log('warn', 'unknown message from the desktop');
        else this.#handlers.received(message);
      },
      { signal },
    );
  }

  #listenToTransfer() {
    const { signal } = this.#listeners;
    this.#transfer.binaryType = 'arraybuffer';
    this.#transfer.bufferedAmountLowThreshold = MAX_QUEUED_TEXT / 2;
    this.#transfer.addEventListener(
      'message',
      ({ data }) => {
        if (data instanceof ArrayBuffer) this.#handlers.transferred(data);
      },
      { signal },
    );
    this.#transfer.addEventListener('bufferedamountlow', () => this.#handlers.transferRoom(), {
      signal,
    });
  }

  #opened() {
    this.#handlers.ready();
  }

  /** @param {PathEvent} event */
  #handlePath(event) {
    for (const action of this.#path.handle(event, performance.now())) {
      if (action === 'giveUp' || !this.#handlers.restartNeeded()) {
        this.#lost('The connection to the desktop was lost.');
        return;
      }
    }
    clearTimeout(this.#pathTimer);
    const { deadline } = this.#path;
    if (deadline !== null) {
      const pause = Math.max(deadline - performance.now(), 0);
      this.#pathTimer = setTimeout(() => this.#handlePath({ type: 'tick' }), pause);
    }
    this.#handlers.pathChanged();
  }

  /** @param {Paths} paths */
  #configure({ servers, relayOnly }) {
    /** @type {RTCIceTransportPolicy} */
    const policy = relayOnly ? 'relay' : 'all';
    this.#connection.setConfiguration({
      bundlePolicy: 'max-bundle',
      iceServers: servers,
      iceTransportPolicy: policy,
    });
  }

  /** @param {RTCSessionDescriptionInit} offer that was created last */
  async #propose(offer) {
    const sdp = withRoundTrip(offer.sdp ?? '');
    try {
      await this.#connection.setLocalDescription({ type: 'offer', sdp });
    } catch (error) {
      // Browsers may insist on their own words.
      log('debug', 'the browser does without the round trip', { error });
      await this.#connection.setLocalDescription(offer);
    }
  }

  /** What this page proposes, of the first connection and of each restart. */
  async #newOffer() {
    const { type, sdp = '' } = await this.#connection.createOffer();
    return { type, sdp: withStereo(sdp) };
  }

  /** @param {Promise<Paths>} paths */
  async #makeOffer(paths) {
    try {
      const offer = await this.#newOffer();
      // The desktop can begin its answer while this page still waits for the paths.
      this.#handlers.offer(offer.sdp);
      this.#configure(await paths);
      await this.#propose(offer);
    } catch (error) {
      this.#lost('This browser could not make an offer.', error);
    }
  }

  /**
   * @param {string} reason
   * @param {unknown} [error]
   */
  #lost(reason, error) {
    if (this.#listeners.signal.aborted) return;
    log('info', 'peer lost', { reason, error });
    this.retire();
    this.#handlers.lost(reason);
  }
}
