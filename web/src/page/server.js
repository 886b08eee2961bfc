// What the page says to its server: requests, each with every answer it can get, and the signalling
// WebSocket. Addresses are relative to the page's own, so that it works under any path of a proxy.

import { parseGatewayMessage } from '../core/signalling.js';
import { log } from '../util/log.js';

/** @import { GatewayMessage } from '../core/signalling.js' */

/**
 * @typedef {{ type: 'ok' } | { type: 'wrong' } | { type: 'tooMany', seconds: number }
 *   | { type: 'unavailable', reason: string }} LoginOutcome
 * @typedef {{ type: 'ok', hostname: string } | { type: 'loginNeeded' }
 *   | { type: 'unavailable' }} SessionOutcome
 * @typedef {{ opened: () => void, received: (message: GatewayMessage) => void,
 *   closed: (opened: boolean) => void }} SocketHandlers
 */

const PATIENCE = 5000;

/**
 * @param {string} token
 * @returns {Promise<LoginOutcome>}
 */
export async function logIn(token) {
  try {
    const response = await fetch('login', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ token }),
      signal: AbortSignal.timeout(PATIENCE),
    });
    if (response.ok) return { type: 'ok' };
    if (response.status === 429) {
      return { type: 'tooMany', seconds: Number(response.headers.get('Retry-After')) || 1 };
    }
    if (response.status === 503) return { type: 'unavailable', reason: await response.text() };
    return { type: 'wrong' };
  } catch {
    return { type: 'unavailable', reason: 'The server cannot be reached.' };
  }
}

/** @returns {Promise<SessionOutcome>} */
export async function fetchSession() {
  try {
    const response = await fetch('api/session', { signal: AbortSignal.timeout(PATIENCE) });
    if (response.status === 401) return { type: 'loginNeeded' };
    if (!response.ok) return { type: 'unavailable' };
    /** @type {unknown} */
    const session = await response.json();
    const named = typeof session === 'object' && session !== null && 'hostname' in session;
    return { type: 'ok', hostname: named ? String(session.hostname) : '' };
  } catch {
    return { type: 'unavailable' };
  }
}

/** The signalling WebSocket. */
export class SignallingSocket {
  #socket;
  #listeners = new AbortController();

  /** @param {SocketHandlers} handlers */
  constructor(handlers) {
    const address = new URL('ws/signal', document.baseURI);
    address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    this.#socket = new WebSocket(address);
    const { signal } = this.#listeners;
    let opened = false;
    this.#socket.addEventListener(
      'open',
      () => {
        opened = true;
        handlers.opened();
      },
      { signal },
    );
    this.#socket.addEventListener(
      'message',
      ({ data }) => {
        const message = parseGatewayMessage(data);
        if (message === null) log('warn', 'unknown signalling message');
        else handlers.received(message);
      },
      { signal },
    );
    this.#socket.addEventListener(
      'close',
      ({ code, reason }) => {
        log('info', 'signalling closed', { code, reason });
        handlers.closed(opened);
      },
      { signal },
    );
  }

  get isOpen() {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** @param {string} text */
  send(text) {
    this.#socket.send(text);
  }

  /** Closes without telling the handlers. */
  close() {
    this.#listeners.abort();
    this.#socket.close();
  }
}
