// The life of the connection, as a state machine: takes events and the time, returns actions.
//
// There are two connections. The peer connection carries pictures and input; the signalling socket
// establishes it, and afterwards only reports that the desktop's side was replaced. An attempt starts
// both at once. While pictures arrive, a lost socket is reopened in the background and resumes the
// existing peer connection without any other effect; a lost peer connection starts the next attempt,
// the first one without delay.

import { Backoff } from './reconnect.js';

/** An attempt without a picture after this many milliseconds has failed. */
export const ATTEMPT_LIMIT = 8000;

/** The reason why a socket does not open, until a better one is known. */
const UNREACHABLE = 'The server cannot be reached.';
/** The server accepts this page, but its socket does not open. */
const BLOCKED =
  'The server answers, but its WebSocket does not: a proxy has to pass the Upgrade header on.';
/** Consecutive failures before this is shown; a single one may be due to a starting server. */
const BLOCKED_AFTER = 2;

/**
 * @typedef {{ name: 'idle' }
 *   | { name: 'attempting', deadline: number }
 *   | { name: 'waiting', until: number, reason: string }
 *   | { name: 'streaming', since: number }
 *   | { name: 'login' }
 *   | { name: 'failed', reason: string }} State
 * @typedef {{ type: 'start' }
 *   | { type: 'stop' }
 *   | { type: 'tick' }
 *   | { type: 'wakeUp' }
 *   | { type: 'socketOpened' }
 *   | { type: 'socketClosed', opened: boolean }
 *   | { type: 'socketBlocked' }
 *   | { type: 'socketExplained', reason: string }
 *   | { type: 'refused', reason: string }
 *   | { type: 'loginNeeded' }
 *   | { type: 'peerClosed', reason: string, retry: boolean }
 *   | { type: 'peerLost', reason: string }
 *   | { type: 'firstFrame' }
 *   | { type: 'impossible', reason: string }} Event
 * @typedef {'openSocket' | 'closeSocket' | 'makePeer' | 'resumePeer' | 'dropPeer' | 'checkLogin'} Action
 */

export class Session {
  /** @type {State} */
  #state = { name: 'idle' };
  /** @type {'none' | 'opening' | 'open'} */
  #socket = 'none';
  #socketOpenedAt = 0;
  #socketReason = UNREACHABLE;
  /** How often in a row the socket did not open although the server accepted this page. */
  #socketsBlocked = 0;
  /** @type {number | null} */
  #socketRetryAt = null;
  #backoff;
  #socketBackoff;

  /** @param {() => number} [random] */
  constructor(random) {
    this.#backoff = new Backoff(random);
    this.#socketBackoff = new Backoff(random);
  }

  get state() {
    return this.#state;
  }

  /** When to send `tick`, null when nothing is waited for. */
  get deadline() {
    switch (this.#state.name) {
      case 'attempting':
        return this.#state.deadline;
      case 'waiting':
        return this.#state.until;
      case 'streaming':
        return this.#socketRetryAt;
      default:
        return null;
    }
  }

