// Carries out the session's decisions: sockets, peer connections, picture and status.

import { MAX_MACROBLOCKS, wantedScale, wantedSize } from '../core/frame-size.js';
import { Session } from '../core/session.js';
import {
  candidateMessage,
  offerMessage,
  restartMessage,
  resumeMessage,
  startAppMessage,
} from '../core/signalling.js';
import { troubleText } from '../core/status-text.js';
import { log } from '../util/log.js';
import { Attendance } from './attendance.js';
import { Peer } from './peer.js';
import { Picture } from './picture.js';
import { RelayAccess } from './relay-access.js';
import { SignallingSocket, fetchSession } from './server.js';
import { Situation } from './situation.js';
import { Viewport } from './viewport.js';

/** @import { Trouble } from '../core/decoding.js' */
/** @import { InputMessage, OutputMessage } from '../core/input-codec.js' */
/** @import { Action, Event } from '../core/session.js' */
/** @import { RelayServer } from '../core/relay.js' */
/** @import { Stats } from '../core/report.js' */
/** @import { GatewayMessage } from '../core/signalling.js' */
/** @import { Offer } from '../core/status-text.js' */
/** @import { Elements } from './elements.js' */

/**
 * Events of the connection:
 * - `loginNeeded`: nobody is logged in, or the login has ended; with a reason if there is one.
 * - `answered`: the desktop has answered; from here on only the network is waited for.
 * - `settled`: there is a picture, or none for the time being. Reported repeatedly.
 * - `heard`: there is a picture, and the desktop's sound belongs to it, or it has none.
 * - `disconnected`: there is no connection, or none yet.
 * - `named`: the name of the desktop's machine is known.
 * - `received`: a message that does not concern the viewer itself.
 * - `transferred`: a message about the clipboard; `transferRoom`: the channel has room for more text.
 * @typedef {{ loginNeeded: (reason: string) => void, answered: () => void, settled: () => void,
 *   heard: (sound: MediaStream | null) => void,
 *   disconnected: () => void, named: (hostname: string) => void,
 *   received: (message: OutputMessage) => void, transferred: (data: ArrayBuffer) => void,
 *   transferRoom: () => void }} ViewerHandlers
 */

export class Viewer {
  #elements;
  #session = new Session();
  #attendance = new Attendance(
    () => ({ peer: this.#peer, socket: this.#socket, isStreaming: this.isStreaming }),
    () => {
      this.#elements.root.dataset['input'] = 'open';
      this.#tellSize();
    },
  );
  #picture;
  #situation;
  #viewport;
  #handlers;
  /** @type {SignallingSocket | null} */
  #socket = null;
  /** @type {Peer | null} */
  #peer = null;
  /** Made in advance to save time. @type {Peer | null} */
  #prepared = null;
  /** Replaced, but not closed yet. @type {Peer | null} */
  #retired = null;
  /** The ticket with which the next socket resumes the peer. */
  #ticket = '';
  /** Messages that wait for the socket to open. @type {string[]} */
  #unsent = [];
  #relay = new RelayAccess();
  #checkingLogin = false;
  #hostname = '';
  /** How many macroblocks the desktop may have so that this browser can show it. */
  #mostMacroblocks = MAX_MACROBLOCKS;

  /**
   * @param {Elements} elements
   * @param {ViewerHandlers} handlers
   * @param {AbortSignal} signal
   */
  constructor(elements, handlers, signal) {
    this.#elements = elements;
    this.#handlers = handlers;
    this.#picture = new Picture(elements.pictures, () => this.#tellSettled(), signal);
    this.#situation = new Situation(
      elements,
      {
        act: (action) => this.#act(action),
        tick: () => this.handle({ type: 'tick' }),
        connection: () => ({
          state: this.#session.state,
          deadline: this.#session.deadline,
          pathLost: this.#peer?.isPathLost ?? false,
        }),
      },
      signal,
    );
    this.#viewport = new Viewport(
      elements.stage,
      {
        changed: (size, pixelRatio) => this.#picture.resize(size, pixelRatio),
        settled: () => this.#tellSize(),
      },
      signal,
    );
    signal.addEventListener('abort', () => this.handle({ type: 'stop' }));
  }

  /** Makes the first peer's offer while the page still logs in. */
  prepare() {
    this.#prepared ??= this.#newPeer();
  }

  /** @returns {Promise<Stats[]>} of the peer connection */
  async stats() {
    return (await this.#peer?.stats()) ?? [];
  }

  get relayOnly() {
    return this.#relay.relayOnly;
  }

  /** @returns {Promise<RelayServer | null>} with credentials to test a transport to it */
  askRelay() {
    return this.#relay.ask(this.#socket);
  }

  /** Whether no desktop has been asked for yet. */
  get isIdle() {
    return this.#session.state.name === 'idle';
  }

  get isStreaming() {
    return this.#session.state.name === 'streaming';
  }

  get picture() {
    return this.#picture;
  }

  /** An identity of the peer connection, for comparison with others. */
  get connection() {
    return this.#peer;
  }

  /** RTP time of the picture shown last, null if there is none. */
  get shownTime() {
    return this.#peer?.shownTime ?? null;
  }

  /** How many pictures this connection received whole, and how many were decoded. */
  async countPictures() {
    return (await this.#peer?.countPictures()) ?? { received: 0, decoded: 0, lost: 0 };
  }

  /** @param {number} mostMacroblocks that the desktop may have */
  limitDesktop(mostMacroblocks) {
    this.#mostMacroblocks = mostMacroblocks;
    this.#tellSize();
  }

  /** @param {Trouble | null} trouble with the picture, or null */
  say(trouble) {
    this.#situation.pictureHas(trouble);
  }

  /** Seeks another path for pictures that do not come. */
  seekPath() {
    this.#peer?.seekPath();
  }

  /** Gives up the connection, because its picture cannot be shown. */
  losePicture() {
    this.handle({ type: 'peerLost', reason: troubleText(this.#situation.trouble) });
  }

  /** The page was shown or hidden. */
  visibilityChanged() {
    this.#attendance.tellShown();
    if (!document.hidden) this.handle({ type: 'wakeUp' });
  }

  /** @param {InputMessage} message of the page itself */
  send(message) {
    this.#peer?.send(message);
  }

  /** @param {InputMessage} message of keyboard or pointer */
  act(message) {
    this.#attendance.acts();
    this.#peer?.send(message);
  }

  /** @param {InputMessage} message of the pointer, or that something is held */
  sendMotion(message) {
    this.#attendance.acts();
    this.#peer?.sendMotion(message);
  }

  /** The viewer acts, or holds something, without a message of keyboard or pointer. */
  acts() {
    this.#attendance.acts();
  }

  /** @param {MediaStreamTrack | null} track of the viewer's microphone, or null */
  speak(track) {
    void this.#peer?.speak(track);
  }

  /** @param {boolean} on whether the viewer's microphone is, from now on */
  proves(on) {
    this.#attendance.speaks(on);
  }

  /**
   * @param {InputMessage} message of a gamepad
   * @returns {boolean} whether it could be sent
   */
  sendPad(message) {
    this.#attendance.acts();
    // Before the lease is named, the desktop ignores pads.
    return this.#attendance.mayAct && this.#peer?.sendPad(message) === true;
  }

  /**
   * @param {Uint8Array<ArrayBuffer>} message about the clipboard
   * @returns {boolean} whether it could be sent
   */
  sendTransfer(message) {
    return this.#peer?.sendTransfer(message) ?? false;
  }

  /** Whether a piece of text may be sent. */
  get hasTransferRoom() {
    return this.#peer?.hasTransferRoom ?? false;
  }

  /**
   * Shows a text for a moment, while all is well.
   * @param {string} text
   */
  notify(text) {
    this.#situation.notify(text);
  }

  /**
   * Shows a permanent problem of the page itself.
   * @param {string} text
   */
  complain(text) {
    this.#situation.complain(text);
  }

  /** @param {Event} event */
  handle(event) {
    const actions = this.#session.handle(event, performance.now());
    for (const action of actions) this.#perform(action);
    if (actions.includes('dropPeer') && !actions.includes('makePeer')) this.#closeRetired();
    this.#update();
    this.#tellSettled();
  }

  #tellSettled() {
    if (!['idle', 'attempting'].includes(this.#session.state.name)) this.#handlers.settled();
  }

  /** @param {Offer} action */
  #act(action) {
    if (action === 'startApp') {
      // Without a socket there is nobody to ask; the next one reports the state of the app.
      if (this.#socket?.isOpen) this.#socket.send(startAppMessage());
    } else this.handle({ type: this.#session.state.name === 'waiting' ? 'wakeUp' : 'start' });
  }

  /** @param {Action} action */
  #perform(action) {
    switch (action) {
      case 'openSocket':
        this.#openSocket();
        return;
      case 'closeSocket':
        this.#socket?.close();
        this.#socket = null;
        return;
      case 'makePeer':
        this.#makePeer();
        return;
      case 'resumePeer':
        this.#socket?.send(resumeMessage(this.#ticket));
        return;
      case 'dropPeer':
        this.#dropPeer();
        return;
      case 'checkLogin':
        void this.#checkLogin();
        return;
    }
  }

  #openSocket() {
    const socket = new SignallingSocket({
      opened: () => {
        this.handle({ type: 'socketOpened' });
        this.#unsent.splice(0).forEach((text) => socket.send(text));
        this.#peer?.offerRestartAgain();
        this.#attendance.socketOpened();
      },
      received: (message) => this.#signalled(message),
      closed: (opened) => {
        this.#socket = null;
        this.#relay.socketClosed();
        this.handle({ type: 'socketClosed', opened });
      },
    });
    this.#socket = socket;
  }

  /** @param {GatewayMessage} message */
  #signalled(message) {
    switch (message.type) {
      case 'answer':
        this.#ticket = message.ticket;
        void this.#peer?.answer(message.sdp);
        this.#handlers.answered();
        return;
      case 'app':
        this.#situation.appIs(message.running ? null : message);
        return;
      case 'candidate':
        void this.#peer?.addCandidate(message.candidate);
        return;
      case 'closed':
        log('info', 'closed by the server', { reason: message.reason, retry: message.retry });
        this.handle({ type: 'peerClosed', reason: message.reason, retry: message.retry });
        return;
      case 'endsSoon':
        this.#situation.endsIn(message.seconds);
        return;
      case 'lease':
        this.#attendance.leased(message.lease);
        return;
      case 'loginEnded':
        this.loginEnded();
        return;
      case 'notice':
        this.notify(message.text);
        return;
      case 'probe':
        this.#relay.answered(message.relay);
        return;
      case 'relay':
        this.#relay.given(message.relay);
        if (message.restarted) void this.#leaveDeadRelay();
        return;
      case 'welcome':
        this.#situation.welcomed();
        this.#relay.given(message.relay);
        if (this.#peer?.isStarted === false) this.#peer.start(this.#relay.paths);
        return;
    }
  }

  async #leaveDeadRelay() {
    const peer = this.#peer;
    // A connection that is still being made has used the old relay, too.
    const affected = !this.isStreaming || (await peer?.isRelayed());
    if (affected && peer === this.#peer) void peer?.restart(this.#relay.paths);
  }

  #makePeer() {
    const peer = this.#prepared ?? this.#newPeer();
    this.#prepared = null;
    this.#peer = peer;
    if (this.#relay.isKnown) peer.start(this.#relay.paths);
  }

  #newPeer() {
    return new Peer({
      offer: (sdp) => {
        this.#signal(offerMessage(sdp));
        this.#closeRetired();
      },
      restartOffer: (sdp) => this.#signal(restartMessage(sdp)),
      candidate: (candidate) => {
        const text = candidateMessage(candidate);
        if (text !== null) this.#signal(text);
      },
      restartNeeded: () => {
        if (!this.isStreaming) return false;
        // Without a socket the offer waits for the next one, which is opened at once.
        void this.#peer?.restart(this.#relay.paths);
        this.handle({ type: 'wakeUp' });
        return true;
      },
      pathChanged: () => this.#update(),
      stream: (stream) => this.#picture.show(stream, () => this.#firstFrame()),
      ready: () => this.#attendance.ready(),
      received: (message) => this.#received(message),
      transferred: (data) => this.#handlers.transferred(data),
      transferRoom: () => this.#handlers.transferRoom(),
      lost: (reason) => this.handle({ type: 'peerLost', reason }),
    });
  }

  #dropPeer() {
    this.#unsent = [];
    delete this.#elements.root.dataset['input'];
    this.#picture.drop();
    this.#handlers.disconnected();
    this.#closeRetired();
    this.#peer?.retire();
    this.#retired = this.#peer;
    this.#peer = null;
  }

  // Only after the desktop has its successor's offer: otherwise it would report the end of the old
  // connection, which the page would take for the end of the new one.
  #closeRetired() {
    this.#retired?.close();
    this.#retired = null;
  }

  /** @param {string} text */
  #signal(text) {
    if (this.#socket?.isOpen) this.#socket.send(text);
    else this.#unsent.push(text);
  }

  #firstFrame() {
    performance.mark('lumen-first-frame');
    this.#situation.streamed();
    this.#elements.root.dataset['picture'] = 'shown';
    this.handle({ type: 'firstFrame' });
    if (document.hidden) this.#attendance.tellShown();
    this.#handlers.heard(this.#peer?.sound ?? null);
    if (this.#hostname === '') void this.#checkLogin();
  }

  #tellSize() {
    const { size, pixelRatio } = this.#viewport;
    const wanted = wantedSize(size, this.#mostMacroblocks);
    const scale = wantedScale(size, wanted, pixelRatio);
    this.send({ type: 'sizeWanted', ...wanted, scale });
  }

  /** @param {OutputMessage} message */
  #received(message) {
    switch (message.type) {
      case 'challenged':
        this.#attendance.challenged(message.challenge);
        return;
      case 'desktopState':
        this.#situation.desktopIs(message.state);
        return;
      default:
        this.#handlers.received(message);
    }
  }

  async #checkLogin() {
    if (this.#checkingLogin) return;
    this.#checkingLogin = true;
    const outcome = await fetchSession();
    this.#checkingLogin = false;
    switch (outcome.type) {
      case 'ok':
        this.#hostname = outcome.hostname;
        this.#elements.signOutButton.hidden = !outcome.signedIn;
        this.#handlers.named(outcome.hostname);
        this.handle({ type: 'socketBlocked' });
        return;
      case 'loginNeeded':
        this.#askLogin('');
        return;
      case 'later':
        this.handle({ type: 'socketExplained', reason: outcome.reason });
        return;
      default:
        this.handle({ type: 'refused', reason: outcome.reason });
    }
  }

  /** The login has ended. */
  loginEnded() {
    this.#askLogin('You are signed out.');
  }

  /** @param {string} reason */
  #askLogin(reason) {
    this.handle({ type: 'loginNeeded' });
    this.#handlers.loginNeeded(reason);
  }

  #update() {
    this.#elements.root.dataset['state'] = this.#session.state.name;
    this.#situation.update();
  }
}