  /**
   * @param {Event} event
   * @param {number} now milliseconds
   * @returns {Action[]} to carry out in this order
   */
  handle(event, now) {
    switch (event.type) {
      case 'start':
        return this.#isOver() ? this.#attempt(now) : [];
      case 'stop':
        return this.#end({ name: 'idle' });
      case 'tick':
        return this.#tick(now);
      case 'wakeUp':
        return this.#wakeUp(now);
      case 'socketOpened':
        return this.#socketOpened(now);
      case 'socketClosed':
        return this.#socketClosed(event.opened, now);
      case 'socketBlocked':
        this.#socketsBlocked += 1;
        return this.#socketsBlocked < BLOCKED_AFTER ? [] : this.#socketExplained(BLOCKED);
      case 'socketExplained':
        return this.#socketExplained(event.reason);
      case 'refused':
        // The picture needs no socket, so it continues for as long as it arrives.
        if (this.#state.name === 'streaming') return [];
        return this.#end({ name: 'failed', reason: event.reason });
      case 'loginNeeded':
        return this.#end({ name: 'login' });
      case 'peerClosed':
        if (!event.retry) return this.#end({ name: 'failed', reason: event.reason });
        return this.#peerLost(event.reason, now);
      case 'peerLost':
        return this.#peerLost(event.reason, now);
      case 'firstFrame':
        return this.#firstFrame(now);
      case 'impossible':
        return this.#end({ name: 'failed', reason: event.reason });
    }
  }

  /**
   * Tries at once whatever is waiting.
   * @param {number} now
   * @returns {Action[]}
   */
  #wakeUp(now) {
    if (this.#state.name === 'waiting') return this.#attempt(now);
    return this.#socketRetryAt === null ? [] : this.#openSocket();
  }

  #isOver() {
    return ['idle', 'login', 'failed'].includes(this.#state.name);
  }

  /**
   * @param {number} now
   * @returns {Action[]}
   */
  #attempt(now) {
    this.#state = { name: 'attempting', deadline: now + ATTEMPT_LIMIT };
    return [...this.#openSocket(), 'makePeer'];
  }

  /** @returns {Action[]} */
  #openSocket() {
    this.#socketRetryAt = null;
    if (this.#socket !== 'none') return [];
    this.#socket = 'opening';
    return ['openSocket'];
  }

  /** @returns {Action[]} */
  #closeSocket() {
    this.#socketRetryAt = null;
    if (this.#socket === 'none') return [];
    this.#socket = 'none';
    return ['closeSocket'];
  }

  /**
   * @param {State} state
   * @returns {Action[]}
   */
  #end(state) {
    this.#state = state;
    return ['dropPeer', ...this.#closeSocket()];
  }

  /**
   * @param {string} reason
   * @param {number} now
   * @returns {Action[]}
   */
  #fail(reason, now) {
    const delay = this.#backoff.fail();
    if (delay === 0) return ['dropPeer', ...this.#attempt(now)];
    this.#state = { name: 'waiting', until: now + delay, reason };
    return ['dropPeer'];
  }

  /**
   * @param {number} now
   * @returns {Action[]}
   */
  #tick(now) {
    const { deadline } = this;
    if (deadline === null || now < deadline) return [];
    switch (this.#state.name) {
      case 'attempting': {
        // A socket that did not open in all this time is stuck, too.
        const closed = this.#socket === 'opening' ? this.#closeSocket() : [];
        return [...closed, ...this.#fail('No picture arrived.', now)];
      }
      case 'waiting':
        return this.#attempt(now);
      case 'streaming':
        return this.#openSocket();
      default:
        return [];
    }
  }

  /**
   * @param {number} now
   * @returns {Action[]}
   */
  #socketOpened(now) {
    this.#socket = 'open';
    this.#socketOpenedAt = now;
    this.#socketReason = UNREACHABLE;
    this.#socketsBlocked = 0;
    if (this.#state.name === 'attempting') this.#state.deadline = now + ATTEMPT_LIMIT;
    return this.#state.name === 'streaming' ? ['resumePeer'] : [];
  }

  /**
   * @param {boolean} opened
   * @param {number} now
   * @returns {Action[]}
   */
  #socketClosed(opened, now) {
    this.#socket = 'none';
    if (opened) this.#socketBackoff.ended(now - this.#socketOpenedAt);
    // A refused socket does not give the reason; the login may have expired.
    /** @type {Action[]} */
    const check = opened ? [] : ['checkLogin'];
    switch (this.#state.name) {
      case 'attempting':
        return [...check, ...this.#fail(this.#socketReason, now)];
      case 'streaming':
        this.#socketRetryAt = now + this.#socketBackoff.fail();
        return check;
      default:
        return [];
    }
  }

  /**
   * Learns why a socket did not open, perhaps only after the next attempt began.
   * @param {string} reason
   * @returns {Action[]}
   */
  #socketExplained(reason) {
    if (this.#socket === 'open') return [];
    this.#socketReason = reason;
    if (this.#state.name === 'waiting') this.#state.reason = reason;
    return [];
  }

  /**
   * @param {string} reason
   * @param {number} now
   * @returns {Action[]}
   */
  #peerLost(reason, now) {
    if (this.#state.name === 'streaming') this.#backoff.ended(now - this.#state.since);
    else if (this.#state.name !== 'attempting') return [];
    return this.#fail(reason, now);
  }

  /**
   * @param {number} now
   * @returns {Action[]}
   */
  #firstFrame(now) {
    if (this.#state.name !== 'attempting') return [];
    this.#state = { name: 'streaming', since: now };
    return [];
  }
}
